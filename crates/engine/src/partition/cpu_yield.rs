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
const PIECES: u32 = 32;

/// Whether the flush is late, or a merge without which there will be no flush.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    late: AtomicBool,
    bell: Notify,
}

impl Lateness {
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// More waits than can wait.
    pub(crate) fn set(&self) {
        if !self.late.swap(true, Ordering::Relaxed) {
            self.bell.notify_waiters();
        }
    }

    /// What waits can wait.
    pub(crate) fn clear(&self) {
        self.late.store(false, Ordering::Relaxed);
    }

    /// Completes when the flush is late.
    pub(crate) async fn wait(&self) {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.is_late() {
                return;
            }
            rung.await;
        }
    }

    /// Called by a thread that serves clients, before it takes records and while it holds nothing.
    pub(crate) fn let_flush_go_first(&self) {
        if self.is_late() {
            thread::yield_now();
        }
    }
}

/// Counts pieces of work, and offers the processor from time to time.
pub(crate) struct Courtesy {
    lateness: Arc<Lateness>,
    /// Whether there was time when the work began.
    has_time: bool,
    pieces: u32,
}

impl Courtesy {
    pub(crate) fn new(lateness: &Arc<Lateness>, has_time: bool) -> Self {
        Self { lateness: Arc::clone(lateness), has_time, pieces: 0 }
    }

    /// A piece of work is done.
    pub(crate) fn piece_done(&mut self) {
        self.pieces += 1;
        if self.pieces.is_multiple_of(PIECES) {
            self.offer();
        }
    }

    /// As much work is done as offers are apart.
    pub(crate) fn offer(&self) {
        if self.has_time && !self.lateness.is_late() {
            thread::yield_now();
        }
    }
}
