//! Settings as the engine, the broker and the coordinators use them: numbers with units, no names.

mod broker;
mod listener;
mod topic;

pub use broker::{Broker, Bucket, BucketChecksum, GroupCoordinator, Roles};
pub use listener::{Listener, Protocol};
pub use topic::{Durability, TimestampType, Topic};

/// Settings that are legal one by one and not together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(pub String);
