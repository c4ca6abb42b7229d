//! The nouns of Esker: ids, offsets, epochs and units, each a type of its own.
//!
//! A type enters here when two components exchange it. Nothing here does I/O, knows a wire format or depends on
//! a runtime. Names are Kafka's where Kafka has one; see `docs/glossary.md`.

mod crc;
mod ids;
mod long_queue;
mod names;
mod newtype;
mod offset;
mod planted;
mod time;
mod unit;

pub use crc::Crc32c;
pub use ids::{
    BrokerId, ClusterId, Incarnation, JournalId, ObjectId, PartitionId, ProducerEpoch, ProducerId,
    Seq, StoreId, TopicId,
};
pub use long_queue::LongQueue;
pub use names::{GroupId, InvalidTopicName, TopicName, is_internal_topic};
pub use offset::{LeaderEpoch, Offset, PartitionIndex};
#[cfg(feature = "planted")]
pub use planted::plant;
pub use planted::{Bug, planted};
pub use time::{MonoTime, Timestamp};
pub use unit::ByteCount;
