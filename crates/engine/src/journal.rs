//! Durability: frames into the journals, bundles to the write-ahead log, acknowledgements back.

pub(crate) mod durability_listener;
pub(crate) mod flush_policy;
pub(crate) mod opening;
pub(crate) mod owned;
pub(crate) mod reader;
pub(crate) mod tail_budget;
pub(crate) mod uncommitted;
