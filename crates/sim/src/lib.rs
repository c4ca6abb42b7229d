//! The whole node in a world that a seed decides.
//!
//! [`simulate`] runs a real node (metadata quorum, engine, request side) and real clients on one thread in virtual time.
//! Its disk forgets what was not synced, rots and fills up; its bucket fails and is out of reach; its network stalls and
//! breaks; its walls jump; its power fails between any two operations of the disk. Each life of the node is a runtime of
//! its own: dropping it is the crash. Disks, bucket and the clients' knowledge outlive it.
//!
//! [`Model`] holds what the clients were told and says what contradicts it, as an [`Oracle`]. A [`Plan`] is a seed and
//! what is left out of its simulation; [`shorten`] leaves out what a failure does not need. [`CATALOGUE`] lists bugs that
//! can be put in, to see that they are found. [`simulate_within`] gives a seed a limit of real time.

pub mod admin;
pub mod bucket;
pub mod cache;
pub mod catalogue;
pub mod clients;
pub mod disk;
pub mod drive;
pub mod effects;
pub mod entropy;
pub mod facts;
mod heal;
pub mod history;
mod liars;
pub mod model;
mod nemesis;
pub mod net;
mod panics;
mod peace;
pub mod plan;
pub mod power;
pub mod producers;
pub mod readers;
pub mod register;
pub mod run;
mod seekers;
mod sessions;
mod shorten;
pub mod time;
pub mod trace;
mod watchdog;
mod world;

pub use catalogue::{CATALOGUE, Planted};
pub use drive::Lie;
pub use effects::Effects;
pub use model::{Model, Oracle, PartitionModel, Problem, Target};
pub use plan::{Feature, Plan};
pub use run::{Outcome, simulate};
pub use shorten::shorten;
pub use watchdog::{SEED_MAX, simulate_within};
