//! A chunk cache that forgets at random, as a cache on a disk does that is busy, full or restarted; and whose chunks rot.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::trace::Trace;
use bytes::Bytes;
use esker_cache::{CacheStats, ChunkCache, ChunkKey, MemoryCache};
use esker_env::{BoxFuture, Entropy};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is wrong with a cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheFaults {
    /// Percent of chunks that are not taken in, and of looks that find nothing.
    pub forgetful: u64,
    /// Percent of chunks that are damaged when they are taken in, each once.
    pub rotting: u64,
    /// Planted: answers with what another object left, and does not let itself be told.
    pub mistaken: bool,
}

/// A cache that drops some of what it is given and forgets some of what it has.
pub struct SimCache {
    kept: MemoryCache,
    trace: Arc<Trace>,
    entropy: SimEntropy,
    /// Percent of chunks that are not taken in, and of looks that find nothing.
    forgetful: u64,
    /// Percent of chunks that are damaged when they are taken in, each once.
    rotting: u64,
    rot: Mutex<Rot>,
    /// Planted: answers with what another object left, and does not let itself be told.
    mistaken: bool,
}

#[derive(Default)]
struct Rot {
    /// Chunks that were damaged, and whether they are still there.
    damaged: BTreeMap<ChunkKey, bool>,
    /// What was taken in last.
    last: Bytes,
}

impl Rot {
    /// `chunk` with a bit flipped, or what another one left in its place.
    fn damage(&self, chunk: &Bytes, entropy: &SimEntropy) -> Bytes {
        if self.last.len() >= chunk.len() && entropy.chance(30) {
            return self.last.slice(..chunk.len());
        }
        let mut bytes = chunk.to_vec();
        let place = entropy.below(8 * bytes.len() as u64);
        bytes[usize::try_from(place / 8).expect("within the chunk")] ^= 1 << (place % 8);
        bytes.into()
    }
}

impl SimCache {
    /// A cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(
        bytes_max: usize,
        trace: Arc<Trace>,
        entropy: &SimEntropy,
        CacheFaults { forgetful, rotting, mistaken }: CacheFaults,
    ) -> Self {
        let (entropy, kept) = (entropy.branch("cache"), MemoryCache::new(bytes_max));
        Self { kept, trace, entropy, forgetful, rotting, rot: Mutex::default(), mistaken }
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
            let found = self.kept.peek(&key);
            if found.is_some() && self.rot.lock().damaged.get(&key) == Some(&true) {
                self.trace.count(Effect::RottenChunk);
            }
            return found;
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
            let key = self.key(key);
            let mut rot = self.rot.lock();
            let rots = !rot.damaged.contains_key(&key) && self.entropy.chance(self.rotting);
            let taken = if rots { rot.damage(&chunk, &self.entropy) } else { chunk.clone() };
            if rots {
                rot.damaged.insert(key, true);
            } else if let Some(damaged) = rot.damaged.get_mut(&key) {
                *damaged = false;
            }
            rot.last = chunk;
            self.kept.insert(key, taken);
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
