//! What brokers propose.

use crate::state::{
    ConfigResource, Extent, ExtentFlags, ManifestRef, ObjectKind, ProducerSnapshotRef,
    RegistrationId,
};
use esker_types::{
    BrokerId, ClusterId, Incarnation, JournalId, LeaderEpoch, ObjectId, Offset, PartitionId, Seq,
    StoreId, Timestamp, TopicId, TopicName,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A command with the time of its proposer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The proposer's wall clock; the state's clock never goes back for it.
    pub now: Timestamp,
    /// What to do.
    pub command: Command,
}

/// A proposal as the log stores it. An unknown version or command stops the node: skipping would fork the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope;

impl Envelope {
    const VERSION: u16 = 1;

    /// Bytes for the log.
    ///
    /// # Panics
    /// Never: proposals hold nothing that cannot be encoded.
    #[must_use]
    pub fn encode(proposal: &Proposal) -> Vec<u8> {
        let bytes = Self::VERSION.to_le_bytes().to_vec();
        postcard::to_extend(proposal, bytes).expect("a proposal is plain data")
    }

    /// The proposal in `bytes`.
    ///
    /// # Errors
    /// A text that says what is wrong; the node must stop.
    pub fn decode(bytes: &[u8]) -> Result<Proposal, String> {
        let (version, body) =
            bytes.split_first_chunk::<2>().ok_or("a metadata command without a version")?;
        match u16::from_le_bytes(*version) {
            Self::VERSION => postcard::from_bytes(body)
                .map_err(|error| format!("a metadata command that does not decode: {error}")),
            other => Err(format!(
                "metadata commands of version {other}; this program reads version {}: run a newer one",
                Self::VERSION
            )),
        }
    }
}

/// Every change of the metadata. The order of variants is part of the log's format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Changes nothing but the clock.
    Noop,
    /// Names the cluster; refused when it has another name.
    FoundCluster {
        /// Its id.
        cluster: ClusterId,
    },
    /// A broker process introduces itself. An older registration of the same broker is fenced at once.
    RegisterBroker {
        /// Its number.
        broker: BrokerId,
        /// Random, one per process.
        process: u128,
        /// Where clients reach it.
        host: String,
        /// Where clients reach it.
        port: u16,
        /// Kafka's `broker.rack`.
        rack: Option<String>,
        /// Its write-ahead logs.
        stores: Vec<StoreId>,
    },
    /// Creates a topic whose partitions are led from the start.
    CreateTopic {
        /// Chosen by the proposer, random.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// Its partitions in order.
        partitions: Vec<NewPartition>,
        /// See [`crate::Topic::replication_factor`].
        replication_factor: i16,
        /// Settings that differ from the defaults.
        configs: Vec<(String, String)>,
    },
    /// Removes a topic; its objects lose their references.
    DeleteTopic {
        /// The topic.
        topic: TopicId,
    },
    /// Adds partitions to a topic.
    CreatePartitions {
        /// The topic.
        topic: TopicId,
        /// Its number of partitions before.
        expect: u32,
        /// The new ones.
        partitions: Vec<NewPartition>,
    },
    /// Sets and resets settings, all or none.
    AlterConfigs {
        /// The changes, in order.
        changes: Vec<ConfigChange>,
    },
    /// Reserves object ids.
    AllocateObjectIds {
        /// Who asks.
        broker: BrokerId,
        /// Who asks.
        incarnation: Incarnation,
        /// How many.
        count: u32,
    },
    /// Gives up a block: ids of it that were not committed become garbage.
    ExpireBlock {
        /// First id of the block.
        first: ObjectId,
    },
    /// Reserves Kafka producer ids.
    AllocateProducerIds {
        /// Who asks.
        broker: BrokerId,
        /// Who asks.
        incarnation: Incarnation,
        /// How many.
        count: u32,
    },
    /// Opens a journal.
    OpenJournal {
        /// The owner.
        broker: BrokerId,
        /// The owner.
        incarnation: Incarnation,
        /// Which of its journals.
        shard: u8,
        /// The stores that will hold it.
        ensemble: Vec<StoreId>,
        /// How many acknowledge.
        ack_quorum: u8,
        /// Chosen by the owner, for repeats.
        request: u64,
    },
    /// Ends a journal at `end` and opens its successor.
    RollJournal {
        /// The owner.
        broker: BrokerId,
        /// The owner.
        incarnation: Incarnation,
        /// The journal to end.
        journal: JournalId,
        /// Its last entry.
        end: Seq,
        /// The successor's stores.
        ensemble: Vec<StoreId>,
        /// How many acknowledge.
        ack_quorum: u8,
        /// Chosen by the owner, for repeats.
        request: u64,
    },
    /// Fixes the tail of a journal whose owner is fenced.
    FixTail {
        /// The journal.
        journal: JournalId,
        /// Its last entry, learned from a seal quorum.
        tail: Seq,
    },
    /// Gives leaderless partitions a leader.
    ElectLeaders {
        /// The new leader.
        broker: BrokerId,
        /// The new leader.
        incarnation: Incarnation,
        /// The partitions.
        partitions: Vec<PartitionElection>,
    },
    /// Entries `(after, upto]` of a journal are in these objects.
    CommitFlush {
        /// Who wrote the objects.
        broker: BrokerId,
        /// Who wrote the objects.
        incarnation: Incarnation,
        /// The journal.
        journal: JournalId,
        /// Where the previous flush ended.
        after: Seq,
        /// Where this one ends.
        upto: Seq,
        /// The objects.
        objects: Vec<FlushedObject>,
        /// What they hold.
        parts: Vec<FlushPart>,
    },
    /// Raises the first readable offset of partitions.
    SetLogStart {
        /// Who asks.
        broker: BrokerId,
        /// Who asks.
        incarnation: Incarnation,
        /// Partitions and their new first offsets.
        partitions: Vec<(PartitionId, Offset)>,
    },
    /// Puts merged or rewritten extents in the place of others.
    ReplaceExtents {
        /// Who wrote the objects.
        broker: BrokerId,
        /// Who wrote the objects.
        incarnation: Incarnation,
        /// The new objects.
        objects: Vec<FlushedObject>,
        /// One swap a partition.
        swaps: Vec<ExtentSwap>,
    },
    /// Moves a partition's oldest extents into a manifest segment.
    SpillManifest {
        /// Who wrote the manifest.
        broker: BrokerId,
        /// Who wrote the manifest.
        incarnation: Incarnation,
        /// The partition.
        partition: PartitionId,
        /// The extents that are in the manifest: the partition's oldest.
        expect: Vec<Extent>,
        /// The manifest.
        manifest: ManifestRef,
        /// Its length in bytes.
        len: u64,
    },
    /// The bucket no longer holds these garbage objects.
    ConfirmDeleted {
        /// The objects.
        objects: Vec<ObjectId>,
    },
    /// Gives up single ids of a running registration: those that were not committed never will be, and become garbage.
    GiveUpObjectIds {
        /// Whose ids they are.
        broker: BrokerId,
        /// Whose ids they are.
        incarnation: Incarnation,
        /// The ids.
        objects: Vec<ObjectId>,
    },
    /// Says anew where the producers of partitions are told, so that extents below log starts can go.
    KeepProducers {
        /// Who wrote the object.
        broker: BrokerId,
        /// Who wrote the object.
        incarnation: Incarnation,
        /// The object, if any of them has something to say.
        objects: Vec<FlushedObject>,
        /// Up to where it is said of which partition.
        partitions: Vec<(PartitionId, ProducerSnapshotRef)>,
    },
    /// Says that times are proved in all objects from here on; repeats change nothing. See
    /// [`crate::State::times_proved`].
    ProveTimes {
        /// Who asks.
        broker: BrokerId,
        /// Who asks.
        incarnation: Incarnation,
    },
    /// Says which directory is the voter of a node, if none is known yet; repeats change nothing. Rejected with
    /// [`crate::Rejected::OtherVoter`].
    BindVoter {
        /// The node.
        node: BrokerId,
        /// The id that was drawn when its metadata directory was made.
        directory: Uuid,
    },
    /// A broker process introduces itself. An older registration of the same broker is fenced at once, unless it is thought
    /// alive and on another disk. Logs of before there were several brokers have [`Command::RegisterBroker`].
    Register {
        /// Its number.
        broker: BrokerId,
        /// What it says of itself.
        registration: Box<Registration>,
    },
    /// A broker is thought dead: it proposes nothing any more, and its journals are sealed. Changes nothing once the broker
    /// has registered again.
    FenceBroker {
        /// Its number.
        broker: BrokerId,
        /// The registration that is thought dead.
        incarnation: Incarnation,
    },
    /// A broker is to lead nothing and to hold no new journals, until [`Command::ResumeBroker`]; that is kept over restarts.
    DrainBroker {
        /// Its number.
        broker: BrokerId,
    },
    /// Ends [`Command::DrainBroker`].
    ResumeBroker {
        /// Its number.
        broker: BrokerId,
    },
    /// Forgets a broker that is fenced, leads nothing, and whose journals are in the bucket.
    RemoveBroker {
        /// Its number.
        broker: BrokerId,
    },
    /// A leader gives partitions away, all of whose records are in the bucket.
    TransferLeaders {
        /// Who leads them.
        broker: BrokerId,
        /// Who leads them.
        incarnation: Incarnation,
        /// The partitions and their next leaders.
        partitions: Vec<LeaderTransfer>,
    },
    /// A broker takes over from a registration that is dead, and from those that this one had taken over. Rejected with
    /// [`crate::Rejected::RescuedBy`] while another that is alive has.
    ClaimRescue {
        /// Who takes over.
        broker: BrokerId,
        /// Who takes over.
        incarnation: Incarnation,
        /// From whom.
        dead: RegistrationId,
    },
    /// Says who is to lead partitions. Their leaders give them away as soon as all of their records are in the bucket; until then
    /// nothing changes for clients. Rejected whole where a partition or a broker is unknown.
    MoveLeaders {
        /// Partitions and their next leaders; `None` takes an earlier move back.
        moves: Vec<(PartitionId, Option<BrokerId>)>,
    },
}

/// What a broker process says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Random, one per process.
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
}

/// A partition that changes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderTransfer {
    /// The partition.
    pub partition: PartitionId,
    /// The epoch that ends.
    pub expect: LeaderEpoch,
    /// Log end offset, which is where the objects end, too: where the new epoch begins.
    pub start: Offset,
    /// The next leader.
    pub to: BrokerId,
}

/// A partition to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPartition {
    /// Its first leader.
    pub leader: BrokerId,
}

/// A setting to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigChange {
    /// Of a topic; `None` resets it to the default.
    Topic(TopicId, String, Option<String>),
    /// Of anything else; `None` resets it to the default.
    Resource(ConfigResource, String, Option<String>),
}

/// A leaderless partition and where its log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionElection {
    /// The partition.
    pub partition: PartitionId,
    /// The epoch before the election.
    pub expect: LeaderEpoch,
    /// Log end offset at the sealed tails: where the new epoch begins.
    pub start: Offset,
}

/// An object that was put into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushedObject {
    /// Its id, from a block of the proposer.
    pub object: ObjectId,
    /// What it is for.
    pub kind: ObjectKind,
    /// Length in bytes.
    pub len: u64,
    /// Where its footer sections begin.
    pub meta_position: u64,
}

/// A new extent of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushPart {
    /// The partition.
    pub partition: PartitionId,
    /// First offset: where the partition's tiered part ended so far.
    pub base: Offset,
    /// Offset after the last.
    pub end: Offset,
    /// Bytes of record batches.
    pub bytes: u64,
    /// From when it ages; no record has a later timestamp.
    pub max_timestamp: Timestamp,
    /// The object.
    pub object: ObjectId,
    /// What can be skipped.
    pub flags: ExtentFlags,
}

/// Extents of one partition to be replaced. A partition whose extents have moved on is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentSwap {
    /// The partition.
    pub partition: PartitionId,
    /// A run of its extents as the writer saw them.
    pub expect: Vec<Extent>,
    /// What stands there afterwards: the same offsets.
    pub new: Vec<Extent>,
}
