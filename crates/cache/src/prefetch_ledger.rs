//! What was fetched ahead and not read yet: no more than the cache still holds when its reader comes.
//!
//! A reader may have as much ahead as was left for all: so one alone gets half of the room, and of many each the same
//! share, without anybody counting them.

use crate::chunk::{CHUNK_BYTES, ChunkKey};
use esker_types::MonoTime;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Whoever has not come for a chunk by then reads slowly, or has gone: it keeps no room from others any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells readers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReaderId(pub(crate) u64);

/// Chunks that were fetched ahead of their readers.
#[derive(Debug)]
pub(crate) struct PrefetchLedger {
    chunks_max: usize,
    state: Mutex<LedgerEntries>,
}

#[derive(Debug, Default)]
struct LedgerEntries {
    chunks: HashMap<ChunkKey, u64>,
    /// In the order in which they were asked for.
    order: BTreeMap<u64, (ChunkKey, ReaderId, MonoTime)>,
    /// Chunks of each reader.
    readers: HashMap<ReaderId, usize>,
    turn: u64,
}

impl LedgerEntries {
    fn remove(&mut self, key: &ChunkKey) -> bool {
        let Some(turn) = self.chunks.remove(key) else { return false };
        let (_, reader, _) = self.order.remove(&turn).expect("a chunk has a turn");
        let count = self.readers.get_mut(&reader).expect("its reader is counted");
        *count -= 1;
        if *count == 0 {
            self.readers.remove(&reader);
        }
        true
    }
}

impl PrefetchLedger {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let chunks_max = usize::try_from(bytes_max / CHUNK_BYTES).unwrap_or(usize::MAX);
        Self { chunks_max, state: Mutex::default() }
    }

    /// How many of `wanted` chunks may be fetched ahead for a reader now. One that has nothing ahead is given less than
    /// it wants; one that has something waits until it gets all of it, so that requests stay large.
    pub(crate) fn grant(&self, reader: ReaderId, wanted: usize, now: MonoTime) -> usize {
        let mut state = self.state.lock();
        while let Some((_, (key, _, since))) = state.order.first_key_value() {
            if now.since(*since) < PATIENCE {
                break;
            }
            let key = *key;
            state.remove(&key);
        }
        let own = state.readers.get(&reader).copied().unwrap_or_default();
        let free = self.chunks_max - state.chunks.len();
        match own + wanted <= free {
            true => wanted,
            // Whoever comes after it finds something, too.
            false if own == 0 => free / 2,
            false => 0,
        }
    }

    /// A chunk is fetched ahead.
    pub(crate) fn add(&self, reader: ReaderId, key: ChunkKey, now: MonoTime) {
        let mut state = self.state.lock();
        state.remove(&key);
        state.turn += 1;
        let turn = state.turn;
        state.order.insert(turn, (key, reader, now));
        state.chunks.insert(key, turn);
        *state.readers.entry(reader).or_default() += 1;
    }

    /// A chunk is read, or did not come; says whether it had been fetched ahead.
    pub(crate) fn take(&self, key: &ChunkKey) -> bool {
        self.state.lock().remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::ObjectKey;
    use esker_types::ObjectId;

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default().plus(Duration::from_secs(seconds))
    }

    fn key(chunk: u32) -> ChunkKey {
        ChunkKey::first(ObjectId(1), &ObjectKey::new("d/1")).at(chunk)
    }

    #[test]
    fn readers_share_the_room_and_none_starves() {
        let unread = PrefetchLedger::new(64 * CHUNK_BYTES);
        let mut next = 0;
        let mut fetch = |reader: u64, wanted: usize| {
            let reader = ReaderId(reader);
            let granted = unread.grant(reader, wanted, at(0));
            for _ in 0..granted {
                unread.add(reader, key(next), at(0));
                next += 1;
            }
            granted
        };
        // One alone gets half.
        assert_eq!((fetch(0, 16), fetch(0, 16), fetch(0, 16)), (16, 16, 0));
        // Those who come later get all they want while there is room, then half of what is left; whoever has
        // something waits for a whole step.
        let later: Vec<_> = (1..8).map(|reader| fetch(reader, 9)).collect();
        assert_eq!(later, [9, 9, 9, 2, 1, 1, 0]);
        assert_eq!((fetch(4, 1), fetch(5, 8)), (0, 0));
        // What is read makes room.
        assert!((0..16).all(|chunk| unread.take(&key(chunk))) && !unread.take(&key(0)));
        assert_eq!((fetch(1, 9), fetch(7, 8)), (0, 8));
    }

    #[test]
    fn what_nobody_comes_for_keeps_no_room() {
        let unread = PrefetchLedger::new(8 * CHUNK_BYTES);
        for chunk in 0..4 {
            unread.add(ReaderId(chunk.into()), key(chunk), at(chunk.into()));
        }
        assert_eq!(unread.grant(ReaderId(9), 8, at(1)), 2);
        assert_eq!(unread.grant(ReaderId(9), 8, at(3)), 3);
        assert!(!unread.take(&key(0)) && unread.take(&key(3)));
        assert_eq!(unread.grant(ReaderId(9), 8, at(9)), 8);
    }
}
