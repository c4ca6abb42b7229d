//! Settings of the groups' coordinator.

use esker_group::Options;

/// How the offsets topic is made.
#[derive(Debug, Clone)]
pub struct CoordinatorOptions {
    /// `offsets.topic.num.partitions`.
    pub partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// Records from which on the log of a shard is written anew when most of them are old.
    pub log_records_min: u64,
    /// The groups' own.
    pub groups: Options,
}

impl Default for CoordinatorOptions {
    fn default() -> Self {
        Self {
            partitions: 50,
            replication_factor: 1,
            segment_bytes: 100 << 20,
            log_records_min: 10_000,
            groups: Options::default(),
        }
    }
}
