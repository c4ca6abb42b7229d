//! What the write-ahead log reports, handed on to the journals.

use crate::journal::flush_policy::FlushPolicy;
use crate::journal::owned::OwnedJournal;
use crate::journal::tail_budget::TailBudget;
use crate::partition::cpu_yield::FlushPressure;
use crate::partition::shard_wakers::{ShardWakers, Wakeup};
use esker_env::{Clock, DeviceShare};
use esker_types::{JournalId, Seq};
use esker_wal::{DurableSink, JournalStatus, WalFailure};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The listener at the write-ahead log.
pub(crate) struct DurabilityListener {
    clock: Arc<dyn Clock>,
    tail_budget: Arc<TailBudget>,
    wakers: ShardWakers,
    device: DeviceShare,
    /// Who is to be woken by the commit that is being reported; kept for its memory.
    wakeups: Mutex<Vec<Wakeup>>,
    /// When a flush is due.
    pub(crate) policy: FlushPolicy,
    /// The journals that this process appends to.
    journals: RwLock<Vec<Arc<OwnedJournal>>>,
    /// Notified after every commit that sealed or opened something: recovery waits here.
    pub(crate) changed: Notify,
    /// Notified when a journal's backlog becomes non-empty, reaches `flush_bytes`, or fills.
    pub(crate) backlog: Notify,
    pub(crate) flush_pressure: Arc<FlushPressure>,
    /// What ended the log.
    pub(crate) failure: OnceLock<WalFailure>,
    /// Notified when the log has failed: who waits for that is not to be woken by every commit.
    pub(crate) failed: Notify,
    pub(crate) closed: Notify,
}

impl DurabilityListener {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        tail_budget: Arc<TailBudget>,
        wakers: ShardWakers,
        policy: FlushPolicy,
        flush_pressure: Arc<FlushPressure>,
        device: DeviceShare,
    ) -> Self {
        Self {
            clock,
            tail_budget,
            wakers,
            device,
            wakeups: Mutex::default(),
            policy,
            journals: RwLock::default(),
            changed: Notify::new(),
            backlog: Notify::new(),
            flush_pressure,
            failure: OnceLock::new(),
            failed: Notify::new(),
            closed: Notify::new(),
        }
    }

    pub(crate) fn add(&self, journal: Arc<OwnedJournal>) {
        self.journals.write().push(journal);
    }

    /// Completes when the write-ahead log fails, with the reason.
    pub(crate) async fn failed(&self) -> WalFailure {
        loop {
            let mut failed = std::pin::pin!(self.failed.notified());
            failed.as_mut().enable();
            if let Some(failure) = self.failure.get() {
                return failure.clone();
            }
            failed.await;
        }
    }

    fn journal(&self, id: JournalId) -> Option<Arc<OwnedJournal>> {
        self.journals.read().iter().find(|journal| journal.id == id).cloned()
    }
}

impl DurableSink for DurabilityListener {
    fn durable(&self, batch: &[JournalStatus]) {
        let now = self.clock.now();
        let mut wakeups = self.wakeups.lock();
        for status in batch {
            let Some(journal) = self.journal(status.journal) else { continue };
            let (before, after) = journal.on_durable(
                status.last,
                now,
                &mut wakeups,
                |partition, range, bytes, location| {
                    self.tail_budget.hold(partition, range, bytes, location);
                },
            );
            // A flush waits for size or age: other commits change neither.
            if self.policy.crosses_threshold(before, after) {
                self.backlog.notify_one();
            }
            if self.policy.is_behind(after) {
                self.flush_pressure.raise();
            }
        }
        self.wakers.wake_all(&mut wakeups);
        drop(wakeups);
        self.device.commit_ended();
        self.room();
        self.changed.notify_waiters();
    }

    fn gather(&self) {
        for journal in self.journals.read().iter() {
            if journal.gather() {
                self.backlog.notify_one();
            }
        }
    }

    fn refused(&self, batch: &[(JournalId, Seq)]) {
        for (id, from) in batch {
            if self.journal(*id).is_some_and(|journal| journal.on_refused(*from)) {
                self.backlog.notify_one();
            }
        }
    }

    fn room(&self) {
        for journal in self.journals.read().iter() {
            journal.retry();
        }
    }

    fn failed(&self, failure: &WalFailure) {
        // It fails once: the log's thread ends.
        let _first = self.failure.set(failure.clone());
        for journal in self.journals.read().iter() {
            journal.on_failed();
        }
        self.failed.notify_waiters();
        self.changed.notify_waiters();
    }

    fn closed(&self) {
        self.closed.notify_one();
    }
}
