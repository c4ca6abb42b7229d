//! Reading objects: footers once, blocks as they are asked for.

use crate::engine::Engine;
use crate::objects::footers::Footers;
use crate::objects::part_flags::extent_flags;
use crate::objects::readahead::PartitionReadAhead;
use crate::partition::led::Partition;
use crate::serve::read::FetchedBatches;
use bytes::Bytes;
use esker_cache::{
    CachedObject, ChunkCache, Cursor, Cursors, ObjectReader, ReadHint, ReaderOptions,
};
use esker_env::{Bucket, BucketError, BucketErrorKind, Env, ObjectKey, TaskPlacement};
use esker_meta::{ExtentFlags, State};
use esker_object::{
    Block, Manifest, ManifestEntry, OBJECT_HEADER_BYTES, ObjectMeta, Part, data_key,
};
use esker_record::batches;
use esker_types::{Bug, Incarnation, ObjectId, Offset, PartitionId, planted};
use std::sync::Arc;
use std::thread;

/// Most bytes that one read takes from an object. From 8 MiB on the allocator gives memory back to the kernel at once, and the
/// next read takes its pages one by one.
const READ_BYTES_MAX: u64 = (8 << 20) - (256 << 10);

/// Why an object could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ObjectReadError {
    /// Try again.
    #[error("{0}")]
    Unavailable(String),
    /// What is there is not what was written.
    #[error("{0}")]
    Corrupt(String),
    /// It is not there.
    #[error("{0}")]
    Gone(String),
}

impl From<BucketError> for ObjectReadError {
    fn from(error: BucketError) -> Self {
        let message = error.to_string();
        match error.kind {
            BucketErrorKind::Retry | BucketErrorKind::Denied | BucketErrorKind::Invalid => {
                Self::Unavailable(message)
            }
            BucketErrorKind::NotFound => Self::Gone(message),
        }
    }
}

/// Where a stretch of a partition lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) object: ObjectId,
    pub(crate) incarnation: Incarnation,
    pub(crate) len: u64,
    pub(crate) meta_position: u64,
    pub(crate) max_timestamp: esker_types::Timestamp,
    pub(crate) bytes: u64,
    pub(crate) flags: ExtentFlags,
}

/// Reads objects.
pub(crate) struct TieredReader {
    reader: ObjectReader,
    /// Readers that go through a partition, by where each will ask next.
    pub(crate) cursors: Cursors<(PartitionId, Offset)>,
    footers: Footers,
}

/// Readers that are remembered between their requests.
const CURSORS_MAX: usize = 10_000;

/// Where a block ends in its object.
fn end_of(block: &Block) -> u64 {
    block.position + u64::from(block.len)
}

impl TieredReader {
    pub(crate) fn new(env: &Env, bucket: Arc<dyn Bucket>, cache: Arc<dyn ChunkCache>) -> Self {
        Self {
            reader: ObjectReader::new(env, bucket, cache, &ReaderOptions::default()),
            cursors: Cursors::new(CURSORS_MAX),
            footers: Footers::default(),
        }
    }

    /// The reader of objects.
    pub(crate) fn reader(&self) -> &ObjectReader {
        &self.reader
    }

    /// Forgets everything that could be read again.
    pub(crate) async fn clear(&self) {
        self.footers.clear();
        self.reader.cache().clear().await;
    }

    /// An object's footer.
    pub(crate) async fn object(&self, stored: &Stored) -> Result<Arc<ObjectMeta>, ObjectReadError> {
        self.footers.object(&self.reader, stored, false).await
    }

    /// An object's footer, for a reader who will read its part of the object.
    pub(crate) async fn object_to_read(
        &self,
        stored: &Stored,
        cursor: &Cursor,
    ) -> Result<Arc<ObjectMeta>, ObjectReadError> {
        let footer_included = self.fetch_whole(stored, cursor);
        self.footers.object(&self.reader, stored, footer_included).await
    }

    /// Starts fetching an object that is all one reader's and takes one request: its footer comes along.
    fn fetch_whole(&self, stored: &Stored, cursor: &Cursor) -> bool {
        self.is_fetched_whole(stored)
            && self.known_object(stored).is_none()
            && matches!(self.reader.prefetch(&stored.cached(), 0..stored.len, cursor), Ok(end) if end == stored.len)
    }

    /// Whether an object is best fetched with its footer.
    fn is_fetched_whole(&self, stored: &Stored) -> bool {
        stored.is_lone() && self.reader.takes_one_request(stored.len)
    }

    /// An object's footer, if it is in memory.
    pub(crate) fn known_object(&self, stored: &Stored) -> Option<Arc<ObjectMeta>> {
        self.footers.known_object(stored.object)
    }

    /// Starts reading an object's footer for a reader who is about to come, unless that goes on already. One that
    /// would come with all of its object waits until there is memory for that, or the reader is there.
    pub(crate) fn load_object(&self, env: &Env, stored: &Stored, cursor: &Cursor) {
        let footer_included = self.fetch_whole(stored, cursor);
        if !footer_included && self.is_fetched_whole(stored) {
            return;
        }
        if let Some(loading) = self.footers.load_object(&self.reader, stored, footer_included) {
            // Whoever needs it asks again, and hears of what went wrong.
            let task = async move { drop(loading.await) };
            env.spawner.spawn(TaskPlacement::Background, "footer", Box::pin(task));
        }
    }

    /// A manifest segment.
    pub(crate) async fn manifest(
        &self,
        object: ObjectId,
        incarnation: Incarnation,
        len: u64,
    ) -> Result<Arc<Manifest>, ObjectReadError> {
        self.footers.manifest(&self.reader, object, incarnation, len).await
    }

    /// A manifest segment, if it is in memory.
    pub(crate) fn known_manifest(&self, object: ObjectId) -> Option<Arc<Manifest>> {
        self.footers.known_manifest(object)
    }

    /// Blocks of one object that stand side by side, verified. What a cache or a request damaged is fetched once more,
    /// so that only an object that is damaged itself reads as corrupt.
    pub(crate) async fn blocks(
        &self,
        stored: &Stored,
        blocks: &[Block],
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let pieces = self.cached_blocks(stored, blocks, hint).await?;
        let (Err(error), Some((from, to))) =
            (verify(stored, blocks, &pieces), blocks.first().zip(blocks.last()))
        else {
            return Ok(pieces);
        };
        tracing::warn!(%error, "damaged bytes from the bucket or the cache: they are read again");
        let range = from.position..to.position + u64::from(to.len);
        self.reader.forget(&stored.cached(), &range)?;
        let pieces = self.cached_blocks(stored, blocks, ReadHint::SINGLE).await?;
        verify(stored, blocks, &pieces)?;
        Ok(pieces)
    }

    async fn cached_blocks(
        &self,
        stored: &Stored,
        blocks: &[Block],
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let ranges: Vec<_> = blocks
            .iter()
            .map(|block| block.position..block.position + u64::from(block.len))
            .collect();
        Ok(self.reader.read_each(&stored.cached(), &ranges, hint).await?)
    }

    /// As [`TieredReader::blocks`], past the cache: for work that reads everything once.
    pub(crate) async fn blocks_once(
        &self,
        stored: &Stored,
        blocks: &[Block],
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let mut pieces = Vec::with_capacity(blocks.len());
        let mut rest = blocks;
        while let Some(first) = rest.first() {
            let within = |block: &&Block| end_of(block) - first.position <= READ_BYTES_MAX;
            let count = rest.iter().take_while(within).count().max(1);
            let (now, later) = rest.split_at(count);
            let read = match self.read_once(stored, now).await {
                Err(ObjectReadError::Corrupt(problem)) => {
                    tracing::warn!(problem, "damaged bytes from the bucket: they are read again");
                    self.read_once(stored, now).await
                }
                read => read,
            };
            pieces.extend(read?);
            rest = later;
        }
        Ok(pieces)
    }

    /// Blocks that stand side by side, by one request.
    async fn read_once(
        &self,
        stored: &Stored,
        blocks: &[Block],
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(Vec::new());
        };
        let range = first.position..end_of(last);
        let bytes = self.reader.read_uncached(&stored.cached(), range, false).await?;
        let piece_of = |block: &Block| {
            let start = usize::try_from(block.position - first.position).expect("megabytes");
            let piece = bytes.slice(start..start + usize::try_from(block.len).expect("megabytes"));
            verify_block(stored, block, &piece).map(|()| piece)
        };
        blocks.iter().map(piece_of).collect()
    }
}

impl Stored {
    /// The stretch that a manifest lists.
    pub(crate) fn of_entry(entry: &ManifestEntry) -> Self {
        Self {
            base: entry.base,
            end: entry.end,
            object: entry.object,
            incarnation: entry.incarnation,
            len: entry.len,
            meta_position: entry.meta_pos,
            max_timestamp: entry.max_timestamp,
            bytes: entry.bytes,
            flags: extent_flags(entry.flags),
        }
    }

    /// Whether no record of the stretch has a timestamp.
    pub(crate) fn has_no_times(&self) -> bool {
        self.flags.has(ExtentFlags::NO_TIMES)
    }

    /// Whether the object holds nothing else.
    fn is_lone(&self) -> bool {
        self.meta_position == OBJECT_HEADER_BYTES as u64 + self.bytes
    }

    pub(crate) fn cached(&self) -> CachedObject {
        let key = ObjectKey::new(&data_key(self.object, self.incarnation));
        CachedObject { id: self.object, key, len: self.len }
    }
}

impl Engine {
    /// Where the stretch of a partition that holds `from` lies; `None` at the end of the objects.
    pub(crate) async fn stored_at(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        from: Offset,
    ) -> Result<Option<Stored>, ObjectReadError> {
        if let Some(stored) = self.known_stored_at(state, row, from) {
            return Ok(Some(stored));
        }
        let Some(manifest) = row.manifest_at(from) else { return Ok(None) };
        let object = &state.objects[&manifest.object];
        let manifest = self.cold.manifest(manifest.object, object.incarnation, object.len).await?;
        Ok(manifest.find(from).map(|entry| Stored::of_entry(&entry)))
    }

    /// As [`Self::stored_at`], from what is in memory.
    pub(crate) fn known_stored_at(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        from: Offset,
    ) -> Option<Stored> {
        if let Some(extent) = row.extent_at(from) {
            return Some(stored_extent(state, extent));
        }
        let manifest = self.cold.known_manifest(row.manifest_at(from)?.object)?;
        manifest.find(from).map(|entry| Stored::of_entry(&entry))
    }

    /// Batches from the bucket, from the one that holds `from`.
    pub(crate) async fn read_objects(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        from: Offset,
        bytes_max: usize,
        first_whole: bool,
    ) -> Result<FetchedBatches, ObjectReadError> {
        // One image for the whole read: what it names stays for the grace period.
        let state = self.meta().image();
        self.env().fail_point("read: planned").await;
        let mut fetched = FetchedBatches::default();
        let Some(row) = state.partitions.get(&partition.id) else { return Ok(fetched) };
        let now = self.env().clock.now();
        let cursor = self.cold.cursors.resume(&(partition.id, from), now);
        let Some(stored) = self.stored_at(&state, row, from).await? else { return Ok(fetched) };
        let meta = self.cold.object_to_read(&stored, &cursor).await?;
        let part = find_part(&meta, partition, &stored)?;
        let blocks = wanted_blocks(&meta, &part, from, bytes_max);
        let read_ahead = PartitionReadAhead {
            engine: self,
            state: &state,
            row,
            stored: &stored,
            meta: &meta,
            part: &part,
            cursor: &cursor,
            now,
        };
        let hint = ReadHint::following(&cursor, &read_ahead);
        let mut next = from;
        let mut taken = Taken::Below;
        for block in self.cold.blocks(&stored, &blocks, hint).await? {
            taken = take_batches(&block, from, bytes_max, first_whole, &mut fetched)?;
            match taken {
                Taken::Below => {}
                Taken::UpTo(end) => next = end,
                // What comes after it must not be answered in its place.
                Taken::TooLarge => break,
            }
        }
        if taken == Taken::Below {
            let (object, id) = (stored.object, partition.id);
            let what = format!("object {object} does not hold offset {from} of partition {id}");
            return Err(ObjectReadError::Corrupt(what));
        }
        let now = self.env().clock.now();
        self.cold.cursors.advance(&(partition.id, from), (partition.id, next), cursor, now);
        Ok(fetched)
    }
}

pub(crate) fn stored_extent(state: &State, extent: &esker_meta::Extent) -> Stored {
    let object = state.objects.get(&extent.object).expect("an extent's object has a row");
    Stored {
        base: extent.base,
        end: extent.end,
        object: extent.object,
        incarnation: object.incarnation,
        len: object.len,
        meta_position: object.meta_position,
        max_timestamp: extent.max_timestamp,
        bytes: extent.bytes,
        flags: extent.flags,
    }
}

pub(crate) fn find_part(
    meta: &ObjectMeta,
    partition: &Partition,
    stored: &Stored,
) -> Result<Part, ObjectReadError> {
    meta.find(partition.id).ok_or_else(|| {
        let (object, id) = (stored.object, partition.id);
        ObjectReadError::Corrupt(format!("object {object} does not hold partition {id}"))
    })
}

/// Whether what was read is what was put.
fn verify(stored: &Stored, blocks: &[Block], pieces: &[Bytes]) -> Result<(), ObjectReadError> {
    blocks.iter().zip(pieces).try_for_each(|(block, bytes)| {
        // A commit that waits for the processor does not wait for all of them.
        thread::yield_now();
        if planted(Bug::BlockChecksumSkipped) {
            return Ok(());
        }
        verify_block(stored, block, bytes)
    })
}

fn verify_block(stored: &Stored, block: &Block, bytes: &Bytes) -> Result<(), ObjectReadError> {
    let damaged =
        |error| ObjectReadError::Corrupt(format!("object `{}`: {error}", stored.cached().key));
    block.verify(bytes).map_err(damaged)
}

/// The blocks that a read of about `bytes_max` bytes from `from` on needs.
fn wanted_blocks(meta: &ObjectMeta, part: &Part, from: Offset, bytes_max: usize) -> Vec<Block> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).min(READ_BYTES_MAX);
    let mut blocks: Vec<Block> = Vec::new();
    let mut bytes = 0;
    for block in meta.blocks_from(part, from) {
        if bytes > 0 && bytes >= limit {
            break;
        }
        bytes += u64::from(block.len);
        blocks.push(block);
    }
    blocks
}

/// What a block had for a reader.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// Everything in it lies before what is read.
    Below,
    /// Batches up to this offset.
    UpTo(Offset),
    /// Not even the batch that comes next fits.
    TooLarge,
}

/// Takes whole batches out of a block: those before `from` are left out, those beyond the limit too.
fn take_batches(
    block: &Bytes,
    from: Offset,
    bytes_max: usize,
    first_whole: bool,
    fetched: &mut FetchedBatches,
) -> Result<Taken, ObjectReadError> {
    let mut start = 0;
    let mut end = 0;
    let mut taken = Taken::Below;
    let base = fetched.bytes;
    for batch in batches(block) {
        let batch = batch.map_err(|error| ObjectReadError::Corrupt(error.to_string()))?;
        if batch.last_offset() < from {
            end += batch.len();
            start = end;
            continue;
        }
        let bytes = base + end - start;
        let fits = bytes + batch.len() <= bytes_max || (bytes == 0 && first_whole);
        if !fits && planted(Bug::LargeBatchPassedOver) && taken == Taken::Below {
            end += batch.len();
            start = end;
            continue;
        }
        if !fits {
            if taken == Taken::Below {
                taken = Taken::TooLarge;
            }
            break;
        }
        end += batch.len();
        taken = Taken::UpTo(batch.next_offset());
    }
    if end > start {
        fetched.push(block.slice(start..end));
    }
    Ok(taken)
}
