//! What the engine needs to know of a topic's settings.

use esker_record::ProduceLimits;
use std::time::Duration;

/// A topic's settings as the engine uses them; resolved from Kafka's names above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// What produced batches are judged by.
    pub limits: ProduceLimits,
    /// `cleanup.policy` contains `delete`: retention applies.
    pub deletes: bool,
    /// `retention.ms`; `None` keeps records for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes` of each partition; `None` sets no limit.
    pub retention_bytes: Option<u64>,
}

impl Default for TopicSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            limits: ProduceLimits::default(),
            deletes: true,
            retention: Some(Duration::from_hours(168)),
            retention_bytes: None,
        }
    }
}

/// Resolves a topic's own settings (Kafka's names and texts) against the broker's defaults.
pub trait ResolveSettings: Send + Sync {
    /// The settings in force. Unknown names were refused when they were set; they are ignored here.
    fn resolve(&self, state: &esker_meta::State, topic: &esker_meta::Topic) -> TopicSettings;
}
