//! The whole node in a world that a seed decides.
//!
//! [`simulate`] runs a real node (metadata quorum, engine, request side) and real clients on one thread in virtual time.
//! Its disk forgets what was not synced, its bucket fails and is out of reach, its network breaks connections, its power
//! fails between any two operations of the disk. Each life of the node is a runtime of its own: dropping it is the
//! crash. The disk, the bucket and the clients' knowledge outlive it.
//!
//! [`Model`] holds what the clients were told and says what contradicts it: an acknowledged record that is gone or
//! differs, a value twice, a gap, a committed offset that moved back.

pub mod bucket;
pub mod disk;
pub mod entropy;
pub mod model;
pub mod net;
mod panics;
pub mod power;
pub mod run;
pub mod time;
pub mod trace;
pub mod workload;

pub use disk::Lie;
pub use model::{Model, PartitionModel, Target};
pub use run::{Outcome, Planted, simulate};
