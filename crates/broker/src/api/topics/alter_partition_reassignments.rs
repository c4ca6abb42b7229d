//! AlterPartitionReassignments: a partition is where it is, and nothing is under way that could be cancelled.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::metadata::replicas_of;
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
use crate::lookup::find_row;
use esker_meta::State;
use esker_types::BrokerId;
use esker_wire::ErrorCode;
use esker_wire::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest<'_>,
) -> Outcome {
    let state = call.broker.engine().meta().image();
    let may_change_count = call.version() < 1 || request.allow_replication_factor_change;
    let judged = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let judged = judge(call, &state, topic.name, &partition, may_change_count);
            (partition.partition_index, judged)
        });
        (topic.name, partitions.collect::<Vec<_>>())
    });
    let judged: Vec<_> = judged.collect();
    let responses = judged.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(index, judged)| ReassignablePartitionResponse {
            partition_index: *index,
            error_code: code_of(judged),
            error_message: text_of(judged),
        });
        ReassignableTopicResponse { name, partitions: partitions.collect() }
    });
    call.answer(AlterPartitionReassignmentsResponse {
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
) -> Result<(), ApiError> {
    let row = find_row(state, topic, asked.partition_index).ok_or_else(|| {
        let message = "There is no such partition.";
        ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
    })?;
    let Some(replicas) = &asked.replicas else {
        return Err(ApiError::bare(ErrorCode::NoReassignmentInProgress));
    };
    let refused = |message| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
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
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, other));
    }
    if !current.iter().eq(replicas.iter()) {
        return refused("Partitions are not moved to other brokers by request.");
    }
    Ok(())
}
