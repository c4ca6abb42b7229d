//! Reading: from memory, from the write-ahead log, from the bucket, in this order.

use crate::engine::Engine;
use crate::objects::tiered::ObjectReadError;
use crate::partition::led::Partition;
use bytes::Bytes;
use esker_env::Blocking;
use esker_plog::{BatchLocation, Position, TailBatch, TailRead};
use esker_types::{JournalId, Offset, Seq};
use esker_wal::BundleView;
use std::sync::Arc;

/// Whole batches of one partition, in order; the first holds the offset asked for.
#[derive(Debug, Default, Clone)]
pub struct FetchedBatches {
    /// Their bytes. One element may hold several batches.
    pub batches: Vec<Bytes>,
    /// Bytes together.
    pub bytes: usize,
}

/// Why nothing was read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the high watermark.
    #[error("the log holds offsets {} to {}", .0.log_start, .0.high_watermark)]
    OffsetOutOfRange(Position),
    /// The bucket or the disk did not give the data; try again.
    #[error("{0}")]
    Unavailable(String),
    /// The data is not what was written.
    #[error("{0}")]
    Corrupt(String),
}

impl From<esker_plog::ReadError> for ReadError {
    fn from(error: esker_plog::ReadError) -> Self {
        let esker_plog::ReadError::OffsetOutOfRange(position) = error;
        Self::OffsetOutOfRange(position)
    }
}

impl From<ObjectReadError> for ReadError {
    fn from(error: ObjectReadError) -> Self {
        match error {
            ObjectReadError::Unavailable(message) => Self::Unavailable(message),
            // The metadata names it, so it should be there: somebody deleted it behind our back.
            ObjectReadError::Corrupt(message) | ObjectReadError::Gone(message) => {
                Self::Corrupt(message)
            }
        }
    }
}

impl Engine {
    /// What memory alone can answer: `None` when the data is elsewhere and [`Engine::read`] has to be awaited.
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

    /// Batches from the one that holds `from`, wherever they are, up to about `bytes_max`: the first whatever its size
    /// if `first_whole`.
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
                    let planned_at = self.meta().image().applied;
                    let outcome = self.read_objects(partition, from, bytes_max, first_whole).await;
                    let has_moved = || self.meta().image().applied > planned_at;
                    if matches!(outcome, Err(ObjectReadError::Gone(_)))
                        && !planned_anew
                        && has_moved()
                    {
                        // Merged and deleted since: longer than the grace, or by a clock that jumped.
                        planned_anew = true;
                        continue;
                    }
                    return Ok(outcome?);
                }
                TailRead::Batches(batches) => {
                    if let Some(fetched) = self.read_journal(batches).await? {
                        return Ok(fetched);
                    }
                    // Flushed and trimmed since: the partition says so by now.
                }
            }
        }
    }

    /// Reads the first of `batches` that are in the journal; `None` when it was trimmed meanwhile.
    async fn read_journal(
        &self,
        batches: Vec<TailBatch>,
    ) -> Result<Option<FetchedBatches>, ReadError> {
        let wal = self.wal().clone();
        self.env()
            .spawner
            .blocking(move || {
                let mut fetched = FetchedBatches::default();
                let mut open: Option<(JournalId, Seq, BundleView)> = None;
                for batch in batches {
                    let BatchLocation::Journal { journal, seq, frame } = batch.location else {
                        break;
                    };
                    if open.as_ref().is_none_or(|(j, s, _)| (*j, *s) != (journal, seq)) {
                        let bundle = wal
                            .read_bundle(journal, seq)
                            .map_err(|error| ReadError::Unavailable(error.to_string()))?;
                        let Some(bundle) = bundle else { break };
                        let view = BundleView::parse(bundle)
                            .map_err(|error| ReadError::Corrupt(error.to_string()))?;
                        open = Some((journal, seq, view));
                    }
                    if let Some((_, _, view)) = &open {
                        fetched.push(view.frame(frame as usize).payload);
                    }
                }
                Ok(Some(fetched).filter(|fetched| !fetched.batches.is_empty()))
            })
            .await
    }
}

impl FetchedBatches {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.batches.push(bytes);
    }
}
