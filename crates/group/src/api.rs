//! What the runtime hands in and gets back. Own types, so that the state machine knows no wire format.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};

/// A member of a group; made by the coordinator. Empty in a first JoinGroup.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// No member: what responses without one hold.
    #[must_use]
    pub fn none() -> Self {
        Self::new("")
    }

    /// Wraps an id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the client has no id yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Borrow<str> for MemberId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// `group.instance.id`: what makes a member static, that is, the same one after a restart.
pub type InstanceId = Arc<str>;

/// Names a parked request of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// Names an append; rising in the order in which the runtime has to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// Errors of the coordinator, named after Kafka's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// `COORDINATOR_LOAD_IN_PROGRESS`
    #[error("the coordinator is loading its groups")]
    CoordinatorLoadInProgress,
    /// `COORDINATOR_NOT_AVAILABLE`
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// `NOT_COORDINATOR`
    #[error("another broker coordinates the group")]
    NotCoordinator,
    /// `ILLEGAL_GENERATION`
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// `INCONSISTENT_GROUP_PROTOCOL`
    #[error("the member shares no protocol with the group")]
    InconsistentGroupProtocol,
    /// `INVALID_GROUP_ID`
    #[error("the group has no valid name")]
    InvalidGroupId,
    /// `UNKNOWN_MEMBER_ID`
    #[error("the group does not know the member")]
    UnknownMemberId,
    /// `INVALID_SESSION_TIMEOUT`
    #[error("the session timeout is outside of the broker's bounds")]
    InvalidSessionTimeout,
    /// `REBALANCE_IN_PROGRESS`
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// `OFFSET_METADATA_TOO_LARGE`
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    /// `NON_EMPTY_GROUP`
    #[error("the group has members")]
    NonEmptyGroup,
    /// `GROUP_ID_NOT_FOUND`
    #[error("the group does not exist")]
    GroupIdNotFound,
    /// `MEMBER_ID_REQUIRED`
    #[error("the member joins again with the id it was given")]
    MemberIdRequired,
    /// `FENCED_INSTANCE_ID`
    #[error("another member has taken over the instance id")]
    FencedInstanceId,
    /// `GROUP_MAX_SIZE_REACHED`
    #[error("the group is full")]
    GroupMaxSizeReached,
    /// `GROUP_SUBSCRIBED_TO_TOPIC`
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// `UNKNOWN_SERVER_ERROR`
    #[error("the coordinator failed to write the group")]
    UnknownServerError,
}

/// Why an append did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFailure {
    /// Not enough stores, no partition, a time-out: the client tries again here.
    Unavailable,
    /// This broker lost the partition: the client looks for the new coordinator.
    NotLeader,
    /// The records are too large for the topic: no retry helps.
    TooLarge,
}

impl AppendFailure {
    /// What the client gets to see.
    #[must_use]
    pub const fn error(self) -> GroupError {
        match self {
            Self::Unavailable => GroupError::CoordinatorNotAvailable,
            Self::NotLeader => GroupError::NotCoordinator,
            Self::TooLarge => GroupError::UnknownServerError,
        }
    }
}

/// A record for the shard's partition of `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its key; never null.
    pub key: Bytes,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// What the runtime has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append the records as one batch, atomically; then call [`crate::GroupShard::on_committed`] or
    /// [`crate::GroupShard::on_append_failed`].
    Append {
        /// Names the append in that call.
        id: AppendId,
        /// At least one.
        records: Vec<LogRecord>,
    },
    /// Answer a parked request. Every request gets exactly one answer.
    Reply {
        /// The request.
        id: ReplyId,
        /// The answer.
        response: Response,
    },
}

/// A queue of effects.
pub type Effects = Vec<Effect>;

/// An answer to a parked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`JoinGroup`].
    Join(JoinGroupResponse),
    /// To [`SyncGroup`].
    Sync(SyncGroupResponse),
    /// To [`Heartbeat`].
    Heartbeat(Result<(), GroupError>),
    /// To [`LeaveGroup`].
    Leave(LeaveGroupResponse),
    /// To [`OffsetCommit`].
    OffsetCommit(OffsetCommitResponse),
    /// To [`OffsetDelete`].
    OffsetDelete(OffsetDeleteResponse),
    /// To [`crate::GroupShard::on_delete_groups`].
    DeleteGroups(DeleteGroupsResponse),
}

/// A way of assigning that a member offers, with what it wants the leader to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// For example `range`.
    pub name: String,
    /// Opaque; for consumers the subscription.
    pub metadata: Bytes,
}

/// JoinGroup.
#[derive(Debug, Clone)]
pub struct JoinGroup {
    /// The group.
    pub group_id: GroupId,
    /// Empty for a new member.
    pub member_id: MemberId,
    /// Set by static members (version 5 and later).
    pub group_instance_id: Option<InstanceId>,
    /// From the request header.
    pub client_id: String,
    /// Address of the client, as Kafka prints it: `/127.0.0.1`.
    pub client_host: String,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to rejoin; negative (version 0) stands for the session timeout.
    pub rebalance_timeout_ms: i32,
    /// Version 4 and later: a new dynamic member first gets its id and joins again.
    pub requires_known_member_id: bool,
    /// Version 9 and later: a leader may be told that no new assignment is needed.
    pub supports_skipping_assignment: bool,
    /// Why, for the log (version 8 and later).
    pub reason: Option<String>,
    /// 128 random bits: the member id, if a new one is needed, is made of them.
    pub fresh: u128,
}

/// Another member, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance, if it is static.
    pub group_instance_id: Option<InstanceId>,
    /// What it said under the chosen protocol.
    pub metadata: Bytes,
}

/// Answer to [`JoinGroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroupResponse {
    /// Why not.
    pub error: Option<GroupError>,
    /// The generation; −1 with an error.
    pub generation_id: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// The leader; empty with an error.
    pub leader: MemberId,
    /// The leader has nothing to assign: the old assignment stands.
    pub skip_assignment: bool,
    /// The member's own id.
    pub member_id: MemberId,
    /// All members, for the leader; else empty.
    pub members: Vec<JoinedMember>,
}

/// SyncGroup.
#[derive(Debug, Clone)]
pub struct SyncGroup {
    /// The group.
    pub group_id: GroupId,
    /// The generation that the member joined.
    pub generation_id: i32,
    /// The member.
    pub member_id: MemberId,
    /// Set by static members.
    pub group_instance_id: Option<InstanceId>,
    /// Version 5 and later.
    pub protocol_type: Option<String>,
    /// Version 5 and later.
    pub protocol_name: Option<String>,
    /// From the leader: who gets what.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// Answer to [`SyncGroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroupResponse {
    /// Why not.
    pub error: Option<GroupError>,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// The member's assignment.
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The group.
    pub group_id: GroupId,
    /// The member's generation.
    pub generation_id: i32,
    /// The member.
    pub member_id: MemberId,
    /// Set by static members.
    pub group_instance_id: Option<InstanceId>,
}

/// LeaveGroup.
#[derive(Debug, Clone)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: GroupId,
    /// One in versions 0 to 2, several from version 3 on.
    pub members: Vec<LeavingMember>,
}

/// Who leaves.
#[derive(Debug, Clone)]
pub struct LeavingMember {
    /// Its id; an administrator leaves it empty and names the instance.
    pub member_id: MemberId,
    /// Its instance.
    pub group_instance_id: Option<InstanceId>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// Answer to [`LeaveGroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroupResponse {
    /// The request as a whole failed.
    pub error: Option<GroupError>,
    /// One for each that wanted to leave. Versions 0 to 2 answer with the only one's error.
    pub members: Vec<LeftMember>,
}

/// How leaving went for one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: MemberId,
    /// As in the request.
    pub group_instance_id: Option<InstanceId>,
    /// Why not.
    pub error: Option<GroupError>,
}

/// OffsetCommit.
#[derive(Debug, Clone)]
pub struct OffsetCommit {
    /// The group.
    pub group_id: GroupId,
    /// −1 from clients that are in no group.
    pub generation_id: i32,
    /// Empty from clients that are in no group.
    pub member_id: MemberId,
    /// Set by static members.
    pub group_instance_id: Option<InstanceId>,
    /// Retention that the client chose (versions 2 to 4); `None` for the broker's.
    pub retention_time_ms: Option<i64>,
    /// Version 9 and later tell a missing group from a wrong generation.
    pub tells_missing_group: bool,
    /// What is committed; the caller has checked that the topics exist and may be read.
    pub topics: Vec<CommitTopic>,
}

/// A topic of [`OffsetCommit`].
#[derive(Debug, Clone)]
pub struct CommitTopic {
    /// Its name.
    pub topic: TopicName,
    /// Its id, where the client or the broker knows it.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// A partition of [`OffsetCommit`].
#[derive(Debug, Clone)]
pub struct CommitPartition {
    /// Its number.
    pub partition: PartitionIndex,
    /// The next offset that the group will read.
    pub offset: Offset,
    /// Leader epoch of the last record read, or [`LeaderEpoch::NONE`].
    pub leader_epoch: LeaderEpoch,
    /// Text that the client wants back.
    pub metadata: Option<String>,
}

/// The outcome for one partition.
pub type PartitionResult = (PartitionIndex, Result<(), GroupError>);

/// Answer to [`OffsetCommit`]: topics and partitions in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitResponse {
    /// The outcome of each partition.
    pub topics: Vec<(TopicName, Vec<PartitionResult>)>,
}

/// OffsetDelete.
#[derive(Debug, Clone)]
pub struct OffsetDelete {
    /// The group.
    pub group_id: GroupId,
    /// What is forgotten.
    pub topics: Vec<(TopicName, Vec<PartitionIndex>)>,
}

/// Answer to [`OffsetDelete`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetDeleteResponse {
    /// The request as a whole failed.
    pub error: Option<GroupError>,
    /// The outcome of each partition; empty when the request failed.
    pub topics: Vec<(TopicName, Vec<PartitionResult>)>,
}

/// Answer to [`crate::GroupShard::on_delete_groups`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteGroupsResponse {
    /// The outcome of each group.
    pub groups: Vec<(GroupId, Result<(), GroupError>)>,
}

/// State of a group, under the names that Kafka shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; perhaps offsets.
    Empty,
    /// Waiting for members to join the next generation.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// Does not exist (any more).
    Dead,
}

impl GroupState {
    /// The name that Kafka shows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its state.
    pub state: GroupState,
    /// `consumer`, `connect`, …; empty for a group of offsets only.
    pub protocol_type: String,
    /// The chosen protocol in a stable group; else empty.
    pub protocol_data: String,
    /// Its members, by id.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance, if it is static.
    pub group_instance_id: Option<InstanceId>,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// What it said under the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

/// A group as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group_id: GroupId,
    /// `consumer`, `connect`, …; empty for a group of offsets only.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
    /// `classic`.
    pub group_type: &'static str,
}
