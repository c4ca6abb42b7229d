//! CreateTopics.

use crate::dispatch::{Answer, Call};
use crate::topics::NewTopic;
use esker_types::TopicName;
use esker_wire::api::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use esker_wire::{ErrorCode, Uuid};
use std::collections::BTreeMap;

/// A topic that was created, or would have been.
struct Created {
    id: Uuid,
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(String, String)>,
}

type Refusal = (ErrorCode, String);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: CreateTopicsRequest<'_>,
) -> Result<Answer, String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *count.entry(topic.name).or_default() += 1;
    }
    let mut results = Vec::new();
    for topic in &request.topics {
        let result = if count[topic.name] > 1 {
            let message = "Duplicate topic name.".to_owned();
            Err((ErrorCode::InvalidRequest, message))
        } else {
            create(call, &topic, request.validate_only).await
        };
        results.push((topic.name, result));
    }
    let described: Vec<_> = results.iter().map(|(name, result)| describe(name, result)).collect();
    call.answer(&CreateTopicsResponse { topics: described.into(), ..Default::default() })
}

async fn create(
    call: &Call<'_>,
    topic: &CreatableTopic<'_>,
    validate_only: bool,
) -> Result<Created, Refusal> {
    let broker = call.broker;
    let name = TopicName::new(topic.name)
        .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
    let options = broker.options();
    let (partitions, replication_factor) = if topic.assignments.is_empty() {
        let partitions = match topic.num_partitions {
            -1 => options.partitions_default,
            count if count >= 1 => count,
            _ => {
                let message = "Number of partitions was set to an invalid non-positive value.";
                return Err((ErrorCode::InvalidPartitions, message.to_owned()));
            }
        };
        let brokers = broker.engine().meta().image().brokers.len();
        let factor = match topic.replication_factor {
            -1 => options.replication_factor_default,
            factor if factor < 1 => {
                let message =
                    "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err((ErrorCode::InvalidReplicationFactor, message.to_owned()));
            }
            factor if usize::try_from(factor).is_ok_and(|factor| factor > brokers) => {
                let message = format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                     cannot be reached because only {brokers} broker(s) are registered or some \
                     brokers have all their log directories cordoned."
                );
                return Err((ErrorCode::InvalidReplicationFactor, message));
            }
            factor => factor,
        };
        (partitions, factor)
    } else {
        assigned(call, topic)?
    };
    if partitions > options.partitions_max {
        let limit = options.partitions_max;
        let message = format!("{partitions} partitions are more than the limit of {limit}.");
        return Err((ErrorCode::InvalidPartitions, message));
    }
    let configs = broker.check_topic_configs(
        topic.configs.iter().filter_map(|config| Some((config.name, config.value?))),
    )?;
    let known = broker.engine().topics().by_name(name.as_str()).is_some();
    if known {
        return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let mut created = Created { id: Uuid::nil(), partitions, replication_factor, configs };
    if !validate_only {
        let configs = created.configs.clone();
        let new = NewTopic { name, partitions, replication_factor, configs };
        created.id = broker.create_topic(new).await?.0;
    }
    Ok(created)
}

/// A manual assignment: it decides the number of partitions and copies. Every broker that it names has to exist.
fn assigned(call: &Call<'_>, topic: &CreatableTopic<'_>) -> Result<(i32, i16), Refusal> {
    let invalid = |message: &str| (ErrorCode::InvalidReplicaAssignment, message.to_owned());
    if topic.num_partitions != -1 {
        let message =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return Err((ErrorCode::InvalidRequest, message.to_owned()));
    }
    if topic.replication_factor != -1 {
        let message =
            "A manual partition assignment was specified, but replicationFactor was not set to -1.";
        return Err((ErrorCode::InvalidRequest, message.to_owned()));
    }
    let state = call.broker.engine().meta().image();
    let mut seen = BTreeMap::new();
    for assignment in &topic.assignments {
        let brokers = assignment.broker_ids.to_vec();
        let distinct: std::collections::BTreeSet<_> = brokers.iter().collect();
        if brokers.is_empty() {
            return Err(invalid("The manual partition assignment includes an empty replica list."));
        }
        if distinct.len() < brokers.len() {
            return Err(invalid("The manual partition assignment names a broker twice."));
        }
        if !brokers.iter().all(|id| state.brokers.contains_key(&esker_types::BrokerId(*id))) {
            return Err(invalid(
                "The manual partition assignment includes a broker that is not registered.",
            ));
        }
        if seen.insert(assignment.partition_index, brokers.len()).is_some() {
            return Err(invalid("Found multiple manual partition assignments for one partition."));
        }
    }
    let consecutive = (0..).zip(seen.keys()).all(|(expected, index)| *index == expected);
    if !consecutive {
        return Err(invalid("Partitions should be a consecutive 0-based integer sequence."));
    }
    let factor = seen.values().next().copied().unwrap_or(1);
    if seen.values().any(|count| *count != factor) {
        return Err(invalid("All partitions should have the same number of replicas."));
    }
    let partitions = i32::try_from(seen.len()).unwrap_or(i32::MAX);
    Ok((partitions, i16::try_from(factor).unwrap_or(i16::MAX)))
}

fn describe<'a>(name: &'a str, result: &'a Result<Created, Refusal>) -> CreatableTopicResult<'a> {
    match result {
        Err((code, message)) => CreatableTopicResult {
            name,
            error_code: code.code(),
            error_message: Some(message),
            configs: None,
            ..Default::default()
        },
        Ok(created) => {
            let configs = created.configs.iter().map(|(name, value)| CreatableTopicConfigs {
                name,
                value: Some(value),
                config_source: esker_settings::Source::DynamicTopic.code(),
                ..Default::default()
            });
            CreatableTopicResult {
                name,
                topic_id: created.id,
                error_message: None,
                num_partitions: created.partitions,
                replication_factor: created.replication_factor,
                configs: Some(configs.collect()),
                ..Default::default()
            }
        }
    }
}
