//! The stores of a journal: this broker's write-ahead log as others see it, and those of others.

pub(crate) mod ensemble;
pub(crate) mod hosted;
pub(crate) mod link;
pub(crate) mod messages;
pub(crate) mod remote;
pub(crate) mod replication;
