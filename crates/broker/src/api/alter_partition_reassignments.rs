//! AlterPartitionReassignments: a partition is where it is, and nothing is under way that could be cancelled.

use crate::api::metadata::replicas_of;
use crate::bounds;
use crate::dispatch::{Answer, Call};
use crate::topics::find_row;
use esker_meta::State;
use esker_types::BrokerId;
use esker_wire::ErrorCode;
use esker_wire::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use std::collections::BTreeSet;

/// A code and, where it does not say it all, the reason.
type Refusal = (ErrorCode, Option<&'static str>);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest<'_>,
) -> Result<Answer, String> {
    bounds::check(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let state = call.broker.engine().meta().image();
    let may_change_count = call.version() < 1 || request.allow_replication_factor_change;
    let responses = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let refusal = judge(call, &state, topic.name, &partition, may_change_count).err();
            ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code: refusal.map_or(ErrorCode::None, |(code, _)| code).code(),
                error_message: refusal.and_then(|(_, message)| message),
            }
        });
        ReassignableTopicResponse { name: topic.name, partitions: partitions.collect() }
    });
    call.answer(&AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        responses: responses.collect(),
        ..Default::default()
    })
}

/// Passes what asks for the replicas that there are.
fn judge(
    call: &Call<'_>,
    state: &State,
    topic: &str,
    asked: &ReassignablePartition<'_>,
    may_change_count: bool,
) -> Result<(), Refusal> {
    let row = find_row(state, topic, asked.partition_index)
        .ok_or((ErrorCode::UnknownTopicOrPartition, Some("There is no such partition.")))?;
    let Some(replicas) = &asked.replicas else {
        return Err((ErrorCode::NoReassignmentInProgress, None));
    };
    let refused = |message| Err((ErrorCode::InvalidReplicaAssignment, Some(message)));
    let mut seen = BTreeSet::new();
    if replicas.is_empty() {
        return refused("The list of replicas is empty.");
    }
    if !replicas.iter().all(|replica| seen.insert(replica)) {
        return refused("A broker is named more than once.");
    }
    if !replicas.iter().all(|replica| state.brokers.contains_key(&BrokerId(replica))) {
        return refused("A broker is named that is not registered.");
    }
    let current = replicas_of(call.broker, row.leader.get());
    if !may_change_count && current.len() != replicas.len() {
        let other = "The request does not allow another number of replicas.";
        return Err((ErrorCode::InvalidReplicationFactor, Some(other)));
    }
    if !current.iter().eq(replicas.iter()) {
        return refused("Partitions are not moved to other brokers by request.");
    }
    Ok(())
}
