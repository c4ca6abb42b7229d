//! Finding partitions the way requests name them, and creating topics that are missing.

use crate::broker::Broker;
use crate::coordinator::OFFSETS_TOPIC;
use crate::error_code;
use crate::live_settings::check_topic_setting;
use esker_engine::{Partition, TopicEntry, TopicRegistry};
use esker_meta::{Command, NewPartition, State};
use esker_types::{LeaderEpoch, PartitionIndex, TopicId, TopicName, is_internal_topic};
use esker_wire::{ErrorCode, Uuid};
use std::collections::BTreeMap;
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

/// Whether the broker that leads a partition is there.
pub(crate) fn is_led(state: &State, row: &esker_meta::Partition) -> bool {
    let leader = state.brokers.get(&row.leader);
    leader.is_some_and(|leader| leader.incarnation == row.leader_incarnation)
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

/// A topic to be created.
pub(crate) struct NewTopic {
    pub(crate) name: TopicName,
    pub(crate) partitions: i32,
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(String, String)>,
}

impl Broker {
    /// Creates a topic and waits until requests find it.
    pub(crate) async fn create_topic(&self, new: NewTopic) -> Result<TopicId, (ErrorCode, String)> {
        let topic = TopicId(Uuid::from_u128(self.env().entropy.next_u128()));
        let leader = self.engine().options().broker;
        let count = usize::try_from(new.partitions).expect("the caller checked the number");
        let command = Command::CreateTopic {
            topic,
            name: new.name,
            partitions: vec![NewPartition { leader }; count],
            replication_factor: new.replication_factor,
            configs: new.configs,
        };
        let created = self.engine().meta().propose(command).await;
        self.engine().refresh();
        match created {
            Ok(_) => Ok(topic),
            Err(error) => Err((error_code::of_meta(&error), error.to_string())),
        }
    }

    /// Creates a topic that a client asked for without creating it, with the broker's defaults.
    /// Internal topics are made as who keeps them makes them; what nobody keeps yet is not made.
    pub(crate) async fn auto_create_topic(&self, name: &TopicName) -> Result<(), ErrorCode> {
        match name.as_str() {
            OFFSETS_TOPIC => return self.ensure_offsets_topic().await,
            name if is_internal_topic(name) => return Err(ErrorCode::UnknownTopicOrPartition),
            _ => {}
        }
        let _one_at_a_time = self.creating.lock().await;
        if self.engine().topics().by_name(name.as_str()).is_some() {
            return Ok(());
        }
        let new = NewTopic {
            name: name.clone(),
            partitions: self.options().partitions_default,
            replication_factor: self.options().replication_factor_default,
            configs: Vec::new(),
        };
        match self.create_topic(new).await {
            Ok(_) | Err((ErrorCode::TopicAlreadyExists, _)) => Ok(()),
            Err((code, _)) => Err(code),
        }
    }
}

impl Broker {
    /// Judges the settings of a topic that is being created. Of those that are named twice the last one counts.
    pub(crate) fn check_topic_configs<'a>(
        &self,
        configs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<(String, String)>, (ErrorCode, String)> {
        let mut checked = BTreeMap::new();
        for (name, value) in configs {
            let canonical = check_topic_setting(name, value)
                .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
            checked.insert(name, canonical);
        }
        Ok(checked.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}
