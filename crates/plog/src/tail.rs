//! The newest batches of a partition: all that are not in committed objects, and some that are.

use bytes::Bytes;
use esker_types::{JournalId, LeaderEpoch, LongQueue, Offset, Seq, Timestamp};

/// A batch in the tail.
#[derive(Debug, Clone)]
pub struct TailBatch {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset after its last record.
    pub end: Offset,
    /// Its largest timestamp, by its header.
    pub max_timestamp: Timestamp,
    /// From when it ages: its largest timestamp where that is proved, else when it was taken.
    pub ages_from: Timestamp,
    /// The leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Length in bytes.
    pub len: u32,
    /// Where its bytes are.
    pub location: BatchLocation,
}

impl TailBatch {
    /// Its bytes, if they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.location {
            BatchLocation::Memory(bytes) => Some(bytes),
            BatchLocation::Journal { .. } => None,
        }
    }
}

/// Where a batch's bytes are.
#[derive(Debug, Clone)]
pub enum BatchLocation {
    /// Here.
    Memory(Bytes),
    /// In the write-ahead log: the memory was needed, or the process has restarted since.
    Journal {
        /// The journal.
        journal: JournalId,
        /// The bundle.
        seq: Seq,
        /// Which frame of the bundle.
        frame: u32,
    },
}

/// Batches at the front that are looked at before the tail is searched.
const NEAR: usize = 2;

/// A queue of contiguous batches.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: LongQueue<TailBatch>,
}

impl Tail {
    pub(crate) fn push(&mut self, batch: TailBatch) {
        if let Some(last) = self.batches.back() {
            assert!(
                last.end == batch.base,
                "batch at {} after one that ends at {}",
                batch.base,
                last.end
            );
        }
        self.batches.push_back(batch);
    }

    /// First offset in the tail.
    pub(crate) fn start(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base)
    }

    /// Place of the batch that holds `offset`, or of the first one after it.
    pub(crate) fn find(&self, offset: Offset) -> usize {
        self.batches.partition_point(|batch| batch.end <= offset)
    }

    pub(crate) fn from(&self, place: usize) -> impl Iterator<Item = &TailBatch> {
        self.batches.iter_from(place)
    }

    /// The batch that begins at `base`. Near the front it is found at once: memory is taken back from the oldest first.
    pub(crate) fn get_mut(&mut self, base: Offset) -> Option<&mut TailBatch> {
        let near = self.batches.iter().take(NEAR).position(|batch| batch.base == base);
        let place = near.unwrap_or_else(|| self.find(base));
        self.batches.get_mut(place).filter(|batch| batch.base == base)
    }

    /// Drops batches from the front that end at or before `offset`.
    pub(crate) fn drop_below(&mut self, offset: Offset) {
        while self.batches.front().is_some_and(|batch| batch.end <= offset) {
            self.batches.pop_front();
        }
        // An idle partition should not remember how busy it was.
        self.batches.shrink_if_empty();
    }

    /// Drops batches from the front that are not in memory and end at or before `offset`.
    pub(crate) fn drop_journalled_below(&mut self, offset: Offset) {
        while self.batches.front().is_some_and(|batch| {
            batch.end <= offset && matches!(batch.location, BatchLocation::Journal { .. })
        }) {
            self.batches.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }
}
