//! Kafka's record batch, format version 2: the one data structure that travels verbatim from a producer through
//! the log to a consumer.
//!
//! - [`BatchView`] reads the 61-byte header of a batch in place; [`batches`] walks a concatenation of them.
//! - [`produced_batch`], [`validate_produced`] and [`validate_records`] judge what a client sent, in Kafka's order.
//! - [`BatchMut`] patches the few fields that the broker owns.
//! - [`Records`] iterates the records of a decompressed payload; [`decompress`] yields that payload, bounded.
//! - [`BatchBuilder`] writes batches; [`EndTxnMarker`] is the content of a transaction marker.
//!
//! Nothing here does I/O. All input may come from strangers: every length is checked against what is there, no
//! input makes the code panic, and nothing is allocated on the word of a length field alone.

mod builder;
mod compression;
mod control;
mod error;
mod gzip;
mod header;
mod lz4;
mod patch;
mod records;
mod snappy;
mod validate;
mod varint;
mod walk;
mod zstd_frames;

pub use builder::BatchBuilder;
pub use compression::{
    Codec, DecompressError, Decompressor, compress, content_max, decompress, unreadable_in_java,
};
pub use control::{ControlError, ControlType, EndTxnMarker, control_type};
pub use error::{BatchError, CorruptReason, InvalidReason};
pub use header::{BatchView, Batches, HEADER_LEN, LOG_OVERHEAD, MAGIC, TimestampType, batches};
pub use patch::BatchMut;
pub use records::{Header, Headers, Record, RecordError, Records};
pub use validate::{
    ProduceLimits, RecordFault, RecordFaultKind, RecordsRefused, Times, needs_records,
    produced_batch, unproved_age, validate_produced, validate_records,
};
