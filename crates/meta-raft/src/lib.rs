//! The metadata log: openraft over our own log file, snapshots and state machine.
//!
//! No type of openraft leaves this crate. A quorum of one voter is the same code as a quorum of five with nobody to
//! talk to.
//!
//! *Crash consistency.* A vote or an entry is answered only after its record is synced. One file holds both in the
//! order in which they were decided, so an entry cannot be durable before the term that allows it. Any failed write
//! or sync ends the log for this process: the next start reads what the disk really holds. Only a full disk is waited
//! for, as nothing was lost by it.

mod disk_full_retry;
mod entry;
mod founding;
mod leader_watch;
mod log_compaction;
mod log_file;
mod log_store;
mod network;
mod quorum;
#[cfg(test)]
mod refusing_disk;
mod rpc;
mod service;
mod snapshot_file;
mod state_machine;
mod types;
mod voter_file;

pub use founding::{NoVoter, Voter};
pub use log_file::LogFileError;
pub use quorum::{Quorum, QuorumDescription, QuorumError, QuorumOptions, VoterDescription};
pub use service::QuorumService;
pub use snapshot_file::SnapshotFileError;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod tests;
