//! Bodies about the cluster: its health, its brokers, its metadata quorum, its journals, moves of partitions.
//!
//! `GET /v1/cluster` answers [`ClusterStatus`]; `GET /v1/journals` a list of [`JournalStatus`];
//! `POST /v1/brokers/ID/drain`, `…/resume`, `…/remove` and `POST /v1/topics/TOPIC/move?to=ID[&partition=P]` answer [`Done`];
//! `POST /v1/cluster/balance[?dry-run]` answers a list of [`PlannedMove`].

use serde::{Deserialize, Serialize};

/// The cluster as the broker that was asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Its id.
    pub cluster: String,
    /// The broker that was asked.
    pub asked: i32,
    /// Topics.
    pub topics: u64,
    /// Partitions of all topics.
    pub partitions: u64,
    /// Partitions that nobody leads.
    pub partitions_without_leader: u64,
    /// Partitions that are on their way to another leader.
    pub moves: u64,
    /// Journals that still hold something that is not in the bucket.
    pub journals: u64,
    /// Who orders the metadata.
    pub quorum: QuorumStatus,
    /// Brokers, by number.
    pub brokers: Vec<BrokerStatus>,
    /// What is not as it should be; empty when all is well.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A word for programs, such as `broker-dead`.
    pub reason: String,
    /// What is the matter, and with what.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// The metadata quorum as one of its voters sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumStatus {
    /// The node that leads it, if it is known.
    pub leader: Option<i32>,
    /// The leader's term.
    pub term: u64,
    /// The newest entry that the asked node has applied.
    pub applied: u64,
    /// Its voters.
    pub voters: Vec<VoterStatus>,
}

/// A voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterStatus {
    /// Its `node.id`.
    pub id: i32,
    /// Where other nodes reach it; empty where it is alone.
    pub address: String,
    /// Whether it leads.
    pub leads: bool,
    /// The newest entry that it has; only the leader knows it of others.
    pub last_entry: Option<u64>,
    /// Entries that it lacks.
    pub lag: Option<u64>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Its `node.id`.
    pub id: i32,
    /// `active`, `draining`, `drained`, or `fenced`: thought dead.
    pub state: String,
    /// Where clients reach it.
    pub address: String,
    /// Where other nodes reach it; empty where it is alone.
    pub peer: String,
    /// Kafka's `broker.rack`.
    pub rack: Option<String>,
    /// Partitions that it leads.
    pub leads: u64,
    /// Journals that it has written and that are not yet in the bucket.
    pub journals: u64,
    /// Journals of others that its disk holds.
    pub holds: u64,
    /// Whether it leads the metadata quorum.
    pub controller: bool,
}

/// A journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Its id.
    pub id: String,
    /// The broker that writes it.
    pub owner: i32,
    /// Which of its owner's journals.
    pub shard: u8,
    /// `open`, `rolled`, `sealing`, `sealed`.
    pub state: String,
    /// Its last entry, where that is decided.
    pub end: Option<u64>,
    /// Everything up to here is in the bucket.
    pub drained: u64,
    /// Stores that acknowledge an entry.
    pub acks: u8,
    /// The disks that hold it.
    pub stores: Vec<JournalStore>,
}

/// A disk that holds a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStore {
    /// Its id.
    pub store: String,
    /// The broker that it belongs to, if one has it.
    pub broker: Option<i32>,
    /// Whether that broker is alive.
    pub alive: bool,
}

/// A partition that is to be led by another broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Its topic.
    pub topic: String,
    /// Its number in the topic.
    pub partition: i32,
    /// Who leads it.
    pub from: i32,
    /// Who is to lead it.
    pub to: i32,
}

/// It was ordered; what follows from it takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Always.
    pub done: bool,
}
