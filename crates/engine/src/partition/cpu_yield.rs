//! Who yields the processor to whom: background work to clients while there is time, clients to a
//! flush that is behind.
//!
//! A kernel lets a thread that has begun run for some milliseconds, whoever wakes meanwhile. On a
//! machine with as many threads as processors a commit of a fraction of a millisecond would wait
//! that long for a flush, again and again until it is done. So flush and merge yield their
//! processor whenever they have done a little; where nobody wants it that costs next to nothing.
//!
//! The other way round, a flush that clients keep from running falls behind. What it has to flush
//! then leaves the memory and must be read back from the log, which costs more again: on a machine
//! without room to spare it would never catch up. So a flush that is behind yields nothing, and
//! whoever takes records yields to it. Where the bucket is what is slow the flush wants no
//! processor, and nobody is held up.

use esker_env::Spawner;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Steps of a microsecond or two between two yields.
const STEPS_PER_YIELD: u32 = 32;

/// Whether the flush is behind, or a merge without which there will be no flush.
pub(crate) struct FlushPressure {
    spawner: Arc<dyn Spawner>,
    behind: AtomicBool,
    rises: Notify,
}

impl FlushPressure {
    pub(crate) fn new(spawner: &Arc<dyn Spawner>) -> Arc<Self> {
        let (behind, rises) = (AtomicBool::new(false), Notify::new());
        Arc::new(Self { spawner: Arc::clone(spawner), behind, rises })
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// More waits than can wait.
    pub(crate) fn raise(&self) {
        if !self.behind.swap(true, Ordering::Relaxed) {
            self.rises.notify_waiters();
        }
    }

    /// What waits can wait.
    pub(crate) fn clear(&self) {
        self.behind.store(false, Ordering::Relaxed);
    }

    /// Completes when the flush is behind.
    pub(crate) async fn raised(&self) {
        loop {
            let mut raised = std::pin::pin!(self.rises.notified());
            raised.as_mut().enable();
            if self.is_behind() {
                return;
            }
            raised.await;
        }
    }

    /// Called by a thread that serves clients, before it takes records and while it holds nothing.
    pub(crate) fn yield_to_flush(&self) {
        if self.is_behind() {
            self.spawner.yield_cpu();
        }
    }
}

/// Counts steps of background work, and yields the processor from time to time.
pub(crate) struct CpuYield {
    flush_pressure: Arc<FlushPressure>,
    /// Whether there was time when the work began.
    has_time: bool,
    steps: u32,
}

impl CpuYield {
    pub(crate) fn new(flush_pressure: &Arc<FlushPressure>, has_time: bool) -> Self {
        Self { flush_pressure: Arc::clone(flush_pressure), has_time, steps: 0 }
    }

    /// A step is done.
    pub(crate) fn step_done(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_YIELD) {
            self.yield_now();
        }
    }

    /// As many steps are done as yields are apart.
    pub(crate) fn yield_now(&self) {
        if self.has_time && !self.flush_pressure.is_behind() {
            self.flush_pressure.spawner.yield_cpu();
        }
    }
}
