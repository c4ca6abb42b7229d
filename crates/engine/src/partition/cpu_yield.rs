//! Who lets whom go first: the background the clients, while there is time; the clients the background, when it is late.
//!
//! A kernel lets a thread that has begun run for some milliseconds, whoever wakes meanwhile. On a machine with as many
//! threads as processors a commit of a fraction of a millisecond would wait that long for a flush, again and again until it
//! is done. So flush and merge offer their processor whenever they have done a little; where nobody wants it that costs next to
//! nothing.
//!
//! The other way round, a flush that clients keep from running falls behind. What it has to flush then leaves the memory and must be
//! read back from the log, which costs more again: on a machine without room to spare it would never catch up. So
//! once it is late it offers nothing, and whoever takes records offers the processor to it. Where the bucket is what is slow
//! the flush wants no processor, and nobody is held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::Notify;

/// Pieces of a microsecond or two between offers.
const STEPS_PER_YIELD: u32 = 32;

/// Whether the flush is late, or a merge without which there will be no flush.
#[derive(Debug, Default)]
pub(crate) struct FlushPressure {
    behind: AtomicBool,
    bell: Notify,
}

impl FlushPressure {
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// More waits than can wait.
    pub(crate) fn raise(&self) {
        if !self.behind.swap(true, Ordering::Relaxed) {
            self.bell.notify_waiters();
        }
    }

    /// What waits can wait.
    pub(crate) fn clear(&self) {
        self.behind.store(false, Ordering::Relaxed);
    }

    /// Completes when the flush is late.
    pub(crate) async fn raised(&self) {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.is_behind() {
                return;
            }
            rung.await;
        }
    }

    /// Called by a thread that serves clients, before it takes records and while it holds nothing.
    pub(crate) fn yield_to_flush(&self) {
        if self.is_behind() {
            thread::yield_now();
        }
    }
}

/// Counts pieces of work, and offers the processor from time to time.
pub(crate) struct CpuYield {
    flush_pressure: Arc<FlushPressure>,
    /// Whether there was time when the work began.
    has_time: bool,
    pieces: u32,
}

impl CpuYield {
    pub(crate) fn new(flush_pressure: &Arc<FlushPressure>, has_time: bool) -> Self {
        Self { flush_pressure: Arc::clone(flush_pressure), has_time, pieces: 0 }
    }

    /// A piece of work is done.
    pub(crate) fn step_done(&mut self) {
        self.pieces += 1;
        if self.pieces.is_multiple_of(STEPS_PER_YIELD) {
            self.yield_now();
        }
    }

    /// As much work is done as offers are apart.
    pub(crate) fn yield_now(&self) {
        if self.has_time && !self.flush_pressure.is_behind() {
            thread::yield_now();
        }
    }
}
