//! The journal that this broker writes: frames in, bundles to the write-ahead log, acknowledgements
//! out.
//!
//! Bundles are closed when the log's thread puts its next commit together, not when the first frame
//! arrives: what arrives during one commit makes the next one, and when the device is idle, what
//! arrives until the log's thread has come to it. No timer, and no commit of one frame that keeps
//! the others waiting for the device.
//!
//! *Order.* Frames are pushed under their partition's lock, so a partition's frames stand in the
//! journal in the order of their offsets. *Failure.* When the log fails, nothing that waits is ever
//! acknowledged, and nothing more is taken.

use crate::journal::uncommitted::Uncommitted;
use crate::partition::cpu_yield::CpuYield;
use crate::partition::led::Partition;
use crate::partition::shard_wakers::Wakeup;
use crate::stores::link::StoreLink;
use bytes::Bytes;
use esker_journal::{Owner, OwnerPhase, Quorum, RollAnswer};
use esker_plog::BatchLocation;
use esker_types::{Crc32c, JournalId, LongQueue, MonoTime, Offset, PartitionId, Seq, TopicId};
use esker_wal::{
    AppendError, BUNDLE_HEADER_BYTES, Bundle, BundleBuilder, FRAME_ENTRY_BYTES, FrameMeta, Wal,
};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// Payload bytes after which another bundle is begun.
const BUNDLE_BYTES: usize = 1 << 20;
/// Bundles on their way to the device.
const IN_FLIGHT_MAX: usize = 4;
/// Bundles that are looked at under one lock: a stretch may have ten thousands, and requests wait
/// for the lock, too.
const BUNDLES_AT_ONCE: usize = 128;

/// Place of this broker's own store in the ensemble.
const OWN_STORE: usize = 0;

/// A journal of this process.
pub(crate) struct OwnedJournal {
    wal: Wal,
    uncommitted: Arc<Uncommitted>,
    state: Mutex<JournalQueues>,
    /// Rings when more is shown or drained.
    progress: Notify,
    /// Held while a range is flushed, and while the journal rolls: what is drained is drained of one of them.
    pub(crate) flushing: tokio::sync::Mutex<()>,
}

struct JournalQueues {
    id: JournalId,
    /// The ways to the other stores.
    links: Vec<Arc<StoreLink>>,
    /// It is about to roll: no more bundles are closed.
    rolling: bool,
    /// Frames for the next bundles; all but the last are full.
    filling: VecDeque<Filling>,
    in_flight: VecDeque<InFlight>,
    /// Committed bundles that the bucket does not hold, oldest first.
    undrained: LongQueue<Committed>,
    undrained_bytes: usize,
    /// Bundles up to here have moved the high watermarks of their partitions. A flush takes no
    /// others: it would find less in the partitions than the bundle holds, and the rest would be
    /// trimmed from the log.
    shown: Seq,
    role: Role,
    /// The device has no room: bundles wait until it has.
    blocked: bool,
    failed: bool,
    /// Somebody waits until everything up to here is drained.
    flush_target: Seq,
}

impl JournalQueues {
    /// Whether the log has nothing of this journal to write: it does not come by itself.
    fn is_log_idle(&self) -> bool {
        match &self.role {
            Role::Owner(owner) => owner.durable(OWN_STORE) == owner.last(),
            Role::Sealed { .. } => true,
        }
    }
}

/// How far an entry's store has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DurablePoint {
    pub(crate) journal: JournalId,
    /// Place of the store in the journal's ensemble.
    pub(crate) store: usize,
    pub(crate) upto: Seq,
}

impl DurablePoint {
    /// What this broker's own log has.
    pub(crate) const fn own(journal: JournalId, upto: Seq) -> Self {
        Self { journal, store: OWN_STORE, upto }
    }
}

/// What this process is to the journal.
enum Role {
    /// It writes it.
    Owner(Owner),
    /// An earlier registration wrote it; everything up to the tail is committed and waits to be
    /// drained.
    Sealed { tail: Seq, drained: Seq },
}

impl Role {
    fn drained(&self) -> Seq {
        match self {
            Self::Owner(owner) => owner.drained(),
            Self::Sealed { drained, .. } => *drained,
        }
    }
}

/// Frames for the next bundle.
#[derive(Default)]
struct Filling {
    builder: BundleBuilder,
    frames: Vec<QueuedFrame>,
    bytes: usize,
}

struct QueuedFrame {
    partition: Arc<Partition>,
    base: Offset,
    end: Offset,
    bytes: usize,
}

struct InFlight {
    bundle: Bundle,
    frames: Vec<QueuedFrame>,
    bytes: usize,
    /// Whether the log has it; `false` while there is no room.
    submitted: bool,
}

/// A committed bundle.
pub(crate) struct Committed {
    pub(crate) seq: Seq,
    pub(crate) bytes: usize,
    pub(crate) at: MonoTime,
    /// The partitions in it and where each one's frames end.
    pub(crate) ends: Vec<(Arc<Partition>, Offset)>,
}

/// A committed stretch of a journal, to be put into objects.
pub(crate) struct JournalRange {
    pub(crate) journal: JournalId,
    /// What is drained already.
    pub(crate) after: Seq,
    /// The last bundle of the range.
    pub(crate) upto: Seq,
    /// The partitions in it and where each one's frames end.
    pub(crate) ends: BTreeMap<PartitionId, (Arc<Partition>, Offset)>,
    pub(crate) bytes: usize,
}

/// What waits to be flushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    pub(crate) bytes: usize,
    pub(crate) oldest: Option<MonoTime>,
    /// What a flush may take.
    pub(crate) shown: Seq,
    pub(crate) drained: Seq,
    /// The log has no room for more.
    pub(crate) blocked: bool,
}

impl OwnedJournal {
    /// A journal of which one store, this broker's own, is enough.
    pub(crate) fn new(id: JournalId, wal: Wal, uncommitted: Arc<Uncommitted>) -> Self {
        let alone = Quorum::new(1, 1).expect("one of one is a quorum");
        Self::replicated(id, wal, uncommitted, alone, Vec::new())
    }

    /// A journal whose other stores are reached over `links`.
    pub(crate) fn replicated(
        id: JournalId,
        wal: Wal,
        uncommitted: Arc<Uncommitted>,
        quorum: Quorum,
        links: Vec<Arc<StoreLink>>,
    ) -> Self {
        Self {
            wal,
            uncommitted,
            state: Mutex::new(JournalQueues {
                id,
                links,
                rolling: false,
                filling: VecDeque::new(),
                in_flight: VecDeque::new(),
                undrained: LongQueue::default(),
                undrained_bytes: 0,
                shown: Seq::NONE,
                role: Role::Owner(Owner::new(quorum)),
                blocked: false,
                failed: false,
                flush_target: Seq::NONE,
            }),
            progress: Notify::new(),
            flushing: tokio::sync::Mutex::new(()),
        }
    }

    /// Its id, which changes when it rolls.
    pub(crate) fn id(&self) -> JournalId {
        self.state.lock().id
    }

    /// The ways to its other stores.
    pub(crate) fn links(&self) -> Vec<Arc<StoreLink>> {
        self.state.lock().links.clone()
    }

    /// A journal of an earlier registration whose tail is fixed: everything in `undrained` is
    /// committed.
    pub(crate) fn sealed(
        id: JournalId,
        wal: &Wal,
        uncommitted: &Arc<Uncommitted>,
        (drained, tail): (Seq, Seq),
        undrained: LongQueue<Committed>,
    ) -> Self {
        let journal = Self::new(id, wal.clone(), Arc::clone(uncommitted));
        {
            let mut state = journal.state.lock();
            state.undrained_bytes = undrained.iter().map(|bundle| bundle.bytes).sum();
            state.undrained = undrained;
            state.shown = tail;
            state.role = Role::Sealed { tail, drained };
        }
        journal
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.state.lock().role, Role::Sealed { .. })
    }

    pub(crate) fn flush_target(&self) -> Seq {
        self.state.lock().flush_target
    }

    /// What is acknowledged and shown, or about to be: in which journal, and up to where.
    pub(crate) fn exposed(&self) -> (JournalId, Seq) {
        let state = self.state.lock();
        let exposed = match &state.role {
            Role::Owner(owner) => owner.exposed().min(owner.durable(OWN_STORE)),
            Role::Sealed { tail, .. } => *tail,
        };
        (state.id, exposed)
    }

    /// Has everything up to `target` flushed without waiting for size or age.
    pub(crate) fn set_flush_target(&self, (id, target): (JournalId, Seq)) {
        let mut state = self.state.lock();
        if state.id == id {
            state.flush_target = state.flush_target.max(target);
        }
    }

    /// Completes when a flush may take everything up to `target`, which is committed, or when the journal has rolled.
    pub(crate) async fn wait_shown(&self, (id, target): (JournalId, Seq)) {
        self.wait_until(|state| state.id != id || state.shown >= target).await;
    }

    /// Completes when everything up to `target` is in committed objects, or when the journal has rolled.
    pub(crate) async fn wait_drained(&self, (id, target): (JournalId, Seq)) {
        self.wait_until(|state| state.id != id || state.role.drained() >= target).await;
    }

    async fn wait_until(&self, reached: impl Fn(&JournalQueues) -> bool) {
        loop {
            let rung = self.progress.notified();
            let mut rung = std::pin::pin!(rung);
            rung.as_mut().enable();
            if reached(&self.state.lock()) {
                return;
            }
            rung.await;
        }
    }

    /// Whether it holds undrained batches of `topic`.
    pub(crate) fn has_unflushed(&self, topic: Option<TopicId>) -> bool {
        let state = self.state.lock();
        state.undrained.iter().any(|bundle| {
            bundle.ends.iter().any(|(partition, _)| topic.is_none_or(|id| partition.topic == id))
        })
    }

    /// Whether nothing will come after what is drained.
    pub(crate) fn is_empty_for_ever(&self) -> bool {
        matches!(self.state.lock().role, Role::Sealed { tail, drained } if drained >= tail)
    }

    /// Longest batch that the log takes.
    pub(crate) fn batch_bytes_max(&self) -> usize {
        self.wal.bundle_bytes_max() - BUNDLE_HEADER_BYTES - FRAME_ENTRY_BYTES
    }

    /// Whether appends are taken. Asked before a batch gets its offset.
    pub(crate) fn accepts(&self) -> Result<(), JournalUnavailable> {
        let state = self.state.lock();
        if state.failed {
            Err(JournalUnavailable::Failed)
        } else if state.blocked {
            Err(JournalUnavailable::Full)
        } else {
            Ok(())
        }
    }

    /// Takes a frame whose checksum is `crc`. Called under the partition's lock, after
    /// [`OwnedJournal::accepts`].
    ///
    /// Answers false when the journal has failed meanwhile: the frame will never be committed.
    pub(crate) fn push(
        &self,
        partition: &Arc<Partition>,
        meta: FrameMeta,
        payload: Bytes,
        crc: Crc32c,
    ) -> bool {
        let mut state = self.state.lock();
        if state.failed {
            return false;
        }
        let bytes = payload.len();
        let is_full = |filling: &Filling| {
            let len = filling.builder.encoded_len() + FRAME_ENTRY_BYTES + bytes;
            filling.bytes + bytes > BUNDLE_BYTES || len > self.wal.bundle_bytes_max()
        };
        if state.filling.back().is_none_or(is_full) {
            state.filling.push_back(Filling::default());
        }
        let filling = state.filling.back_mut().expect("there is one now");
        filling.builder.push_checked(meta, payload, crc, &[]);
        filling.bytes += bytes;
        filling.frames.push(QueuedFrame {
            partition: Arc::clone(partition),
            base: meta.base_offset,
            end: meta.last_offset.next(),
            bytes,
        });
        self.uncommitted.add(bytes);
        if state.is_log_idle() {
            self.wal.ring();
        }
        true
    }

    /// The log's thread puts a commit together: closes bundles and submits them. Whether it found
    /// the log full that was not.
    pub(crate) fn gather(&self) -> bool {
        let state = &mut *self.state.lock();
        if state.failed {
            return false;
        }
        let blocked = state.blocked;
        let mut closed = false;
        let in_flight_max = IN_FLIGHT_MAX * (1 + state.links.len());
        while state.in_flight.len() < in_flight_max && !state.filling.is_empty() && !state.rolling {
            let Role::Owner(owner) = &mut state.role else {
                panic!("append to sealed journal {}", state.id)
            };
            // A journal that has ended gives out no number: what waits is for its successor.
            let Some(seq) = owner.append() else { break };
            let (exposed, drained) = (owner.exposed(), owner.drained());
            let Some(Filling { builder, frames, bytes }) = state.filling.pop_front() else { break };
            let bundle = builder.finish(state.id, seq, exposed, drained);
            state.links.iter().for_each(|link| link.push(&bundle));
            state.in_flight.push_back(InFlight { bundle, frames, bytes, submitted: false });
            closed = true;
        }
        if closed {
            self.submit(state);
        }
        state.blocked && !blocked
    }

    /// Hands bundles to the log, in order, as far as it takes them.
    fn submit(&self, state: &mut JournalQueues) {
        for flying in state.in_flight.iter_mut().filter(|flying| !flying.submitted) {
            match self.wal.append(flying.bundle.clone()) {
                Ok(()) => flying.submitted = true,
                Err(AppendError::Full) => {
                    state.blocked = true;
                    return;
                }
                Err(AppendError::Failed(_) | AppendError::Closed | AppendError::Sealed) => {
                    state.failed = true;
                    return;
                }
                Err(error) => panic!("journal {} cannot append: {error}", state.id),
            }
        }
        state.blocked = false;
    }

    /// Everything up to `upto` is durable in a store: shows what is acknowledged by that to readers and settles acks;
    /// `wakeups` gets who is to be woken. What this broker's own store lacks is not shown, however many others have it: it is
    /// read and flushed from there. Called by one thread at a time.
    /// `remember` is told of every batch that is in memory and where the log has
    /// it. Answers how many bytes wait to be drained, before and after.
    pub(crate) fn on_durable(
        &self,
        point: DurablePoint,
        now: MonoTime,
        wakeups: &mut Vec<Wakeup>,
        mut remember: impl FnMut(&Arc<Partition>, (Offset, Offset), usize, BatchLocation),
    ) -> (usize, usize) {
        let mut committed = Vec::new();
        let undrained_bytes;
        {
            let mut state = self.state.lock();
            let before = state.undrained_bytes;
            let DurablePoint { store, upto, .. } = point;
            if state.id != point.journal {
                // It has rolled meanwhile.
                return (before, before);
            }
            let Role::Owner(owner) = &mut state.role else { return (before, before) };
            if upto > owner.last() {
                tracing::error!(journal = %point.journal, store, %upto, last = %owner.last(), "a store claims what was never sent");
                return (before, before);
            }
            owner.on_durable(store, upto);
            let exposed = owner.exposed().min(owner.durable(OWN_STORE));
            if state.in_flight.front().is_none_or(|f| f.bundle.seq() > exposed) {
                return (before, before);
            }
            while state.in_flight.front().is_some_and(|f| f.bundle.seq() <= exposed) {
                let Some(flying) = state.in_flight.pop_front() else { break };
                let seq = flying.bundle.seq();
                state.undrained_bytes += flying.bytes;
                let mut ends: Vec<(Arc<Partition>, Offset)> = Vec::new();
                for frame in &flying.frames {
                    match ends.last_mut() {
                        Some((last, end)) if Arc::ptr_eq(last, &frame.partition) => {
                            *end = frame.end
                        }
                        _ => ends.push((Arc::clone(&frame.partition), frame.end)),
                    }
                }
                state.undrained.push_back(Committed { seq, bytes: flying.bytes, at: now, ends });
                committed.push((seq, flying.frames));
            }
            undrained_bytes = (before, state.undrained_bytes);
            self.uncommitted.remove(state.undrained_bytes - before);
        }
        let shown = committed.last().map(|(seq, _)| *seq);
        for (seq, frames) in committed {
            for (number, frame) in (0..).zip(frames) {
                frame.partition.committed(frame.end, frame.bytes, wakeups);
                let location =
                    BatchLocation::Journal { journal: point.journal, seq, frame: number };
                remember(&frame.partition, (frame.base, frame.end), frame.bytes, location);
            }
        }
        if let Some(shown) = shown {
            let mut state = self.state.lock();
            state.shown = shown;
            // Room for more on their way: the log's thread closes the next ones, also where another store's word made it.
            let waits = !state.filling.is_empty() && point.store != OWN_STORE;
            drop(state);
            if waits {
                self.wal.ring();
            }
            self.progress.notify_waiters();
        }
        undrained_bytes
    }

    /// Bundles from `from` on were not written for lack of room: submit them again when there is
    /// some. Whether this was news.
    pub(crate) fn on_refused(&self, from: Seq) -> bool {
        let mut state = self.state.lock();
        for flying in state.in_flight.iter_mut().filter(|flying| flying.bundle.seq() >= from) {
            flying.submitted = false;
        }
        !std::mem::replace(&mut state.blocked, true)
    }

    /// There may be room again.
    pub(crate) fn retry(&self) {
        let mut state = self.state.lock();
        if state.blocked && !state.failed {
            self.submit(&mut state);
        }
    }

    /// A store is sealed, and so is the journal: its owner is fenced. A journal that has rolled has its end already.
    pub(crate) fn on_sealed(&self, journal: JournalId) {
        let is_current = {
            let mut state = self.state.lock();
            let is_current = state.id == journal;
            if let Role::Owner(owner) = &mut state.role
                && is_current
            {
                owner.on_sealed();
            }
            is_current
        };
        if is_current {
            self.on_failed();
        }
    }

    /// Closes no more bundles, and completes when all that are on their way are shown; then the journal can end there.
    pub(crate) async fn quiesce(&self) {
        self.state.lock().rolling = true;
        self.wait_until(|state| state.in_flight.is_empty() || state.failed).await;
    }

    /// Goes on without having rolled.
    pub(crate) fn resume(&self) {
        self.state.lock().rolling = false;
        self.wal.ring();
    }

    /// Freezes the journal, after [`OwnedJournal::quiesce`]: where it ends, if it is open.
    pub(crate) fn freeze(&self) -> Option<Seq> {
        match &mut self.state.lock().role {
            Role::Owner(owner) => owner.roll(),
            Role::Sealed { .. } => None,
        }
    }

    /// The metadata has ended the journal: from now on this is its successor, `id`. Answers the one before, which is still to be
    /// drained.
    pub(crate) fn succeed(
        &self,
        id: JournalId,
        quorum: Quorum,
        links: Vec<Arc<StoreLink>>,
    ) -> Self {
        let mut state = self.state.lock();
        let (before, drained) = (state.id, state.role.drained());
        let Role::Owner(owner) = &mut state.role else { panic!("roll of sealed journal {before}") };
        owner.on_roll(RollAnswer::Done);
        let OwnerPhase::Rolled { end } = owner.phase() else {
            panic!("journal {before} ends without having been frozen")
        };
        let undrained = std::mem::take(&mut state.undrained);
        state.undrained_bytes = 0;
        state.shown = Seq::NONE;
        state.flush_target = Seq::NONE;
        state.role = Role::Owner(Owner::new(quorum));
        state.id = id;
        state.links.iter().for_each(|link| link.close());
        state.links = links;
        state.rolling = false;
        drop(state);
        self.wal.ring();
        self.progress.notify_waiters();
        Self::sealed(before, &self.wal, &self.uncommitted, (drained, end), undrained)
    }

    /// The log failed: nothing that waits will be committed.
    pub(crate) fn on_failed(&self) {
        let (flying, filling) = {
            let mut state = self.state.lock();
            state.failed = true;
            state.links.iter().for_each(|link| link.close());
            (std::mem::take(&mut state.in_flight), std::mem::take(&mut state.filling))
        };
        let filling = filling.into_iter().flat_map(|filling| filling.frames);
        for frame in flying.into_iter().flat_map(|flying| flying.frames).chain(filling) {
            self.uncommitted.remove(frame.bytes);
            frame.partition.fail_pending();
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let state = self.state.lock();
        Backlog {
            bytes: state.undrained_bytes,
            oldest: state.undrained.front().map(|bundle| bundle.at),
            shown: state.shown,
            drained: state.role.drained(),
            blocked: state.blocked,
        }
    }

    /// The oldest undrained bundles that readers see, up to `bytes_max` (one at least). Asked by
    /// one task only.
    pub(crate) fn next_range(&self, bytes_max: usize, cpu: &CpuYield) -> Option<JournalRange> {
        let (journal, after, shown) = {
            let state = self.state.lock();
            (state.id, state.role.drained(), state.shown)
        };
        let mut range =
            JournalRange { journal, after, upto: after, ends: BTreeMap::new(), bytes: 0 };
        let mut more = true;
        while more {
            let state = self.state.lock();
            let from = state.undrained.partition_point(|bundle| bundle.seq <= range.upto);
            let to = state.undrained.len().min(from + BUNDLES_AT_ONCE);
            more = to < state.undrained.len();
            for bundle in state.undrained.iter_from(from).take(to - from) {
                if bundle.seq > shown || (range.bytes > 0 && range.bytes + bundle.bytes > bytes_max)
                {
                    more = false;
                    break;
                }
                range.bytes += bundle.bytes;
                range.upto = bundle.seq;
                for (partition, end) in &bundle.ends {
                    range.ends.insert(partition.id, (Arc::clone(partition), *end));
                }
            }
            MutexGuard::unlock_fair(state);
            cpu.yield_now();
        }
        (range.upto > range.after).then_some(range)
    }

    /// Everything up to `upto` is in committed objects.
    pub(crate) fn on_drained(&self, upto: Seq) {
        loop {
            let gone: Vec<_> = {
                let mut state = self.state.lock();
                let gone = state.undrained.iter().take(BUNDLES_AT_ONCE);
                let count = gone.take_while(|bundle| bundle.seq <= upto).count();
                let gone: Vec<_> = (0..count).filter_map(|_| state.undrained.pop_front()).collect();
                state.undrained_bytes -= gone.iter().map(|bundle| bundle.bytes).sum::<usize>();
                MutexGuard::unlock_fair(state);
                gone
            };
            if gone.is_empty() {
                break;
            }
        }
        let mut state = self.state.lock();
        match &mut state.role {
            Role::Owner(owner) => owner.on_drained(upto),
            Role::Sealed { drained, .. } => *drained = upto.max(*drained),
        }
        drop(state);
        self.progress.notify_waiters();
    }
}

/// Why an append is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalUnavailable {
    /// The write-ahead log failed; this process must restart.
    #[error("the write-ahead log failed")]
    Failed,
    /// The write-ahead log is full.
    #[error("the write-ahead log is full")]
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::no_pressure;
    use esker_env::Env;
    use esker_env::real::Runtimes;
    use esker_plog::{LogState, PartitionLog};
    use esker_types::{ClusterId, LeaderEpoch, PartitionIndex, Timestamp, TopicName};
    use esker_wal::{DurableSink, FrameFlags, JournalStatus, OpenedWal, WalFailure, WalOptions};

    struct Deaf;

    impl DurableSink for Deaf {
        fn durable(&self, _: &[JournalStatus]) {}

        fn refused(&self, _: &[(JournalId, Seq)]) {}

        fn failed(&self, failure: &WalFailure) {
            panic!("{failure}");
        }
    }

    /// A partition whose log ends at 10.
    fn partition(id: u64) -> Arc<Partition> {
        let log = PartitionLog::open(LogState {
            leader_epoch: LeaderEpoch(0),
            log_start: Offset(0),
            tiered_end: Offset(10),
            epochs: vec![],
        });
        let (topic, name) = (TopicId::default(), TopicName::new("t").unwrap());
        let settings = Arc::default();
        Partition::new(PartitionId(id), topic, name, PartitionIndex(0), settings, log)
    }

    fn journal(dir: &std::path::Path, runtimes: &Runtimes) -> OwnedJournal {
        let env = Env::real(runtimes);
        let options =
            WalOptions { segment_bytes: 1 << 20, capacity_bytes: 8 << 20, prefill: false };
        let (opened, _) = OpenedWal::open(&env, dir, ClusterId::ZERO, options).unwrap();
        let wal = opened.start(Arc::new(Deaf));
        let id = JournalId(7);
        wal.open_journal(id, Bytes::new()).unwrap();
        OwnedJournal::new(id, wal, Arc::new(Uncommitted::new(usize::MAX)))
    }

    fn push(journal: &OwnedJournal, partition_id: u64) {
        let meta = FrameMeta {
            partition: PartitionId(partition_id),
            base_offset: Offset(0),
            last_offset: Offset(9),
            max_timestamp: Timestamp(0),
            leader_epoch: LeaderEpoch(0),
            flags: FrameFlags::default(),
        };
        let batch = Bytes::from_static(b"batch");
        let crc = Crc32c(esker_wal::crc32c(&batch));
        assert!(journal.push(&partition(partition_id), meta, batch, crc));
    }

    fn range_of(journal: &OwnedJournal, bytes_max: usize) -> Option<JournalRange> {
        journal.next_range(bytes_max, &CpuYield::new(&no_pressure(), false))
    }

    #[test]
    fn what_arrives_before_the_log_has_come_to_it_makes_one_bundle() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let journal = journal(dir.path(), &runtimes);
        (0..3).for_each(|number| push(&journal, number));
        journal.gather();
        (3..5).for_each(|number| push(&journal, number));
        journal.on_durable(
            DurablePoint::own(JournalId(7), Seq(1)),
            MonoTime::default(),
            &mut Vec::new(),
            |_, _, _, _| {},
        );
        let range = range_of(&journal, usize::MAX).unwrap();
        assert_eq!((range.upto, range.ends.len()), (Seq(1), 3));
        journal.gather();
        journal.on_durable(
            DurablePoint::own(JournalId(7), Seq(2)),
            MonoTime::default(),
            &mut Vec::new(),
            |_, _, _, _| {},
        );
        let range = range_of(&journal, usize::MAX).unwrap();
        assert_eq!((range.upto, range.ends.len()), (Seq(2), 5));
    }

    #[test]
    fn a_flush_takes_no_bundle_before_all_its_partitions_show_it() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let journal = journal(dir.path(), &runtimes);
        for number in 0..2 {
            push(&journal, number);
            journal.gather();
        }
        let mut told = 0;
        for seq in 1..=2 {
            journal.on_durable(
                DurablePoint::own(JournalId(7), Seq(seq)),
                MonoTime::default(),
                &mut Vec::new(),
                |_, _, _, _| {
                    let upto = range_of(&journal, usize::MAX).map(|range| range.upto);
                    assert_eq!(upto, (seq > 1).then(|| Seq(seq - 1)));
                    told += 1;
                },
            );
            let range = range_of(&journal, usize::MAX).unwrap();
            assert_eq!(range.upto, Seq(seq));
        }
        assert_eq!(told, 2);
    }

    #[test]
    fn a_stretch_is_longer_than_what_one_lock_covers() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let journal = journal(dir.path(), &runtimes);
        let count = 2 * BUNDLES_AT_ONCE as u64 + 5;
        for number in 0..count {
            push(&journal, number % 3);
            journal.gather();
            journal.on_durable(
                DurablePoint::own(JournalId(7), Seq(number + 1)),
                MonoTime::default(),
                &mut Vec::new(),
                |_, _, _, _| {},
            );
        }
        let bytes = journal.backlog().bytes;
        let whole = range_of(&journal, usize::MAX).unwrap();
        assert_eq!((whole.upto, whole.bytes, whole.ends.len()), (Seq(count), bytes, 3));
        let most = range_of(&journal, bytes - 1).unwrap();
        assert_eq!((most.after, most.upto), (Seq(0), Seq(count - 1)));
        journal.on_drained(most.upto);
        let last = range_of(&journal, usize::MAX).unwrap();
        assert_eq!(
            (last.after, last.upto, last.bytes),
            (most.upto, Seq(count), bytes - most.bytes)
        );
        journal.on_drained(last.upto);
        assert!(range_of(&journal, usize::MAX).is_none());
        assert_eq!(journal.backlog().bytes, 0);
    }
}
