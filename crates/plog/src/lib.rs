//! One partition's log as a state machine: offsets, producers, and the tail that is not in the bucket yet.
//!
//! No I/O and no clock. The caller holds a lock around a [`PartitionLog`], so the order of appends is the order in
//! which frames enter the journal.
//!
//! *Offsets.* Always `log_start ≤ high_watermark ≤ log_end` and `tiered_end ≤ high_watermark`. Everything below
//! `tiered_end` is in committed objects; everything from there on is in the tail.
//!
//! *Visibility.* Readers see what lies below the high watermark, and the high watermark moves only when a quorum has
//! synced: nothing that a reader saw is ever undone.

mod log;
mod producer;
mod refused_producers;
mod tail;

pub use log::{
    AppendError, Appended, EpochEnd, LogState, PartitionLog, Position, ReadError, TailRead,
};
pub use producer::{ProducerBatch, ProducerError, ProducerState, ProducerTable, Sequenced};
pub use tail::{BatchLocation, TailBatch};
