//! Time as data: cores get it as an argument.

use crate::newtype::integer_newtype;
use std::time::Duration;

integer_newtype! {
    /// Milliseconds since 1970 by somebody's wall clock: record timestamps, retention. Never used for safety.
    Timestamp(i64)
}

impl Timestamp {
    /// "No timestamp" on Kafka's wire.
    pub const NONE: Self = Self(-1);
}

integer_newtype! {
    /// Nanoseconds since this process (or simulation) began; never goes back.
    MonoTime(u64)
}

impl MonoTime {
    /// This moment plus `wait`; saturates at the end of time.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
