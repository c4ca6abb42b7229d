//! DescribeQuorum: who orders the metadata. One voter, which is this broker.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use esker_wire::api::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};
use esker_wire::{Array, ErrorCode};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

/// Kafka's name of the metadata's log. It is no topic.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// First version that tells where the voters listen.
const NODES_SINCE: i16 = 2;

pub(crate) async fn handle(call: &Call<'_>, request: DescribeQuorumRequest<'_>) -> Outcome {
    let broker = call.broker;
    let state = broker.engine().meta().image();
    let applied = i64::try_from(state.applied).unwrap_or(i64::MAX);
    let now = broker.env().clock.wall().get();
    let voter = || ReplicaState {
        replica_id: broker.id(),
        log_end_offset: applied,
        last_fetch_timestamp: now,
        last_caught_up_timestamp: now,
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            if topic.topic_name != METADATA_TOPIC || index != 0 {
                return ResponsePartitionData {
                    partition_index: index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    error_message: Some("Only the metadata's log has a quorum."),
                    ..Default::default()
                };
            }
            ResponsePartitionData {
                partition_index: index,
                leader_id: broker.id(),
                // Each start of the broker is an election that it wins.
                leader_epoch: broker.registration(&state),
                high_watermark: applied,
                current_voters: Array::one(voter()),
                ..Default::default()
            }
        });
        ResponseTopicData { topic_name: topic.topic_name, partitions: partitions.collect() }
    });
    let listener = Listener {
        name: "PLAINTEXT",
        host: broker.advertised_host(),
        port: u16::try_from(broker.advertised_port()).unwrap_or_default(),
    };
    let node = Node { node_id: broker.id(), listeners: Array::one(listener) };
    let is_told = call.version() >= NODES_SINCE
        && request.topics.iter().any(|topic| topic.topic_name == METADATA_TOPIC);
    call.answer(DescribeQuorumResponse {
        topics: topics.collect(),
        nodes: if is_told { Array::one(node) } else { Array::new() },
        ..Default::default()
    })
}
