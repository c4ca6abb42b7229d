//! Reading a batch header in place.
//!
//! ```text
//!  0 base offset i64 | 8 length i32 (of what follows) | 12 partition leader epoch i32 | 16 magic i8 = 2
//! 17 crc u32 (CRC-32C of all that follows) | 21 attributes i16 | 23 last offset delta i32
//! 27 base timestamp i64 | 35 max timestamp i64 | 43 producer id i64 | 51 producer epoch i16
//! 53 base sequence i32 | 57 record count i32 | 61 records, compressed as one block
//! ```
//! All numbers are big-endian. Base offset and leader epoch lie outside the checksum so that the broker can
//! assign them without touching the rest.

use std::borrow::Cow;

use esker_types::{Crc32c, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::compression::{Codec, DecompressError, decompress};
use crate::error::{BatchError, CorruptReason};
use crate::records::Records;

/// Bytes before the first record.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length field, which the length field does not count.
pub const LOG_OVERHEAD: usize = 12;
/// Smallest value of the length field in any format version: the fixed part of a message of version 0.
const LENGTH_MIN_OF_ANY: i32 = 14;
/// The only format version that is written since Kafka 0.11 and read since 4.0.
pub const MAGIC: i8 = 2;

pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

pub(crate) mod attribute {
    pub(crate) const CODEC: i16 = 0b111;
    pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
    pub(crate) const CONTROL: i16 = 1 << 5;
    pub(crate) const DELETE_HORIZON: i16 = 1 << 6;
}

/// Who set the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer, record by record.
    CreateTime,
    /// The broker, one for the whole batch: its max timestamp.
    LogAppendTime,
}

/// From this length on the checksum of a whole batch is put together from the stored one.
const WHOLE_CRC_BYTES_MIN: usize = 4 << 10;

/// One whole batch, its header read on demand. The lengths were checked; the checksum was not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchView<'a> {
    header: &'a [u8; HEADER_LEN],
    bytes: &'a [u8],
}

impl std::fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchView")
            .field("base_offset", &self.base_offset())
            .field("last_offset", &self.last_offset())
            .field("record_count", &self.record_count())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Length of the batch at the start of `data`, from its length field alone.
fn batch_len(data: &[u8]) -> Result<usize, BatchError> {
    let incomplete = |needed| BatchError::Incomplete { needed, available: data.len() };
    let length = data
        .get(at::LENGTH..LOG_OVERHEAD)
        .and_then(|field| field.first_chunk())
        .map(|field| i32::from_be_bytes(*field))
        .ok_or_else(|| incomplete(HEADER_LEN))?;
    if length < LENGTH_MIN_OF_ANY {
        return Err(CorruptReason::Length(length).into());
    }
    let magic = data.get(at::MAGIC).map(|&byte| i8::from_be_bytes([byte]));
    // The magic decides what the length has to cover.
    match magic {
        Some(magic) if !(0..=MAGIC).contains(&magic) => {
            return Err(CorruptReason::Magic(magic).into());
        }
        Some(magic) if magic != MAGIC => {
            return Err(crate::error::InvalidReason::OldMagic(magic).into());
        }
        _ => {}
    }
    let total = usize::try_from(length)
        .ok()
        .map(|length| length + LOG_OVERHEAD)
        .filter(|&total| total >= HEADER_LEN)
        .ok_or(CorruptReason::Length(length))?;
    if data.len() < total {
        return Err(incomplete(total));
    }
    Ok(total)
}

impl<'a> BatchView<'a> {
    /// Reads the batch at the start of `data`; bytes after it are not part of the view.
    ///
    /// # Errors
    /// [`BatchError::Incomplete`] when `data` ends early, [`BatchError::CorruptMessage`] for an impossible length
    /// or magic, [`BatchError::InvalidRecord`] for the formats before version 2.
    pub fn parse(data: &'a [u8]) -> Result<Self, BatchError> {
        let total = batch_len(data)?;
        let bytes = &data[..total];
        let header = bytes.first_chunk().expect("a batch is at least a header long");
        Ok(Self { header, bytes })
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.header[at..].first_chunk().expect("fields lie within the header")
    }

    /// The whole batch: header and payload.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the whole batch, which is also the distance to the next one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch has a header and is never empty")]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The records as they are stored, possibly compressed.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Offset of the first record that the batch had when it was written (compaction keeps it).
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.field(at::BASE_OFFSET)))
    }

    /// The length field: bytes that follow it.
    #[must_use]
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(self.field(at::LENGTH))
    }

    /// Leadership under which the batch was appended.
    #[must_use]
    pub fn partition_leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.field(at::LEADER_EPOCH)))
    }

    /// Format version; always 2 in a view.
    #[must_use]
    pub fn magic(&self) -> i8 {
        i8::from_be_bytes(self.field(at::MAGIC))
    }

    /// The stored checksum.
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.field(at::CRC))
    }

    /// The attribute bits.
    #[must_use]
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.field(at::ATTRIBUTES))
    }

    /// Compression of the payload, or the number that stands for none that exists.
    ///
    /// # Errors
    /// The codec number, 5 to 7.
    pub fn codec(&self) -> Result<Codec, u8> {
        Codec::from_bits(self.attributes() & attribute::CODEC)
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & attribute::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & attribute::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record (a transaction marker) instead of data.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes() & attribute::CONTROL != 0
    }

    /// When compaction may drop the tombstones and markers of this batch; `None` where it has not passed yet.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        (self.attributes() & attribute::DELETE_HORIZON != 0).then(|| self.base_timestamp())
    }

    /// Distance from the base offset to the last offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.field(at::LAST_OFFSET_DELTA))
    }

    /// Offset of the last record that the batch had when it was written. Saturates: the bytes may be foreign.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().get().saturating_add(i64::from(self.last_offset_delta())))
    }

    /// The offset after the last one. Saturates.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().get().saturating_add(1))
    }

    /// What record timestamps are relative to; the delete horizon where [`Self::delete_horizon`] says so.
    #[must_use]
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(at::BASE_TIMESTAMP)))
    }

    /// The largest record timestamp, by whoever set it.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(at::MAX_TIMESTAMP)))
    }

    /// The idempotent producer, or [`ProducerId::NONE`].
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.field(at::PRODUCER_ID)))
    }

    /// Whether an idempotent producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id().get() > ProducerId::NONE.get()
    }

    /// Epoch of the producer.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.field(at::PRODUCER_EPOCH)))
    }

    /// Sequence number of the first record; −1 without a producer id.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(self.field(at::BASE_SEQUENCE))
    }

    /// Sequence number of the last record: sequences wrap from `i32::MAX` to 0. −1 without a producer id.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        let (base, delta) = (self.base_sequence(), self.last_offset_delta());
        if base < 0 || delta < 0 {
            return base;
        }
        let wrapped = (i64::from(base) + i64::from(delta)) % (i64::from(i32::MAX) + 1);
        i32::try_from(wrapped).expect("the remainder is below 2^31")
    }

    /// Number of records by the header.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(self.field(at::RECORD_COUNT))
    }

    /// CRC-32C of what the checksum covers: everything from the attributes on.
    #[must_use]
    pub fn compute_crc(&self) -> u32 {
        crc_fast::crc32_iscsi(&self.bytes[at::ATTRIBUTES..])
    }

    /// Checks the checksum in one pass over the batch.
    ///
    /// # Errors
    /// [`CorruptReason::Crc`] with both values.
    pub fn verify_crc(&self) -> Result<(), CorruptReason> {
        let (computed, stored) = (self.compute_crc(), self.crc());
        if computed == stored { Ok(()) } else { Err(CorruptReason::Crc { computed, stored }) }
    }

    /// CRC-32C of the whole batch, put together from its stored checksum, which [`Self::verify_crc`] has compared before.
    #[must_use]
    pub fn whole_crc(&self) -> Crc32c {
        // Reading a short one again is cheaper.
        if self.bytes.len() < WHOLE_CRC_BYTES_MIN {
            return Crc32c(crc_fast::crc32_iscsi(self.bytes));
        }
        let (head, checked) = self.bytes.split_at(at::ATTRIBUTES);
        Crc32c(crc_fast::crc32_iscsi(head)).then(Crc32c(self.crc()), checked.len())
    }

    /// The records without compression: borrowed where there is none, else at most `cap` bytes.
    ///
    /// # Errors
    /// [`DecompressError`] for an unknown codec, damaged data, or more than `cap` bytes.
    pub fn decompressed(&self, cap: usize) -> Result<Cow<'a, [u8]>, DecompressError> {
        match self.codec().map_err(DecompressError::UnknownCodec)? {
            Codec::None => Ok(Cow::Borrowed(self.payload())),
            codec => decompress(codec, self.payload(), cap).map(Cow::Owned),
        }
    }

    /// Iterates the records in `payload`, which [`Self::decompressed`] gave.
    #[must_use]
    pub fn records<'p>(&self, payload: &'p [u8]) -> Records<'p> {
        Records::new(payload, self.record_count())
    }

    /// Offset of a record of this batch.
    #[must_use]
    pub fn offset_of(&self, offset_delta: i32) -> Offset {
        Offset(self.base_offset().get().saturating_add(i64::from(offset_delta)))
    }

    /// Timestamp of a record of this batch.
    #[must_use]
    pub fn timestamp_of(&self, timestamp_delta: i64) -> Timestamp {
        match self.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp(),
            TimestampType::CreateTime => self.created_at(timestamp_delta),
        }
    }

    /// What the producer said of a record's time, whoever stamped the batch.
    #[must_use]
    pub fn created_at(&self, timestamp_delta: i64) -> Timestamp {
        Timestamp(self.base_timestamp().get().wrapping_add(timestamp_delta))
    }
}

/// The batches of a concatenation, see [`batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// What has not been iterated yet; nothing after an error.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Iterates a concatenation of batches. Ends after the last byte or after the first error; a batch that is cut
/// off at the end is [`BatchError::Incomplete`].
#[must_use]
pub const fn batches(data: &[u8]) -> Batches<'_> {
    Batches { rest: data }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = BatchView::parse(self.rest);
        self.rest = match &parsed {
            Ok(batch) => &self.rest[batch.len()..],
            Err(_) => &[],
        };
        Some(parsed)
    }
}
