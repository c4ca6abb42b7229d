//! ListOffsets: earliest, latest, by timestamp, and the tiers' ends.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::named_twice;
use crate::error_code;
use crate::lookup::{check_epoch, find_partition};
use esker_engine::{OffsetAt, TopicEntry};
use esker_types::{Offset, Timestamp};
use esker_wire::ErrorCode;
use esker_wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Topic);

/// Kafka's special timestamps.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// First version that tells the epoch of what it found.
const LEADER_EPOCH_SINCE: i16 = 4;
/// First versions that know them.
const MAX_TIMESTAMP_SINCE: i16 = 7;
const EARLIEST_LOCAL_SINCE: i16 = 8;
const LATEST_TIERED_SINCE: i16 = 9;
const EARLIEST_PENDING_SINCE: i16 = 11;

pub(crate) async fn handle(call: &Call<'_>, request: ListOffsetsRequest<'_>) -> Outcome {
    let topics = call.broker.engine().topics();
    let mut responses = Vec::with_capacity(request.topics.len());
    let asked = request.topics.iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.to_vec().into_iter().map(move |wanted| (name, wanted.partition_index))
    });
    let twice = named_twice(asked);
    let mut told = BTreeSet::new();
    for topic in &request.topics {
        let hosted = topics.by_name(topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let found = if twice.contains(&(topic.name, index)) {
                if !told.insert((topic.name, index)) {
                    continue;
                }
                Err(ErrorCode::InvalidRequest)
            } else {
                match hosted {
                    Some(hosted) => find(call, hosted, &partition).await,
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                }
            };
            let blank =
                ListOffsetsPartitionResponse { partition_index: index, ..Default::default() };
            partitions.push(match found {
                Ok(at) => ListOffsetsPartitionResponse {
                    timestamp: at.timestamp.get(),
                    offset: at.offset.get(),
                    leader_epoch: if call.version() >= LEADER_EPOCH_SINCE {
                        at.leader_epoch.get()
                    } else {
                        -1
                    },
                    ..blank
                },
                Err(code) => ListOffsetsPartitionResponse { error_code: code.code(), ..blank },
            });
        }
        if partitions.is_empty() {
            continue;
        }
        responses
            .push(ListOffsetsTopicResponse { name: topic.name, partitions: partitions.into() });
    }
    call.answer(ListOffsetsResponse { topics: responses.into(), ..Default::default() })
}

async fn find(
    call: &Call<'_>,
    topic: &TopicEntry,
    wanted: &ListOffsetsPartition,
) -> Result<OffsetAt, ErrorCode> {
    let partition = find_partition(topic, wanted.partition_index)?;
    check_epoch(partition, wanted.current_leader_epoch)?;
    let position = partition.position();
    let version = call.version();
    let at = |offset: Offset| OffsetAt {
        offset,
        timestamp: Timestamp::NONE,
        leader_epoch: partition.epoch_at(offset),
    };
    match wanted.timestamp {
        LATEST => {
            Ok(OffsetAt { leader_epoch: position.leader_epoch, ..at(position.high_watermark) })
        }
        EARLIEST => Ok(at(position.log_start)),
        MAX_TIMESTAMP if version >= MAX_TIMESTAMP_SINCE => call
            .broker
            .engine()
            .latest_timestamp(partition)
            .await
            .map(Option::unwrap_or_default)
            .map_err(|error| error_code::of_read(&error)),
        // What is not in the bucket is local.
        EARLIEST_LOCAL | EARLIEST_PENDING_UPLOAD
            if version
                >= if wanted.timestamp == EARLIEST_LOCAL {
                    EARLIEST_LOCAL_SINCE
                } else {
                    EARLIEST_PENDING_SINCE
                } =>
        {
            Ok(at(position.tiered_end.max(position.log_start)))
        }
        LATEST_TIERED if version >= LATEST_TIERED_SINCE => {
            if position.tiered_end > position.log_start {
                Ok(at(Offset(position.tiered_end.get() - 1)))
            } else {
                Ok(OffsetAt::default())
            }
        }
        timestamp if timestamp >= 0 => call
            .broker
            .engine()
            .offset_for_timestamp(partition, Timestamp(timestamp))
            .await
            .map(Option::unwrap_or_default)
            .map_err(|error| error_code::of_read(&error)),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}
