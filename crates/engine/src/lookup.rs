//! Offsets by timestamp, over all tiers.

use crate::cold::{ColdError, Stored, find_part, stored_extent};
use crate::engine::Engine;
use crate::partition::Partition;
use crate::read::ReadError;
use bytes::Bytes;
use esker_cache::ReadHint;
use esker_plog::{EpochEnd, TailBatch};
use esker_record::{BatchView, Codec, batches, content_max};
use esker_types::{LeaderEpoch, Offset, Timestamp};
use std::sync::Arc;

/// Most bytes that one batch may decompress to when it is searched, and all that are searched at a time.
pub(crate) const DECOMPRESSED_MAX: usize = 256 << 20;

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

/// Which record of a batch is looked for.
#[derive(Clone, Copy)]
enum Search {
    /// The first one of at least this age.
    NotBefore(Timestamp),
    /// The first one with exactly this timestamp.
    Exactly(Timestamp),
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
        let search = Search::NotBefore(wanted);
        let found = self
            .search_objects(partition, start, |stored_max| stored_max >= wanted, search)
            .await?;
        match found {
            Some(found) => Ok(Some(found)),
            None => self.search_tail(partition, start, |max| max >= wanted, search).await,
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
        let state = self.meta().image();
        let row = state.partitions.get(&partition.id);
        let tiered = row.into_iter().flat_map(|row| {
            let manifests = row.manifests.iter().filter(|m| m.end > start).map(|m| m.max_timestamp);
            let extents = row.extents.iter().filter(|e| e.end > start).map(|e| e.max_timestamp);
            manifests.chain(extents)
        });
        let largest_tiered = tiered.max();
        let largest_tail = {
            let inner = partition.lock();
            inner.log.tail_from(start).map(|batch| batch.max_timestamp).max()
        };
        let Some(largest) = largest_tiered.max(largest_tail) else { return Ok(None) };
        let search = Search::Exactly(largest);
        if largest_tiered == Some(largest) {
            let found = self
                .search_objects(partition, start, |stored_max| stored_max >= largest, search)
                .await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        self.search_tail(partition, start, |max| max >= largest, search).await
    }

    async fn search_objects(
        &self,
        partition: &Arc<Partition>,
        start: Offset,
        may_hold: impl Fn(Timestamp) -> bool,
        search: Search,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let state = self.meta().image();
        let Some(row) = state.partitions.get(&partition.id) else { return Ok(None) };
        let mut candidates = Vec::new();
        for manifest in row.manifests.iter().filter(|m| m.end > start && may_hold(m.max_timestamp))
        {
            let object = &state.objects[&manifest.object];
            let entries =
                self.cold.manifest(manifest.object, object.incarnation, object.len).await?;
            candidates.extend(entries.entries().map(|entry| Stored::of_entry(&entry)));
        }
        candidates.extend(row.extents.iter().map(|extent| stored_extent(&state, extent)));
        for stored in candidates {
            if stored.end <= start || !may_hold(stored.max_timestamp) {
                continue;
            }
            let meta = self.cold.object(&stored).await?;
            let part = find_part(&meta, partition, &stored)?;
            let blocks = meta.blocks_from(&part, start);
            for block in blocks.filter(|block| may_hold(block.max_timestamp)) {
                for bytes in self.cold.blocks(&stored, &[block], ReadHint::SINGLE).await? {
                    if let Some(found) = self.search_batches(&bytes, start, search).await? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn search_tail(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        start: Offset,
        may_hold: impl Fn(Timestamp) -> bool,
        search: Search,
    ) -> Result<Option<OffsetAt>, ReadError> {
        let tail: Vec<TailBatch> = {
            let inner = partition.lock();
            let candidates = inner.log.tail_from(start).filter(|b| may_hold(b.max_timestamp));
            candidates.cloned().collect()
        };
        for batch in tail {
            for bytes in self.bytes_of_tail(vec![batch]).await? {
                if let Some(found) = self.search_batches(&bytes, start, search).await? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Opens batches one by one, within what all searches together may unpack at a time.
    async fn search_batches(
        &self,
        bytes: &Bytes,
        start: Offset,
        search: Search,
    ) -> Result<Option<OffsetAt>, ReadError> {
        for batch in batches(bytes) {
            let batch = batch.map_err(|error| ColdError::Corrupt(error.to_string()))?;
            let content = match batch.codec() {
                Ok(Codec::None) | Err(_) => 0,
                Ok(codec) => content_max(codec, batch.payload()),
            };
            let _memory = self.searches.acquire(content).await;
            if let Some(found) = search_batch(&batch, start, search) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// A batch that cannot be opened stops nobody: the search steps over it, or ends at its first record where its header says
/// that it has what is looked for. Who reads from there misses nothing.
fn search_batch(batch: &BatchView<'_>, start: Offset, search: Search) -> Option<OffsetAt> {
    let suits = |timestamp: Timestamp| match search {
        Search::NotBefore(wanted) => timestamp >= wanted,
        Search::Exactly(wanted) => timestamp == wanted,
    };
    if batch.last_offset() < start || batch.is_control() {
        return None;
    }
    let leader_epoch = batch.partition_leader_epoch();
    let by_header = || {
        let timestamp = batch.max_timestamp();
        let offset = batch.base_offset().max(start);
        suits(timestamp).then_some(OffsetAt { offset, timestamp, leader_epoch })
    };
    let Ok(payload) = batch.decompressed(DECOMPRESSED_MAX) else { return by_header() };
    for record in batch.records(&payload) {
        let Ok(record) = record else { return by_header() };
        let offset = batch.offset_of(record.offset_delta);
        let timestamp = batch.timestamp_of(record.timestamp_delta);
        if offset >= start && suits(timestamp) {
            return Some(OffsetAt { offset, timestamp, leader_epoch });
        }
    }
    None
}
