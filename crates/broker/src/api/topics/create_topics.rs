//! CreateTopics.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::assignment::check_assignments;
use crate::api_error::ApiError;
use crate::call::{Call, Outcome};
use crate::dedup::{named_twice, once};
use crate::topic_creation::{NewTopic, check_topic_configs};
use esker_settings::Source;
use esker_types::TopicName;
use esker_wire::api::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use esker_wire::{Array, ErrorCode, Uuid};
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Create, Resource::Topic);

/// Topics that one request may name. Each is answered with all of its settings: this bounds the answer.
const TOPICS_MAX: usize = 10_000;
/// The log of Kafka's own metadata, which is no topic.
const METADATA_LOG: &str = "__cluster_metadata";

/// A topic that was created, or would have been.
struct Created {
    id: Uuid,
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(String, String)>,
}

/// A setting of topics as it is in force where a topic does not set it.
struct Inherited {
    name: &'static str,
    value: Option<String>,
    source: Source,
    is_sensitive: bool,
}

pub(crate) async fn handle(call: &Call<'_>, request: CreateTopicsRequest<'_>) -> Outcome {
    let twice = named_twice(request.topics.iter().map(|topic| topic.name));
    let mut results = Vec::new();
    for topic in once(request.topics.iter(), |topic| Some(topic.name)) {
        let result = if request.topics.len() > TOPICS_MAX {
            Err(too_many())
        } else if twice.contains(topic.name) {
            Err(ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        } else {
            create(call, &topic, request.validate_only).await
        };
        results.push((topic.name, result));
    }
    let inherited = inherited(call);
    let plain: Vec<_> = inherited.iter().map(|row| describe_setting(row, None)).collect();
    let described = results.iter().map(|(name, result)| describe(name, result, &inherited, &plain));
    call.answer(CreateTopicsResponse { topics: described.collect(), ..Default::default() })
}

fn too_many() -> ApiError {
    let message = "Excessively large number of partitions per request.";
    ApiError::new(ErrorCode::PolicyViolation, message.to_owned())
}

async fn create(
    call: &Call<'_>,
    topic: &CreatableTopic<'_>,
    validate_only: bool,
) -> Result<Created, ApiError> {
    let broker = call.broker;
    let name = TopicName::new(topic.name)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    if name.as_str() == METADATA_LOG {
        let message = format!("Creation of internal topic {METADATA_LOG} is prohibited.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    check_name(call, &name)?;
    let nulls: Vec<_> = topic.configs.iter().filter(|config| config.value.is_none()).collect();
    if !nulls.is_empty() {
        let names: Vec<_> = nulls.iter().map(|config| config.name).collect();
        let message = format!("Null value not supported for topic configs: {}", names.join(","));
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let configs = check_topic_configs(
        topic.configs.iter().map(|config| (config.name, config.value.unwrap_or_default())),
    )?;
    let (partitions, replication_factor) = counts(call, topic)?;
    // A dry run tells an id, too, as Kafka does: one that nothing has.
    let id = Uuid::from_u128(broker.env().entropy.next_u128());
    let mut created = Created { id, partitions, replication_factor, configs };
    if !validate_only {
        let configs = created.configs.clone();
        let new = NewTopic { name, partitions, replication_factor, configs };
        created.id = broker.topics.create(new).await?.0;
    }
    Ok(created)
}

/// How many partitions and copies of each the topic is to have.
fn counts(call: &Call<'_>, topic: &CreatableTopic<'_>) -> Result<(i32, i16), ApiError> {
    let (broker, options) = (call.broker, call.broker.options());
    let (partitions, replication_factor) = if topic.assignments.is_empty() {
        let partitions = match topic.num_partitions {
            -1 => options.partitions_default,
            count if count >= 1 => count,
            _ => {
                let message = "Number of partitions was set to an invalid non-positive value.";
                return Err(ApiError::new(ErrorCode::InvalidPartitions, message.to_owned()));
            }
        };
        let brokers = broker.engine().meta().image().brokers.len();
        let factor = match topic.replication_factor {
            -1 => options.replication_factor_default,
            factor if factor < 1 => {
                let message =
                    "Replication factor must be larger than 0, or -1 to use the default value.";
                return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message.to_owned()));
            }
            factor if usize::try_from(factor).is_ok_and(|factor| factor > brokers) => {
                let message = format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                     cannot be reached because only {brokers} broker(s) are registered or some \
                     brokers have all their log directories cordoned."
                );
                return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
            }
            factor => factor,
        };
        (partitions, factor)
    } else {
        assigned(call, topic)?
    };
    if partitions > options.partitions_max {
        Err(too_many())
    } else {
        Ok((partitions, replication_factor))
    }
}

/// Whether a topic of this name could be created now: what a creation is refused for, a dry run is, too.
fn check_name(call: &Call<'_>, name: &TopicName) -> Result<(), ApiError> {
    let state = call.broker.engine().meta().image();
    if state.topic_names.contains_key(name) {
        return Err(ApiError::new(
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{name}' already exists."),
        ));
    }
    if let Some(other) = state.colliding_topic(name) {
        let message = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(ApiError::new(ErrorCode::InvalidTopicException, message));
    }
    Ok(())
}

/// A manual assignment: it decides the number of partitions and copies. Every broker that it names has to exist.
fn assigned(call: &Call<'_>, topic: &CreatableTopic<'_>) -> Result<(i32, i16), ApiError> {
    if topic.num_partitions != -1 {
        let message =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message.to_owned()));
    }
    if topic.replication_factor != -1 {
        let message =
            "A manual partition assignment was specified, but replicationFactor was not set to -1.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message.to_owned()));
    }
    let state = call.broker.engine().meta().image();
    let assignments = || topic.assignments.iter();
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    let indexes = assignments().map(|assignment| assignment.partition_index);
    if let Some(index) = named_twice(indexes.clone()).first() {
        let message = format!("Found multiple manual partition assignments for partition {index}");
        return Err(invalid(message));
    }
    let brokers = assignments().map(|assignment| assignment.broker_ids.to_vec());
    let copies = check_assignments(&state, brokers, None)?.unwrap_or(1);
    let indexes: BTreeSet<_> = indexes.collect();
    if !(0..).zip(&indexes).all(|(expected, index)| *index == expected) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(invalid(message.to_owned()));
    }
    let partitions = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    Ok((partitions, i16::try_from(copies).unwrap_or(i16::MAX)))
}

fn inherited(call: &Call<'_>) -> Vec<Inherited> {
    let state = call.broker.engine().meta().image();
    let resolved = call.broker.settings().at(&state).resolve_topic(|_| None);
    let row = |row: &esker_settings::Resolved| Inherited {
        name: row.setting.name,
        value: row.text(),
        source: row.source,
        is_sensitive: row.setting.is_sensitive(),
    };
    resolved.iter().map(row).collect()
}

fn describe_setting<'a>(row: &'a Inherited, own: Option<&'a str>) -> CreatableTopicConfigs<'a> {
    let source = if own.is_some() { Source::DynamicTopic } else { row.source };
    CreatableTopicConfigs {
        name: row.name,
        value: own.or(row.value.as_deref()).filter(|_| !row.is_sensitive),
        config_source: source.code(),
        is_sensitive: row.is_sensitive,
        ..Default::default()
    }
}

fn describe<'a>(
    name: &'a str,
    result: &'a Result<Created, ApiError>,
    inherited: &'a [Inherited],
    plain: &'a [CreatableTopicConfigs<'a>],
) -> CreatableTopicResult<'a> {
    let created = match result {
        Err(error) => {
            return CreatableTopicResult {
                name,
                error_code: error.code.code(),
                error_message: Some(&error.message),
                configs: Some(Array::new()),
                ..Default::default()
            };
        }
        Ok(created) => created,
    };
    let own = |name: &str| {
        let found = created.configs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let configs = if created.configs.is_empty() {
        Array::from(plain)
    } else {
        inherited.iter().map(|row| describe_setting(row, own(row.name))).collect()
    };
    CreatableTopicResult {
        name,
        topic_id: created.id,
        error_message: None,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(configs),
        ..Default::default()
    }
}
