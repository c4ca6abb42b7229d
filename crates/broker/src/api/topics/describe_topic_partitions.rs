//! DescribeTopicPartitions: topics in pages.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::metadata::Replicas;
use crate::call::{Call, Outcome};
use esker_meta::{Partition, State};
use esker_types::{PartitionIndex, TopicName, is_internal_topic};
use esker_wire::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};
use esker_wire::{Array, ErrorCode};
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Topic);

/// Every operation on a topic: without an authorizer all are allowed.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DescribeTopicPartitionsRequest<'_>,
) -> Outcome {
    let state = call.broker.engine().meta().image();
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> = if all {
        state.topic_names.keys().map(TopicName::as_str).collect()
    } else {
        request.topics.iter().map(|topic| topic.name).collect()
    };
    let (from_topic, from_partition) =
        request.cursor.as_ref().map_or(("", 0), |c| (c.topic_name, c.partition_index));
    if from_partition < 0 || request.cursor.is_some() && !all && !names.contains(from_topic) {
        // A cursor stands where an answer ended: at a partition of a topic that is asked for.
        let refused = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::InvalidRequest.code(),
            name: Some(topic.name),
            ..Default::default()
        });
        let topics = refused.collect();
        return call.answer(DescribeTopicPartitionsResponse { topics, ..Default::default() });
    }
    let mut left =
        request.response_partition_limit.clamp(1, call.broker.options().describe_partitions_max);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names.into_iter().filter(|name| *name >= from_topic) {
        if left == 0 {
            next_cursor = Some(ResponseCursor { topic_name: name, partition_index: 0 });
            break;
        }
        let Some((id, topic)) =
            state.topic_names.get(name).and_then(|id| Some((id, state.topics.get(id)?)))
        else {
            topics.push(unknown(name));
            continue;
        };
        let first = if name == from_topic { from_partition } else { 0 };
        let mut partitions = Vec::new();
        let rows = topic.partitions.iter().filter_map(|pid| state.partitions.get(pid));
        for row in rows.filter(|row| row.index >= PartitionIndex(first)) {
            if left == 0 {
                let partition_index = row.index.get();
                next_cursor = Some(ResponseCursor { topic_name: name, partition_index });
                break;
            }
            left -= 1;
            partitions.push(describe(&state, row));
        }
        topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(topic.name.as_str()),
            topic_id: id.0,
            is_internal: is_internal_topic(topic.name.as_str()),
            partitions: partitions.into(),
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..Default::default()
        });
        if next_cursor.is_some() {
            break;
        }
    }
    call.answer(DescribeTopicPartitionsResponse {
        topics: topics.into(),
        next_cursor,
        ..Default::default()
    })
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let code = if TopicName::new(name).is_ok() {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::InvalidTopicException
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn describe(state: &State, row: &Partition) -> DescribeTopicPartitionsResponsePartition<'static> {
    let copies = state.topics.get(&row.topic).map_or(1, |topic| topic.replication_factor);
    let replicas = Replicas::of(state, row, copies);
    DescribeTopicPartitionsResponsePartition {
        partition_index: row.index.get(),
        leader_id: if state.has_leader(row) { row.leader.get() } else { -1 },
        leader_epoch: row.leader_epoch.get(),
        replica_nodes: replicas.all.into(),
        isr_nodes: replicas.in_sync.into(),
        eligible_leader_replicas: Some(Array::new()),
        last_known_elr: Some(Array::new()),
        ..Default::default()
    }
}
