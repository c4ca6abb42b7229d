//! Appends, reads, offloads: the tasks that drive the logs over the journal, the bucket and the metadata.
//!
//! *Life of a batch.* [`Engine::append`] gives it offsets under its partition's lock and pushes it into the journal; the
//! write-ahead log's thread syncs it with everything else that waits, shows it to readers and settles the producer's
//! [`Ack`]. Later the flush puts it into an object, commits that in the metadata, and trims the log. From then on it is
//! read from memory while it is there, and from the bucket otherwise.
//!
//! *Crash consistency.* What is acknowledged is in the log behind a sync, or in an object that the metadata names. A
//! start seals what earlier registrations of this broker left open, elects itself leader at the sealed tails, and
//! drains them behind the new journal's appends.

mod ack;
mod append;
mod bells;
mod cold;
mod courtesy;
mod damage;
mod due;
mod engine;
mod flush;
mod following;
mod footers;
mod garbage;
mod hosted;
mod ids;
mod journal;
mod kept_producers;
mod lookup;
mod merge;
mod merge_rule;
mod opened_log;
mod options;
mod part_flags;
mod partition;
mod producers;
mod read;
mod recovery;
mod retention;
mod sink;
mod space_watch;
mod tail_memory;
mod topic;
mod uncommitted;
mod verify;

pub use ack::{Ack, AckWait, DataWait, DataWaiter};
pub use append::{AppendError, AppendResult};
pub use engine::{Engine, EngineError, FlushStatus};
pub use hosted::{HostedTopic, Topics};
pub use lookup::OffsetAt;
pub use opened_log::OpenedLog;
pub use options::EngineOptions;
pub use partition::Partition;
pub use read::{FetchedBatches, ReadError};
pub use topic::{ResolveSettings, TopicSettings};
pub use uncommitted::Uncommitted;
pub use verify::Verified;
