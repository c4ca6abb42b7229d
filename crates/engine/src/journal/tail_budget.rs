//! The memory that tails take, together, and who has to give some up.
//!
//! Committed batches stay in memory in the order in which they were committed, until the cap is
//! reached; then the oldest go first. A batch that the bucket holds is dropped; one that it does
//! not is read from the write-ahead log from then on. So a bucket that is out of reach fills the
//! disk, not the memory.

use crate::partition::led::Partition;
use esker_plog::BatchLocation;
use esker_types::{LongQueue, Offset};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The tails' memory.
pub(crate) struct TailBudget {
    cap: usize,
    queue: Mutex<HeldBatches>,
}

#[derive(Default)]
struct HeldBatches {
    batches: LongQueue<HeldBatch>,
    bytes: usize,
}

struct HeldBatch {
    partition: Weak<Partition>,
    base: Offset,
    end: Offset,
    bytes: usize,
    location: BatchLocation,
}

impl TailBudget {
    pub(crate) fn new(cap: usize) -> Self {
        Self { cap, queue: Mutex::default() }
    }

    /// A committed batch is in memory; `location` says where the log has it.
    pub(crate) fn hold(
        &self,
        partition: &Arc<Partition>,
        (base, end): (Offset, Offset),
        bytes: usize,
        location: BatchLocation,
    ) {
        let mut queue = self.queue.lock();
        queue.bytes += bytes;
        let partition = Arc::downgrade(partition);
        queue.batches.push_back(HeldBatch { partition, base, end, bytes, location });
        while queue.bytes > self.cap {
            let Some(oldest) = queue.batches.pop_front() else { break };
            queue.bytes -= oldest.bytes;
            if let Some(partition) = oldest.partition.upgrade() {
                let mut inner = partition.lock();
                inner.log.move_to_journal(oldest.base, oldest.location);
                inner.log.drop_tail_below(oldest.end);
            }
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}
