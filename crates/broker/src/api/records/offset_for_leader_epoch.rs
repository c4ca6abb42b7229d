//! OffsetForLeaderEpoch: where an epoch ended.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::lookup::{check_epoch, find_partition};
use esker_types::LeaderEpoch;
use esker_wire::ErrorCode;
use esker_wire::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Topic);

pub(crate) async fn handle(call: &Call<'_>, request: OffsetForLeaderEpochRequest<'_>) -> Outcome {
    let topics = call.broker.engine().topics();
    let answers = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let partition = topics
                .by_name(topic.topic)
                .ok_or(ErrorCode::UnknownTopicOrPartition)
                .and_then(|topic| find_partition(topic, wanted.partition))
                .and_then(|partition| {
                    check_epoch(partition, wanted.current_leader_epoch).map(|()| partition)
                });
            let partition_index = wanted.partition;
            match partition {
                Err(code) => EpochEndOffset {
                    error_code: code.code(),
                    partition: partition_index,
                    ..Default::default()
                },
                // No epoch, no end.
                Ok(_) if wanted.leader_epoch < 0 => {
                    EpochEndOffset { partition: partition_index, ..Default::default() }
                }
                Ok(partition) => {
                    let end = partition.end_of_epoch(LeaderEpoch(wanted.leader_epoch));
                    EpochEndOffset {
                        partition: partition_index,
                        leader_epoch: end.epoch.get(),
                        end_offset: end.end.get(),
                        ..Default::default()
                    }
                }
            }
        });
        OffsetForLeaderTopicResult { topic: topic.topic, partitions: partitions.collect() }
    });
    call.answer(OffsetForLeaderEpochResponse { topics: answers.collect(), ..Default::default() })
}
