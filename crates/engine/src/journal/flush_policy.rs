//! When unflushed records are flushed, and how many at once.
//!
//! A flush starts at `esker.flush.bytes`, at most once a second; at higher rates it takes
//! everything of the last second: the larger a partition's part, the less there is to merge, and a
//! merge reads and writes everything once more. It takes no more than half of the tails' memory,
//! for what has left the memory must be read back from the log. A log without room is worth a flush
//! whatever it holds: that is what makes room.

use crate::journal::owned::Backlog;
use crate::options::EngineOptions;
use esker_types::MonoTime;
use std::time::Duration;

/// Between the beginnings of two flushes for size.
const PACE: Duration = Duration::from_secs(1);

/// How much is flushed at once, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushPolicy {
    /// Unflushed bytes that are worth a flush.
    min_bytes: usize,
    /// Unflushed bytes that do not wait, and the most of one flush.
    max_bytes: usize,
    /// Age that does not wait either.
    delay: Duration,
}

impl FlushPolicy {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        let min_bytes = options.flush_bytes.as_usize();
        // The other half of what the background may hold is for merges.
        let memory = options.tail_memory.min(options.background_memory);
        Self {
            min_bytes,
            max_bytes: min_bytes.max(memory.as_usize() / 2),
            delay: options.flush_age,
        }
    }

    /// Most bytes of one flush.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Whether the flush is behind with so many unflushed bytes in a journal.
    pub(crate) fn is_behind(&self, bytes: usize) -> bool {
        bytes >= self.max_bytes + self.max_bytes / 2
    }

    /// Whether the flush has to look again when what waits has grown like that.
    pub(crate) fn crosses_threshold(&self, before: usize, after: usize) -> bool {
        [1, self.min_bytes, self.max_bytes].iter().any(|limit| before < *limit && *limit <= after)
    }

    /// How long `backlog` may wait, when the last flush for size began at `last`; `None` when there
    /// is nothing.
    pub(crate) fn wait(
        &self,
        backlog: &Backlog,
        last: Option<MonoTime>,
        now: MonoTime,
    ) -> Option<Duration> {
        let of_age = self.delay.saturating_sub(now.since(backlog.oldest?));
        Some(if backlog.bytes >= self.max_bytes {
            Duration::ZERO
        } else if backlog.bytes >= self.min_bytes || backlog.blocked {
            of_age.min(last.map_or(Duration::ZERO, |at| PACE.saturating_sub(now.since(at))))
        } else {
            of_age
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_types::{BrokerId, ByteCount, Seq};

    #[test]
    fn a_flush_takes_what_comes_in_a_second_and_no_more_than_memory_keeps() {
        let mut options = EngineOptions::new(BrokerId(1), "wal".into());
        options.flush_bytes = ByteCount(100);
        options.tail_memory = ByteCount(1000);
        let rule = FlushPolicy::new(&options);
        let at = |millis| MonoTime::default().plus(Duration::from_millis(millis));
        let wait_if = |blocked, bytes, last: Option<u64>| {
            let (oldest, shown, drained) = (Some(at(5000)), Seq(1), Seq(0));
            let backlog = Backlog { bytes, oldest, shown, drained, blocked };
            rule.wait(&backlog, last.map(at), at(5400)).map(|wait| wait.as_millis())
        };
        let wait = |bytes, last| wait_if(false, bytes, last);
        assert_eq!(wait(99, None), Some(29_600), "by age");
        assert_eq!(wait_if(true, 1, None), Some(0), "to make room");
        assert_eq!(wait_if(true, 1, Some(5300)), Some(900), "but not all the time");
        assert_eq!(wait(100, None), Some(0));
        assert_eq!(wait(100, Some(5300)), Some(900), "a second after the one before");
        assert_eq!(wait(500, Some(5300)), Some(0), "half of the memory");
        assert_eq!(
            (rule.max_bytes(), rule.is_behind(749), rule.is_behind(750)),
            (500, false, true)
        );
        for (before, after, changed) in
            [(0, 1, true), (1, 99, false), (99, 100, true), (100, 499, false), (400, 600, true)]
        {
            assert_eq!(rule.crosses_threshold(before, after), changed, "{before} to {after}");
        }
        options.tail_memory = ByteCount(150);
        assert_eq!(FlushPolicy::new(&options).max_bytes(), 100);
    }
}
