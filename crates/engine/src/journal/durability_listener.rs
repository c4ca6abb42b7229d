//! What the write-ahead log reports, handed on to the journals.

use crate::journal::flush_policy::FlushPolicy;
use crate::journal::owned::{DurablePoint, OwnedJournal};
use crate::journal::tail_budget::TailBudget;
use crate::partition::cpu_yield::FlushPressure;
use crate::partition::led::Partition;
use crate::partition::shard_wakers::{ShardWakers, Wakeup};
use crate::stores::hosted::HostedJournals;
use crate::stores::link::Told;
use esker_env::{Clock, DeviceShare};
use esker_types::{JournalId, MonoTime, Seq};
use esker_wal::{DurableSink, JournalState, JournalStatus, WalFailure};
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
    /// The log as a store of other brokers' journals; none where there are no others.
    hosted: OnceLock<Arc<HostedJournals>>,
    /// Notified when a store of a journal is lost.
    pub(crate) store_lost: Notify,
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
            hosted: OnceLock::new(),
            store_lost: Notify::new(),
        }
    }

    /// Tells `hosted` of what the log does, too. Once.
    pub(crate) fn hosts(&self, hosted: &Arc<HostedJournals>) {
        assert!(self.hosted.set(Arc::clone(hosted)).is_ok(), "a log is one store");
    }

    /// Another broker's store has told how it stands with a journal of this one.
    pub(crate) fn on_told(
        &self,
        journal: &Arc<OwnedJournal>,
        (id, store): (JournalId, usize),
        told: Told,
    ) {
        match told {
            Told::Sealed => journal.on_sealed(id),
            Told::Lost => self.store_lost.notify_one(),
            Told::Durable(upto) => {
                // One at a time: what is shown is shown in order.
                let mut wakeups = self.wakeups.lock();
                let now = self.clock.now();
                self.show(journal, DurablePoint { journal: id, store, upto }, now, &mut wakeups);
                self.wakers.wake_all(&mut wakeups);
            }
        }
    }

    /// Shows what is acknowledged now.
    fn show(
        &self,
        journal: &OwnedJournal,
        point: DurablePoint,
        now: MonoTime,
        wakeups: &mut Vec<Wakeup>,
    ) {
        let remember = |partition: &Arc<Partition>, range, bytes, location| {
            self.tail_budget.hold(partition, range, bytes, location);
        };
        let (before, after) = journal.on_durable(point, now, wakeups, remember);
        // A flush waits for size or age: other commits change neither.
        if self.policy.crosses_threshold(before, after) {
            self.backlog.notify_one();
        }
        if self.policy.is_behind(after) {
            self.flush_pressure.raise();
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
        self.journals.read().iter().find(|journal| journal.id() == id).cloned()
    }
}

impl DurableSink for DurabilityListener {
    fn durable(&self, batch: &[JournalStatus]) {
        let now = self.clock.now();
        let mut wakeups = self.wakeups.lock();
        for status in batch {
            let Some(journal) = self.journal(status.journal) else { continue };
            if status.state == JournalState::Open {
                let point = DurablePoint::own(status.journal, status.last);
                self.show(&journal, point, now, &mut wakeups);
            } else {
                // What a seal has not counted is not acknowledged.
                journal.on_sealed(status.journal);
            }
        }
        self.wakers.wake_all(&mut wakeups);
        drop(wakeups);
        if let Some(hosted) = self.hosted.get() {
            hosted.on_durable(batch);
        }
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
        if let Some(hosted) = self.hosted.get() {
            hosted.on_refused(batch);
        }
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
        if let Some(hosted) = self.hosted.get() {
            hosted.on_failed();
        }
        self.failed.notify_waiters();
        self.changed.notify_waiters();
    }

    fn closed(&self) {
        self.closed.notify_one();
    }
}
