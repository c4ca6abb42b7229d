//! Append, advance, read.

use crate::producer::{ProducerBatch, ProducerError, ProducerTable, Sequenced};
use crate::refused_producers::PendingFirstSequences;
use crate::tail::{BatchLocation, Tail, TailBatch};
use bytes::{Bytes, BytesMut};
use esker_record::{BatchMut, BatchView, Times, TimestampType, unproved_age};
use esker_types::{Bug, LeaderEpoch, Offset, Timestamp, planted};

/// Where a partition stands when its leader opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// This leadership.
    pub leader_epoch: LeaderEpoch,
    /// First readable offset.
    pub log_start: Offset,
    /// End of what is in committed objects.
    pub tiered_end: Offset,
    /// Where leader epochs began, ascending, this one included.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

/// A partition's log, as its leader holds it.
#[derive(Debug)]
pub struct PartitionLog {
    leader_epoch: LeaderEpoch,
    log_start: Offset,
    tiered_end: Offset,
    high_watermark: Offset,
    log_end: Offset,
    epochs: Vec<(LeaderEpoch, Offset)>,
    tail: Tail,
    /// `None` until it was loaded from the objects: only idempotent producers need it.
    producers: Option<ProducerTable>,
    pending_first: PendingFirstSequences,
}

/// Why a batch was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch does not continue its producer.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The producers' state is not loaded: load it, then append again.
    #[error("the producers of the partition are not loaded yet")]
    ProducersNotLoaded,
}

/// An appended batch.
#[derive(Debug, Clone)]
pub enum Appended {
    /// It is in the log.
    New {
        /// The bytes as they are in the log: offsets assigned, epoch set.
        bytes: Bytes,
        /// Offset of its first record.
        base: Offset,
        /// Offset after its last record.
        end: Offset,
        /// Its largest timestamp, by its header.
        max_timestamp: Timestamp,
        /// As [`TailBatch::ages_from`].
        ages_from: Timestamp,
    },
    /// It was in the log already. It is acknowledged when that is committed.
    Duplicate(ProducerBatch),
}

/// The offsets of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// This leadership.
    pub leader_epoch: LeaderEpoch,
    /// First readable offset.
    pub log_start: Offset,
    /// End of what is in committed objects.
    pub tiered_end: Offset,
    /// End of what open transactions do not hold back. Exclusive.
    pub last_stable_offset: Offset,
    /// End of what readers may see. Exclusive.
    pub high_watermark: Offset,
    /// The next offset to be assigned.
    pub log_end: Offset,
}

/// What the tail has for a reader.
#[derive(Debug)]
pub enum TailRead {
    /// Whole batches, the first one holding the offset asked for; none when the reader is at the end.
    Batches(Vec<TailBatch>),
    /// The offset lies below the tail: read objects.
    Tiered,
}

/// Why there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the high watermark.
    #[error("the log holds offsets {} to {}", .0.log_start, .0.high_watermark)]
    OffsetOutOfRange(Position),
}

/// The end of a leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch of the log that is not above the one asked for; `NONE` when there is none.
    pub epoch: LeaderEpoch,
    /// Where the next epoch begins; the log end for the newest one; `NONE` without an epoch.
    pub end: Offset,
}

impl PartitionLog {
    /// A log that ends where its objects end. [`PartitionLog::restore`] adds what the journals hold beyond.
    #[must_use]
    pub fn open(state: LogState) -> Self {
        // A log start above the objects' end was set on records that were not flushed when the leader stopped.
        let end = state.tiered_end;
        Self {
            leader_epoch: state.leader_epoch,
            log_start: state.log_start.min(end),
            tiered_end: end,
            high_watermark: end,
            log_end: end,
            epochs: state.epochs,
            tail: Tail::default(),
            producers: None,
            pending_first: PendingFirstSequences::default(),
        }
    }

    /// Adds a batch that a sealed journal holds: it is committed.
    pub fn restore(&mut self, batch: TailBatch) {
        if batch.end <= self.tiered_end {
            return;
        }
        assert!(batch.base == self.log_end, "restored {} at {}", batch.base, self.log_end);
        self.log_end = batch.end;
        self.high_watermark = batch.end;
        self.tail.push(batch);
    }

    /// Appends a validated batch, assigning its offsets. It is not visible before
    /// [`PartitionLog::advance_high_watermark`].
    ///
    /// # Errors
    /// See [`AppendError`]; nothing has changed then.
    ///
    /// # Panics
    /// When `batch` is not one whole batch: the caller validated it.
    pub fn append(
        &mut self,
        mut batch: BytesMut,
        timestamps: TimestampType,
        times: Times,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let view = BatchView::parse(&batch).expect("a validated batch parses");
        let rest = batch.len() - view.len();
        assert!(rest == 0 || planted(Bug::RestNotCutOff), "{rest} bytes behind a batch");
        if view.has_producer_id() {
            let Some(producers) = &self.producers else {
                self.pending_first.note(&view);
                return Err(AppendError::ProducersNotLoaded);
            };
            match producers.check(&view)? {
                Sequenced::Duplicate(known) => return Ok(Appended::Duplicate(known)),
                Sequenced::First => self.pending_first.check(&view)?,
                Sequenced::Next => {}
            }
        }
        let base = self.log_end;
        let mut patch = BatchMut::parse(&mut batch).expect("a validated batch parses");
        patch.set_base_offset(base);
        patch.set_partition_leader_epoch(self.leader_epoch);
        if timestamps == TimestampType::LogAppendTime {
            patch.set_log_append_time(now);
        }
        let bytes = batch.freeze();
        let view = BatchView::parse(&bytes).expect("a patched batch parses");
        let (end, max_timestamp) = (view.next_offset(), view.max_timestamp());
        let proved = timestamps == TimestampType::LogAppendTime || times == Times::Proved;
        let timed = max_timestamp > Timestamp::NONE || planted(Bug::TimelessExpires);
        let ages_from =
            if proved && timed { max_timestamp } else { unproved_age(max_timestamp, now) };
        if let Some(producers) = &mut self.producers {
            producers.note(&view, now);
        }
        self.pending_first.remove(view.producer_id());
        self.tail.push(TailBatch {
            base,
            end,
            max_timestamp,
            ages_from,
            leader_epoch: self.leader_epoch,
            len: u32::try_from(bytes.len()).expect("a batch is below 2 GiB"),
            location: BatchLocation::Memory(bytes.clone()),
        });
        self.log_end =
            if planted(Bug::OffsetSkipped) && base.get() % 64 == 63 { end.next() } else { end };
        Ok(Appended::New { bytes, base, end, max_timestamp, ages_from })
    }

    /// Notes that a validated batch was refused for a reason that passes: its producer sends it again, and what it has
    /// sent behind it must not be taken before.
    pub fn refuse(&mut self, batch: &BatchView<'_>) {
        let id = batch.producer_id();
        let known = self.producers.as_ref().is_some_and(|producers| producers.knows(id));
        if batch.has_producer_id() && !known {
            self.pending_first.note(batch);
        }
    }

    /// Makes everything below `to` visible. Never moves back.
    pub fn advance_high_watermark(&mut self, to: Offset) -> bool {
        assert!(to <= self.log_end, "high watermark {to} beyond the log end {}", self.log_end);
        let advanced = to > self.high_watermark;
        self.high_watermark = self.high_watermark.max(to);
        advanced
    }

    /// Notes that objects hold everything below `to`. The tail keeps what it has in memory until
    /// [`PartitionLog::drop_tail_below`]; what is only in the journal is forgotten, for the journal will be trimmed.
    pub fn set_tiered_end(&mut self, to: Offset) {
        assert!(to <= self.high_watermark, "tiered to {to}, committed to {}", self.high_watermark);
        self.tiered_end = self.tiered_end.max(to);
        self.tail.drop_journalled_below(self.tiered_end);
    }

    /// Raises the first readable offset. Never moves back.
    pub fn set_log_start(&mut self, to: Offset) {
        assert!(to <= self.high_watermark, "log start {to} beyond {}", self.high_watermark);
        self.log_start = self.log_start.max(to);
    }

    /// Drops batches below `offset` from memory, as far as objects hold them.
    pub fn drop_tail_below(&mut self, offset: Offset) {
        self.tail.drop_below(offset.min(self.tiered_end));
    }

    /// Says where the bytes of the batch at `base` can be read instead of from memory. Answers the memory freed.
    pub fn move_to_journal(&mut self, base: Offset, location: BatchLocation) -> usize {
        match self.tail.get_mut(base) {
            Some(batch) if matches!(batch.location, BatchLocation::Memory(_)) => {
                batch.location = location;
                batch.len as usize
            }
            _ => 0,
        }
    }

    /// Puts the producers' state as of the objects' end in place and brings it up to the log end. `tail` are the
    /// tail's batches from the objects' end on, in order; they count as seen at `now`. A log that knows its producers
    /// keeps what it knows: whoever looked them up beside the first has not seen what was appended since.
    pub fn load_producers<'a>(
        &mut self,
        mut table: ProducerTable,
        tail: impl Iterator<Item = BatchView<'a>>,
        now: Timestamp,
    ) {
        if self.producers.is_some() {
            return;
        }
        for batch in tail {
            table.note(&batch, now);
        }
        self.producers = Some(table);
    }

    /// The producers' state, if loaded.
    #[must_use]
    pub fn producers(&self) -> Option<&ProducerTable> {
        self.producers.as_ref()
    }

    /// The producers' state, if loaded, to let old ones expire.
    pub fn producers_mut(&mut self) -> Option<&mut ProducerTable> {
        self.producers.as_mut()
    }

    /// The offsets.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            leader_epoch: self.leader_epoch,
            log_start: self.log_start,
            tiered_end: self.tiered_end,
            last_stable_offset: self.high_watermark,
            high_watermark: self.high_watermark,
            log_end: self.log_end,
        }
    }

    /// Batches from the one that holds `from` up to the high watermark: the first whatever its size if `first_whole`,
    /// further ones while they fit in `bytes_max`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        first_whole: bool,
    ) -> Result<TailRead, ReadError> {
        if from < self.log_start || from > self.high_watermark {
            return Err(ReadError::OffsetOutOfRange(self.position()));
        }
        if from == self.high_watermark {
            return Ok(TailRead::Batches(Vec::new()));
        }
        if self.tail.start().is_none_or(|start| from < start) {
            return Ok(TailRead::Tiered);
        }
        let mut batches = Vec::new();
        let mut taken = 0;
        for batch in self.tail.from(self.tail.find(from)) {
            let visible = batch.end <= self.high_watermark;
            let fits = taken + batch.len as usize <= bytes_max;
            if !visible || !(fits || (batches.is_empty() && first_whole)) {
                break;
            }
            taken += batch.len as usize;
            batches.push(batch.clone());
        }
        Ok(TailRead::Batches(batches))
    }

    /// Visible bytes from `from` on in the tail, at most `enough`: what a waiting fetch would get.
    #[must_use]
    pub fn available_bytes(&self, from: Offset, enough: usize) -> usize {
        let mut bytes = 0;
        for batch in self.tail.from(self.tail.find(from)) {
            if batch.end > self.high_watermark || bytes >= enough {
                break;
            }
            bytes += batch.len as usize;
        }
        bytes
    }

    /// Visible batches of the tail in order, from the one that holds `from`.
    pub fn tail_from(&self, from: Offset) -> impl Iterator<Item = &TailBatch> {
        let high_watermark = self.high_watermark;
        self.tail
            .from(self.tail.find(from))
            .take_while(move |batch| batch.end <= high_watermark || planted(Bug::LookupUncommitted))
    }

    /// Batches in the tail.
    #[must_use]
    pub fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// First offset in the tail; the log end when it is empty.
    #[must_use]
    pub fn tail_start(&self) -> Offset {
        self.tail.start().unwrap_or(self.log_end)
    }

    /// Where leader epoch `asked` ended, by Kafka's rule.
    #[must_use]
    pub fn end_of_epoch(&self, asked: LeaderEpoch) -> EpochEnd {
        let none = EpochEnd { epoch: LeaderEpoch::NONE, end: Offset::NONE };
        let Some((newest, _)) = self.epochs.last() else { return none };
        if asked == *newest {
            return EpochEnd { epoch: asked, end: self.log_end };
        }
        if asked > *newest {
            return none;
        }
        let after = self.epochs.partition_point(|(epoch, _)| *epoch <= asked);
        let mut end = self.epochs[after].1;
        if planted(Bug::EpochEndsLate) {
            end = end.next();
        }
        match after.checked_sub(1) {
            Some(place) => EpochEnd { epoch: self.epochs[place].0, end },
            None if planted(Bug::EpochBeforeFirstAtZero) => {
                EpochEnd { epoch: asked, end: Offset::ZERO }
            }
            // Asked for an epoch before the first one known: it ended where that one began.
            None => EpochEnd { epoch: asked, end },
        }
    }

    /// The leader epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let after = self.epochs.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map_or(LeaderEpoch::NONE, |place| self.epochs[place].0)
    }
}

#[cfg(test)]
mod tests;
