//! Settings of the coordinator, under Kafka's names.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the coordinator. Field names are Kafka's with `.` as `_` and the unit in the type where it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// `group.min.session.timeout.ms`: shorter session timeouts are refused.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`: longer session timeouts are refused.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after the first.
    pub group_initial_rebalance_delay_ms: i32,
    /// `group.max.size`: most members of a group.
    pub group_max_size: i32,
    /// How long a member that has joined for the first time may wait for the rebalance to end. Not settable in
    /// Kafka, where it is five minutes.
    pub new_member_join_timeout: Duration,
    /// `offsets.retention.minutes`: how long offsets outlive their group.
    pub offsets_retention_minutes: i32,
    /// `offsets.retention.check.interval.ms`: how often expired offsets and empty groups are looked for.
    pub offsets_retention_check_interval_ms: i64,
    /// `offset.metadata.max.bytes`: longest text that a client may store with an offset. Counted as Kafka does,
    /// in UTF-16 units.
    pub offset_metadata_max_bytes: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: i32::MAX,
            new_member_join_timeout: Duration::from_mins(5),
            offsets_retention_minutes: 10_080,
            offsets_retention_check_interval_ms: 600_000,
            offset_metadata_max_bytes: 4_096,
        }
    }
}

impl Options {
    /// Most members of a group.
    pub(crate) fn group_size_max(&self) -> usize {
        usize::try_from(self.group_max_size).unwrap_or(0)
    }

    /// How long offsets outlive their group, in milliseconds.
    pub(crate) fn offsets_retention_ms(&self) -> i64 {
        i64::from(self.offsets_retention_minutes).saturating_mul(60_000)
    }
}

/// A number of milliseconds from a request or record; negative ones count as none.
pub(crate) fn millis(ms: impl Into<i64>) -> Duration {
    Duration::from_millis(u64::try_from(ms.into()).unwrap_or(0))
}
