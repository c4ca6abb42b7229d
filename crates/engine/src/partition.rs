//! The partitions that this broker leads, and who waits at them.

pub(crate) mod ack;
pub(crate) mod cpu_yield;
pub(crate) mod led;
pub(crate) mod registry;
pub(crate) mod settings;
pub(crate) mod shard_wakers;
