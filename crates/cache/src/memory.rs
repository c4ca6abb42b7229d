//! A chunk cache in memory, the same for the same calls. What readers have gone past goes out first, the longest unused
//! first; then the rest, likewise.

use crate::chunk::{CacheStats, ChunkCache, ChunkKey};
use bytes::Bytes;
use esker_env::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A chunk cache in memory.
#[derive(Debug)]
pub struct MemoryCache {
    bytes_max: usize,
    state: Mutex<StoredChunks>,
}

#[derive(Debug, Default)]
struct StoredChunks {
    chunks: BTreeMap<ChunkKey, (Turn, Bytes)>,
    /// Keys in the order in which they go.
    order: BTreeMap<Turn, ChunkKey>,
    turn: u64,
    bytes: usize,
    closed: bool,
    stats: CacheStats,
}

/// When a chunk goes: those ahead of their readers last, the longest unused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_ahead: bool,
    used: u64,
}

impl StoredChunks {
    fn get(&mut self, key: &ChunkKey) -> Option<Bytes> {
        let is_ahead = self.chunks.get(key)?.0.is_ahead;
        self.use_now(key, is_ahead)
    }

    fn use_now(&mut self, key: &ChunkKey, is_ahead: bool) -> Option<Bytes> {
        let (turn, chunk) = self.chunks.get_mut(key)?;
        self.order.remove(turn);
        self.turn += 1;
        *turn = Turn { is_ahead, used: self.turn };
        self.order.insert(*turn, *key);
        Some(chunk.clone())
    }

    fn remove(&mut self, key: &ChunkKey) {
        if let Some((turn, chunk)) = self.chunks.remove(key) {
            self.order.remove(&turn);
            self.bytes -= chunk.len();
        }
    }
}

impl MemoryCache {
    /// A cache of at most `bytes_max` bytes of chunks.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Takes all chunks out, in the order in which they would go.
    #[must_use]
    pub fn drain(&self) -> Vec<(ChunkKey, Bytes)> {
        let mut state = self.state.lock();
        let keys = std::mem::take(&mut state.order);
        state.bytes = 0;
        keys.into_values()
            .map(|key| (key, state.chunks.remove(&key).expect("an ordered chunk is there").1))
            .collect()
    }
}

impl ChunkCache for MemoryCache {
    fn peek(&self, key: &ChunkKey) -> Option<Bytes> {
        let mut state = self.state.lock();
        let found = state.get(key);
        if found.is_some() {
            state.stats.hits_memory += 1;
        }
        found
    }

    fn holds(&self, key: &ChunkKey) -> bool {
        self.state.lock().chunks.contains_key(key)
    }

    fn memory_bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn get<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let found = self.peek(key);
            if found.is_none() {
                self.state.lock().stats.misses += 1;
            }
            found
        })
    }

    fn insert(&self, key: ChunkKey, chunk: Bytes) {
        let mut state = self.state.lock();
        if state.closed || chunk.len() > self.bytes_max {
            state.stats.dropped += 1;
            return;
        }
        state.remove(&key);
        state.turn += 1;
        let turn = Turn { is_ahead: true, used: state.turn };
        state.bytes += chunk.len();
        state.order.insert(turn, key);
        state.chunks.insert(key, (turn, chunk));
        state.stats.inserted += 1;
        while state.bytes > self.bytes_max {
            let (_, oldest) = state.order.pop_first().expect("bytes belong to a chunk");
            let (_, chunk) = state.chunks.remove(&oldest).expect("an ordered chunk is there");
            state.bytes -= chunk.len();
        }
    }

    fn pass(&self, key: &ChunkKey) {
        self.state.lock().use_now(key, false);
    }

    fn forget(&self, key: &ChunkKey) {
        self.state.lock().remove(key);
    }

    fn clear(&self) -> BoxFuture<'_, ()> {
        drop(self.drain());
        Box::pin(std::future::ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.state.lock().closed = true;
        Box::pin(std::future::ready(()))
    }

    fn stats(&self) -> CacheStats {
        let state = self.state.lock();
        CacheStats { memory_bytes: state.bytes as u64, ..state.stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::ObjectKey;
    use esker_types::ObjectId;
    use futures_util::FutureExt;

    fn key(chunk: u32) -> ChunkKey {
        ChunkKey::first(ObjectId(1), &ObjectKey::new("d/1")).at(chunk)
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = MemoryCache::new(30);
        for chunk in 0..3 {
            cache.insert(key(chunk), Bytes::from(vec![0; 10]));
        }
        assert!(cache.peek(&key(0)).is_some());
        cache.insert(key(3), Bytes::from(vec![0; 10]));
        let left: Vec<_> = (0..4).filter(|&chunk| cache.peek(&key(chunk)).is_some()).collect();
        assert_eq!(left, [0, 2, 3]);
        // Replacing a chunk does not count it twice; one that never fits is left out.
        cache.insert(key(3), Bytes::from(vec![0; 10]));
        cache.insert(key(4), Bytes::from(vec![0; 31]));
        let stats = cache.stats();
        assert_eq!((stats.memory_bytes, stats.inserted, stats.dropped), (30, 5, 1));
        cache.clear().now_or_never().unwrap();
        assert!(cache.get(&key(0)).now_or_never().unwrap().is_none());
        assert_eq!((cache.stats().memory_bytes, cache.stats().misses), (0, 1));
    }

    #[test]
    fn what_readers_have_passed_goes_before_what_they_come_to() {
        let cache = MemoryCache::new(40);
        for chunk in 0..4 {
            cache.insert(key(chunk), Bytes::from(vec![0; 10]));
        }
        cache.pass(&key(2));
        cache.pass(&key(1));
        // Used again it is still behind its readers.
        assert!(cache.peek(&key(2)).is_some());
        for (chunk, left) in [(4, [0, 2, 3, 4]), (5, [0, 3, 4, 5]), (6, [3, 4, 5, 6])] {
            cache.insert(key(chunk), Bytes::from(vec![0; 10]));
            let held: Vec<_> = (0..7).filter(|&chunk| cache.holds(&key(chunk))).collect();
            assert_eq!(held, left);
        }
    }

    #[test]
    fn what_is_forgotten_is_gone_and_its_memory_is_free() {
        let cache = MemoryCache::new(20);
        cache.insert(key(0), Bytes::from(vec![0; 10]));
        cache.insert(key(1), Bytes::from(vec![0; 10]));
        cache.forget(&key(0));
        assert!(!cache.holds(&key(0)) && cache.holds(&key(1)));
        assert_eq!(cache.stats().memory_bytes, 10);
        cache.insert(key(2), Bytes::from(vec![0; 10]));
        assert!(cache.holds(&key(1)) && cache.holds(&key(2)));
    }

    #[test]
    fn keys_differ_by_object_and_by_incarnation() {
        let other = ChunkKey::first(ObjectId(1), &ObjectKey::new("d/1-2"));
        assert_ne!(key(0), other);
        assert_eq!(key(0), ChunkKey { object: ObjectId(1), variant: 0x1906_dc7f, chunk: 0 });
    }
}
