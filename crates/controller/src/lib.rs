//! What the leader of the metadata quorum does for the cluster besides ordering commands: it finds brokers that are dead, and
//! fences them, so that their journals are sealed and others take over what they led.
//!
//! *Safety never rests on it.* A broker that is fenced by mistake loses its leaderships and registers again; its journals are
//! sealed before anybody goes on from them, whatever it does meanwhile.

mod controller;
mod failure_detector;

pub use controller::{Controller, ControllerOptions};
