//! Waiting for durability and for data: what a parked request holds.

use crate::partition::shard_wakers::Wakeup;
use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::task::{Context, Poll};

/// One produce request that waits until everything it appended is committed.
#[derive(Debug)]
pub struct Ack {
    /// Appends that are not committed, and one more until [`Ack::arm`].
    pending: AtomicU32,
    failed: AtomicBool,
    waker: AtomicWaker,
    /// Where the one who waits runs.
    shard: Option<usize>,
}

impl Ack {
    /// An ack that nothing is pending on yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_shard(None)
    }

    /// As [`Ack::new`], for a request of a task on `shard`: it is woken together with the shard's
    /// others.
    #[must_use]
    pub fn on_shard(shard: usize) -> Arc<Self> {
        Self::with_shard(Some(shard))
    }

    fn with_shard(shard: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            pending: AtomicU32::new(1),
            failed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            shard,
        })
    }

    /// Adds an append to wait for.
    pub(crate) fn expect(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// Every append has been added.
    pub fn arm(&self) {
        self.settle(true);
    }

    /// An append is committed, or never will be: wakes who waits when it was the last.
    pub(crate) fn settle(&self, committed: bool) {
        if let Some((_, waker)) = self.settled(committed) {
            waker.wake();
        }
    }

    /// As [`Ack::settle`], but leaves the waking to the caller.
    pub(crate) fn settled(&self, committed: bool) -> Option<Wakeup> {
        if !committed {
            self.failed.store(true, Ordering::Relaxed);
        }
        let last = self.pending.fetch_sub(1, Ordering::AcqRel) == 1;
        let waker = if last { self.waker.take() } else { None };
        waker.map(|waker| (self.shard, waker))
    }

    /// Whether the wait is over: `Some(true)` when everything is committed, `Some(false)` when the
    /// journal failed.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        let over = self.pending.load(Ordering::Acquire) == 0;
        over.then(|| !self.failed.load(Ordering::Relaxed))
    }

    /// Completes with [`Ack::outcome`].
    pub fn wait(self: &Arc<Self>) -> AckWait {
        AckWait(Arc::clone(self))
    }
}

/// The wait for an [`Ack`].
#[derive(Debug)]
pub struct AckWait(Arc<Ack>);

impl Future for AckWait {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if let Some(outcome) = self.0.outcome() {
            return Poll::Ready(outcome);
        }
        self.0.waker.register(context.waker());
        self.0.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A fetch that waits until enough bytes have become visible in any of its partitions.
#[derive(Debug)]
pub struct DataWaiter {
    wanted: AtomicI64,
    waker: AtomicWaker,
    /// Where the one who waits runs.
    shard: Option<usize>,
}

impl DataWaiter {
    /// Waits for `bytes` more bytes, for a request of a task on `shard`.
    #[must_use]
    pub fn new(bytes: usize, shard: Option<usize>) -> Arc<Self> {
        let wanted = AtomicI64::new(i64::try_from(bytes).unwrap_or(i64::MAX));
        Arc::new(Self { wanted, waker: AtomicWaker::new(), shard })
    }

    /// `bytes` have become visible: whom to wake, when they were the last that were wanted.
    pub(crate) fn arrived(&self, bytes: usize) -> Option<Wakeup> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let before = self.wanted.fetch_sub(bytes, Ordering::AcqRel);
        let enough = before > 0 && before <= bytes;
        let waker = if enough { self.waker.take() } else { None };
        waker.map(|waker| (self.shard, waker))
    }

    /// Ends the wait whatever has arrived: the partition is gone, or its leader.
    pub(crate) fn interrupt(&self) {
        self.wanted.store(0, Ordering::Release);
        self.waker.wake();
    }

    fn is_over(&self) -> bool {
        self.wanted.load(Ordering::Acquire) <= 0
    }

    /// Completes when enough has arrived.
    pub fn wait(self: &Arc<Self>) -> DataWait {
        DataWait(Arc::clone(self))
    }
}

/// The wait of a [`DataWaiter`].
#[derive(Debug)]
pub struct DataWait(Arc<DataWaiter>);

impl Future for DataWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.is_over() {
            return Poll::Ready(());
        }
        self.0.waker.register(context.waker());
        if self.0.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}
