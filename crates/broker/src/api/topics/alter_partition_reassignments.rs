//! AlterPartitionReassignments: the first broker that is named is to lead the partition, which copies nothing. Null takes that back.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::metadata::Replicas;
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
use crate::error_code;
use crate::lookup::find_row;
use esker_meta::{Command, State};
use esker_types::{BrokerId, PartitionId};
use esker_wire::ErrorCode;
use esker_wire::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use std::collections::BTreeSet;

/// A partition and its next leader.
type LeaderMove = (PartitionId, Option<BrokerId>);

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: AlterPartitionReassignmentsRequest<'_>,
) -> Outcome {
    let state = call.broker.engine().meta().image();
    let may_change_count = call.version() < 1 || request.allow_replication_factor_change;
    let mut moves = Vec::new();
    let judged = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let judged = judge(&state, topic.name, &partition, may_change_count);
            moves.extend(judged.as_ref().ok().copied().flatten());
            (partition.partition_index, judged.map(drop))
        });
        (topic.name, partitions.collect::<Vec<_>>())
    });
    let mut judged: Vec<_> = judged.collect();
    if !moves.is_empty()
        && let Err(error) =
            call.broker.engine().meta().propose(Command::MoveLeaders { moves }).await
    {
        let code = error_code::of_meta(&error);
        for (_, outcome) in judged.iter_mut().flat_map(|(_, partitions)| partitions) {
            *outcome = Err(ApiError::new(code, error.to_string()));
        }
    }
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

/// The partition and its next leader, or `None` to take a move back; nothing where it has what is asked for.
fn judge(
    state: &State,
    topic: &str,
    asked: &ReassignablePartition<'_>,
    may_change_count: bool,
) -> Result<Option<LeaderMove>, ApiError> {
    let row = find_row(state, topic, asked.partition_index).ok_or_else(|| {
        let message = "There is no such partition.";
        ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
    })?;
    let id = partition_id(state, topic, asked.partition_index);
    let id = id.ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicOrPartition))?;
    let Some(replicas) = &asked.replicas else {
        let is_moving = state.moves.contains_key(&id);
        let nothing = || ApiError::bare(ErrorCode::NoReassignmentInProgress);
        return is_moving.then_some(Some((id, None))).ok_or_else(nothing);
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
    let copies = state.topics.get(&row.topic).map_or(1, |topic| topic.replication_factor);
    let current = Replicas::of(state, row, copies).all;
    if current.len() != replicas.len() {
        let other = if may_change_count {
            "The number of replicas is that which the topic was made with."
        } else {
            "The request does not allow another number of replicas."
        };
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, other));
    }
    let leader = replicas.iter().next().map(BrokerId);
    let is_there = leader == Some(row.leader) && !state.moves.contains_key(&id);
    Ok((!is_there).then_some((id, leader)))
}

fn partition_id(state: &State, topic: &str, index: i32) -> Option<PartitionId> {
    let topic = state.topics.get(state.topic_names.get(topic)?)?;
    topic.partitions.get(usize::try_from(index).ok()?).copied()
}
