//! Changing settings: what AlterConfigs and IncrementalAlterConfigs share.

use crate::api::describe_configs::{BROKER, GROUP, TOPIC, broker_of};
use crate::dispatch::Call;
use crate::error_code;
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

pub(crate) type Refusal = (ErrorCode, String);

/// What to do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    pub(crate) fn of(code: i8) -> Result<Self, Refusal> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            other => Err((ErrorCode::InvalidRequest, format!("Unknown operation {other}"))),
        }
    }
}

/// A change that a client asks for.
#[derive(Debug)]
pub(crate) struct Alteration {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) value: Option<String>,
}

/// The resource that is changed.
enum Target {
    Topic(TopicId),
    Resource(ConfigResource),
}

impl Target {
    fn find(state: &State, kind: i8, name: &str) -> Result<Self, Refusal> {
        match kind {
            TOPIC => {
                TopicName::new(name)
                    .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
                let id = state.topic_names.get(name).ok_or_else(|| {
                    let message = format!("The topic '{name}' does not exist.");
                    (ErrorCode::UnknownTopicOrPartition, message)
                })?;
                Ok(Self::Topic(*id))
            }
            BROKER => {
                let broker = broker_of(name)?;
                if broker.is_some_and(|id| !state.brokers.contains_key(&id)) {
                    let message = format!("No broker {name} is registered.");
                    return Err((ErrorCode::InvalidRequest, message));
                }
                Ok(Self::Resource(ConfigResource::Broker(broker)))
            }
            GROUP if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "A group needs a name.".to_owned()))
            }
            GROUP => Ok(Self::Resource(ConfigResource::Group(name.to_owned()))),
            other => {
                Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}")))
            }
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
) -> Result<(), Refusal> {
    let engine = call.broker.engine();
    let state = engine.meta().image();
    let target = Target::find(&state, kind, name)?;
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for alteration in alterations {
        if !seen.insert(alteration.name.clone()) {
            let message = format!("Error due to duplicate config keys: {}", alteration.name);
            return Err((ErrorCode::InvalidRequest, message));
        }
        let value = value_of(&state, &target, &alteration).map_err(refusal)?;
        if value.as_ref().is_some_and(|value| value.len() > VALUE_LEN_MAX) {
            let message = format!(
                "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_LEN_MAX} \
                 bytes."
            );
            return Err((ErrorCode::InvalidConfig, message));
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
    altered.map(drop).map_err(|error| (error_code::of_meta(&error), error.to_string()))
}

fn refusal(error: SettingError) -> Refusal {
    let code = match error {
        SettingError::Unknown { .. }
        | SettingError::Invalid { .. }
        | SettingError::Refused { .. } => ErrorCode::InvalidConfig,
        SettingError::ReadOnly(_) | SettingError::PerBroker(_) => ErrorCode::InvalidRequest,
    };
    (code, error.to_string())
}

/// What the setting will be; `None` resets it.
fn value_of(
    state: &State,
    target: &Target,
    alteration: &Alteration,
) -> Result<Option<String>, SettingError> {
    let Alteration { name, operation, value } = alteration;
    let text = value.as_deref().unwrap_or_default();
    match operation {
        Operation::Delete => Ok(None),
        Operation::Set => match value {
            Some(value) => target.check(name, value).map(Some),
            None => Ok(None),
        },
        Operation::Append | Operation::Subtract => {
            let setting = target.setting(name);
            let list = setting.is_some_and(|setting| setting.kind == Kind::List);
            if !list {
                // Says that it is unknown, or what a legal value would be.
                target.check(name, text)?;
            }
            let current = target.stored(state, name).map(String::as_str);
            let current = current.or_else(|| setting?.default).unwrap_or_default();
            let items = match setting.and_then(|setting| setting.parse(current)) {
                Some(Value::List(items)) => items,
                _ => Vec::new(),
            };
            let mut items: Vec<&str> = items.iter().map(String::as_str).collect();
            let named = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            if *operation == Operation::Append {
                let mut known: HashSet<&str> = items.iter().copied().collect();
                items.extend(named.filter(|item| known.insert(item)));
            } else {
                let named: HashSet<&str> = named.collect();
                items.retain(|item| !named.contains(item));
            }
            target.check(name, &items.join(",")).map(Some)
        }
    }
}
