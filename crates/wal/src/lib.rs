//! The write-ahead log of one device, shared by all journals that have a copy on it.
//!
//! # Contract
//! - An entry, a seal, an opening or a drop counts from the moment [`DurableSink::durable`] reports it; it then
//!   survives power loss. Reports come once per group commit, in the order of commits.
//! - Entries of a journal are taken without gaps and come back in order, or are reported damaged: nothing is
//!   dropped silently.
//! - A failed write or sync ends the log for good. Lack of space does not: entries are refused and taken again when
//!   there is space.
//! - [`OpenedWal::open`] reads everything and changes nothing in an existing directory, so it can crash and run
//!   again.
//!
//! Calls on [`Wal`] only queue; the log's own thread writes. Reading and opening block their thread.

pub mod bundle;
mod crc;
mod encode;
mod error;
mod format;
mod inspect;
mod num;
mod options;
mod recover;
mod scan;
mod segment;
mod state;
mod wal;
mod writer;

pub use bundle::{
    BUNDLE_HEADER_BYTES, Bundle, BundleBuilder, BundleError, BundleView, FRAME_ENTRY_BYTES, Frame,
    FrameFlags, FrameMeta,
};
pub use crc::crc32c;
pub use error::{AppendError, ReadError, WalError, WalFailure};
pub use format::{JOURNAL_META_BYTES_MAX, RecordKind, StoreIdentity};
pub use inspect::{InspectedRecord, Inspection, inspect};
pub use options::WalOptions;
pub use recover::{Problem, Recovered, RecoveredJournal};
pub use wal::{DurableSink, JournalState, JournalStatus, OpenedWal, Wal, WalSpace, WalStats};
