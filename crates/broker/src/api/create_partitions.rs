//! CreatePartitions: more partitions for a topic.

use crate::dispatch::{Answer, Call};
use crate::error_code;
use esker_meta::{Command, NewPartition};
use esker_types::BrokerId;
use esker_wire::ErrorCode;
use esker_wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use std::collections::BTreeMap;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: CreatePartitionsRequest<'_>,
) -> Result<Answer, String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *count.entry(topic.name).or_default() += 1;
    }
    let mut results = Vec::new();
    for topic in &request.topics {
        let result = if count[topic.name] > 1 {
            Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        } else {
            grow(call, &topic, request.validate_only).await
        };
        results.push((topic.name, result));
    }
    let results: Vec<_> = results
        .iter()
        .map(|(name, result)| CreatePartitionsTopicResult {
            name,
            error_code: result.as_ref().err().map_or(ErrorCode::None, |(code, _)| *code).code(),
            error_message: result.as_ref().err().map(|(_, message)| message.as_str()),
        })
        .collect();
    call.answer(&CreatePartitionsResponse { results: results.into(), ..Default::default() })
}

async fn grow(
    call: &Call<'_>,
    wanted: &CreatePartitionsTopic<'_>,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let engine = call.broker.engine();
    let state = engine.meta().image();
    let unknown = || (ErrorCode::UnknownTopicOrPartition, "The topic does not exist.".to_owned());
    let topic = *state.topic_names.get(wanted.name).ok_or_else(unknown)?;
    let row = state.topics.get(&topic).ok_or_else(unknown)?;
    let current = row.partitions.len();
    let invalid = |message: String| (ErrorCode::InvalidPartitions, message);
    let target = usize::try_from(wanted.count)
        .ok()
        .filter(|target| {
            *target <= usize::try_from(call.broker.options().partitions_max).unwrap_or(0)
        })
        .ok_or_else(|| invalid(format!("{} partitions cannot be had.", wanted.count)))?;
    if target == current {
        return Err(invalid(format!("Topic already has {current} partition(s).")));
    }
    if target < current {
        return Err(invalid(format!(
            "The topic {} currently has {current} partition(s); {target} would not be an increase.",
            wanted.name
        )));
    }
    let new = target - current;
    if let Some(assignments) = &wanted.assignments {
        let bad = |message: String| (ErrorCode::InvalidReplicaAssignment, message);
        if assignments.len() != new {
            return Err(bad(format!(
                "Attempted to add {new} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            )));
        }
        let known = assignments.iter().all(|assignment| {
            let mut brokers = assignment.broker_ids.iter().peekable();
            brokers.peek().is_some() && brokers.all(|id| state.brokers.contains_key(&BrokerId(id)))
        });
        if !known {
            return Err(bad("The assignment names a broker that is not registered.".to_owned()));
        }
    }
    if validate_only {
        return Ok(());
    }
    let command = Command::CreatePartitions {
        topic,
        expect: u32::try_from(current).unwrap_or(u32::MAX),
        partitions: vec![NewPartition { leader: engine.options().broker }; new],
    };
    let created = engine.meta().propose(command).await;
    engine.refresh();
    created.map(drop).map_err(|error| (error_code::of_meta(&error), error.to_string()))
}
