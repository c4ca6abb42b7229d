//! The group coordinator: who is in a consumer group, which of its members reads what, and how far they are.
//!
//! A [`GroupShard`] is the state of one partition of `__consumer_offsets`. It does no I/O and reads no clock: the
//! runtime hands in requests and the time, and carries out [`Effect`]s. What must survive is appended to the
//! partition in Kafka's own record formats; a reply that promises it is released only when the runtime says that
//! the append is committed ([`GroupShard::on_committed`]).
//!
//! - `classic/`: groups whose members choose their assignment themselves (JoinGroup, SyncGroup, Heartbeat,
//!   LeaveGroup). Further kinds of groups get directories of their own beside it.
//! - `offsets.rs`: committed offsets and the commits on their way; their requests in `commits.rs`.
//! - `records.rs`: keys and values of `__consumer_offsets`, as described in `docs/formats/consumer-offsets.md`.
//! - `shard.rs`: appends, commits, failures, timers; `load.rs`: replay and snapshots.
//!
//! Two kinds of state live side by side. *Durable* state follows the log and nothing else: it changes when an
//! append is committed, it is what a snapshot holds, what OffsetFetch reads. *Live* state (a rebalance under way,
//! parked replies, timers) dies with the coordinator; members find their way back through Kafka's protocol.
//!
//! Sizes of requests are the caller's to limit: names, metadata and numbers of protocols arrive owned, and a
//! group keeps what its members sent.

mod api;
mod classic;
mod codec;
mod commits;
mod listing;
mod load;
mod offsets;
mod options;
mod partition;
mod records;
mod shard;
mod snapshot;
mod subscription;
#[cfg(test)]
mod tests;
mod timers;

pub use api::{
    AppendFailure, AppendId, CommitPartition, CommitTopic, DeleteGroupsResponse, DescribedGroup,
    DescribedMember, Effect, Effects, GroupError, GroupState, Heartbeat, InstanceId, JoinGroup,
    JoinGroupResponse, JoinedMember, LeaveGroup, LeaveGroupResponse, LeavingMember, LeftMember,
    ListedGroup, LogRecord, MemberId, OffsetCommit, OffsetCommitResponse, OffsetDelete,
    OffsetDeleteResponse, PartitionResult, Protocol, ReplyId, Response, SyncGroup,
    SyncGroupResponse,
};
pub use load::ReplayError;
pub use offsets::CommittedOffset;
pub use options::Options;
pub use partition::partition_for;
pub use shard::GroupShard;
pub use snapshot::SnapshotError;
