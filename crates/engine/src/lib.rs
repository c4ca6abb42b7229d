//! Appends, reads, offloads: the tasks that drive the logs over the journal, the bucket and the
//! metadata.
//!
//! *Life of a batch.* [`Engine::append`] gives it offsets under its partition's lock and pushes it
//! into the journal; the write-ahead log's thread syncs it with everything else that waits, shows
//! it to readers and settles the producer's [`Ack`]. Later the flush puts it into an object,
//! commits that in the metadata, and trims the log. From then on it is read from memory while it is
//! there, and from the bucket otherwise.
//!
//! *Crash consistency.* What is acknowledged is in the log behind a sync, or in an object that the
//! metadata names. A start seals what earlier registrations of this broker left open, elects itself
//! leader at the sealed tails, and drains them behind the new journal's appends.

mod background;
mod context;
mod engine;
mod follow;
mod journal;
mod objects;
mod options;
mod partition;
mod serve;
mod start;
mod stores;
#[cfg(test)]
mod testing;

pub use background::flush::FlushStatus;
pub use background::verify::Verified;
pub use engine::Engine;
pub use journal::opening::OpeningError;
pub use journal::reader::JournalReadError;
pub use journal::uncommitted::Uncommitted;
pub use objects::error::{ObjectDamage, ObjectReadError};
pub use objects::fetched::FetchedBatches;
pub use options::EngineOptions;
pub use partition::ack::{Ack, AckWait, DataWait, DataWaiter};
pub use partition::led::Partition;
pub use partition::registry::{TopicEntry, TopicRegistry};
pub use partition::settings::{ResolveSettings, TopicSettings};
pub use serve::append::{AppendError, AppendResult};
pub use serve::lookup::OffsetAt;
pub use serve::read::ReadError;
pub use start::error::{EngineError, LogAge, LogDamage};
pub use start::opened_log::OpenedLog;
pub use stores::ensemble::Copies;
pub use stores::hosted::StoreService;
pub use stores::replication::Replication;
