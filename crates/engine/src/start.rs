//! From the write-ahead log that a former process left to a broker that leads its partitions.

pub(crate) mod error;
pub(crate) mod opened_log;
pub(crate) mod recovery;
pub(crate) mod register;
