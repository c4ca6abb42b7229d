//! The cluster's metadata as a pure state machine.
//!
//! A [`Command`] is proposed by a broker, ordered by the quorum and applied by [`State::apply`]: a pure function of
//! state, log index and command. It yields a [`Reply`] for the proposer. What changed is the difference of two
//! states, which the persistent maps give in the time of the change. There is no clock but the one that commands
//! carry, no randomness, and no map with an order of its own, so every node arrives at the same bytes.
//!
//! *What is absent*: heartbeats and leases (soft state of the leader), group offsets (an internal topic), producer
//! state (travels with the data), and extents older than the newest few dozen of a partition (manifest segments in
//! the bucket).
//!
//! *Fencing*: a command that touches a partition or a journal names the incarnation of the broker that proposes it,
//! and is refused when that is not the broker's current registration, or when the broker is thought dead
//! ([`BrokerState::Fenced`]). Nothing else fences.
//!
//! *Idempotence*: every command can be proposed again after a lost reply; natural keys make the second application
//! answer as the first.

mod apply;
mod balance;
mod command;
mod invariants;
mod reply;
mod snapshot;
mod state;

pub use command::{
    Command, ConfigChange, Envelope, ExtentSwap, FlushPart, FlushedObject, LeaderTransfer,
    NewPartition, PartitionElection, Proposal, Registration,
};
pub use reply::{Rejected, Reply};
pub use snapshot::{SNAPSHOT_LEN_MAX, SnapshotError};
pub use state::{
    Block, Broker, BrokerState, ConfigResource, EpochStart, Extent, ExtentFlags, Garbage, Journal,
    JournalState, ManifestRef, ObjectKind, ObjectRow, Partition, ProducerSnapshotRef,
    ProducerSources, RegistrationId, State, Topic,
};

#[cfg(test)]
mod tests;
