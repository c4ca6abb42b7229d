//! Reading: from memory, from the write-ahead log, from the bucket, in this order.

use crate::engine::Engine;
use crate::journal::reader::JournalReadError;
use crate::objects::error::{ObjectDamage, ObjectReadError};
use crate::objects::fetched::FetchedBatches;
use crate::objects::readahead::PartitionReadAhead;
use crate::objects::tiered::READ_BYTES_MAX;
use crate::partition::led::Partition;
use bytes::Bytes;
use esker_cache::ReadHint;
use esker_object::{Block, ObjectMeta, Part};
use esker_plog::{BatchLocation, Position, TailRead};
use esker_record::{BatchError, batches};
use esker_types::{Bug, Offset, PartitionId, planted};
use std::sync::Arc;

/// Why nothing was read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the high watermark.
    #[error("the log holds offsets {} to {}", .0.log_start, .0.high_watermark)]
    OffsetOutOfRange(Position),
    /// It is in the bucket.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// It is in the write-ahead log.
    #[error(transparent)]
    Journal(#[from] JournalReadError),
    /// What was read of a partition is no batch.
    #[error("{source}")]
    Batch {
        /// The partition.
        partition: PartitionId,
        /// What is wrong.
        source: BatchError,
    },
}

impl ReadError {
    /// Whether the data is not what was written, so that trying again does not help. (What the
    /// metadata names should be there: somebody deleted it behind our back.)
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Object(error) => error.damaged_object().is_some(),
            Self::Journal(error) => matches!(error, JournalReadError::Corrupt { .. }),
            Self::Batch { .. } => true,
            Self::OffsetOutOfRange(_) => false,
        }
    }
}

impl From<esker_plog::ReadError> for ReadError {
    fn from(error: esker_plog::ReadError) -> Self {
        let esker_plog::ReadError::OffsetOutOfRange(position) = error;
        Self::OffsetOutOfRange(position)
    }
}

impl Engine {
    /// What memory alone can answer: `None` when the data is elsewhere and [`Engine::read`] has to
    /// be awaited.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`].
    pub fn read_memory(
        &self,
        partition: &Partition,
        from: Offset,
        bytes_max: usize,
        first_whole: bool,
    ) -> Result<Option<FetchedBatches>, ReadError> {
        match partition.lock().log.read(from, bytes_max, first_whole)? {
            TailRead::Tiered => Ok(None),
            TailRead::Batches(batches) => {
                let mut fetched = FetchedBatches::default();
                for batch in batches {
                    match batch.location {
                        BatchLocation::Memory(bytes) => fetched.push(bytes),
                        BatchLocation::Journal { .. } if fetched.batches.is_empty() => {
                            return Ok(None);
                        }
                        BatchLocation::Journal { .. } => break,
                    }
                }
                Ok(Some(fetched))
            }
        }
    }

    /// Batches from the one that holds `from`, wherever they are, up to about `bytes_max`: the
    /// first whatever its size if `first_whole`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        from: Offset,
        bytes_max: usize,
        first_whole: bool,
    ) -> Result<FetchedBatches, ReadError> {
        let mut planned_anew = false;
        loop {
            if let Some(fetched) = self.read_memory(partition, from, bytes_max, first_whole)? {
                return Ok(fetched);
            }
            let read = partition.lock().log.read(from, bytes_max, first_whole)?;
            match read {
                TailRead::Tiered => {
                    let planned_at = self.context.image().applied;
                    let outcome = self.read_objects(partition, from, bytes_max, first_whole).await;
                    let has_moved = || self.context.image().applied > planned_at;
                    if matches!(outcome, Err(ObjectReadError::Gone { .. }))
                        && !planned_anew
                        && has_moved()
                    {
                        // Merged and deleted since: longer than the grace, or by a clock that
                        // jumped.
                        planned_anew = true;
                        continue;
                    }
                    return Ok(outcome?);
                }
                TailRead::Batches(batches) => {
                    if let Some(fetched) = self.reader.read(batches).await? {
                        return Ok(fetched);
                    }
                    // Flushed and trimmed since: the partition says so by now.
                }
            }
        }
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
        let state = self.context.image();
        self.context.env.fail_point("read: planned").await;
        let mut fetched = FetchedBatches::default();
        let Some(row) = state.partitions.get(&partition.id) else { return Ok(fetched) };
        let now = self.context.env.clock.now();
        let cursor = self.tiered.cursors.resume(&(partition.id, from), now);
        let Some(stored) = self.tiered.stored_at(&state, row, from).await? else {
            return Ok(fetched);
        };
        let meta = self.tiered.object_to_read(&stored, &cursor).await?;
        let part = stored.find_part(&meta, partition.id)?;
        let blocks = wanted_blocks(&meta, &part, from, bytes_max);
        let read_ahead = PartitionReadAhead {
            tiered: &self.tiered,
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
        for block in self.tiered.blocks(&stored, &blocks, hint).await? {
            taken = take_batches(&block, from, bytes_max, first_whole, &mut fetched)
                .map_err(ObjectReadError::of_batch(stored.object))?;
            match taken {
                Taken::Below => {}
                Taken::UpTo(end) => next = end,
                // What comes after it must not be answered in its place.
                Taken::TooLarge => break,
            }
        }
        if taken == Taken::Below {
            let (object, partition) = (stored.object, partition.id);
            let source = ObjectDamage::NoOffset { object, partition, offset: from };
            return Err(ObjectReadError::Corrupt { object, source });
        }
        let now = self.context.env.clock.now();
        self.tiered.cursors.advance(&(partition.id, from), (partition.id, next), cursor, now);
        Ok(fetched)
    }
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

/// Takes whole batches out of a block: those before `from` are left out, those beyond the limit
/// too.
fn take_batches(
    block: &Bytes,
    from: Offset,
    bytes_max: usize,
    first_whole: bool,
    fetched: &mut FetchedBatches,
) -> Result<Taken, BatchError> {
    let mut start = 0;
    let mut end = 0;
    let mut taken = Taken::Below;
    let base = fetched.bytes;
    for batch in batches(block) {
        let batch = batch?;
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
