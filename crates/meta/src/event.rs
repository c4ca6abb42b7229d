//! What changed, for those who act on it.

use esker_types::{BrokerId, JournalId, ObjectId, PartitionId, TopicId};

/// One change. The new state has the details; an event says only where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A broker registered or changed its state.
    Broker(BrokerId),
    /// A topic was created, or its settings or partitions changed.
    Topic(TopicId),
    /// A topic is gone.
    TopicDeleted(TopicId),
    /// A partition was created, or its leader, log start or extents changed.
    Partition(PartitionId),
    /// A partition is gone.
    PartitionDeleted(PartitionId),
    /// A journal was opened, or its state or drained position changed, or its row is gone.
    Journal(JournalId),
    /// An object became garbage.
    Garbage(ObjectId),
    /// A setting of a broker or group changed.
    Config,
}
