//! Reading objects: footers once, blocks as they are asked for.

use crate::objects::error::{ObjectDamage, ObjectReadError};
use crate::objects::footers::Footers;
use crate::objects::stored::StoredExtent;
use bytes::Bytes;
use esker_cache::{ChunkCache, Cursor, Cursors, ObjectReader, ReadHint, ReaderOptions};
use esker_env::{Bucket, Env, Spawner, TaskPlacement};
use esker_meta::State;
use esker_object::{Block, Manifest, ObjectMeta};
use esker_types::{Bug, Incarnation, ObjectId, Offset, PartitionId, planted};
use std::sync::Arc;

/// Most bytes that one read takes from an object. From 8 MiB on the allocator gives memory back to
/// the kernel at once, and the next read takes its pages one by one.
pub(crate) const READ_BYTES_MAX: u64 = (8 << 20) - (256 << 10);

/// Reads objects.
pub(crate) struct TieredReader {
    spawner: Arc<dyn Spawner>,
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
            spawner: Arc::clone(&env.spawner),
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
    pub(crate) async fn object(
        &self,
        stored: &StoredExtent,
    ) -> Result<Arc<ObjectMeta>, ObjectReadError> {
        self.footers.object(&self.reader, stored, false).await
    }

    /// An object's footer, for a reader who will read its part of the object.
    pub(crate) async fn object_to_read(
        &self,
        stored: &StoredExtent,
        cursor: &Cursor,
    ) -> Result<Arc<ObjectMeta>, ObjectReadError> {
        let footer_included = self.fetch_whole(stored, cursor);
        self.footers.object(&self.reader, stored, footer_included).await
    }

    /// Starts fetching an object that is all one reader's and takes one request: its footer comes
    /// along.
    fn fetch_whole(&self, stored: &StoredExtent, cursor: &Cursor) -> bool {
        self.is_fetched_whole(stored)
            && self.known_object(stored).is_none()
            && matches!(self.reader.prefetch(&stored.cached(), 0..stored.len, cursor), Ok(end) if end == stored.len)
    }

    /// Whether an object is best fetched with its footer.
    fn is_fetched_whole(&self, stored: &StoredExtent) -> bool {
        stored.is_lone() && self.reader.takes_one_request(stored.len)
    }

    /// An object's footer, if it is in memory.
    pub(crate) fn known_object(&self, stored: &StoredExtent) -> Option<Arc<ObjectMeta>> {
        self.footers.known_object(stored.object)
    }

    /// Starts reading an object's footer for a reader who is about to come, unless that goes on
    /// already. One that would come with all of its object waits until there is memory for that, or
    /// the reader is there.
    pub(crate) fn load_object(&self, stored: &StoredExtent, cursor: &Cursor) {
        let footer_included = self.fetch_whole(stored, cursor);
        if !footer_included && self.is_fetched_whole(stored) {
            return;
        }
        if let Some(loading) = self.footers.load_object(&self.reader, stored, footer_included) {
            // Whoever needs it asks again, and hears of what went wrong.
            let task = async move { drop(loading.await) };
            self.spawner.spawn(TaskPlacement::Background, "footer", Box::pin(task));
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

    /// Blocks of one object that stand side by side, verified. What a cache or a request damaged is
    /// fetched once more, so that only an object that is damaged itself reads as corrupt.
    pub(crate) async fn blocks(
        &self,
        stored: &StoredExtent,
        blocks: &[Block],
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let pieces = self.cached_blocks(stored, blocks, hint).await?;
        let (Err(error), Some((from, to))) =
            (self.verify(stored, blocks, &pieces), blocks.first().zip(blocks.last()))
        else {
            return Ok(pieces);
        };
        tracing::warn!(%error, "damaged bytes from the bucket or the cache: they are read again");
        let range = from.position..to.position + u64::from(to.len);
        let refused = ObjectReadError::of_bucket(stored.object);
        self.reader.forget(&stored.cached(), &range).map_err(refused)?;
        let pieces = self.cached_blocks(stored, blocks, ReadHint::SINGLE).await?;
        self.verify(stored, blocks, &pieces)?;
        Ok(pieces)
    }

    async fn cached_blocks(
        &self,
        stored: &StoredExtent,
        blocks: &[Block],
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let ranges: Vec<_> = blocks
            .iter()
            .map(|block| block.position..block.position + u64::from(block.len))
            .collect();
        let read = self.reader.read_each(&stored.cached(), &ranges, hint).await;
        read.map_err(ObjectReadError::of_bucket(stored.object))
    }

    /// As [`TieredReader::blocks`], past the cache: for work that reads everything once.
    pub(crate) async fn blocks_once(
        &self,
        stored: &StoredExtent,
        blocks: &[Block],
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let mut pieces = Vec::with_capacity(blocks.len());
        let mut rest = blocks;
        while let Some(first) = rest.first() {
            let within = |block: &&Block| end_of(block) - first.position <= READ_BYTES_MAX;
            let count = rest.iter().take_while(within).count().max(1);
            let (now, later) = rest.split_at(count);
            let read = match self.read_once(stored, now).await {
                Err(error @ ObjectReadError::Corrupt { .. }) => {
                    tracing::warn!(%error, "damaged bytes from the bucket: they are read again");
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
        stored: &StoredExtent,
        blocks: &[Block],
    ) -> Result<Vec<Bytes>, ObjectReadError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(Vec::new());
        };
        let range = first.position..end_of(last);
        let read = self.reader.read_uncached(&stored.cached(), range, false).await;
        let bytes = read.map_err(ObjectReadError::of_bucket(stored.object))?;
        let piece_of = |block: &Block| {
            let start = usize::try_from(block.position - first.position).expect("megabytes");
            let piece = bytes.slice(start..start + usize::try_from(block.len).expect("megabytes"));
            verify_block(stored, block, &piece).map(|()| piece)
        };
        blocks.iter().map(piece_of).collect()
    }

    /// Whether what was read is what was put.
    fn verify(
        &self,
        stored: &StoredExtent,
        blocks: &[Block],
        pieces: &[Bytes],
    ) -> Result<(), ObjectReadError> {
        blocks.iter().zip(pieces).try_for_each(|(block, bytes)| {
            // A commit that waits for the processor does not wait for all of them.
            self.spawner.yield_cpu();
            if planted(Bug::BlockChecksumSkipped) {
                return Ok(());
            }
            verify_block(stored, block, bytes)
        })
    }

    /// Where the extent of a partition that holds `from` lies; `None` at the end of the objects.
    pub(crate) async fn stored_at(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        from: Offset,
    ) -> Result<Option<StoredExtent>, ObjectReadError> {
        if let Some(stored) = self.known_stored_at(state, row, from) {
            return Ok(Some(stored));
        }
        let Some(manifest) = row.manifest_at(from) else { return Ok(None) };
        let object = &state.objects[&manifest.object];
        let manifest = self.manifest(manifest.object, object.incarnation, object.len).await?;
        Ok(manifest.find(from).map(|entry| StoredExtent::of_entry(&entry)))
    }

    /// As [`Self::stored_at`], from what is in memory.
    pub(crate) fn known_stored_at(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        from: Offset,
    ) -> Option<StoredExtent> {
        if let Some(extent) = row.extent_at(from) {
            return Some(StoredExtent::of_extent(state, extent));
        }
        let manifest = self.known_manifest(row.manifest_at(from)?.object)?;
        manifest.find(from).map(|entry| StoredExtent::of_entry(&entry))
    }
}

fn verify_block(
    stored: &StoredExtent,
    block: &Block,
    bytes: &Bytes,
) -> Result<(), ObjectReadError> {
    block.verify(bytes).map_err(|source| ObjectReadError::Corrupt {
        object: stored.object,
        source: ObjectDamage::Data { key: stored.key(), source },
    })
}
