//! What a proposer is told.

use crate::command::ExtentSwap;
use esker_types::{
    BrokerId, ClusterId, Incarnation, JournalId, ObjectId, Offset, PartitionId, Seq, TopicId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The outcome of an applied command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing to tell.
    Done,
    /// The broker's registration.
    Registered(Incarnation),
    /// The first reserved object id.
    ObjectIds(ObjectId),
    /// The first reserved producer id.
    ProducerIds(i64),
    /// The journal that was opened.
    Journal(JournalId),
    /// Partitions that the new leader got; the others had one already or are gone.
    Elected(Vec<PartitionId>),
    /// Partitions whose extents had moved on.
    Skipped(Vec<PartitionId>),
    /// Not done, and why.
    Rejected(Rejected),
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Rejected {
    /// The cluster has another id.
    #[error("the cluster is `{0}`")]
    OtherCluster(ClusterId),
    /// A newer registration of this broker exists, or it is thought dead: the proposer must stop.
    #[error("broker {0} has registered again since, or was thought dead; this process is fenced")]
    Fenced(BrokerId),
    /// No such broker.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// A topic of this name exists.
    #[error("topic `{0}` already exists")]
    TopicExists(String),
    /// The name collides with that of another topic in `.` against `_`.
    #[error("the name collides with topic `{0}`")]
    TopicCollides(String),
    /// No such topic.
    #[error("no topic with id `{0}`")]
    UnknownTopic(TopicId),
    /// The topic has another number of partitions by now.
    #[error("the topic has {0} partitions")]
    PartitionCount(u32),
    /// No such block, or not one of the proposer's.
    #[error("object {0} is in no block of this broker")]
    ForeignObject(ObjectId),
    /// The object is known already.
    #[error("object {0} is committed already")]
    ObjectExists(ObjectId),
    /// No such journal, or it is not in a state that allows this.
    #[error("journal {0} does not allow this now")]
    JournalState(JournalId),
    /// Another flush of this journal came first.
    #[error("journal is drained up to {0}")]
    Drained(Seq),
    /// The extent does not continue the partition.
    #[error("partition {0} is tiered up to {1}")]
    NotContiguous(PartitionId, Offset),
    /// The partition holds too many extents; spill or merge first.
    #[error("partition {0} has too many extents")]
    TooManyExtents(PartitionId),
    /// Extents are not what the writer saw.
    #[error("the extents of partition {0} have changed")]
    ExtentsChanged(PartitionId),
    /// A swap whose two sides cover different offsets.
    #[error("the swap of partition {} covers other offsets than before", .0.partition)]
    BadSwap(Box<ExtentSwap>),
    /// Another directory is the voter of this node.
    #[error("voter {0} is the metadata directory {1}")]
    OtherVoter(BrokerId, Uuid),
    /// A process that is thought alive has this number, on another disk.
    #[error(
        "broker {0} is there, on another disk: give each broker a `node.id` of its own, or wait until the other is thought dead"
    )]
    BrokerIdInUse(BrokerId),
    /// The broker is alive.
    #[error("broker {0} is alive: stop it first")]
    BrokerAlive(BrokerId),
    /// The broker cannot be forgotten yet.
    #[error(
        "broker {broker} leads {partitions} partitions, and {journals} journals of it or on its disk are not in the bucket yet"
    )]
    BrokerHolds {
        /// Its number.
        broker: BrokerId,
        /// What it leads.
        partitions: usize,
        /// Journals that it wrote, or that its stores hold.
        journals: usize,
    },
    /// Another broker has taken over.
    #[error("broker {0} has taken over already")]
    RescuedBy(BrokerId),
    /// No such partition.
    #[error("no partition {0}")]
    UnknownPartition(PartitionId),
}
