//! A topic's settings.

use crate::value::Value;
use std::time::Duration;

/// Whose clock stamps records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// When a record is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the disks of a quorum of stores have it.
    Replicated,
    /// When the bucket has it.
    Object,
    /// When the leader's own disk has it.
    Local,
}

/// A topic's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// `max.message.bytes`, of a whole batch as it is sent.
    pub message_bytes_max: u32,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_age: Duration,
    /// `cleanup.policy` contains `delete`.
    pub deletes: bool,
    /// `cleanup.policy` contains `compact`.
    pub compacts: bool,
    /// `retention.ms`; `None` keeps records for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes` of each partition; `None` sets no limit.
    pub retention_bytes: Option<u64>,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no limit.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no limit.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`: a codec's name, or `None` for the producer's choice.
    pub compression: Option<String>,
    /// `delete.retention.ms`.
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_min: Duration,
    /// `max.compaction.lag.ms`; `None` is no limit.
    pub compaction_lag_max: Option<Duration>,
    /// `min.cleanable.dirty.ratio`, from 0 to 1.
    pub dirty_ratio_min: f64,
    /// `max.decompressed.message.bytes`, of one record of a compressed batch.
    pub decompressed_record_bytes_max: u32,
    /// `esker.validate.compressed`.
    pub opens_compressed: bool,
    /// `esker.durability`.
    pub durability: Durability,
}

impl Topic {
    /// Reads the settings that `value` knows. Every name asked for is a topic setting, and every value one that
    /// its rule allows.
    pub(crate) fn new(value: impl Fn(&str) -> Option<Value>) -> Self {
        let number = |name: &str| {
            value(name).and_then(|value| value.as_i64()).expect("a number with a default")
        };
        let text = |name: &str| match value(name) {
            Some(Value::Text(text)) => text,
            other => unreachable!("`{name}` is a text with a default, not {other:?}"),
        };
        let size = |name: &str| u32::try_from(number(name)).expect("an int that is not negative");
        let age = |name: &str| Duration::from_millis(u64::try_from(number(name)).unwrap_or(0));
        let limit = |name: &str| u64::try_from(number(name)).ok();
        let policies = value("cleanup.policy").expect("a list with a default");
        let policy =
            |name: &str| policies.as_list().is_some_and(|list| list.iter().any(|one| one == name));
        Self {
            message_bytes_max: size("max.message.bytes"),
            segment_bytes: size("segment.bytes"),
            segment_age: age("segment.ms"),
            deletes: policy("delete"),
            compacts: policy("compact"),
            retention: limit("retention.ms").map(Duration::from_millis),
            retention_bytes: limit("retention.bytes"),
            timestamp_type: match text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            compression: Some(text("compression.type")).filter(|codec| codec != "producer"),
            delete_retention: age("delete.retention.ms"),
            compaction_lag_min: age("min.compaction.lag.ms"),
            compaction_lag_max: Some(number("max.compaction.lag.ms"))
                .filter(|ms| *ms != i64::MAX)
                .map(|ms| Duration::from_millis(ms.unsigned_abs())),
            dirty_ratio_min: value("min.cleanable.dirty.ratio")
                .and_then(|value| value.as_f64())
                .expect("a fraction with a default"),
            decompressed_record_bytes_max: size("max.decompressed.message.bytes"),
            opens_compressed: value("esker.validate.compressed")
                .and_then(|value| value.as_bool())
                .expect("a boolean with a default"),
            durability: match text("esker.durability").as_str() {
                "object" => Durability::Object,
                "local" => Durability::Local,
                _ => Durability::Replicated,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::{BrokerSettings, Level};

    #[test]
    fn defaults_are_kafkas() {
        let topic = BrokerSettings::default().topic(|_| None);
        let expected = Topic {
            message_bytes_max: 1_048_588,
            segment_bytes: 1 << 30,
            segment_age: Duration::from_hours(168),
            deletes: true,
            compacts: false,
            retention: Some(Duration::from_hours(168)),
            retention_bytes: None,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: None,
            delete_retention: Duration::from_hours(24),
            compaction_lag_min: Duration::ZERO,
            compaction_lag_max: None,
            dirty_ratio_min: 0.5,
            decompressed_record_bytes_max: 2_147_483_639,
            opens_compressed: true,
            durability: Durability::Replicated,
        };
        assert_eq!(topic, expected);
    }

    #[test]
    fn a_topics_own_values_and_its_brokers_are_read() {
        let mut brokers = BrokerSettings::default();
        brokers.set(Level::Static, "message.max.bytes", "200000000").unwrap();
        brokers.set(Level::Static, "log.retention.minutes", "5").unwrap();
        let own = |name: &str| match name {
            "cleanup.policy" => Some("compact, delete"),
            "retention.bytes" => Some("77"),
            "message.timestamp.type" => Some("LogAppendTime"),
            "compression.type" => Some("zstd"),
            "max.compaction.lag.ms" => Some("100"),
            // Not legal: as if it were not there.
            "segment.bytes" => Some("12"),
            _ => None,
        };
        let topic = brokers.topic(own);
        assert_eq!(topic.message_bytes_max, 200_000_000);
        assert_eq!(topic.retention, Some(Duration::from_mins(5)));
        assert_eq!((topic.deletes, topic.compacts, topic.retention_bytes), (true, true, Some(77)));
        assert_eq!(topic.timestamp_type, TimestampType::LogAppendTime);
        assert_eq!(topic.compression.as_deref(), Some("zstd"));
        assert_eq!(topic.compaction_lag_max, Some(Duration::from_millis(100)));
        assert_eq!(topic.segment_bytes, 1 << 30);
        assert_eq!(brokers.topic(|name| (name == "retention.ms").then_some("-1")).retention, None);
    }
}
