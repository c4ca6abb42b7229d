//! Tells the operator when the write-ahead log runs short of space, and when it does not any more.

use crate::engine::Engine;
use std::sync::Arc;
use std::time::Duration;

/// Looks are so far apart that a log at the edge does not fill the operator's.
const EVERY: Duration = Duration::from_secs(30);

/// How much space is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shortage {
    None,
    Slowed,
    Full,
}

impl Shortage {
    fn of(pressure: f64) -> Self {
        match pressure {
            p if p >= 1.0 => Self::Full,
            p if p > 0.0 => Self::Slowed,
            _ => Self::None,
        }
    }
}

impl Engine {
    pub(crate) async fn watch_wal_space(self: Arc<Self>) {
        let mut told = Shortage::None;
        loop {
            self.env().clock.sleep(EVERY).await;
            let now = Shortage::of(self.pressure());
            if now != told {
                self.report(now);
            }
            told = now;
        }
    }

    fn report(&self, now: Shortage) {
        let space = self.wal().space();
        let (used, capacity) = (space.used, space.capacity);
        let flush_failing = self.flush_status().failing;
        match now {
            Shortage::Full => tracing::warn!(
                used,
                capacity,
                flush_failing,
                "the write-ahead log has no space: what is produced is refused until a flush or the disk frees some. \
                 Look at the bucket if flushes fail, and at the room on the log's disk"
            ),
            Shortage::Slowed => tracing::warn!(
                used,
                capacity,
                flush_failing,
                "the write-ahead log fills faster than the bucket takes it: producers are slowed down. Look at the \
                 bucket if flushes fail, or raise esker.wal.capacity.bytes"
            ),
            Shortage::None => {
                tracing::info!(used, capacity, "the write-ahead log has space again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_told_in_three_steps() {
        let steps = [0.0, 0.01, 0.99, 1.0].map(Shortage::of);
        let expected = [Shortage::None, Shortage::Slowed, Shortage::Slowed, Shortage::Full];
        assert_eq!(steps, expected);
    }
}
