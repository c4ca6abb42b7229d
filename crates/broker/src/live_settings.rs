//! The settings in force: what the broker was started with, and what the metadata says since.

use arc_swap::ArcSwap;
use esker_engine::{ResolveSettings, TopicSettings};
use esker_meta::{ConfigResource, State, Topic};
use esker_record::{ProduceLimits, TimestampType};
use esker_settings::typed;
use esker_settings::{BrokerSettings, Level, Scope, SettingError, topic_setting, unknown};
use esker_types::BrokerId;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;

type Dynamic = OrdMap<ConfigResource, BTreeMap<String, String>>;

/// The settings of one broker.
pub struct LiveSettings {
    broker: BrokerId,
    fixed: BrokerSettings,
    /// `esker.decompressed.max.bytes`, which does not change while the broker runs.
    decompressed_bytes_max: usize,
    /// What the dynamic part was when the settings were put together, and the result.
    current: ArcSwap<(Dynamic, Arc<BrokerSettings>)>,
}

impl std::fmt::Debug for LiveSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSettings").field("fixed", &self.fixed).finish_non_exhaustive()
    }
}

impl LiveSettings {
    /// The settings of `broker`, started with `fixed`.
    #[must_use]
    pub fn new(broker: BrokerId, fixed: BrokerSettings) -> Self {
        let current = Arc::new(fixed.clone());
        let decompressed_bytes_max = fixed
            .value("esker.decompressed.max.bytes")
            .and_then(|value| usize::try_from(value.as_bytes()?.get()).ok())
            .expect("a size with a default");
        Self {
            broker,
            fixed,
            decompressed_bytes_max,
            current: ArcSwap::from_pointee((Dynamic::new(), current)),
        }
    }

    /// The broker's settings as of `state`.
    #[must_use]
    pub fn at(&self, state: &State) -> Arc<BrokerSettings> {
        let current = self.current.load();
        if current.0 == state.configs {
            return Arc::clone(&current.1);
        }
        let mut settings = self.fixed.clone();
        for (level, resource) in [
            (Level::Cluster, ConfigResource::Broker(None)),
            (Level::Broker, ConfigResource::Broker(Some(self.broker))),
        ] {
            let stored = state.configs.get(&resource).into_iter().flatten();
            settings.replace(level, stored.map(|(name, value)| (name.clone(), value.clone())));
        }
        let settings = Arc::new(settings);
        self.current.store(Arc::new((state.configs.clone(), Arc::clone(&settings))));
        settings
    }

    /// `max.connections` as of `state`.
    #[must_use]
    pub fn connections_max(&self, state: &State) -> usize {
        let value = self.at(state).value("max.connections");
        let count = value.and_then(|value| usize::try_from(value.as_i64()?).ok());
        count.expect("a number with a default")
    }
}

impl ResolveSettings for LiveSettings {
    fn resolve(&self, state: &State, topic: &Topic) -> TopicSettings {
        let typed = self.at(state).topic(|name| topic.configs.get(name).map(String::as_str));
        TopicSettings {
            limits: ProduceLimits {
                message_bytes_max: typed.message_bytes_max as usize,
                segment_bytes: typed.segment_bytes as usize,
                needs_key: typed.compacts,
                timestamp_type: match typed.timestamp_type {
                    typed::TimestampType::CreateTime => TimestampType::CreateTime,
                    typed::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
                },
                timestamp_before_max_ms: typed.timestamp_before_max_ms,
                timestamp_after_max_ms: typed.timestamp_after_max_ms,
                opens_compressed: typed.opens_compressed,
                record_bytes_max: typed.decompressed_record_bytes_max as usize,
                decompressed_bytes_max: self.decompressed_bytes_max,
            },
            deletes: typed.deletes,
            retention: typed.retention,
            retention_bytes: typed.retention_bytes,
        }
    }
}

/// Judges the value of a topic's setting. Answers it in its canonical form.
pub(crate) fn check_topic_setting(name: &str, value: &str) -> Result<String, SettingError> {
    topic_setting(name).ok_or_else(|| unknown(Scope::Topic, name))?.check(value)
}
