//! CreatePartitions: more partitions for a topic.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::assignment::check_assignments;
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
use crate::dedup::{named_twice, once};
use esker_meta::Command;
use esker_wire::ErrorCode;
use esker_wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Topic);

pub(crate) async fn handle(call: &Call<'_>, request: CreatePartitionsRequest<'_>) -> Outcome {
    let twice = named_twice(request.topics.iter().map(|topic| topic.name));
    let mut results = Vec::new();
    for topic in once(request.topics.iter(), |topic| Some(topic.name)) {
        let result = if twice.contains(topic.name) {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        } else {
            grow(call, &topic, request.validate_only).await
        };
        results.push((topic.name, result));
    }
    let results: Vec<_> = results
        .iter()
        .map(|(name, result)| CreatePartitionsTopicResult {
            name,
            error_code: code_of(result),
            error_message: text_of(result),
        })
        .collect();
    call.answer(CreatePartitionsResponse { results: results.into(), ..Default::default() })
}

async fn grow(
    call: &Call<'_>,
    wanted: &CreatePartitionsTopic<'_>,
    validate_only: bool,
) -> Result<(), ApiError> {
    let engine = call.broker.engine();
    let state = engine.meta().image();
    let unknown = || ApiError::bare(ErrorCode::UnknownTopicOrPartition);
    let topic = *state.topic_names.get(wanted.name).ok_or_else(unknown)?;
    let row = state.topics.get(&topic).ok_or_else(unknown)?;
    let current = row.partitions.len();
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidPartitions, message);
    let target = usize::try_from(wanted.count).unwrap_or(0);
    if target == current {
        return Err(invalid(format!("Topic already has {current} partition(s).")));
    }
    if target < current {
        return Err(invalid(format!(
            "The topic {} currently has {current} partition(s); {} would not be an increase.",
            wanted.name, wanted.count
        )));
    }
    if wanted.count > call.broker.options().partitions_max {
        let message = "Excessively large number of additional partitions per request.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message.to_owned()));
    }
    let new = target - current;
    if let Some(assignments) = &wanted.assignments {
        if assignments.len() != new {
            let message = format!(
                "Attempted to add {new} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        let copies = usize::try_from(row.replication_factor).ok();
        let brokers = assignments.iter().map(|assignment| assignment.broker_ids.to_vec());
        check_assignments(&state, brokers, copies)?;
    }
    if validate_only {
        return Ok(());
    }
    let command = Command::CreatePartitions {
        topic,
        expect: u32::try_from(current).unwrap_or(u32::MAX),
        partitions: call.broker.topics.leaders(new),
    };
    let created = engine.meta().propose(command).await;
    engine.refresh();
    created.map(drop).map_err(ApiError::from)
}
