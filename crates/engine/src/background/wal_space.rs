//! Tells the operator when the write-ahead log runs short of space, and when it does not any more.

use crate::background::flush::Flusher;
use crate::context::Context;
use crate::options::EngineOptions;
use esker_wal::{Wal, WalSpace};
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

/// How much of the write-ahead log is used beyond the point where produce is slowed down: 0 below
/// it, 1 when it is full.
pub(crate) fn pressure(space: &WalSpace, options: &EngineOptions) -> f64 {
    // The last segment is kept for what frees space.
    let usable = space.capacity.saturating_sub(options.wal_segment.get()).max(1);
    let start = usable / 100 * u64::from(options.throttle_percent.min(99));
    if space.full {
        return 1.0;
    }
    let over = space.used.saturating_sub(start);
    let range = usable - start;
    // Ratios of byte counts: precision is of no interest.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for a delay")]
    let pressure = over as f64 / range as f64;
    pressure.min(1.0)
}

/// Watches the space of the write-ahead log.
pub(crate) struct WalSpaceWatch {
    context: Arc<Context>,
    wal: Wal,
    flusher: Arc<Flusher>,
}

impl WalSpaceWatch {
    pub(crate) fn new(context: &Arc<Context>, wal: &Wal, flusher: &Arc<Flusher>) -> Self {
        let (context, flusher) = (Arc::clone(context), Arc::clone(flusher));
        Self { context, wal: wal.clone(), flusher }
    }

    pub(crate) async fn run(&self) {
        let mut told = Shortage::None;
        loop {
            self.context.env.clock.sleep(EVERY).await;
            let now = Shortage::of(pressure(&self.wal.space(), &self.context.options));
            if now != told {
                self.report(now);
            }
            told = now;
        }
    }

    fn report(&self, now: Shortage) {
        let space = self.wal.space();
        let (used, capacity) = (space.used, space.capacity);
        let flush_failing = self.flusher.is_failing();
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
