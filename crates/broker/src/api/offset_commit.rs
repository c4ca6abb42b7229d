//! OffsetCommit.

use crate::coordinator::GroupRequest;
use crate::dispatch::{Answer, Call};
use crate::error_code::{of_group, of_group_result};
use crate::topics::find_topic;
use esker_group::{CommitPartition, CommitTopic, MemberId, OffsetCommit, Response};
use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex};
use esker_wire::ErrorCode;
use esker_wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use std::collections::BTreeMap;

/// First version that names topics by id.
const BY_ID: i16 = 10;
/// First version that tells apart a group that does not exist.
const TELLS_MISSING_GROUP: i16 = 9;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: OffsetCommitRequest<'_>,
) -> Result<Answer, String> {
    let by_id = call.version() >= BY_ID;
    let hosted = call.broker.engine().topics();
    let group_id = GroupId::new(request.group_id);
    let mut refused: BTreeMap<(usize, i32), ErrorCode> = BTreeMap::new();
    let mut topics = Vec::new();
    let mut places = Vec::new();
    for (place, topic) in request.topics.iter().enumerate() {
        let found = find_topic(&hosted, by_id, topic.name, topic.topic_id);
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let index = partition.partition_index;
            match found {
                Err(code) => drop(refused.insert((place, index), code)),
                Ok(topic) if topic.partition(PartitionIndex(index)).is_none() => {
                    refused.insert((place, index), ErrorCode::UnknownTopicOrPartition);
                }
                Ok(_) => partitions.push(CommitPartition {
                    partition: PartitionIndex(index),
                    offset: Offset(partition.committed_offset),
                    leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                    metadata: partition.committed_metadata.map(str::to_owned),
                }),
            }
        }
        if let Ok(topic) = found
            && !partitions.is_empty()
        {
            topics.push(CommitTopic { topic: topic.name.clone(), topic_id: topic.id, partitions });
            places.push(place);
        }
    }
    let commit = OffsetCommit {
        group_id: group_id.clone(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: MemberId::new(request.member_id),
        group_instance_id: request.group_instance_id.map(Into::into),
        retention_time_ms: Some(request.retention_time_ms).filter(|time| *time >= 0),
        tells_missing_group: call.version() >= TELLS_MISSING_GROUP,
        topics,
    };
    let mut codes: BTreeMap<(usize, i32), i16> = BTreeMap::new();
    let mut failure = None;
    if !places.is_empty() {
        match call.broker.ask_group(&group_id, GroupRequest::Commit(commit)).await {
            Ok(Response::OffsetCommit(committed)) => {
                for (place, (_, partitions)) in places.into_iter().zip(&committed.topics) {
                    for (index, result) in partitions {
                        codes.insert((place, index.get()), of_group_result(result.err()));
                    }
                }
            }
            Ok(other) => return Err(format!("OffsetCommit was answered with {other:?}")),
            Err(error) => failure = Some(of_group(error)),
        }
    }
    let answered = request.topics.iter().enumerate().map(|(place, topic)| {
        let partitions = topic.partitions.iter().map(|partition| {
            let key = (place, partition.partition_index);
            let fallback = failure.unwrap_or(ErrorCode::UnknownServerError);
            let error_code = match (refused.get(&key), codes.get(&key)) {
                (Some(code), _) => code.code(),
                (None, Some(code)) => *code,
                (None, None) => fallback.code(),
            };
            OffsetCommitResponsePartition { partition_index: key.1, error_code }
        });
        OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    });
    call.answer(&OffsetCommitResponse { topics: answered.collect(), ..Default::default() })
}
