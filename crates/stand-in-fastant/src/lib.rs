//! Monotonic time that can be kept in an atomic: the part of `fastant` that foyer uses, on the clock of the standard
//! library. foyer throttles by it and nothing else: no time of Esker's comes from here.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What instants are counted from.
static START: LazyLock<std::time::Instant> = LazyLock::new(now);

#[expect(clippy::disallowed_methods, reason = "foyer asks for the time by itself, not through env")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A moment, in nanoseconds since this process first asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let start = *START;
        let nanos = now().saturating_duration_since(start).as_nanos();
        Self(u64::try_from(nanos).expect("a process lives for less than 584 years"))
    }

    /// The time since `earlier`; none if that is later.
    #[must_use]
    pub const fn duration_since(&self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// An instant that threads share.
#[derive(Debug)]
pub struct Atomic(AtomicU64);

impl Atomic {
    /// Begins with `instant`.
    #[must_use]
    pub const fn new(instant: Instant) -> Self {
        Self(AtomicU64::new(instant.0))
    }

    /// What was stored last.
    pub fn load(&self, order: Ordering) -> Instant {
        Instant(self.0.load(order))
    }

    /// Stores an instant.
    pub fn store(&self, instant: Instant, order: Ordering) {
        self.0.store(instant.0, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_is_kept() {
        let first = Instant::now();
        let kept = Atomic::new(first);
        let mut later = Instant::now();
        while later == first {
            later = Instant::now();
        }
        assert!(later.duration_since(kept.load(Ordering::Relaxed)) > Duration::ZERO);
        assert_eq!(first.duration_since(later), Duration::ZERO);
        kept.store(later, Ordering::Relaxed);
        assert_eq!(kept.load(Ordering::Relaxed), later);
    }
}
