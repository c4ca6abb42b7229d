//! Finding topics and partitions the way requests name them.

use esker_engine::{Partition, TopicEntry, TopicRegistry};
use esker_meta::State;
use esker_types::{LeaderEpoch, PartitionIndex, TopicId};
use esker_wire::{ErrorCode, Uuid};
use std::sync::Arc;

/// Finds a topic by id where the version has ids, else by name.
pub(crate) fn find_topic<'a>(
    topics: &'a TopicRegistry,
    by_id: bool,
    name: &str,
    id: Uuid,
) -> Result<&'a Arc<TopicEntry>, ErrorCode> {
    if by_id {
        topics.by_id(TopicId(id)).ok_or(ErrorCode::UnknownTopicId)
    } else {
        topics.by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

/// Finds what the metadata says of a partition.
pub(crate) fn find_row<'a>(
    state: &'a State,
    topic: &str,
    index: i32,
) -> Option<&'a esker_meta::Partition> {
    let topic = state.topics.get(state.topic_names.get(topic)?)?;
    let id = topic.partitions.get(usize::try_from(index).ok()?)?;
    state.partitions.get(id).map(|row| &**row)
}

/// Finds a partition that this broker leads.
pub(crate) fn find_partition(topic: &TopicEntry, index: i32) -> Result<&Arc<Partition>, ErrorCode> {
    match topic.partition(PartitionIndex(index)) {
        None => Err(ErrorCode::UnknownTopicOrPartition),
        Some(None) => Err(ErrorCode::NotLeaderOrFollower),
        Some(Some(partition)) => Ok(partition),
    }
}

/// Holds a client's idea of the leader epoch against ours.
pub(crate) fn check_epoch(partition: &Partition, asked: i32) -> Result<(), ErrorCode> {
    let current = partition.position().leader_epoch;
    match LeaderEpoch(asked) {
        LeaderEpoch::NONE => Ok(()),
        asked if asked < current => Err(ErrorCode::FencedLeaderEpoch),
        asked if asked > current => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
