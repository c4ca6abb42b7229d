//! From the journal to the bucket.
//!
//! A range of a journal becomes one object for all its small partitions and one for each large one.
//! They are *built*, *stored*, *committed* in one command, and then the flush *finishes*: the log
//! is trimmed. A crash in between leaves objects that nothing names (they become garbage with their
//! block of ids) or log entries that are flushed already (their commit is refused as drained).
//!
//! *Retries.* A put that failed is repeated under a new id, for keys are never written twice; the
//! ids of the failed attempt are abandoned, so that what it did put is deleted. A commit whose
//! answer was lost is proposed again as it is.

use crate::background::flush_encode::{EncodedObject, PartitionSlice, encode};
use crate::background::merge::Merger;
use crate::context::Context;
use crate::follow::Follower;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::owned::{JournalRange, OwnedJournal};
use crate::journal::reader::{JournalReadError, JournalReader, loaded_bytes};
use crate::objects::error::ObjectReadError;
use crate::objects::object_ids::ObjectIds;
use crate::objects::part_flags::extent_flags;
use crate::objects::producer_state::next_is_full;
use crate::objects::quarantine::Quarantine;
use crate::objects::tiered::TieredReader;
use crate::partition::cpu_yield::CpuYield;
use esker_env::{Blocking, BucketError, Budget, timeout};
use esker_meta::{Command, FlushPart, FlushedObject, ObjectKind, Rejected};
use esker_meta_client::MetaError;
use esker_plog::{ProducerTable, TailBatch};
use esker_record::BatchView;
use esker_types::{Bug, MonoTime, TopicId, planted};
use esker_wal::Wal;
use futures_util::future::{Either, select, try_join_all};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// First wait after a failed flush; it doubles up to the longest.
const RETRY_WAIT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Puts of one flush that are under way together.
const PUTS_AT_ONCE: usize = 4;

/// What waits to be put into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushStatus {
    /// Committed bytes that the bucket does not hold.
    pub unflushed_bytes: usize,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
    /// Bytes of batches in memory.
    pub tail_memory_bytes: usize,
    /// The last attempt failed: why.
    pub failing: bool,
}

/// Why a range was not flushed.
#[derive(Debug, thiserror::Error)]
enum FlushError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Journal(#[from] JournalReadError),
    #[error(transparent)]
    Object(#[from] ObjectReadError),
}

/// What a flush works with.
pub(crate) struct FlushParts {
    pub(crate) context: Arc<Context>,
    pub(crate) wal: Wal,
    pub(crate) reader: JournalReader,
    pub(crate) listener: Arc<DurabilityListener>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) ids: Arc<ObjectIds>,
    pub(crate) tiered: Arc<TieredReader>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) merger: Arc<Merger>,
    /// What flushes and merges hold.
    pub(crate) memory: Budget,
}

/// Puts what the journals hold into the bucket, one range at a time.
pub(crate) struct Flusher {
    parts: FlushParts,
    /// Journals of earlier registrations that are not drained, oldest first; then the live ones.
    undrained: Mutex<Vec<Arc<OwnedJournal>>>,
    /// Notified when somebody wants a flush now.
    requested: Notify,
    failing: AtomicBool,
}

impl Flusher {
    /// Flushes `undrained`, oldest first.
    pub(crate) fn new(parts: FlushParts, undrained: Vec<Arc<OwnedJournal>>) -> Self {
        let undrained = Mutex::new(undrained);
        Self { parts, undrained, requested: Notify::new(), failing: AtomicBool::new(false) }
    }

    /// Flushes `journals`, too, before those of this registration: they hold what comes before.
    pub(crate) fn add_sealed(&self, journals: Vec<Arc<OwnedJournal>>) {
        let mut undrained = self.undrained.lock();
        let place = undrained.iter().take_while(|journal| journal.is_sealed()).count();
        undrained.splice(place..place, journals);
        drop(undrained);
        self.requested.notify_one();
    }

    /// Flushes until another process has registered as this broker.
    pub(crate) async fn run(&self) {
        let clock = &*self.parts.context.env.clock;
        let mut wait = RETRY_WAIT;
        let (mut idle_since, mut took) = (clock.now(), Duration::ZERO);
        let mut last = None;
        loop {
            let began = clock.now();
            let journal = match self.next_to_flush(last, began) {
                Ok(journal) => journal,
                Err(wait) => {
                    self.wait_for_backlog(wait).await;
                    continue;
                }
            };
            last = Some(began);
            // Who is at it half of the time must not fall behind: records would have to be read
            // back from the log.
            let has_time = began.since(idle_since) >= took;
            let outcome = self.flush_range(&journal, has_time).await;
            idle_since = clock.now();
            took = idle_since.since(began);
            match outcome {
                Ok(()) => {
                    wait = RETRY_WAIT;
                    self.failing.store(false, Ordering::Relaxed);
                }
                Err(FlushError::Meta(MetaError::Rejected(Rejected::Fenced(_)))) => {
                    tracing::error!(
                        "another process has registered as this broker: no more flushes"
                    );
                    return;
                }
                Err(error) => {
                    self.note_failure(&error);
                    clock.sleep(wait).await;
                    wait = (wait * 2).min(RETRY_WAIT_MAX);
                }
            }
        }
    }

    fn note_failure(&self, error: &FlushError) {
        if let FlushError::Meta(MetaError::Rejected(Rejected::TooManyExtents(_))) = error {
            // A broker that never ran long enough to merge: without that nothing is taken any more.
            self.parts.merger.request();
        }
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "cannot flush; records stay in the write-ahead log and it is tried again"
            );
        }
    }

    /// What waits, while batches take `tail_memory_bytes`.
    pub(crate) fn status(&self, tail_memory_bytes: usize) -> FlushStatus {
        let now = self.parts.context.env.clock.now();
        let backlogs: Vec<_> = self.undrained.lock().iter().map(|j| j.backlog()).collect();
        FlushStatus {
            unflushed_bytes: backlogs.iter().map(|backlog| backlog.bytes).sum(),
            oldest: backlogs.iter().filter_map(|b| b.oldest).min().map(|at| now.since(at)),
            tail_memory_bytes,
            failing: self.is_failing(),
        }
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The journal whose turn it is, or how long none has one: those of earlier registrations
    /// first, for a partition's extents follow its offsets. The flush before this one began at
    /// `last`.
    fn next_to_flush(
        &self,
        last: Option<MonoTime>,
        now: MonoTime,
    ) -> Result<Arc<OwnedJournal>, Duration> {
        let undrained = self.undrained.lock();
        if let Some(first) = undrained.first()
            && first.is_sealed()
        {
            return Ok(Arc::clone(first));
        }
        let mut soonest = self.parts.context.options.flush_age;
        for journal in &*undrained {
            let backlog = journal.backlog();
            if backlog.drained >= backlog.shown {
                continue;
            }
            let wanted = backlog.drained < journal.flush_target();
            match self.parts.listener.policy.wait(&backlog, last, now) {
                Some(wait) if !wanted && !wait.is_zero() => soonest = soonest.min(wait),
                _ => return Ok(Arc::clone(journal)),
            }
        }
        Err(soonest)
    }

    /// Waits until there may be something to flush, at most for `wait`.
    async fn wait_for_backlog(&self, wait: Duration) {
        let limit = wait.max(RETRY_WAIT / 10);
        let backlog = std::pin::pin!(self.parts.listener.backlog.notified());
        let requested = std::pin::pin!(self.requested.notified());
        let either = select(backlog, requested);
        // Either something to flush, or the oldest has come of age.
        let _either = timeout(&*self.parts.context.env.clock, limit, either).await;
    }

    /// Puts everything that is committed now into the bucket, of one topic's journals or all, and
    /// returns when that is done. (A journal is flushed whole: other topics' records in it come
    /// along.)
    pub(crate) async fn flush_all(&self, topic: Option<TopicId>) {
        // A journal that rolls meanwhile leaves what it held to another.
        while !self.flush_journals(topic).await {}
    }

    /// Whether all journals are those that they were.
    async fn flush_journals(&self, topic: Option<TopicId>) -> bool {
        let journals: Vec<_> = {
            let undrained = self.undrained.lock();
            undrained
                .iter()
                .filter(|journal| topic.is_none() || journal.has_unflushed(topic))
                .cloned()
                .collect()
        };
        let targets: Vec<_> = journals.iter().map(|j| (j, j.exposed())).collect();
        for (journal, target) in &targets {
            journal.wait_shown(*target).await;
            journal.set_flush_target(*target);
        }
        self.requested.notify_one();
        for (journal, target) in &targets {
            journal.wait_drained(*target).await;
        }
        targets.iter().all(|(journal, (id, _))| journal.id() == *id)
    }

    /// Flushes one range: build objects, store them, commit them, then trim the log. See the head
    /// of this file for a crash between each two of these. With time to spare, others go first (see
    /// [`CpuYield`]).
    async fn flush_range(
        &self,
        journal: &Arc<OwnedJournal>,
        has_time: bool,
    ) -> Result<(), FlushError> {
        let listener = &self.parts.listener;
        let mut cpu = CpuYield::new(&listener.flush_pressure, has_time);
        let _no_roll = journal.flushing.lock().await;
        let Some(range) = journal.next_range(listener.policy.max_bytes(), &cpu) else {
            self.forget_if_empty(journal);
            return Ok(());
        };
        let _memory = self.parts.memory.acquire(range.bytes).await;
        let slices = self.slices(&range, &mut cpu).await?;
        let mut objects = self.build(slices, has_time).await?;
        self.store(&objects).await?;
        self.commit(&range, &objects).await?;
        objects.iter_mut().for_each(|object| object.id.commit());
        if planted(Bug::FlushCommittedBeforePut) {
            self.put_all(&objects).await?;
        }
        self.finish(journal, &range).await;
        Ok(())
    }

    /// Builds the objects, in memory alone: a crash loses nothing but the work, and their ids are
    /// abandoned.
    async fn build(
        &self,
        slices: Vec<PartitionSlice>,
        has_time: bool,
    ) -> Result<Vec<EncodedObject>, FlushError> {
        let large = self.parts.context.options.segment_bytes_min.as_usize();
        let (own, shared): (Vec<_>, Vec<_>) =
            slices.into_iter().partition(|slice| slice.bytes >= large);
        let mut groups: Vec<_> =
            own.into_iter().map(|slice| (ObjectKind::Segment, vec![slice])).collect();
        if !shared.is_empty() {
            groups.push((ObjectKind::Flush, shared));
        }
        let mut objects = Vec::new();
        for (kind, slices) in groups {
            let id = self.parts.ids.next().await?;
            let (object, incarnation) = (id.id(), self.parts.context.incarnation);
            let cpu = CpuYield::new(&self.parts.listener.flush_pressure, has_time);
            let spawner = &self.parts.context.env.spawner;
            let encoded =
                spawner.blocking(move || encode(object, incarnation, kind, slices, cpu)).await;
            objects.push(EncodedObject { id, kind, encoded });
        }
        Ok(objects)
    }

    /// Puts the objects. Nothing names them yet: after a crash they are garbage.
    async fn store(&self, objects: &[EncodedObject]) -> Result<(), FlushError> {
        if !planted(Bug::FlushCommittedBeforePut) {
            let puts = std::pin::pin!(self.put_all(objects));
            let behind = std::pin::pin!(self.parts.listener.flush_pressure.raised());
            match select(puts, behind).await {
                Either::Left((stored, _)) => stored?,
                Either::Right(((), puts)) => {
                    self.parts.context.env.device.put_is_urgent();
                    puts.await?;
                }
            }
        }
        self.parts.context.env.fail_point("flush: stored").await;
        Ok(())
    }

    async fn put_all(&self, objects: &[EncodedObject]) -> Result<(), BucketError> {
        let lanes = (0..PUTS_AT_ONCE).map(|lane| async move {
            for object in objects.iter().skip(lane).step_by(PUTS_AT_ONCE) {
                self.parts.context.put(object.id.id(), &object.encoded).await?;
            }
            Ok(())
        });
        try_join_all(lanes).await.map(drop)
    }

    /// Names the objects in the metadata, all in one command. After a crash the log's entries are
    /// flushed already, and another commit of them is refused.
    async fn commit(
        &self,
        range: &JournalRange,
        objects: &[EncodedObject],
    ) -> Result<(), FlushError> {
        let command = Command::CommitFlush {
            broker: self.parts.context.options.broker,
            incarnation: self.parts.context.incarnation,
            journal: range.journal,
            after: range.after,
            upto: range.upto,
            objects: objects.iter().map(EncodedObject::row).collect(),
            parts: objects.iter().flat_map(EncodedObject::parts).collect(),
        };
        if planted(Bug::WalTrimmedEarly) {
            let _failed = self.parts.wal.trim(range.journal, range.upto);
        }
        match self.parts.context.propose_until_known(command).await {
            // The answer to the first proposal was lost; it had been applied.
            Err(MetaError::Rejected(_)) if self.is_drained(range) => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// Tells the partitions and trims the log. After a crash the trim is repeated: the journal is
    /// drained up to here.
    async fn finish(&self, journal: &Arc<OwnedJournal>, range: &JournalRange) {
        let FlushParts { context, listener, follower, quarantine, merger, wal, .. } = &self.parts;
        context.env.fail_point("flush: committed").await;
        // The partitions learn it before the log forgets.
        follower.refresh();
        journal.on_drained(range.upto);
        let image = context.image();
        for (partition, _) in range.ends.values() {
            quarantine.check_extent_limit(&image, partition);
        }
        if merger.has_urgent(&context.image(), range.ends.keys()) {
            merger.request();
            listener.flush_pressure.raise();
        } else if self.has_caught_up() {
            listener.flush_pressure.clear();
        }
        context.env.fail_point("flush: drained").await;
        // A log that takes no trim takes nothing else either, and has said so.
        let _failed = wal.trim(range.journal, range.upto);
        self.forget_if_empty(journal);
    }

    /// Whether no more waits to be flushed than may wait.
    fn has_caught_up(&self) -> bool {
        let policy = &self.parts.listener.policy;
        !self.undrained.lock().iter().any(|journal| policy.is_behind(journal.backlog().bytes))
    }

    /// Whether the metadata has a range behind it.
    fn is_drained(&self, range: &JournalRange) -> bool {
        let state = self.parts.context.image();
        state.journals.get(&range.journal).is_none_or(|row| row.drained >= range.upto)
    }

    fn forget_if_empty(&self, journal: &Arc<OwnedJournal>) {
        if journal.is_empty_for_ever() {
            self.undrained.lock().retain(|other| !Arc::ptr_eq(other, journal));
            let _failed = self.parts.wal.drop_journal(journal.id());
        }
    }

    /// What each partition contributes to a range.
    async fn slices(
        &self,
        range: &JournalRange,
        cpu: &mut CpuYield,
    ) -> Result<Vec<PartitionSlice>, FlushError> {
        let FlushParts { context, reader, tiered, .. } = &self.parts;
        let state = context.image();
        let (mut owners, mut tails) = (Vec::new(), Vec::new());
        for (pid, (partition, end)) in &range.ends {
            // A deleted partition has no slice.
            let Some(row) = state.partitions.get(pid) else { continue };
            let tail = partition.unflushed(row.tiered_end, *end, cpu);
            if !tail.is_empty() {
                owners.push((partition, row));
                tails.push(tail);
            }
        }
        let tails = reader.load(tails).await?;
        let mut slices = Vec::with_capacity(owners.len());
        for ((partition, row), batches) in owners.into_iter().zip(tails) {
            let (delta, bytes) = self.producers_of(&batches, cpu);
            // Damage only makes it no full one: a flush must not wait for it, nor other partitions
            // for this one.
            let before = if next_is_full(row) {
                let horizon = context.producer_horizon();
                tiered.producers_or_memory(&state, row, partition, horizon).await?
            } else {
                None
            };
            let full = before.is_some();
            let mut producers = before.unwrap_or_default();
            producers.merge(delta);
            let (id, topic, index) = (partition.id, row.topic, row.index);
            slices.push(PartitionSlice { id, topic, index, batches, bytes, producers, full });
        }
        Ok(slices)
    }

    /// What batches say of their producers, and how long they are together.
    fn producers_of(&self, batches: &[TailBatch], cpu: &mut CpuYield) -> (ProducerTable, usize) {
        let now = self.parts.context.env.clock.wall();
        let (mut producers, mut bytes) = (ProducerTable::default(), 0);
        for batch in batches.iter().map(loaded_bytes) {
            bytes += batch.len();
            if let Ok(view) = BatchView::parse(batch) {
                producers.note(&view, now);
            }
            cpu.step_done();
        }
        (producers, bytes)
    }
}

impl EncodedObject {
    fn row(&self) -> FlushedObject {
        FlushedObject {
            object: self.id.id(),
            kind: self.kind,
            len: self.encoded.len,
            meta_position: self.encoded.meta_pos,
        }
    }

    fn parts(&self) -> impl Iterator<Item = FlushPart> {
        self.encoded.partitions.iter().map(|part| FlushPart {
            partition: part.partition,
            base: part.base,
            end: part.end,
            bytes: part.bytes,
            max_timestamp: part.ages_from,
            object: self.id.id(),
            flags: extent_flags(part.flags),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::merge::MergeParts;
    use crate::journal::flush_policy::FlushPolicy;
    use crate::journal::tail_budget::TailBudget;
    use crate::journal::uncommitted::Uncommitted;
    use crate::partition::shard_wakers::ShardWakers;
    use crate::testing::{Fixture, no_pressure};
    use esker_types::{ClusterId, JournalId, LongQueue, PartitionId, Seq};
    use esker_wal::{OpenedWal, WalOptions};

    fn flusher(fixture: &Fixture, dir: &std::path::Path) -> Flusher {
        let Fixture { context, follower, ids, tiered, .. } = fixture;
        let options =
            WalOptions { segment_bytes: 1 << 20, capacity_bytes: 8 << 20, prefill: false };
        let (opened, _) = OpenedWal::open(&context.env, dir, ClusterId::ZERO, options).unwrap();
        let listener = Arc::new(DurabilityListener::new(
            Arc::clone(&context.env.clock),
            Arc::new(TailBudget::new(0)),
            ShardWakers::new(&*context.env.spawner),
            FlushPolicy::new(&context.options),
            no_pressure(),
            context.env.device.clone(),
        ));
        let wal = opened.start(Arc::clone(&listener) as _);
        let (quarantine, memory): (Arc<Quarantine>, _) = (Arc::default(), Budget::new(1 << 20));
        let merge = MergeParts {
            context: Arc::clone(context),
            follower: Arc::clone(follower),
            ids: Arc::clone(ids),
            tiered: Arc::clone(tiered),
            quarantine: Arc::clone(&quarantine),
            flush_pressure: no_pressure(),
            memory: memory.clone(),
        };
        let parts = FlushParts {
            reader: JournalReader::new(&context.env.spawner, &wal),
            context: Arc::clone(context),
            follower: Arc::clone(follower),
            ids: Arc::clone(ids),
            tiered: Arc::clone(tiered),
            merger: Arc::new(Merger::new(merge, 0)),
            wal,
            listener,
            quarantine,
            memory,
        };
        Flusher::new(parts, Vec::new())
    }

    fn journal(flusher: &Flusher, id: u64, sealed: bool) -> Arc<OwnedJournal> {
        let (wal, uncommitted) = (&flusher.parts.wal, Arc::new(Uncommitted::new(1)));
        Arc::new(if sealed {
            let ends = (Seq(3), Seq(3));
            OwnedJournal::sealed(JournalId(id), wal, &uncommitted, ends, LongQueue::default())
        } else {
            OwnedJournal::new(JournalId(id), wal.clone(), uncommitted)
        })
    }

    #[test]
    fn journals_of_earlier_registrations_are_flushed_first_and_forgotten_when_they_are_drained() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(Default::default(), |_| {});
        let flusher = flusher(&fixture, dir.path());
        let [live, sealed] = [(1, false), (2, true)].map(|(id, s)| journal(&flusher, id, s));
        *flusher.undrained.lock() = vec![Arc::clone(&sealed), live];
        let now = fixture.context.env.clock.now();
        let next = flusher.next_to_flush(None, now).map_err(|_| "none").unwrap();
        assert!(Arc::ptr_eq(&next, &sealed));
        fixture.runtimes.block_on(async { flusher.flush_range(&sealed, true).await.unwrap() });
        assert_eq!(flusher.undrained.lock().len(), 1);
        let wait = flusher.next_to_flush(None, now).err().unwrap();
        assert_eq!(wait, fixture.context.options.flush_age, "nothing waits");
    }

    #[test]
    fn a_flush_that_finds_too_many_extents_asks_for_a_merge_and_is_failing_until_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(Default::default(), |_| {});
        let flusher = flusher(&fixture, dir.path());
        let rejected = Rejected::TooManyExtents(PartitionId(1));
        flusher.note_failure(&FlushError::Meta(MetaError::Rejected(rejected)));
        assert!(flusher.status(0).failing);
        let merger = &flusher.parts.merger;
        fixture.runtimes.block_on(async {
            assert!(merger.wait(Duration::from_hours(1)).await);
        });
    }
}
