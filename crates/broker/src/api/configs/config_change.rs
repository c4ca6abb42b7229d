//! Changing settings: what AlterConfigs and IncrementalAlterConfigs share.

use crate::api::configs::describe_configs::{BROKER, GROUP, TOPIC, broker_of};
use crate::api_error::ApiError;
use crate::call::Call;
use crate::live_settings::check_topic_setting;
use esker_meta::{Command, ConfigChange, ConfigResource, State};
use esker_settings::{
    BrokerSettings, Kind, Level, Scope, Setting, SettingError, Value, broker_setting,
    group_setting, topic_setting, unknown,
};
use esker_types::{TopicId, TopicName};
use esker_wire::ErrorCode;
use std::collections::{BTreeSet, HashSet};

/// Bytes of a value, in every way to set it: what a string of the protocol may hold.
const VALUE_LEN_MAX: usize = 32_767;

/// What to do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigOperation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl ConfigOperation {
    const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }

    pub(crate) fn of(code: i8) -> Result<Self, ApiError> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            other => {
                Err(ApiError::new(ErrorCode::InvalidRequest, format!("Unknown operation {other}")))
            }
        }
    }
}

/// A change that a client asks for.
#[derive(Debug)]
pub(crate) struct Alteration {
    pub(crate) name: String,
    pub(crate) operation: ConfigOperation,
    pub(crate) value: Option<String>,
}

/// The resource that is changed.
enum Target {
    Topic(TopicId),
    Resource(ConfigResource),
}

impl Target {
    fn find(state: &State, kind: i8, name: &str) -> Result<Self, ApiError> {
        match kind {
            TOPIC if name.is_empty() => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "Default topic resources are not allowed.".to_owned(),
            )),
            TOPIC => {
                TopicName::new(name).map_err(|error| {
                    ApiError::new(ErrorCode::InvalidTopicException, error.to_string())
                })?;
                let id = state.topic_names.get(name).ok_or_else(|| {
                    let message = format!("The topic '{name}' does not exist.");
                    ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
                })?;
                Ok(Self::Topic(*id))
            }
            BROKER => {
                let broker = broker_of(name)?;
                if broker.is_some_and(|id| !state.brokers.contains_key(&id)) {
                    let message = format!("No broker {name} is registered.");
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
                Ok(Self::Resource(ConfigResource::Broker(broker)))
            }
            GROUP if name.is_empty() => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "Default group resources are not allowed.".to_owned(),
            )),
            GROUP => Ok(Self::Resource(ConfigResource::Group(name.to_owned()))),
            other => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Unsupported resource type: {other}"),
            )),
        }
    }

    fn setting(&self, name: &str) -> Option<&'static Setting> {
        match self {
            Self::Topic(_) => topic_setting(name),
            Self::Resource(ConfigResource::Broker(_)) => broker_setting(name),
            Self::Resource(ConfigResource::Group(_)) => group_setting(name),
        }
    }

    /// Judges a value. Answers it in its canonical form.
    fn check(&self, name: &str, value: &str) -> Result<String, SettingError> {
        match self {
            Self::Topic(_) => check_topic_setting(name, value),
            Self::Resource(ConfigResource::Broker(None)) => {
                BrokerSettings::check(Level::Cluster, name, value)
            }
            Self::Resource(ConfigResource::Broker(Some(_))) => {
                BrokerSettings::check(Level::Broker, name, value)
            }
            Self::Resource(ConfigResource::Group(_)) => {
                group_setting(name).ok_or_else(|| unknown(Scope::Group, name))?.check(value)
            }
        }
    }

    /// What is stored under a name.
    fn stored<'a>(&self, state: &'a State, name: &str) -> Option<&'a String> {
        match self {
            Self::Topic(id) => state.topics.get(id)?.configs.get(name),
            Self::Resource(resource) => state.configs.get(resource)?.get(name),
        }
    }

    fn names(&self, state: &State) -> Vec<String> {
        match self {
            Self::Topic(id) => state
                .topics
                .get(id)
                .map(|t| t.configs.keys().cloned().collect())
                .unwrap_or_default(),
            Self::Resource(resource) => {
                state.configs.get(resource).map(|c| c.keys().cloned().collect()).unwrap_or_default()
            }
        }
    }

    fn change(&self, name: String, value: Option<String>) -> ConfigChange {
        match self {
            Self::Topic(id) => ConfigChange::Topic(*id, name, value),
            Self::Resource(resource) => ConfigChange::Resource(resource.clone(), name, value),
        }
    }
}

/// What is said of a resource that comes twice in a request, each time.
pub(crate) fn more_than_once() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once.")
}

/// Names of the settings that are stored for a resource.
pub(crate) fn stored_names(call: &Call<'_>, kind: i8, name: &str) -> Vec<String> {
    let state = call.broker.engine().meta().image();
    Target::find(&state, kind, name).map(|target| target.names(&state)).unwrap_or_default()
}

/// Changes the settings of one resource: all or none.
pub(crate) async fn alter(
    call: &Call<'_>,
    kind: i8,
    name: &str,
    alterations: Vec<Alteration>,
    validate_only: bool,
) -> Result<(), ApiError> {
    let engine = call.broker.engine();
    let state = engine.meta().image();
    let target = Target::find(&state, kind, name)?;
    check_form(&alterations)?;
    let mut changes = Vec::new();
    for alteration in alterations {
        let value = value_of(&state, &target, &alteration)?;
        if value.as_ref().is_some_and(|value| value.len() > VALUE_LEN_MAX) {
            let message = format!(
                "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_LEN_MAX} \
                 bytes."
            );
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        }
        // Whatever name a client thinks of may be reset; there is nothing to remember of those that are not set.
        if value.is_some() || target.stored(&state, &alteration.name).is_some() {
            changes.push(target.change(alteration.name, value));
        }
    }
    if validate_only || changes.is_empty() {
        return Ok(());
    }
    let altered = engine.meta().propose(Command::AlterConfigs { changes }).await;
    engine.refresh();
    altered.map(drop).map_err(ApiError::from)
}

/// What is wrong whatever the settings are: a value that is missing, a name that comes twice.
fn check_form(alterations: &[Alteration]) -> Result<(), ApiError> {
    let lacks = |one: &&Alteration| one.operation != ConfigOperation::Delete && one.value.is_none();
    let without_value: Vec<_> =
        alterations.iter().filter(lacks).map(|one| one.name.as_str()).collect();
    if !without_value.is_empty() {
        let message = format!("Null value not supported for : {}", without_value.join(","));
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let mut seen = BTreeSet::new();
    if !alterations.iter().all(|one| seen.insert(one.name.as_str())) {
        let message = "Error due to duplicate config keys".to_owned();
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

fn refusal(target: &Target, error: &SettingError) -> ApiError {
    let code = match (error, target) {
        // A broker judges its own values, and says that the request is wrong; the others' are judged by the controller.
        (SettingError::Invalid { .. }, Target::Resource(ConfigResource::Broker(_)))
        | (SettingError::ReadOnly(_) | SettingError::PerBroker(_), _) => ErrorCode::InvalidRequest,
        _ => ErrorCode::InvalidConfig,
    };
    ApiError::new(code, error.to_string())
}

/// What the setting will be; `None` resets it.
fn value_of(
    state: &State,
    target: &Target,
    alteration: &Alteration,
) -> Result<Option<String>, ApiError> {
    let Alteration { name, operation, value } = alteration;
    let text = value.as_deref().unwrap_or_default();
    let refusal = |error: SettingError| refusal(target, &error);
    match operation {
        ConfigOperation::Delete => Ok(None),
        ConfigOperation::Set => target.check(name, text).map(Some).map_err(refusal),
        ConfigOperation::Append | ConfigOperation::Subtract => {
            let setting = target.setting(name).filter(|setting| setting.kind == Kind::List);
            let Some(setting) = setting else {
                // A name that nobody knows is told as such, with those that look like it.
                target.check(name, text).map_err(|error| match error {
                    SettingError::Unknown { .. } => refusal(error),
                    _ => no_list(name, *operation),
                })?;
                return Err(no_list(name, *operation));
            };
            let current = target.stored(state, name).map(String::as_str);
            let current = current.or(setting.default).unwrap_or_default();
            let changed = changed_list(setting, current, *operation, text);
            target.check(name, &changed).map(Some).map_err(refusal)
        }
    }
}

fn no_list(name: &str, operation: ConfigOperation) -> ApiError {
    let operation = operation.name();
    let message = format!("Can't {operation} to key {name} because its type is not LIST.");
    ApiError::new(ErrorCode::InvalidConfig, message)
}

/// A list with the elements of `text` appended or taken away.
fn changed_list(
    setting: &Setting,
    current: &str,
    operation: ConfigOperation,
    text: &str,
) -> String {
    let items = match setting.parse(current) {
        Some(Value::List(items)) => items,
        _ => Vec::new(),
    };
    let mut items: Vec<&str> = items.iter().map(String::as_str).collect();
    // Commas at the end say nothing; what is empty between two, or alone, is an element that no rule allows.
    let named = text.trim_end_matches(',').split(',').map(str::trim);
    if operation == ConfigOperation::Append {
        let mut known: HashSet<&str> = items.iter().copied().collect();
        items.extend(named.filter(|item| known.insert(item)));
    } else {
        let named: HashSet<&str> = named.collect();
        items.retain(|item| !named.contains(item));
    }
    items.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alteration(name: &str, operation: ConfigOperation, value: Option<&str>) -> Alteration {
        Alteration { name: name.to_owned(), operation, value: value.map(str::to_owned) }
    }

    #[test]
    fn null_is_a_value_for_nothing_but_delete() {
        for operation in [ConfigOperation::Set, ConfigOperation::Append, ConfigOperation::Subtract]
        {
            let refused = check_form(&[alteration("retention.ms", operation, None)]).unwrap_err();
            let message = "Null value not supported for : retention.ms".to_owned();
            assert_eq!(refused, ApiError::new(ErrorCode::InvalidRequest, message));
        }
        check_form(&[alteration("retention.ms", ConfigOperation::Delete, None)]).unwrap();
    }

    #[test]
    fn a_name_comes_once() {
        let one = || alteration("retention.ms", ConfigOperation::Set, Some("1"));
        check_form(&[one()]).unwrap();
        let refused = check_form(&[one(), one()]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
    }

    #[test]
    fn lists_grow_and_shrink_by_elements() {
        let policy = topic_setting("cleanup.policy").unwrap();
        let change = |current, operation, text| changed_list(policy, current, operation, text);
        assert_eq!(change("delete", ConfigOperation::Append, "compact"), "delete,compact");
        assert_eq!(
            change("delete", ConfigOperation::Append, "delete,"),
            "delete",
            "once is enough"
        );
        assert_eq!(change("delete,compact", ConfigOperation::Subtract, "delete"), "compact");
        assert_eq!(change("delete", ConfigOperation::Subtract, "compact"), "delete");
        assert_eq!(change("delete", ConfigOperation::Append, ""), "delete,", "no rule allows it");
    }
}
