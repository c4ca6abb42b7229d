//! Offsets by timestamp, over all tiers.

use crate::engine::{DECOMPRESSED_MAX, Engine};
use crate::objects::error::ObjectReadError;
use crate::objects::stored::StoredExtent;
use crate::partition::led::Partition;
use crate::serve::read::ReadError;
use bytes::Bytes;
use esker_cache::ReadHint;
use esker_env::Permit;
use esker_meta::{ManifestRef, State};
use esker_object::Block;
use esker_plog::{EpochEnd, TailBatch};
use esker_record::{BatchView, Codec, batches, content_max};
use esker_types::{Bug, LeaderEpoch, Offset, PartitionId, Timestamp, planted};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A record that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAt {
    /// Its offset; `NONE` when there is none.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
}

impl Default for OffsetAt {
    fn default() -> Self {
        Self { offset: Offset::NONE, timestamp: Timestamp::NONE, leader_epoch: LeaderEpoch::NONE }
    }
}

impl Partition {
    /// The leader epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.lock().log.epoch_at(offset)
    }

    /// Where leader epoch `asked` ended.
    #[must_use]
    pub fn end_of_epoch(&self, asked: LeaderEpoch) -> EpochEnd {
        self.lock().log.end_of_epoch(asked)
    }
}

impl Engine {
    /// The first record with a timestamp of at least `wanted`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn offset_for_timestamp(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        wanted: Timestamp,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let start = partition.position().log_start;
        loop {
            let state = self.context.image();
            let row = state.partitions.get(&partition.id);
            let tiered_end = row.map_or(start, |row| row.tiered_end);
            if let Some(row) = row
                && let Some(found) =
                    self.first_in_objects(&state, row, partition, start, wanted).await?
            {
                return Ok(Some(found));
            }
            self.context.env.fail_point("lookup: objects searched").await;
            let found = self.first_in_tail(partition, start.max(tiered_end), start, wanted).await;
            // What a flush has taken since the image is in objects that were not searched.
            if partition.position().tiered_end <= tiered_end {
                return found;
            }
        }
    }

    /// The record with the largest timestamp; the first one of several.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn latest_timestamp(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let start = partition.position().log_start;
        loop {
            let state = self.context.image();
            let mut search = LatestSearch::new(self, &state, partition, start);
            let tiered_end = search.tiered_end;
            let found = search.run().await;
            if found.is_ok() || partition.position().tiered_end <= tiered_end {
                return found;
            }
        }
    }

    async fn first_in_objects(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Arc<Partition>,
        start: Offset,
        wanted: Timestamp,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let mut candidates = Vec::new();
        for manifest in row.manifests.iter().filter(|m| m.end > start && m.max_timestamp >= wanted)
        {
            candidates.extend(self.listed(state, manifest).await?);
        }
        candidates.extend(row.extents.iter().map(|extent| StoredExtent::of_extent(state, extent)));
        for stored in candidates {
            if stored.end <= start || stored.max_timestamp < wanted || stored.has_no_times() {
                continue;
            }
            let meta = self.tiered.object(&stored).await?;
            let part = stored.find_part(&meta, partition.id)?;
            for block in meta.blocks_from(&part, start).filter(|b| b.max_timestamp >= wanted) {
                for bytes in self.tiered.blocks(&stored, &[block], ReadHint::SINGLE).await? {
                    if let Some(found) = self.first_of(partition.id, &bytes, start, wanted).await? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    /// What a manifest lists.
    async fn listed(
        &self,
        state: &State,
        manifest: &ManifestRef,
    ) -> Result<Vec<StoredExtent>, ObjectReadError> {
        let object = &state.objects[&manifest.object];
        let entries = self.tiered.manifest(manifest.object, object.incarnation, object.len).await?;
        Ok(entries.entries().map(|entry| StoredExtent::of_entry(&entry)).collect())
    }

    async fn first_in_tail(
        self: &Arc<Self>,
        partition: &Partition,
        from: Offset,
        start: Offset,
        wanted: Timestamp,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let batches = tail_of(partition, from);
        for batch in batches.into_iter().filter(|batch| batch.max_timestamp >= wanted) {
            for bytes in self.reader.bytes_of_tail(vec![batch]).await? {
                if let Some(found) = self.first_of(partition.id, &bytes, start, wanted).await? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The first record of some batches with a timestamp of at least `wanted`.
    async fn first_of(
        &self,
        partition: PartitionId,
        bytes: &Bytes,
        start: Offset,
        wanted: Timestamp,
    ) -> Result<Option<OffsetAt>, ReadError> {
        for batch in batches(bytes) {
            let batch = batch.map_err(|source| ReadError::Batch { partition, source })?;
            if batch.max_timestamp() < wanted {
                continue;
            }
            let mut first = None;
            let _memory = self.memory_to_search(&batch).await;
            for_each_record(&batch, start, |found| {
                if found.timestamp < wanted {
                    return ControlFlow::Continue(());
                }
                first = Some(found);
                if planted(Bug::LookupFindsBatch) {
                    first = Some(OffsetAt { offset: batch.base_offset().max(start), ..found });
                }
                ControlFlow::Break(())
            });
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
    }

    /// What it takes to open a batch, of what all searches together may unpack at a time.
    async fn memory_to_search(&self, batch: &BatchView<'_>) -> Permit {
        let content = match batch.codec() {
            Ok(Codec::None) | Err(_) => 0,
            Ok(codec) => content_max(codec, batch.payload()),
        };
        self.searches.acquire(content).await
    }
}

fn tail_of(partition: &Partition, from: Offset) -> Vec<TailBatch> {
    partition.lock().log.tail_from(from).cloned().collect()
}

/// Something that may hold the record with the largest timestamp.
enum SearchStep {
    Manifest(ManifestRef),
    Extent(StoredExtent),
    Block(StoredExtent, Block),
    Tail(TailBatch),
}

/// Looks for the record with the largest timestamp, first where the largest one is promised. What
/// metadata and indexes say is an upper bound: of records without time, and of what lies before the
/// log start, there may be less.
struct LatestSearch<'a> {
    engine: &'a Arc<Engine>,
    state: &'a State,
    partition: &'a Arc<Partition>,
    start: Offset,
    tiered_end: Offset,
    /// By bound, the largest one last.
    steps: BTreeMap<(Timestamp, Reverse<Offset>), Vec<SearchStep>>,
    best: Option<OffsetAt>,
}

impl<'a> LatestSearch<'a> {
    fn new(
        engine: &'a Arc<Engine>,
        state: &'a State,
        partition: &'a Arc<Partition>,
        start: Offset,
    ) -> Self {
        let steps = BTreeMap::new();
        let row = state.partitions.get(&partition.id);
        let tiered_end = row.map_or(start, |row| row.tiered_end);
        let mut search = Self { engine, state, partition, start, tiered_end, steps, best: None };
        if let Some(row) = row {
            for manifest in row.manifests.iter().filter(|m| m.end > start) {
                search.add(manifest.max_timestamp, manifest.base, SearchStep::Manifest(*manifest));
            }
            for extent in &row.extents {
                search.add_stored(StoredExtent::of_extent(state, extent));
            }
        }
        for batch in tail_of(partition, start.max(tiered_end)) {
            search.add(batch.max_timestamp, batch.base, SearchStep::Tail(batch));
        }
        search
    }

    fn add(&mut self, bound: Timestamp, base: Offset, step: SearchStep) {
        if bound > Timestamp::NONE {
            self.steps.entry((bound, Reverse(base))).or_default().push(step);
        }
    }

    fn add_stored(&mut self, stored: StoredExtent) {
        if stored.end > self.start && !stored.has_no_times() {
            self.add(stored.max_timestamp, stored.base, SearchStep::Extent(stored));
        }
    }

    async fn run(&mut self) -> Result<Option<OffsetAt>, ReadError> {
        while let Some(((bound, _), steps)) = self.steps.pop_last() {
            if self.best.is_some_and(|best| best.timestamp > bound) {
                break;
            }
            for step in steps {
                self.look_into(step).await?;
            }
        }
        Ok(self.best)
    }

    async fn look_into(&mut self, step: SearchStep) -> Result<(), ReadError> {
        match step {
            SearchStep::Manifest(manifest) => {
                for stored in self.engine.listed(self.state, &manifest).await? {
                    self.add_stored(stored);
                }
            }
            SearchStep::Extent(stored) => {
                let meta = self.engine.tiered.object(&stored).await?;
                let part = stored.find_part(&meta, self.partition.id)?;
                for block in meta.blocks_from(&part, self.start) {
                    self.add(
                        block.max_timestamp,
                        block.base_offset,
                        SearchStep::Block(stored, block),
                    );
                }
            }
            SearchStep::Block(stored, block) => {
                let blocks = self.engine.tiered.blocks(&stored, &[block], ReadHint::SINGLE).await?;
                for bytes in &blocks {
                    self.scan(bytes).await?;
                }
            }
            SearchStep::Tail(batch) => {
                let batches = self.engine.reader.bytes_of_tail(vec![batch]).await?;
                for bytes in &batches {
                    self.scan(bytes).await?;
                }
            }
        }
        Ok(())
    }

    async fn scan(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
        for batch in batches(bytes) {
            let partition = self.partition.id;
            let batch = batch.map_err(|source| ReadError::Batch { partition, source })?;
            if self.best.is_some_and(|best| batch.max_timestamp() < best.timestamp) {
                continue;
            }
            let _memory = self.engine.memory_to_search(&batch).await;
            for_each_record(&batch, self.start, |found| {
                let newer = |best: &OffsetAt| {
                    (best.timestamp, Reverse(best.offset))
                        < (found.timestamp, Reverse(found.offset))
                };
                let newer = |best: &OffsetAt| newer(best) || planted(Bug::LatestIsNewest);
                if found.timestamp > Timestamp::NONE && self.best.as_ref().is_none_or(newer) {
                    self.best = Some(found);
                }
                ControlFlow::Continue(())
            });
        }
        Ok(())
    }
}

/// Tells the records of a batch from `start` on, until it is enough. A batch that cannot be opened
/// stops nobody: its first record stands for all, at the time that its header claims. Who reads
/// from there misses nothing.
fn for_each_record(
    batch: &BatchView<'_>,
    start: Offset,
    mut tell: impl FnMut(OffsetAt) -> ControlFlow<()>,
) {
    let start = if planted(Bug::LookupBelowStart) { Offset::ZERO } else { start };
    if batch.last_offset() < start || batch.is_control() {
        return;
    }
    let leader_epoch = batch.partition_leader_epoch();
    let by_header = OffsetAt {
        offset: batch.base_offset().max(start),
        timestamp: batch.max_timestamp(),
        leader_epoch,
    };
    let payload = batch.decompressed(DECOMPRESSED_MAX).unwrap_or_default();
    for record in batch.records(&payload) {
        let Ok(record) = record else {
            let _last = tell(by_header);
            return;
        };
        let offset = batch.offset_of(record.offset_delta);
        let mut timestamp = batch.timestamp_of(record.timestamp_delta);
        if planted(Bug::LookupByCreateTime) {
            timestamp = batch.created_at(record.timestamp_delta);
        }
        if offset >= start && tell(OffsetAt { offset, timestamp, leader_epoch }).is_break() {
            return;
        }
    }
}
