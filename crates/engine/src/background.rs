//! What the engine does beside serving: flush, merge, retention, garbage, verification.

pub(crate) mod flush;
pub(crate) mod flush_encode;
pub(crate) mod garbage;
pub(crate) mod handover;
pub(crate) mod maintenance;
pub(crate) mod merge;
pub(crate) mod merge_policy;
pub(crate) mod producer_snapshot;
pub(crate) mod rescue;
pub(crate) mod retention;
pub(crate) mod roll;
pub(crate) mod spill;
pub(crate) mod tasks;
pub(crate) mod verify;
pub(crate) mod wal_space;
