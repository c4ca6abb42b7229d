//! ElectLeaders: a partition that has a leader has the one it should have.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::lookup::find_row;
use esker_meta::State;
use esker_wire::api::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use esker_wire::{Array, ErrorCode};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

/// Types of elections.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(crate) async fn handle(call: &Call<'_>, request: ElectLeadersRequest<'_>) -> Outcome {
    let state = call.broker.engine().meta().image();
    let is_known = matches!(request.election_type, PREFERRED | UNCLEAN);
    let error = if is_known { ErrorCode::None } else { ErrorCode::InvalidRequest };
    let results: Array<'_, _> = match &request.topic_partitions {
        None if !is_known => Array::new(),
        // Of all partitions only those are told that need one: nobody reads a thousand times that all is well.
        None => {
            state.topics.values().map(|topic| of_whole_topic(&state, &request, topic)).collect()
        }
        Some(topics) => topics
            .iter()
            .map(|topic| ReplicaElectionResult {
                topic: topic.topic,
                partition_result: topic
                    .partitions
                    .iter()
                    .map(|index| elect(&state, &request, topic.topic, index))
                    .collect(),
            })
            .collect(),
    };
    call.answer(ElectLeadersResponse {
        error_code: error.code(),
        replica_election_results: results,
        ..Default::default()
    })
}

fn of_whole_topic<'a>(
    state: &State,
    request: &ElectLeadersRequest<'_>,
    topic: &'a esker_meta::Topic,
) -> ReplicaElectionResult<'a> {
    let name = topic.name.as_str();
    let rows = topic.partitions.iter().filter_map(|id| state.partitions.get(id));
    let results = rows.map(|row| elect(state, request, name, row.index.get()));
    let needed = ErrorCode::ElectionNotNeeded.code();
    ReplicaElectionResult {
        topic: name,
        partition_result: results.filter(|result| result.error_code != needed).collect(),
    }
}

fn elect(
    state: &State,
    request: &ElectLeadersRequest<'_>,
    topic: &str,
    index: i32,
) -> PartitionResult<'static> {
    let (code, message) = match find_row(state, topic, index) {
        _ if !matches!(request.election_type, PREFERRED | UNCLEAN) => {
            (ErrorCode::InvalidRequest, "The type of election is unknown.")
        }
        None => (ErrorCode::UnknownTopicOrPartition, "There is no such partition."),
        Some(row) if state.has_leader(row) => {
            (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.")
        }
        Some(_) if request.election_type == UNCLEAN => {
            (ErrorCode::EligibleLeadersNotAvailable, "No broker can lead the partition.")
        }
        Some(_) => (ErrorCode::PreferredLeaderNotAvailable, "The partition's broker is away."),
    };
    PartitionResult { partition_id: index, error_code: code.code(), error_message: Some(message) }
}
