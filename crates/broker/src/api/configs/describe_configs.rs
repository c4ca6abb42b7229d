//! DescribeConfigs: the settings of topics, brokers and groups, with where they come from.

use crate::access::{Access, Operation, Resource};
use crate::api_error::ApiError;
use crate::call::{Call, Outcome};
use crate::dedup::once;
use esker_meta::ConfigResource;
use esker_settings::{Level, Resolved, Source, Update};
use esker_types::{BrokerId, TopicName};
use esker_wire::ErrorCode;
use esker_wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use std::borrow::Cow;
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::DescribeConfigs, Resource::Cluster);

/// Kafka's kinds of resources.
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const GROUP: i8 = 32;

/// A setting with its texts, ready to be borrowed from.
struct Row {
    resolved: Resolved,
    value: Option<String>,
    documentation: Cow<'static, str>,
}

pub(crate) async fn handle(call: &Call<'_>, request: DescribeConfigsRequest<'_>) -> Outcome {
    // Whoever names settings gets little more than the names.
    let resources = once(request.resources.iter(), |resource| {
        wanted_keys(resource).is_none().then_some((resource.resource_type, resource.resource_name))
    });
    let found: Vec<_> = resources.map(|r| (find(call, &r), r)).collect();
    let results = found.iter().map(|(found, resource)| {
        let blank = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            error_message: None,
            ..Default::default()
        };
        match found {
            Err(error) => DescribeConfigsResult {
                error_code: error.code.code(),
                error_message: Some(&error.message),
                ..blank
            },
            Ok(rows) => DescribeConfigsResult {
                error_message: Some(""),
                configs: rows.iter().map(|row| describe(row, &request)).collect(),
                ..blank
            },
        }
    });
    call.answer(DescribeConfigsResponse { results: results.collect(), ..Default::default() })
}

fn find(call: &Call<'_>, resource: &DescribeConfigsResource<'_>) -> Result<Vec<Row>, ApiError> {
    let state = call.broker.engine().meta().image();
    let settings = call.broker.settings().at(&state);
    let name = resource.resource_name;
    let resolved = match resource.resource_type {
        TOPIC => {
            TopicName::new(name).map_err(|error| {
                ApiError::new(ErrorCode::InvalidTopicException, error.to_string())
            })?;
            let topic = state.topic_names.get(name).and_then(|id| state.topics.get(id));
            let topic = topic.ok_or_else(|| {
                ApiError::new(
                    ErrorCode::UnknownTopicOrPartition,
                    format!("The topic '{name}' does not exist."),
                )
            })?;
            settings.resolve_topic(|name| topic.configs.get(name).map(String::as_str))
        }
        BROKER if name.is_empty() => settings.only(Level::Cluster).resolve_broker(),
        BROKER => {
            if name.parse() != Ok(call.broker.id()) {
                let message = format!(
                    "Unexpected broker id, expected {} or empty string, but received {name}",
                    call.broker.id()
                );
                return Err(ApiError::new(ErrorCode::InvalidRequest, message));
            }
            settings.resolve_broker()
        }
        GROUP if name.is_empty() => {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "Group name must not be empty".to_owned(),
            ));
        }
        GROUP => {
            let stored = state.configs.get(&ConfigResource::Group(name.to_owned()));
            settings.resolve_group(|key| stored?.get(key).map(String::as_str))
        }
        other => {
            let message = format!("Unsupported resource type: {other}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
    };
    let keys = wanted_keys(resource);
    // Without a broker's id only what is set for all brokers is told, whatever one of them sets for itself.
    let for_all = resource.resource_type == BROKER && name.is_empty();
    let told = |source: Source| !for_all || source == Source::DynamicDefaultBroker;
    let rows = resolved
        .iter()
        .filter(|row| keys.as_ref().is_none_or(|keys| keys.contains(row.setting.name)))
        .filter(|row| told(row.source))
        .map(|row| {
            let mut resolved = row.clone();
            resolved.synonyms.retain(|synonym| told(synonym.source));
            Row {
                value: row.text().filter(|_| !row.setting.is_sensitive()),
                documentation: row.setting.documentation(),
                resolved,
            }
        });
    Ok(rows.collect())
}

/// The settings that are asked for; no names at all mean every one, as null does.
fn wanted_keys<'a>(resource: &DescribeConfigsResource<'a>) -> Option<BTreeSet<&'a str>> {
    let keys = resource.configuration_keys.as_ref()?;
    (!keys.is_empty()).then(|| keys.iter().collect())
}

fn describe<'a>(
    row: &'a Row,
    request: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResourceResult<'a> {
    let Resolved { setting, source, synonyms, .. } = &row.resolved;
    let synonyms = synonyms.iter().filter(|_| request.include_synonyms).map(|synonym| {
        DescribeConfigsSynonym {
            name: synonym.name,
            value: Some(synonym.value.as_str()).filter(|_| !setting.is_sensitive()),
            source: synonym.source.code(),
        }
    });
    DescribeConfigsResourceResult {
        name: setting.name,
        value: row.value.as_deref(),
        read_only: setting.update == Update::ReadOnly,
        config_source: source.code(),
        is_sensitive: setting.is_sensitive(),
        synonyms: synonyms.collect(),
        config_type: setting.kind.code(),
        documentation: request.include_documentation.then_some(&*row.documentation),
    }
}

/// The broker that a resource name means; `None` is all of them.
pub(crate) fn broker_of(name: &str) -> Result<Option<BrokerId>, ApiError> {
    if name.is_empty() {
        return Ok(None);
    }
    let id = name.parse().map_err(|_| {
        ApiError::new(ErrorCode::InvalidRequest, format!("`{name}` is no broker id"))
    })?;
    Ok(Some(BrokerId(id)))
}
