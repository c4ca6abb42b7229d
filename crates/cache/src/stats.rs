//! What the reader has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of an [`ObjectReader`](crate::ObjectReader).
#[derive(Debug, Default)]
pub struct ReaderStats {
    pub(crate) reads: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) chunks_memory: AtomicU64,
    pub(crate) chunks_joined: AtomicU64,
    pub(crate) chunks_disk: AtomicU64,
    pub(crate) chunks_fetched: AtomicU64,
    pub(crate) gets: AtomicU64,
    pub(crate) get_bytes: AtomicU64,
    pub(crate) get_errors: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) hedges_won: AtomicU64,
    pub(crate) ahead_chunks: AtomicU64,
    pub(crate) ahead_lost: AtomicU64,
    pub(crate) ahead_skipped: AtomicU64,
}

/// A reading of [`ReaderStats`]; all count since the reader was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReaderTotals {
    /// Reads answered or failed.
    pub reads: u64,
    /// Bytes asked for by them.
    pub read_bytes: u64,
    /// Chunks found in memory.
    pub chunks_memory: u64,
    /// Chunks that were on their way already.
    pub chunks_joined: u64,
    /// Chunks that the cache brought from its disk.
    pub chunks_disk: u64,
    /// Chunks fetched from the bucket.
    pub chunks_fetched: u64,
    /// Range requests to the bucket, hedges among them.
    pub gets: u64,
    /// Bytes asked for by them.
    pub get_bytes: u64,
    /// Range requests that failed.
    pub get_errors: u64,
    /// Ranges that were not what had been put, whether the bucket or the cache gave them: they were to be fetched again.
    pub damaged: u64,
    /// Requests asked a second time.
    pub hedges: u64,
    /// Of these, answered by the second.
    pub hedges_won: u64,
    /// Chunks asked for ahead of their reader.
    pub ahead_chunks: u64,
    /// Reads that found chunks gone that had been fetched ahead.
    pub ahead_lost: u64,
    /// Times that nothing was fetched ahead for want of memory.
    pub ahead_skipped: u64,
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl ReaderStats {
    /// The counts now.
    #[must_use]
    pub fn totals(&self) -> ReaderTotals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReaderTotals {
            reads: get(&self.reads),
            read_bytes: get(&self.read_bytes),
            chunks_memory: get(&self.chunks_memory),
            chunks_joined: get(&self.chunks_joined),
            chunks_disk: get(&self.chunks_disk),
            chunks_fetched: get(&self.chunks_fetched),
            gets: get(&self.gets),
            get_bytes: get(&self.get_bytes),
            get_errors: get(&self.get_errors),
            damaged: get(&self.damaged),
            hedges: get(&self.hedges),
            hedges_won: get(&self.hedges_won),
            ahead_chunks: get(&self.ahead_chunks),
            ahead_lost: get(&self.ahead_lost),
            ahead_skipped: get(&self.ahead_skipped),
        }
    }
}
