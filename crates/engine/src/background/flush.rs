//! From the journal to the bucket.
//!
//! A stretch of a journal becomes one object for all its small partitions and one for each large one. They are put, then
//! committed in one command, then the log is trimmed: a crash in between leaves objects that nothing names (they become
//! garbage with their block of ids) or log entries that are flushed already (their commit is refused as drained).
//!
//! *Retries.* A put that failed is repeated under a new id, for keys are never written twice; the ids of the failed
//! attempt are given up, so that what it did put is deleted. A commit whose answer was lost is proposed again as it is.

use crate::engine::{Engine, bytes_of};
use crate::journal::owned::{Journal, JournalRange};
use crate::objects::object_ids::ReservedId;
use crate::objects::part_flags::extent_flags;
use crate::objects::tiered::ObjectReadError;
use crate::partition::cpu_yield::CpuYield;
use crate::partition::led::Partition;
use crate::serve::producer_state::{kind_of, next_is_full, section_of};
use crate::serve::read::ReadError;
use bytes::Bytes;
use esker_env::{Blocking, BucketError, ObjectKey, timeout};
use esker_meta::{Command, FlushPart, FlushedObject, Rejected};
use esker_meta_client::MetaError;
use esker_object::{BatchMeta, BlockFlags, Encoded, ObjectBuilder, data_key};
use esker_plog::{BatchLocation, ProducerTable, TailBatch};
use esker_record::BatchView;
use esker_types::{Bug, planted};
use esker_types::{JournalId, MonoTime, ObjectId, Offset, PartitionIndex, Seq, TopicId};
use esker_wal::BundleView;
use futures_util::future::{Either, select, try_join_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// First wait after a failed flush; it doubles up to the longest.
const RETRY_WAIT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Puts of one flush that are under way together.
const PUTS_AT_ONCE: usize = 4;

/// Why a stretch was not flushed.
#[derive(Debug, thiserror::Error)]
enum FlushError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Cold(#[from] ObjectReadError),
}

/// An object of a flush.
type Built = (ReservedId, esker_meta::ObjectKind, Encoded);

/// A partition's share of a flush.
struct PartitionSlice {
    partition: Arc<Partition>,
    topic: TopicId,
    index: PartitionIndex,
    /// All in memory.
    batches: Vec<TailBatch>,
    bytes: usize,
    producers: ProducerTable,
    full: bool,
}

impl Engine {
    /// Flushes for as long as the engine runs.
    pub(crate) async fn run_flush(self: Arc<Self>) {
        let clock = Arc::clone(&self.env().clock);
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
            // Who is at it half of the time must not fall behind: records would have to be read back from the log.
            let has_time = began.since(idle_since) >= took;
            let outcome = self.flush_range(&journal, has_time).await;
            idle_since = clock.now();
            took = idle_since.since(began);
            match outcome {
                Ok(()) => {
                    wait = RETRY_WAIT;
                    self.flush_failing.store(false, Ordering::Relaxed);
                }
                Err(FlushError::Meta(MetaError::Rejected(Rejected::Fenced(_)))) => {
                    tracing::error!(
                        "another process has registered as this broker: no more flushes"
                    );
                    return;
                }
                Err(error) => {
                    if let FlushError::Meta(MetaError::Rejected(Rejected::TooManyExtents(_))) =
                        error
                    {
                        // A broker that never ran long enough to merge: without that nothing is taken any more.
                        self.maintenance_requested.notify_one();
                    }
                    if !self.flush_failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "cannot flush; records stay in the write-ahead log and it is tried again");
                    }
                    self.env().clock.sleep(wait).await;
                    wait = (wait * 2).min(RETRY_WAIT_MAX);
                }
            }
        }
    }

    /// The journal whose turn it is, or how long none has one: those of earlier registrations first, for a partition's
    /// extents follow its offsets. The flush before this one began at `last`.
    fn next_to_flush(
        &self,
        last: Option<MonoTime>,
        now: MonoTime,
    ) -> Result<Arc<Journal>, Duration> {
        let draining = self.draining.lock();
        if let Some(first) = draining.first()
            && first.is_sealed()
        {
            return Ok(Arc::clone(first));
        }
        let mut soonest = self.options().flush_age;
        for journal in &*draining {
            let backlog = journal.backlog();
            if backlog.drained >= backlog.shown {
                continue;
            }
            let wanted = backlog.drained < journal.flush_target();
            match self.rule().wait(&backlog, last, now) {
                Some(wait) if !wanted && !wait.is_zero() => soonest = soonest.min(wait),
                _ => return Ok(Arc::clone(journal)),
            }
        }
        Err(soonest)
    }

    /// Waits until there may be something to flush, at most for `wait`.
    async fn wait_for_backlog(&self, wait: Duration) {
        let limit = wait.max(RETRY_WAIT / 10);
        let backlog = std::pin::pin!(self.backlog_bell().notified());
        let now = std::pin::pin!(self.flush_now.notified());
        let bell = select(backlog, now);
        // Either something to flush, or the oldest has come of age.
        let _either = timeout(&*self.env().clock, limit, bell).await;
    }

    /// Puts everything that is committed now into the bucket, of one topic's journals or all, and returns when that is
    /// done. (A journal is flushed whole: other topics' records in it come along.)
    pub async fn flush_all(&self, topic: Option<TopicId>) {
        let journals: Vec<_> = {
            let draining = self.draining.lock();
            draining
                .iter()
                .filter(|journal| topic.is_none() || journal.has_unflushed(topic))
                .cloned()
                .collect()
        };
        let targets: Vec<_> = journals.iter().map(|j| (j, j.backlog().exposed)).collect();
        for (journal, target) in &targets {
            journal.wait_shown(*target).await;
            journal.set_flush_target(*target);
        }
        self.flush_now.notify_one();
        for (journal, target) in targets {
            journal.wait_drained(target).await;
        }
    }

    /// With time to spare, others go first (see [`CpuYield`]).
    async fn flush_range(
        self: &Arc<Self>,
        journal: &Arc<Journal>,
        has_time: bool,
    ) -> Result<(), FlushError> {
        let mut cpu = CpuYield::new(self.flush_pressure(), has_time);
        let Some(range) = journal.next_range(self.rule().max_bytes(), &cpu) else {
            self.forget_if_empty(journal);
            return Ok(());
        };
        let _memory = self.background.acquire(range.bytes).await;
        let slices = self.slices(&range, &mut cpu).await?;
        let mut encoded = self.build(slices, has_time).await?;
        if !planted(Bug::FlushCommittedBeforePut) {
            let puts = std::pin::pin!(self.put_all(&encoded));
            match select(puts, std::pin::pin!(self.flush_pressure().raised())).await {
                Either::Left((stored, _)) => stored?,
                Either::Right(((), puts)) => {
                    self.bucket().hurry();
                    puts.await?;
                }
            }
        }
        self.env().fail_point("flush: stored").await;
        let objects: Vec<_> = encoded
            .iter()
            .map(|(object, kind, encoded)| FlushedObject {
                object: object.id(),
                kind: *kind,
                len: encoded.len,
                meta_position: encoded.meta_pos,
            })
            .collect();
        let parts: Vec<_> = encoded
            .iter()
            .flat_map(|(object, _, encoded)| {
                encoded.partitions.iter().map(move |part| FlushPart {
                    partition: part.partition,
                    base: part.base,
                    end: part.end,
                    bytes: part.bytes,
                    max_timestamp: part.ages_from,
                    object: object.id(),
                    flags: extent_flags(part.flags),
                })
            })
            .collect();
        let command = Command::CommitFlush {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            journal: range.journal,
            after: range.after,
            upto: range.upto,
            objects,
            parts,
        };
        if planted(Bug::WalTrimmedEarly) {
            let _failed = self.wal().trim(range.journal, range.upto);
        }
        match self.propose_until_known(command).await {
            Err(MetaError::Rejected(_)) if self.is_drained(&range) => {
                // The answer to the first proposal was lost; it had been applied.
            }
            outcome => drop(outcome?),
        }
        encoded.iter_mut().for_each(|(object, ..)| object.commit());
        if planted(Bug::FlushCommittedBeforePut) {
            self.put_all(&encoded).await?;
        }
        self.env().fail_point("flush: committed").await;
        // The partitions learn it before the log forgets.
        self.refresh();
        journal.on_drained(range.upto);
        let image = self.meta().image();
        for (partition, _) in range.ends.values() {
            self.check_extent_limit(&image, partition);
        }
        if self.has_urgent_merge(range.ends.keys()) {
            self.maintenance_requested.notify_one();
            self.flush_pressure().raise();
        } else if self.has_caught_up() {
            self.flush_pressure().clear();
        }
        self.env().fail_point("flush: drained").await;
        // A log that takes no trim takes nothing else either, and has said so.
        let _failed = self.wal().trim(range.journal, range.upto);
        self.forget_if_empty(journal);
        Ok(())
    }

    /// Whether no more waits to be flushed than may wait.
    fn has_caught_up(&self) -> bool {
        !self.draining.lock().iter().any(|journal| self.rule().is_behind(journal.backlog().bytes))
    }

    /// Whether the metadata has a stretch behind it.
    fn is_drained(&self, range: &JournalRange) -> bool {
        let state = self.meta().image();
        state.journals.get(&range.journal).is_none_or(|row| row.drained >= range.upto)
    }

    /// Proposes until the outcome is known.
    pub(crate) async fn propose_until_known(
        &self,
        command: Command,
    ) -> Result<esker_meta::Reply, MetaError> {
        loop {
            match self.meta().propose(command.clone()).await {
                Err(MetaError::Unavailable(reason)) => {
                    tracing::warn!(reason, "the metadata quorum does not answer");
                    self.env().clock.sleep(RETRY_WAIT).await;
                }
                known => return known,
            }
        }
    }

    fn forget_if_empty(&self, journal: &Arc<Journal>) {
        if journal.is_empty_for_ever() {
            self.draining.lock().retain(|other| !Arc::ptr_eq(other, journal));
            let _failed = self.wal().drop_journal(journal.id);
        }
    }

    /// What each partition contributes to a range.
    async fn slices(
        self: &Arc<Self>,
        range: &JournalRange,
        cpu: &mut CpuYield,
    ) -> Result<Vec<PartitionSlice>, FlushError> {
        let state = self.meta().image();
        let now = self.env().clock.wall();
        let (mut owners, mut tails) = (Vec::new(), Vec::new());
        for (pid, (partition, end)) in &range.ends {
            // A deleted partition has no share.
            let Some(row) = state.partitions.get(pid) else { continue };
            let tail = partition.unflushed(row.tiered_end, *end, cpu);
            if !tail.is_empty() {
                owners.push((partition, row));
                tails.push(tail);
            }
        }
        let tails = self.in_memory(tails).await?;
        let mut slices = Vec::with_capacity(owners.len());
        for ((partition, row), tail) in owners.into_iter().zip(tails) {
            let mut delta = ProducerTable::default();
            let mut bytes = 0;
            for batch in tail.iter().map(bytes_in_memory) {
                bytes += batch.len();
                if let Ok(view) = BatchView::parse(batch) {
                    delta.note(&view, now);
                }
                cpu.step_done();
            }
            // Damage only makes it no full one: a flush must not wait for it, nor other partitions for this one.
            let before = if next_is_full(row) {
                self.producers_known(&state, row, partition).await?
            } else {
                None
            };
            let full = before.is_some();
            let mut producers = before.unwrap_or_default();
            producers.merge(delta);
            slices.push(PartitionSlice {
                partition: Arc::clone(partition),
                topic: row.topic,
                index: row.index,
                bytes,
                batches: tail,
                producers,
                full,
            });
        }
        Ok(slices)
    }

    /// The bytes of batches of one tail, in order, from memory or from the write-ahead log.
    pub(crate) async fn bytes_of_tail(
        &self,
        tail: Vec<TailBatch>,
    ) -> Result<Vec<Bytes>, ReadError> {
        let tails = self.in_memory(vec![tail]).await?;
        Ok(tails.iter().flatten().map(bytes_in_memory).cloned().collect())
    }

    /// Batches of many tails, with their bytes in memory. An entry of the log holds batches of many partitions, and is read
    /// once for all of them.
    async fn in_memory(
        &self,
        mut tails: Vec<Vec<TailBatch>>,
    ) -> Result<Vec<Vec<TailBatch>>, ReadError> {
        /// Which frames of an entry are wanted, and for which batch of which tail.
        type Wanted = BTreeMap<(JournalId, Seq), Vec<(usize, usize, usize)>>;
        let mut wanted = Wanted::new();
        for (which, tail) in tails.iter().enumerate() {
            for (index, batch) in tail.iter().enumerate() {
                if let BatchLocation::Journal { journal, seq, frame } = batch.location {
                    wanted.entry((journal, seq)).or_default().push((which, index, frame as usize));
                }
            }
        }
        if wanted.is_empty() {
            return Ok(tails);
        }
        let wal = self.wal().clone();
        self.env()
            .spawner
            .blocking(move || {
                for ((journal, seq), frames) in wanted {
                    let unavailable = |what: &dyn std::fmt::Display| {
                        ReadError::Unavailable(format!("entry {seq} of journal {journal}: {what}"))
                    };
                    let bundle = wal
                        .read_bundle(journal, seq)
                        .map_err(|error| unavailable(&error))?
                        .ok_or_else(|| unavailable(&"trimmed"))?;
                    let view = BundleView::parse(bundle)
                        .map_err(|error| ReadError::Corrupt(error.to_string()))?;
                    for (which, index, frame) in frames {
                        tails[which][index].location =
                            BatchLocation::Memory(view.frame(frame).payload);
                    }
                }
                Ok(tails)
            })
            .await
    }

    async fn build(
        &self,
        slices: Vec<PartitionSlice>,
        has_time: bool,
    ) -> Result<Vec<Built>, FlushError> {
        let large = bytes_of(self.options().segment_bytes_min);
        let (own, shared): (Vec<_>, Vec<_>) =
            slices.into_iter().partition(|share| share.bytes >= large);
        let mut groups: Vec<_> =
            own.into_iter().map(|share| (esker_meta::ObjectKind::Segment, vec![share])).collect();
        if !shared.is_empty() {
            groups.push((esker_meta::ObjectKind::Flush, shared));
        }
        let mut objects = Vec::new();
        for (kind, slices) in groups {
            let taken = self.ids.next().await?;
            let object = taken.id();
            let incarnation = self.incarnation();
            let cpu = CpuYield::new(self.flush_pressure(), has_time);
            let encoded = self
                .env()
                .spawner
                .blocking(move || encode(object, incarnation, kind, slices, cpu))
                .await;
            objects.push((taken, kind, encoded));
        }
        Ok(objects)
    }

    async fn put_all(&self, objects: &[Built]) -> Result<(), BucketError> {
        let lanes = (0..PUTS_AT_ONCE).map(|lane| async move {
            for (object, _, encoded) in objects.iter().skip(lane).step_by(PUTS_AT_ONCE) {
                self.put(object.id(), encoded).await?;
            }
            Ok(())
        });
        try_join_all(lanes).await.map(drop)
    }

    pub(crate) async fn put(&self, object: ObjectId, encoded: &Encoded) -> Result<(), BucketError> {
        let key = ObjectKey::new(&data_key(object, self.incarnation()));
        self.bucket().put(&key, encoded.parts.clone()).await
    }
}

fn bytes_in_memory(batch: &TailBatch) -> &Bytes {
    batch.bytes().expect("what was brought into memory stays there")
}

fn encode(
    object: ObjectId,
    incarnation: esker_types::Incarnation,
    kind: esker_meta::ObjectKind,
    slices: Vec<PartitionSlice>,
    mut cpu: CpuYield,
) -> Encoded {
    let kind = match kind {
        esker_meta::ObjectKind::Segment => esker_object::ObjectKind::Segment,
        _ => esker_object::ObjectKind::Flush,
    };
    let mut builder = ObjectBuilder::new(object, incarnation, kind);
    for share in slices {
        let part = builder.partition(share.partition.id, share.topic, share.index);
        for batch in share.batches {
            let bytes = bytes_in_memory(&batch);
            let meta = BatchMeta {
                base_offset: batch.base,
                last_offset: Offset(batch.end.get() - 1),
                max_timestamp: batch.max_timestamp,
                leader_epoch: batch.leader_epoch,
                flags: BlockFlags::default(),
            };
            part.ages_from(batch.ages_from);
            match BatchView::parse(bytes) {
                Ok(view) => part.push_checked(meta, bytes.clone(), view.whole_crc()),
                Err(_) => part.push_batch(meta, bytes.clone()),
            };
            cpu.step_done();
        }
        if !share.producers.is_empty() || share.full {
            part.producers(kind_of(share.full), section_of(&share.producers));
        }
    }
    builder.finish()
}
