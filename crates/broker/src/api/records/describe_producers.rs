//! DescribeProducers: the idempotent producers that a partition remembers.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use crate::error_code::of_read;
use crate::lookup::find_partition;
use esker_types::TopicName;
use esker_wire::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use esker_wire::{Array, ErrorCode};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Topic);

pub(crate) async fn handle(call: &Call<'_>, request: DescribeProducersRequest<'_>) -> Outcome {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in once(request.topics.iter(), |topic| Some(topic.name)) {
        let mut partitions = Vec::new();
        for index in once(topic.partition_indexes.iter(), |index| Some(*index)) {
            let blank = PartitionResponse { partition_index: index, ..Default::default() };
            partitions.push(match producers(call, topic.name, index).await {
                Ok(active_producers) => PartitionResponse { active_producers, ..blank },
                Err(code) => PartitionResponse { error_code: code.code(), ..blank },
            });
        }
        topics.push(TopicResponse { name: topic.name, partitions: partitions.into() });
    }
    call.answer(DescribeProducersResponse { topics: topics.into(), ..Default::default() })
}

async fn producers(
    call: &Call<'_>,
    topic: &str,
    index: i32,
) -> Result<Array<'static, ProducerState>, ErrorCode> {
    TopicName::new(topic).map_err(|_| ErrorCode::InvalidTopicException)?;
    let engine = call.broker.engine();
    let topics = engine.topics();
    let hosted = topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = find_partition(hosted, index)?;
    let active = engine.active_producers(partition).await.map_err(|error| of_read(&error))?;
    let states = active.iter().map(|(id, state)| {
        let newest = state.batches.back();
        ProducerState {
            producer_id: id.0,
            producer_epoch: i32::from(state.epoch.0),
            last_sequence: newest.map_or(-1, |batch| batch.last_sequence),
            last_timestamp: newest.map_or(-1, |batch| batch.timestamp.get()),
            // No transaction was ever ended here, and none is open.
            coordinator_epoch: -1,
            current_txn_start_offset: -1,
        }
    });
    Ok(states.collect())
}
