//! Why a batch is refused. Variants are named after the Kafka error that a client gets to see.

use crate::compression::DecompressError;
use crate::records::RecordError;

/// Verdict over one record batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The slice ends before the batch does. Reading a log: read more. From a producer: corrupt.
    #[error("the batch needs {needed} bytes and {available} are there")]
    Incomplete {
        /// Bytes that the batch claims to have; the length of the header while that is not known.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// `CORRUPT_MESSAGE`: the bytes are damaged; the producer retries.
    #[error("corrupt batch: {0}")]
    CorruptMessage(#[from] CorruptReason),
    /// `INVALID_RECORD`: the bytes are whole but break a rule; a retry is of no use.
    #[error("invalid batch: {0}")]
    InvalidRecord(#[from] InvalidReason),
    /// `MESSAGE_TOO_LARGE`: the batch is larger than the topic's `max.message.bytes`.
    #[error("the batch has {size} bytes, more than max.message.bytes {max}")]
    MessageTooLarge {
        /// Bytes of the whole batch.
        size: usize,
        /// The topic's limit.
        max: usize,
    },
    /// `RECORD_LIST_TOO_LARGE`: the batch is larger than the topic's `segment.bytes`.
    #[error("the batch has {size} bytes, more than segment.bytes {max}")]
    RecordListTooLarge {
        /// Bytes of the whole batch.
        size: usize,
        /// The topic's limit.
        max: usize,
    },
    /// `UNSUPPORTED_COMPRESSION_TYPE`: zstd in a request version that older consumers answer to.
    #[error("produce requests of version {version} do not carry zstd")]
    UnsupportedCompressionType {
        /// Version of the produce request.
        version: i16,
    },
}

/// Damage that a retransmission may cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorruptReason {
    /// The length field is negative or leaves no room for a header.
    #[error("length {0} is below the minimum of a record batch")]
    Length(i32),
    /// A format version that does not exist.
    #[error("unknown magic {0}")]
    Magic(i8),
    /// The checksum does not match.
    #[error("checksum {computed:#010x} differs from the stored {stored:#010x}")]
    Crc {
        /// Over the bytes that arrived.
        computed: u32,
        /// In the header.
        stored: u32,
    },
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// A produce request for a partition without any batch.
    #[error("a produce request needs a record batch")]
    NoBatch,
    /// More than one batch for a partition in one request.
    #[error("a produce request carries exactly one record batch a partition")]
    SeveralBatches,
    /// Format version 0 or 1, gone since Kafka 4.0.
    #[error("only record batches of magic 2 are accepted, not {0}")]
    OldMagic(i8),
    /// A producer's batch starts at offset 0; the broker assigns the real one.
    #[error("the base offset of a produced batch is 0, not {0}")]
    BaseOffset(i64),
    /// The last offset lies before the first.
    #[error("last offset delta {0} is negative")]
    OffsetRange(i32),
    /// No record, or a negative number of them.
    #[error("record count {0} is not positive")]
    RecordCount(i32),
    /// Offsets of a produced batch are dense.
    #[error("{count} records do not fill {offsets} offsets")]
    OffsetCount {
        /// Records by the header.
        count: i32,
        /// Offsets between the first and the last.
        offsets: i64,
    },
    /// Only brokers write control batches.
    #[error("clients do not write control records")]
    ControlBatch,
    /// A batch with a producer id needs a sequence number.
    #[error("sequence number {0} in a batch with a producer id")]
    Sequence(i32),
    /// A codec number without a codec.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    /// The payload does not decompress, or to more than it may.
    #[error("{0}")]
    Payload(#[from] DecompressError),
    /// The payload is one that Kafka's own readers refuse: a Java consumer would not get past it.
    #[error("{0}, which Kafka's own readers refuse")]
    Unreadable(&'static str),
    /// A record of a compressed batch is longer than `max.decompressed.message.bytes`.
    #[error(
        "a record has {size} bytes when it is decompressed, more than max.decompressed.message.bytes {max}"
    )]
    RecordTooLarge {
        /// Its bytes.
        size: usize,
        /// The topic's limit.
        max: usize,
    },
    /// A record's bytes do not parse.
    #[error("record {index}: {error}")]
    Record {
        /// Position in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        error: RecordError,
    },
}
