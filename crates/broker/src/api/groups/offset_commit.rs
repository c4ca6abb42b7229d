//! OffsetCommit.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::{of_group, of_group_result};
use crate::lookup::find_topic;
use esker_engine::{TopicEntry, TopicRegistry};
use esker_group::{CommitPartition, CommitTopic, MemberId, OffsetCommit};
use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use esker_wire::ErrorCode;
use esker_wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Group);

/// First version that names topics by id.
const BY_ID: i16 = 10;
/// First version that tells apart a group that does not exist.
const TELLS_MISSING_GROUP: i16 = 9;

/// The codes of what was committed, or what the whole was refused for.
type Codes = Result<BTreeMap<(TopicId, i32), i16>, ErrorCode>;

pub(crate) async fn handle(call: &Call<'_>, request: OffsetCommitRequest<'_>) -> Outcome {
    let hosted = call.broker.engine().topics();
    let by_id = call.version() >= BY_ID;
    let find = |topic: &OffsetCommitRequestTopic<'_>| {
        find_topic(&hosted, by_id, topic.name, topic.topic_id).cloned()
    };
    let codes = commit(call, &request, commits(&request, find, &hosted)).await;
    let named = request.topics.iter().filter(|topic| !topic.partitions.is_empty());
    let answered = named.map(|topic| {
        let found = find(&topic);
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let error_code = match &found {
                Err(code) => code.code(),
                Ok(found) => code_of(&codes, found, index),
            };
            OffsetCommitResponsePartition { partition_index: index, error_code }
        });
        OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    });
    call.answer(OffsetCommitResponse { topics: answered.collect(), ..Default::default() })
}

/// What is committed, by topic. Of a partition that is named twice the last word counts, once.
fn commits(
    request: &OffsetCommitRequest<'_>,
    find: impl Fn(&OffsetCommitRequestTopic<'_>) -> Result<Arc<TopicEntry>, ErrorCode>,
    hosted: &TopicRegistry,
) -> Vec<CommitTopic> {
    let mut commits: BTreeMap<(TopicId, i32), OffsetCommitRequestPartition<'_>> = BTreeMap::new();
    for topic in &request.topics {
        let Ok(found) = find(&topic) else { continue };
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if found.partition(PartitionIndex(index)).is_some() {
                commits.insert((found.id, index), partition);
            }
        }
    }
    let mut topics: Vec<CommitTopic> = Vec::new();
    for ((id, index), commit) in commits {
        let partition = CommitPartition {
            partition: PartitionIndex(index),
            offset: Offset(commit.committed_offset),
            leader_epoch: LeaderEpoch(commit.committed_leader_epoch),
            metadata: commit.committed_metadata.map(str::to_owned),
        };
        match topics.last_mut().filter(|topic| topic.topic_id == id) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let topic = hosted.by_id(id).expect("it was found").name.clone();
                topics.push(CommitTopic { topic, topic_id: id, partitions: vec![partition] });
            }
        }
    }
    topics
}

/// Has the group's shard commit.
async fn commit(
    call: &Call<'_>,
    request: &OffsetCommitRequest<'_>,
    topics: Vec<CommitTopic>,
) -> Codes {
    let ids: Vec<_> = topics.iter().map(|topic| topic.topic_id).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let group_id = GroupId::new(request.group_id);
    let commit = OffsetCommit {
        group_id: group_id.clone(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: MemberId::new(request.member_id),
        group_instance_id: request.group_instance_id.map(Into::into),
        retention_time_ms: Some(request.retention_time_ms).filter(|time| *time >= 0),
        tells_missing_group: call.version() >= TELLS_MISSING_GROUP,
        topics,
    };
    let committed = call.broker.coordinator.ask(&group_id, commit).await.map_err(of_group)?;
    let codes = ids.into_iter().zip(&committed.topics).flat_map(|(id, (_, partitions))| {
        let codes = partitions.iter();
        codes.map(move |(index, result)| ((id, index.get()), of_group_result(result.err())))
    });
    Ok(codes.collect())
}

fn code_of(codes: &Codes, topic: &TopicEntry, index: i32) -> i16 {
    if topic.partition(PartitionIndex(index)).is_none() {
        return ErrorCode::UnknownTopicOrPartition.code();
    }
    match codes {
        Ok(codes) => codes.get(&(topic.id, index)).copied(),
        Err(code) => Some(code.code()),
    }
    .unwrap_or_else(|| ErrorCode::UnknownServerError.code())
}
