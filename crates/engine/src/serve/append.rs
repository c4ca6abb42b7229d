//! Taking a batch into the log.

use crate::engine::Engine;
use crate::journal::owned::JournalUnavailable;
use crate::partition::ack::Ack;
use crate::partition::led::Partition;
use bytes::BytesMut;
use esker_plog::{Appended, ProducerError};
use esker_record::{BatchView, Times};
use esker_types::{Bug, Offset, Timestamp, planted};
use esker_wal::{FrameFlags, FrameMeta};
use std::sync::Arc;

/// Where an append went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendResult {
    /// Offset of the batch's first record.
    pub base: Offset,
    /// The broker's timestamp, under `LogAppendTime`; else `NONE`.
    pub log_append_time: Timestamp,
    /// First readable offset of the partition.
    pub log_start: Offset,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The partition is deleted, led elsewhere by now, or on its way there.
    #[error("this broker no longer leads the partition")]
    NotLeader,
    /// The batch does not continue its producer.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The producers' state has to be loaded first: [`Engine::load_producers`], then try again.
    #[error("the producers of the partition are not loaded yet")]
    ProducersNotLoaded,
    /// The batch does not fit a file of the write-ahead log.
    #[error(
        "a batch of {size} bytes is longer than the {max} that fit the write-ahead log; `esker.wal.segment.bytes` sets that"
    )]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// Bytes of the longest that is taken.
        max: usize,
    },
    /// The write-ahead log has no room until the bucket takes more. Try again later.
    #[error("the write-ahead log is full; records are taken again when the bucket has taken some")]
    Full,
    /// The partition has as many extents in the bucket as it may, and damage keeps them from
    /// becoming fewer.
    #[error(
        "a damaged object keeps the partition's extents from being merged, and there is no room for more; the broker's log names the object"
    )]
    ExtentLimitReached,
    /// The write-ahead log failed; this process must restart.
    #[error("the write-ahead log failed; the broker has to be restarted")]
    Failed,
}

impl Engine {
    /// Gives a validated batch, of whose times `times` is known, its offsets and pushes it into the
    /// journal. It is committed when `ack` says so, together with whatever else `ack` waits for;
    /// without an `ack` nobody is told.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was appended. What may pass is remembered of the batch, as
    /// [`Partition::refuse`] does.
    pub fn append(
        &self,
        partition: &Arc<Partition>,
        batch: BytesMut,
        times: Times,
        ack: Option<&Arc<Ack>>,
    ) -> Result<AppendResult, AppendError> {
        self.listener.flush_pressure.yield_to_flush();
        let journal = self.journal_of(partition);
        let refusal = match journal.accepts() {
            Err(JournalUnavailable::Full) => Some(AppendError::Full),
            Err(JournalUnavailable::Failed) => Some(AppendError::Failed),
            Ok(()) => partition.is_at_extent_limit().then_some(AppendError::ExtentLimitReached),
        };
        if let Some(refusal) = refusal {
            partition.refuse(&BatchView::parse(&batch).expect("a validated batch parses"));
            return Err(refusal);
        }
        let (size, max) = (batch.len(), journal.batch_bytes_max());
        if size > max {
            return Err(AppendError::TooLarge { size, max });
        }
        let limits = partition.settings.load().limits;
        let now = self.context.env.clock.wall();
        let mut inner = partition.lock();
        if !inner.takes_records() {
            return Err(AppendError::NotLeader);
        }
        let appended = inner.log.append(batch, limits.timestamp_type, times, now).map_err(
            |error| match error {
                esker_plog::AppendError::Producer(error) => AppendError::Producer(error),
                esker_plog::AppendError::ProducersNotLoaded => AppendError::ProducersNotLoaded,
            },
        )?;
        let stamped = limits.timestamp_type == esker_record::TimestampType::LogAppendTime;
        let position = inner.log.position();
        let (base, end, stamp) = match appended {
            Appended::New { bytes, base, end, max_timestamp, ages_from } => {
                let batch = BatchView::parse(&bytes).expect("an appended batch parses");
                let mut flags = flags_of(&batch, limits.needs_key);
                if ages_from == max_timestamp {
                    flags = flags.with(FrameFlags::AGES);
                }
                let crc = batch.whole_crc();
                let meta = FrameMeta {
                    partition: partition.id,
                    base_offset: base,
                    last_offset: Offset(end.get() - 1),
                    max_timestamp,
                    leader_epoch: position.leader_epoch,
                    flags,
                };
                // A journal that failed since it was asked never acknowledges anything.
                if !journal.push(partition, meta, bytes, crc) {
                    return Err(AppendError::Failed);
                }
                if planted(Bug::VisibleBeforeDurable) {
                    inner.log.advance_high_watermark(end);
                }
                (base, end, now)
            }
            Appended::Duplicate(known) => {
                (known.base_offset, known.last_offset.next(), known.timestamp)
            }
        };
        if let Some(ack) = ack {
            inner.acknowledge_at(end, ack);
        }
        let log_append_time = if stamped { stamp } else { Timestamp::NONE };
        Ok(AppendResult { base, log_append_time, log_start: position.log_start })
    }
}

fn flags_of(view: &BatchView<'_>, compacted: bool) -> FrameFlags {
    let mut flags = FrameFlags::default();
    for (set, flag) in [
        (view.is_control(), FrameFlags::CONTROL),
        (view.is_transactional(), FrameFlags::TRANSACTIONAL),
        (view.has_producer_id(), FrameFlags::IDEMPOTENT),
        (compacted, FrameFlags::COMPACTED),
    ] {
        if set {
            flags = flags.with(flag);
        }
    }
    flags
}
