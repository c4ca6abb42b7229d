//! What the metadata log adds up to.

use esker_journal::{Row, RowState};
use esker_types::{
    BrokerId, ClusterId, Incarnation, JournalId, LeaderEpoch, ObjectId, Offset, PartitionId,
    PartitionIndex, Seq, StoreId, Timestamp, TopicId, TopicName,
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The whole state. Cloning it is cheap (persistent maps), so a snapshot or a broker's image is a clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Log index of the last applied command.
    pub applied: u64,
    /// The largest time that any command carried: the only clock there is.
    pub clock: Timestamp,
    /// Zero until the cluster is founded.
    pub cluster: ClusterId,
    /// Registered brokers.
    pub brokers: OrdMap<BrokerId, Broker>,
    /// Topics by id.
    pub topics: OrdMap<TopicId, Arc<Topic>>,
    /// Ids of topics by name.
    pub topic_names: OrdMap<TopicName, TopicId>,
    /// Partitions of all topics.
    pub partitions: OrdMap<PartitionId, Arc<Partition>>,
    /// Journals that still hold something that is not in the bucket.
    pub journals: OrdMap<JournalId, Journal>,
    /// Blocks of object ids, by first id.
    pub blocks: OrdMap<ObjectId, Block>,
    /// What producers wrote to partitions whose extents no longer tell it.
    pub producers: OrdMap<PartitionId, ProducerSnapshotRef>,
    /// Objects that something refers to.
    pub objects: OrdMap<ObjectId, ObjectRow>,
    /// Objects that nothing refers to and that the bucket may still hold.
    pub garbage: OrdMap<ObjectId, Garbage>,
    /// Settings of brokers and groups (topics keep theirs). Keys are Kafka's names.
    pub configs: OrdMap<ConfigResource, BTreeMap<String, String>>,
    /// The first object whose extents age by times that the broker proved, and when that began: one row, or none before
    /// a broker that proves them has registered. What older objects say of times is what producers said.
    pub times_proved: OrdMap<ObjectId, Timestamp>,
    /// Which metadata directory is the voter of a node: a new disk under an old number has forgotten its votes.
    pub voters: OrdMap<BrokerId, Uuid>,
    /// Who has taken over from registrations that are dead; rows go some time after they have left nothing.
    pub rescuers: OrdMap<RegistrationId, RegistrationId>,
    /// Who is to lead a partition instead of its leader, until it does.
    pub moves: OrdMap<PartitionId, BrokerId>,
    /// The next partition id.
    pub next_partition: PartitionId,
    /// The next object id.
    pub next_object: ObjectId,
    /// The next Kafka producer id.
    pub next_producer: i64,
}

impl State {
    /// What tells the producers of a partition, as they are at the end of its extents.
    #[must_use]
    pub fn producer_sources<'a>(&self, id: PartitionId, row: &'a Partition) -> ProducerSources<'a> {
        let snapshot = self.producers.get(&id).copied();
        let upto = snapshot.map_or(Offset::ZERO, |snapshot| snapshot.upto);
        let later = row.extents.partition_point(|extent| extent.end <= upto);
        let full = row.extents.iter().rposition(|e| e.flags.has(ExtentFlags::PRODUCERS_FULL));
        match full.filter(|full| *full >= later) {
            Some(full) => ProducerSources { snapshot: None, extents: &row.extents[full..] },
            None => ProducerSources { snapshot, extents: &row.extents[later..] },
        }
    }
}

/// What a setting belongs to, topics apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConfigResource {
    /// One broker, or all of them (`None`).
    Broker(Option<BrokerId>),
    /// A consumer group.
    Group(String),
}

/// One process of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegistrationId {
    /// The broker.
    pub broker: BrokerId,
    /// Which of its registrations.
    pub incarnation: Incarnation,
}

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Its current registration.
    pub incarnation: Incarnation,
    /// Random, chosen by the process: the same process registering again gets the same incarnation.
    pub process: u128,
    /// Where clients reach it.
    pub host: String,
    /// Where clients reach it.
    pub port: u16,
    /// Where nodes reach it, as `host:port`; none for a node that is alone.
    pub peer: Option<String>,
    /// Kafka's `broker.rack`.
    pub rack: Option<String>,
    /// Its write-ahead logs.
    pub stores: Vec<StoreId>,
    /// Whether it serves.
    pub state: BrokerState,
    /// An operator wants it to lead nothing; kept over registrations.
    pub drained_by_operator: bool,
}

impl Broker {
    /// Whether it takes part: it is not thought dead.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state != BrokerState::Fenced
    }
}

impl State {
    /// The brokers that may be given partitions and journals.
    pub fn placeable(&self) -> impl Iterator<Item = (BrokerId, &Broker)> {
        let active = |(id, row): (&BrokerId, _)| (*id, row);
        self.brokers
            .iter()
            .map(active)
            .filter(|(_, row): &(_, &Broker)| row.state == BrokerState::Active)
    }

    /// Whether the leader that a partition was given to is there still: not dead, not registered again.
    #[must_use]
    pub fn has_leader(&self, row: &Partition) -> bool {
        let leader = self.brokers.get(&row.leader);
        leader.is_some_and(|l| l.is_alive() && l.incarnation == row.leader_incarnation)
    }
}

/// Whether a broker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerState {
    /// It serves.
    Active,
    /// It is thought dead; its journals are being sealed.
    Fenced,
    /// It is leaving: no new leaderships or journals.
    Draining,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its partitions, by partition index.
    pub partitions: Vec<PartitionId>,
    /// What Kafka's tools show as replication factor. How often data is copied is the journals' affair.
    pub replication_factor: i16,
    /// Settings that differ from the defaults.
    pub configs: BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its topic.
    pub topic: TopicId,
    /// Its number in the topic.
    pub index: PartitionIndex,
    /// The broker that leads it.
    pub leader: BrokerId,
    /// The registration of the leader that was given the partition. When it is not the broker's current one, the
    /// partition is waiting for an election.
    pub leader_incarnation: Incarnation,
    /// Number of leaderships so far.
    pub leader_epoch: LeaderEpoch,
    /// First readable offset.
    pub log_start: Offset,
    /// End of what is in committed objects: extents cover everything from `log_start` (or before) up to here.
    pub tiered_end: Offset,
    /// Where leader epochs began, ascending in both. At most [`Partition::EPOCHS_MAX`].
    pub epochs: Vec<EpochStart>,
    /// Older extents, in manifest segments, oldest first.
    pub manifests: Vec<ManifestRef>,
    /// Newest extents, oldest first, contiguous with each other and with the manifests.
    pub extents: Vec<Extent>,
}

impl Partition {
    /// Leader epochs that a partition remembers.
    pub const EPOCHS_MAX: usize = 128;
    /// Extents kept here; a flush that would exceed twice this is refused until older ones are spilled.
    pub const EXTENTS_MAX: usize = 64;

    /// Bytes of this partition in the bucket.
    #[must_use]
    pub fn tiered_bytes(&self) -> u64 {
        let manifests: u64 = self.manifests.iter().map(|m| m.bytes).sum();
        manifests + self.extents.iter().map(|e| e.bytes).sum::<u64>()
    }

    /// First offset that an extent or manifest covers; `tiered_end` when there is none.
    #[must_use]
    pub fn tiered_start(&self) -> Offset {
        let manifest = self.manifests.first().map(|m| m.base);
        manifest.or_else(|| self.extents.first().map(|e| e.base)).unwrap_or(self.tiered_end)
    }

    /// The extent that holds `offset`, if it is not in a manifest.
    #[must_use]
    pub fn extent_at(&self, offset: Offset) -> Option<&Extent> {
        let place = self.extents.partition_point(|extent| extent.end <= offset);
        self.extents.get(place).filter(|extent| extent.base <= offset)
    }

    /// The manifest segment that lists the extent that holds `offset`.
    #[must_use]
    pub fn manifest_at(&self, offset: Offset) -> Option<&ManifestRef> {
        self.manifests.iter().find(|manifest| manifest.base <= offset && offset < manifest.end)
    }
}

/// A leader epoch and the offset of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Log end offset when its leader took over.
    pub start: Offset,
}

/// A run of a partition's offsets inside one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First offset.
    pub base: Offset,
    /// Offset after the last.
    pub end: Offset,
    /// The object.
    pub object: ObjectId,
    /// Bytes of record batches.
    pub bytes: u64,
    /// From when it ages. No record has a later timestamp, unless [`State::times_proved`] says that it may lie.
    pub max_timestamp: Timestamp,
    /// What can be skipped.
    pub flags: ExtentFlags,
}

/// Where it is said what producers had written to a partition below an offset.
///
/// It is as if an extent that ends there said everything: what is said by extents up to there may go with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerSnapshotRef {
    /// The object; `None` when there was nothing to say.
    pub object: Option<ObjectId>,
    /// The offset.
    pub upto: Offset,
}

/// What tells the producers of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSources<'a> {
    /// What comes first, unless the first extent says everything.
    pub snapshot: Option<ProducerSnapshotRef>,
    /// What comes after it, in this order. The first one may begin below the end of what was kept.
    pub extents: &'a [Extent],
}

/// Facts about an extent that save opening its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtentFlags(pub u16);

impl ExtentFlags {
    /// Holds a marker of an aborted transaction.
    pub const HAS_ABORTED: Self = Self(1);
    /// Holds batches of transactions.
    pub const HAS_TRANSACTIONS: Self = Self(2);
    /// Its producer section is complete, not a delta.
    pub const PRODUCERS_FULL: Self = Self(4);
    /// Has been compacted: offsets may be missing inside.
    pub const COMPACTED: Self = Self(8);
    /// Its producer section names producers.
    pub const HAS_PRODUCERS: Self = Self(16);
    /// No record has a timestamp.
    pub const NO_TIMES: Self = Self(32);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A manifest segment: an object that lists extents of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRef {
    /// The manifest object.
    pub object: ObjectId,
    /// First offset of its first extent.
    pub base: Offset,
    /// End of its last extent.
    pub end: Offset,
    /// Number of extents.
    pub count: u32,
    /// Bytes of record batches in all of them.
    pub bytes: u64,
    /// From when all of them age, as [`Extent::max_timestamp`].
    pub max_timestamp: Timestamp,
}

/// A journal, from its opening until everything in it is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The broker that writes it.
    pub owner: BrokerId,
    /// The registration that opened it.
    pub incarnation: Incarnation,
    /// Which of the owner's journals: partitions are spread over shards.
    pub shard: u8,
    /// Chosen by the owner: the same request again gets the same journal.
    pub request: u64,
    /// Stores that hold it.
    pub ensemble: Vec<StoreId>,
    /// How many of them acknowledge an entry.
    pub ack_quorum: u8,
    /// Where it stands.
    pub state: JournalState,
    /// Everything up to here is in committed objects.
    pub drained: Seq,
}

impl Journal {
    /// The row as the journal protocol knows it: it decides every change.
    #[must_use]
    pub fn row(&self) -> Row {
        let state = match self.state {
            JournalState::Open => RowState::Open,
            JournalState::Rolled { end } => RowState::Rolled { end },
            JournalState::Sealing => RowState::Sealing,
            JournalState::Sealed { tail } => RowState::Sealed { tail },
        };
        Row::stored(state, self.drained)
    }

    /// Takes over what its row has become; whether there is anything left to store.
    pub(crate) fn set_row(&mut self, row: &Row) -> bool {
        self.drained = row.drained();
        self.state = match row.state() {
            RowState::Open => JournalState::Open,
            RowState::Rolled { end } => JournalState::Rolled { end },
            RowState::Sealing => JournalState::Sealing,
            RowState::Sealed { tail } => JournalState::Sealed { tail },
            RowState::Closed { .. } => return false,
        };
        true
    }

    /// How many sealed stores are enough to know the tail.
    #[must_use]
    pub fn seal_quorum(&self) -> usize {
        self.ensemble.len() + 1 - usize::from(self.ack_quorum)
    }
}

/// Life of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalState {
    /// The owner appends.
    Open,
    /// The owner has gone on to another journal; nothing after `end` counts.
    Rolled {
        /// Last entry.
        end: Seq,
    },
    /// The owner is fenced; somebody is finding the tail.
    Sealing,
    /// The tail is known; entries up to it wait to be drained.
    Sealed {
        /// Last entry.
        tail: Seq,
    },
}

/// A block of object ids that one registration may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Number of ids.
    pub count: u32,
    /// Who may commit them.
    pub owner: BrokerId,
    /// Who may commit them.
    pub incarnation: Incarnation,
    /// A bit for each id, set when it was committed or given up: an object may be alive without a row of its own (in
    /// a manifest), so the rows cannot tell.
    pub committed: Vec<u64>,
}

impl Block {
    /// A block none of whose ids is committed.
    #[must_use]
    pub fn new(count: u32, owner: BrokerId, incarnation: Incarnation) -> Self {
        let words = count.div_ceil(64) as usize;
        Self { count, owner, incarnation, committed: vec![0; words] }
    }

    /// Whether the `nth` id of the block was committed or given up.
    #[must_use]
    pub fn is_committed(&self, nth: u32) -> bool {
        self.committed[nth as usize / 64] & (1 << (nth % 64)) != 0
    }

    pub(crate) fn set_committed(&mut self, nth: u32) {
        self.committed[nth as usize / 64] |= 1 << (nth % 64);
    }
}

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    /// Record batches of many partitions, as flushed.
    Flush,
    /// Record batches of one partition.
    Segment,
    /// A list of extents.
    Manifest,
    /// What producers have written to partitions.
    Producers,
}

/// An object in the bucket that something refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// The registration that wrote it: part of its key.
    pub incarnation: Incarnation,
    /// What it is for.
    pub kind: ObjectKind,
    /// Length in bytes.
    pub len: u64,
    /// Where its footer sections begin.
    pub meta_position: u64,
    /// Extents (or manifests, or partitions for their producers) that refer to it, counted per topic, ascending by
    /// topic.
    pub references: Vec<(TopicId, u32)>,
    /// Bytes of record batches that extents refer to.
    pub live_bytes: u64,
}

/// An object that waits to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// The registration that wrote it: part of its key.
    pub incarnation: Incarnation,
    /// What it was for. A manifest is read before it is deleted: what it lists goes with it.
    pub kind: ObjectKind,
    /// Length in bytes; 0 when it was never committed and may not exist.
    pub len: u64,
    /// When the last reference went. Readers with an older plan get a grace period from here.
    pub since: Timestamp,
}
