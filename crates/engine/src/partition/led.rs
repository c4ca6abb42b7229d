//! A partition that this broker leads.

use crate::partition::ack::{Ack, DataWaiter};
use crate::partition::cpu_yield::CpuYield;
use crate::partition::settings::TopicSettings;
use crate::partition::shard_wakers::Wakeup;
use arc_swap::ArcSwap;
use esker_plog::{PartitionLog, Position, TailBatch};
use esker_record::BatchView;
use esker_types::{Offset, PartitionId, PartitionIndex, TopicId, TopicName};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Batches that are copied out under one lock: a flush may want ten thousands, and appends wait for
/// the lock, too.
const BATCHES_AT_ONCE: usize = 128;

/// A partition that this broker leads. One lock guards its log; whoever holds it may take a
/// journal's lock, never the other way round.
#[derive(Debug)]
pub struct Partition {
    /// Its id.
    pub id: PartitionId,
    /// Its topic.
    pub topic: TopicId,
    /// Its topic's name.
    pub name: TopicName,
    /// Its number in the topic.
    pub index: PartitionIndex,
    /// Its topic's settings, replaced when they change.
    pub settings: ArcSwap<TopicSettings>,
    /// Damage in the bucket keeps its extents from becoming fewer: it takes no more records.
    extent_limit_reached: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) log: PartitionLog,
    /// Appends that wait for the high watermark to reach an offset, ascending.
    acks: VecDeque<(Offset, Arc<Ack>)>,
    /// Fetches that wait for data.
    waiters: Vec<Arc<DataWaiter>>,
    /// Set when the partition is deleted or led elsewhere; appends are refused from then on.
    closed: bool,
    /// Set while the partition is given away; appends are refused meanwhile.
    frozen: bool,
}

impl Partition {
    pub(crate) fn new(
        id: PartitionId,
        topic: TopicId,
        name: TopicName,
        index: PartitionIndex,
        settings: Arc<TopicSettings>,
        log: PartitionLog,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            topic,
            name,
            index,
            settings: ArcSwap::new(settings),
            extent_limit_reached: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                log,
                acks: VecDeque::new(),
                waiters: Vec::new(),
                closed: false,
                frozen: false,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    pub(crate) fn is_at_extent_limit(&self) -> bool {
        self.extent_limit_reached.load(Ordering::Relaxed)
    }

    /// Answers what it was before.
    pub(crate) fn set_extent_limit(&self, reached: bool) -> bool {
        self.extent_limit_reached.swap(reached, Ordering::Relaxed)
    }

    /// The visible batches from `tiered_end` on that end at `end` at the latest. The tail forgets
    /// none of them before a flush has moved the tiered end: a flush asks, and there is one at a
    /// time.
    pub(crate) fn unflushed(
        &self,
        tiered_end: Offset,
        end: Offset,
        cpu: &CpuYield,
    ) -> Vec<TailBatch> {
        let mut batches: Vec<TailBatch> = Vec::new();
        loop {
            batches.reserve(BATCHES_AT_ONCE);
            let before = batches.len();
            let next = batches.last().map_or(tiered_end, |last| last.end);
            let inner = self.lock();
            let wanted = inner.log.tail_from(next).take_while(|batch| batch.end <= end);
            batches.extend(wanted.take(BATCHES_AT_ONCE).cloned());
            MutexGuard::unlock_fair(inner);
            if batches.len() < before + BATCHES_AT_ONCE {
                return batches;
            }
            cpu.yield_now();
        }
    }

    /// The offsets.
    #[must_use]
    pub fn position(&self) -> Position {
        self.inner.lock().log.position()
    }

    /// Bytes of the partition, whose row is `row`: in the bucket and beyond.
    pub(crate) fn bytes(&self, row: &esker_meta::Partition) -> u64 {
        let inner = self.lock();
        let tail: u64 = inner.log.tail_from(row.tiered_end).map(|batch| u64::from(batch.len)).sum();
        row.tiered_bytes() + tail
    }

    /// Notes that a validated batch was refused for a reason that passes: what its producer has
    /// sent behind it is out of order until it comes again.
    pub fn refuse(&self, batch: &BatchView<'_>) {
        if batch.has_producer_id() {
            self.lock().log.refuse(batch);
        }
    }

    /// Wakes `waiter` when data becomes visible here, or at once when there is some beyond `from`.
    pub fn watch(&self, waiter: &Arc<DataWaiter>, from: Offset) {
        let mut inner = self.inner.lock();
        let there = inner.log.available_bytes(from, usize::MAX);
        if there > 0
            && let Some((_, waker)) = waiter.arrived(there)
        {
            waker.wake();
        }
        inner.waiters.push(Arc::clone(waiter));
    }

    /// Forgets `waiter`.
    pub fn unwatch(&self, waiter: &Arc<DataWaiter>) {
        self.inner.lock().waiters.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// Everything below `end` is committed: shows it, settles acks, and adds to `wakeups` who is to
    /// be woken.
    pub(crate) fn committed(&self, end: Offset, bytes: usize, wakeups: &mut Vec<Wakeup>) {
        let mut inner = self.inner.lock();
        let before = inner.log.position().high_watermark;
        if inner.closed || !inner.log.advance_high_watermark(end.max(before)) {
            return;
        }
        while inner.acks.front().is_some_and(|(wanted, _)| *wanted <= end) {
            if let Some((_, ack)) = inner.acks.pop_front() {
                wakeups.extend(ack.settled(true));
            }
        }
        for waiter in &inner.waiters {
            wakeups.extend(waiter.arrived(bytes));
        }
    }

    /// Nothing that waits here will ever be committed.
    pub(crate) fn fail_pending(&self) {
        let mut inner = self.inner.lock();
        for (_, ack) in inner.acks.drain(..) {
            ack.settle(false);
        }
    }

    /// The partition is deleted or led elsewhere.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.fail_pending();
        for waiter in self.inner.lock().waiters.drain(..) {
            waiter.interrupt();
        }
    }
}

impl Inner {
    /// Whether it takes records.
    pub(crate) fn takes_records(&self) -> bool {
        !self.closed && !self.frozen
    }

    pub(crate) fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Settles `ack` when the high watermark reaches `end`.
    pub(crate) fn acknowledge_at(&mut self, end: Offset, ack: &Arc<Ack>) {
        ack.expect();
        if self.log.position().high_watermark >= end {
            ack.settle(true);
            return;
        }
        // Repeats of earlier batches wait for offsets that are not the largest.
        let place = self.acks.partition_point(|(wanted, _)| *wanted <= end);
        self.acks.insert(place, (end, Arc::clone(ack)));
    }
}
