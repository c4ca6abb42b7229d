//! A chunk cache that forgets at random, as a cache on a disk does that is busy, full or restarted.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::trace::Trace;
use bytes::Bytes;
use esker_cache::{CacheStats, ChunkCache, ChunkKey, MemoryCache};
use esker_env::BoxFuture;
use std::sync::Arc;

/// A cache that drops some of what it is given and forgets some of what it has.
pub struct SimCache {
    kept: MemoryCache,
    trace: Arc<Trace>,
    entropy: SimEntropy,
    /// Percent of chunks that are not taken in, and of looks that find nothing.
    forgetful: u64,
    /// Planted: answers with what another object left, and does not let itself be told.
    mistaken: bool,
}

impl SimCache {
    /// A cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(
        bytes_max: usize,
        trace: Arc<Trace>,
        entropy: &SimEntropy,
        forgetful: u64,
        mistaken: bool,
    ) -> Self {
        let entropy = entropy.branch("cache");
        Self { kept: MemoryCache::new(bytes_max), trace, entropy, forgetful, mistaken }
    }

    fn key(&self, key: ChunkKey) -> ChunkKey {
        if !self.mistaken {
            return key;
        }
        // All objects share their places: whoever comes second gets what the first one left.
        ChunkKey { object: esker_types::ObjectId(0), variant: 0, chunk: key.chunk }
    }
}

impl ChunkCache for SimCache {
    fn peek(&self, key: &ChunkKey) -> Option<Bytes> {
        let key = self.key(*key);
        if !self.entropy.chance(self.forgetful) {
            return self.kept.peek(&key);
        }
        if self.kept.holds(&key) {
            self.trace.count(Effect::Forgotten);
        }
        None
    }

    fn holds(&self, key: &ChunkKey) -> bool {
        self.kept.holds(&self.key(*key))
    }

    fn memory_bytes_max(&self) -> usize {
        self.kept.memory_bytes_max()
    }

    fn get<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move { self.peek(key) })
    }

    fn insert(&self, key: ChunkKey, chunk: Bytes) {
        if self.entropy.chance(self.forgetful) {
            self.trace.count(Effect::NotTaken);
        } else {
            self.kept.insert(self.key(key), chunk);
        }
    }

    fn pass(&self, key: &ChunkKey) {
        self.kept.pass(&self.key(*key));
    }

    fn forget(&self, key: &ChunkKey) {
        if !self.mistaken {
            self.kept.forget(key);
        }
    }

    fn clear(&self) -> BoxFuture<'_, ()> {
        // A mistaken cache keeps what it has: its mistakes are what is looked for.
        if self.mistaken { Box::pin(std::future::ready(())) } else { self.kept.clear() }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.kept.close()
    }

    fn stats(&self) -> CacheStats {
        self.kept.stats()
    }
}

impl std::fmt::Debug for SimCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimCache").field("forgetful", &self.forgetful).finish_non_exhaustive()
    }
}
