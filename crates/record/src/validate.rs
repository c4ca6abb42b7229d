//! Judging what a producer sent, in the order in which Kafka does; the first broken rule decides.
//!
//! 1. [`produced_batch`]: the request holds exactly one batch of the current format.
//! 2. [`validate_produced`]: what header and checksum tell, without looking at records.
//! 3. [`validate_records`]: whether the records are what the header says, the rules about single ones, and their
//!    largest timestamp. [`needs_records`] says where it may be left out: it has to decompress.
//!
//! A header is what its producer says. Nothing is decided by its times before [`validate_records`] has proved them.
//!
//! The producer's epoch and sequence numbers are judged later, against the state of the partition.

use std::cell::RefCell;

use esker_types::{Bug, Timestamp, planted};

use crate::compression::{Codec, Decompressor, unreadable_in_java};
use crate::error::{BatchError, CorruptReason, InvalidReason};
use crate::header::{BatchView, LOG_OVERHEAD, MAGIC, TimestampType, at};
use crate::walk::{Walked, longest, walk};

/// A header whose largest timestamp lies further ahead is not believed without a look at the records.
const AHEAD_MAX_MS: i64 = 3_600_000;

/// Topic settings that a produced batch is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceLimits {
    /// `max.message.bytes`, of a whole batch as it is sent.
    pub message_bytes_max: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// Whether every record needs a key (`cleanup.policy` has `compact`).
    pub needs_key: bool,
    /// `message.timestamp.type`; timestamps of producers are judged under `CreateTime` only.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no limit.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no limit.
    pub timestamp_after_max_ms: i64,
    /// `esker.validate.compressed`: whether compressed batches are always opened.
    pub opens_compressed: bool,
    /// `max.decompressed.message.bytes`, of one record of a compressed batch.
    pub record_bytes_max: usize,
    /// Most bytes that the records may decompress to where they have to be looked at.
    pub decompressed_bytes_max: usize,
}

impl Default for ProduceLimits {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            message_bytes_max: 1_048_588,
            segment_bytes: 1 << 30,
            needs_key: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            opens_compressed: true,
            record_bytes_max: 2_147_483_639,
            decompressed_bytes_max: 64 << 20,
        }
    }
}

impl ProduceLimits {
    /// The accepted timestamps of records that arrive at `now`.
    fn timestamps(&self, now: Timestamp) -> std::ops::RangeInclusive<i64> {
        now.get().saturating_sub(self.timestamp_before_max_ms)
            ..=now.get().saturating_add(self.timestamp_after_max_ms)
    }
}

/// Which rule a single record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFaultKind {
    /// `INVALID_RECORD`.
    InvalidRecord,
    /// `INVALID_TIMESTAMP`.
    InvalidTimestamp,
}

/// A record that breaks a rule; produce responses from version 8 on list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFault {
    /// Position in the batch, from 0.
    pub index: i32,
    /// Which rule.
    pub kind: RecordFaultKind,
    /// For the person who wrote the producer.
    pub message: String,
}

/// What is known of the times in a batch's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The largest timestamp is that of the records, as [`validate_records`] answered it.
    Proved,
    /// They are what the producer says.
    Claimed,
}

/// From when a batch ages whose times are not proved: from when it was `taken`, or up to an hour later if it says so.
#[must_use]
pub fn unproved_age(claimed: Timestamp, taken: Timestamp) -> Timestamp {
    claimed.clamp(taken, Timestamp(taken.get().saturating_add(AHEAD_MAX_MS)))
}

/// Why the records of a batch are refused; the whole batch is, always.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsRefused {
    /// The batch as such is at fault.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Single records are at fault: `INVALID_TIMESTAMP` when one of them has that kind, else `INVALID_RECORD`.
    #[error("{} records break a rule, the first one: {}", .0.len(), .0[0].message)]
    Records(Vec<RecordFault>),
}

impl RecordsRefused {
    /// The kind that stands for the whole batch, where single records are at fault.
    #[must_use]
    pub fn kind(&self) -> Option<RecordFaultKind> {
        let Self::Records(faults) = self else { return None };
        let timestamp = faults.iter().find(|fault| fault.kind == RecordFaultKind::InvalidTimestamp);
        Some(timestamp.map_or(RecordFaultKind::InvalidRecord, |fault| fault.kind))
    }
}

/// Whether `data` starts with a whole batch, as far as its length field tells.
fn starts_with_batch(data: &[u8]) -> bool {
    data.get(at::LENGTH..LOG_OVERHEAD)
        .and_then(|field| field.first_chunk())
        .and_then(|field| usize::try_from(i32::from_be_bytes(*field)).ok())
        .is_some_and(|length| data.len() - LOG_OVERHEAD >= length)
}

/// Finds the one batch in what a produce request holds for a partition. As in Kafka, an unfinished batch may stand
/// behind it: the caller cuts it off.
///
/// # Errors
/// [`BatchError::InvalidRecord`] for none, several or an old format; [`BatchError::CorruptMessage`] for
/// impossible lengths; [`BatchError::UnsupportedCompressionType`] for zstd before version 7.
pub fn produced_batch(data: &[u8], produce_version: i16) -> Result<BatchView<'_>, BatchError> {
    let batch = match BatchView::parse(data) {
        Ok(batch) => batch,
        Err(BatchError::Incomplete { .. }) => return Err(InvalidReason::NoBatch.into()),
        Err(other) => return Err(other),
    };
    assert!(batch.magic() == MAGIC, "a view has the current format");
    if produce_version < 7 && batch.codec() == Ok(Codec::Zstd) {
        return Err(BatchError::UnsupportedCompressionType { version: produce_version });
    }
    if starts_with_batch(&data[batch.len()..]) {
        return Err(InvalidReason::SeveralBatches.into());
    }
    Ok(batch)
}

/// Applies the rules that need no record: sizes, checksum, offsets, count, control bit, sequence, codec.
///
/// # Errors
/// The first broken rule.
pub fn validate_produced(batch: &BatchView<'_>, limits: &ProduceLimits) -> Result<(), BatchError> {
    let size = batch.len();
    let base_offset = batch.base_offset().get();
    if base_offset != 0 {
        return Err(InvalidReason::BaseOffset(base_offset).into());
    }
    if size > limits.message_bytes_max {
        return Err(BatchError::MessageTooLarge { size, max: limits.message_bytes_max });
    }
    batch.verify_crc()?;
    validate_header(batch)?;
    if size > limits.segment_bytes {
        return Err(BatchError::RecordListTooLarge { size, max: limits.segment_bytes });
    }
    Ok(())
}

fn validate_header(batch: &BatchView<'_>) -> Result<(), InvalidReason> {
    let (delta, count) = (batch.last_offset_delta(), batch.record_count());
    if delta < 0 {
        return Err(InvalidReason::OffsetRange(delta));
    }
    if count <= 0 {
        return Err(InvalidReason::RecordCount(count));
    }
    let offsets = i64::from(delta) + 1;
    if offsets != i64::from(count) {
        return Err(InvalidReason::OffsetCount { count, offsets });
    }
    if batch.is_control() {
        return Err(InvalidReason::ControlBatch);
    }
    if batch.has_producer_id() && batch.base_sequence() < 0 {
        return Err(InvalidReason::Sequence(batch.base_sequence()));
    }
    batch.codec().map_err(InvalidReason::UnknownCodec)?;
    Ok(())
}

/// Whether records have to be looked at: always, but for compressed batches with a header that may be true, where no
/// rule is about single records and the settings ask for no proof.
#[must_use]
pub fn needs_records(batch: &BatchView<'_>, limits: &ProduceLimits, now: Timestamp) -> bool {
    let compressed = batch.codec() != Ok(Codec::None);
    let stamped = limits.timestamp_type == TimestampType::LogAppendTime;
    let bounded = limits.timestamp_before_max_ms != i64::MAX;
    !compressed
        || limits.opens_compressed
        || limits.needs_key
        || (!stamped && (bounded || !may_be_true(batch, limits, now)))
}

/// Whether the times of a header could be those of records that arrive at `now`.
fn may_be_true(batch: &BatchView<'_>, limits: &ProduceLimits, now: Timestamp) -> bool {
    let ahead = limits.timestamp_after_max_ms.min(AHEAD_MAX_MS);
    let latest = Timestamp(now.get().saturating_add(ahead));
    let (base, max) = (batch.base_timestamp(), batch.max_timestamp());
    batch.timestamp_type() == TimestampType::CreateTime
        && (Timestamp(0)..=latest).contains(&max)
        && base <= max
}

/// Proves what the header says of its records and applies the rules about single ones. Answers their largest timestamp,
/// [`Timestamp::NONE`] where none has one. Decompresses to at most `limits.decompressed_bytes_max` bytes.
///
/// # Errors
/// [`RecordsRefused::Batch`] when the records do not decompress or parse, or are not as many as the header says;
/// [`RecordsRefused::Records`] with every record that breaks a rule.
pub fn validate_records(
    batch: &BatchView<'_>,
    limits: &ProduceLimits,
    now: Timestamp,
) -> Result<Timestamp, RecordsRefused> {
    if planted(Bug::RecordsNotWalked) {
        return Ok(batch.max_timestamp());
    }
    if let Some(reason) = batch.codec().ok().and_then(|c| unreadable_in_java(c, batch.payload())) {
        return Err(BatchError::from(InvalidReason::Unreadable(reason)).into());
    }
    match batch.codec() {
        Ok(Codec::None) => judge_payload(batch, batch.payload(), limits, now),
        Err(unknown) => Err(BatchError::from(InvalidReason::UnknownCodec(unknown)).into()),
        Ok(codec) => DECOMPRESSOR.with_borrow_mut(|decompressor| {
            let payload = decompressor
                .decompress(codec, batch.payload(), limits.decompressed_bytes_max)
                .map_err(|error| BatchError::from(InvalidReason::from(error)))?;
            judge_payload(batch, payload, limits, now)
        }),
    }
}

thread_local! {
    /// A thread's memory for the batches that it opens, one after the other.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::default();
}

/// Refuses records of a compressed batch that are longer than `max.decompressed.message.bytes`.
#[cold]
#[inline(never)]
fn check_longest(
    batch: &BatchView<'_>,
    payload: &[u8],
    limits: &ProduceLimits,
) -> Result<(), RecordsRefused> {
    let (max, count) = (limits.record_bytes_max, batch.record_count());
    let size = longest(payload, count).filter(|size| *size > max);
    match size.filter(|_| batch.codec() != Ok(Codec::None)) {
        Some(size) => Err(BatchError::from(InvalidReason::RecordTooLarge { size, max }).into()),
        None => Ok(()),
    }
}

/// [`validate_records`] of what was decompressed.
fn judge_payload(
    batch: &BatchView<'_>,
    payload: &[u8],
    limits: &ProduceLimits,
    now: Timestamp,
) -> Result<Timestamp, RecordsRefused> {
    let walked = walk(payload, batch.record_count());
    // No record is longer than all of them.
    if payload.len() > limits.record_bytes_max {
        check_longest(batch, payload, limits)?;
    }
    match walked.and_then(|walked| largest_timestamp(batch, limits, now, &walked)) {
        Some(largest) => Ok(largest),
        None => judge_each(batch, payload, limits, now),
    }
}

/// The largest timestamp of records that no rule needs to be applied to one by one.
fn largest_timestamp(
    batch: &BatchView<'_>,
    limits: &ProduceLimits,
    now: Timestamp,
    walked: &Walked,
) -> Option<Timestamp> {
    let base = batch.base_timestamp().get();
    let (min, max) = (base.checked_add(walked.delta_min)?, base.checked_add(walked.delta_max)?);
    let accepted = limits.timestamps(now);
    let in_time = limits.timestamp_type == TimestampType::LogAppendTime
        || (accepted.contains(&min) && accepted.contains(&max));
    let keyed = !limits.needs_key || walked.keyed;
    (in_time && keyed).then(|| Timestamp(max).max(Timestamp::NONE))
}

/// Applies the rules record by record, so that each fault has its name.
fn judge_each(
    batch: &BatchView<'_>,
    payload: &[u8],
    limits: &ProduceLimits,
    now: Timestamp,
) -> Result<Timestamp, RecordsRefused> {
    let accepted = limits.timestamps(now);
    let judges_time = limits.timestamp_type == TimestampType::CreateTime;
    let mut faults = Vec::new();
    let mut largest = Timestamp::NONE;
    for (record, index) in batch.records(payload).zip(0i32..) {
        let record =
            record.map_err(|error| BatchError::from(InvalidReason::Record { index, error }))?;
        let mut fault = |kind, message| faults.push(RecordFault { index, kind, message });
        if limits.needs_key && record.key.is_none() {
            fault(
                RecordFaultKind::InvalidRecord,
                "a record without key cannot go to a compacted topic".to_owned(),
            );
            continue;
        }
        let timestamp = batch.created_at(record.timestamp_delta);
        largest = largest.max(timestamp);
        if judges_time && timestamp != Timestamp::NONE && !accepted.contains(&timestamp.get()) {
            fault(
                RecordFaultKind::InvalidTimestamp,
                format!(
                    "timestamp {timestamp} lies outside of {} to {}",
                    accepted.start(),
                    accepted.end()
                ),
            );
            continue;
        }
        if record.offset_delta != index {
            fault(
                RecordFaultKind::InvalidRecord,
                format!("offset delta {} where {index} is expected", record.offset_delta),
            );
        }
    }
    if faults.is_empty() { Ok(largest) } else { Err(RecordsRefused::Records(faults)) }
}

impl From<CorruptReason> for RecordsRefused {
    fn from(reason: CorruptReason) -> Self {
        Self::Batch(reason.into())
    }
}
