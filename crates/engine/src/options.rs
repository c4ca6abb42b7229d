//! Settings of the engine.

use esker_types::{BrokerId, ByteCount};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// This broker.
    pub broker: BrokerId,
    /// Where clients reach it.
    pub host: String,
    /// Where clients reach it.
    pub port: u16,
    /// Where other nodes reach this one, as `host:port`; none for a node that is alone.
    pub peer: Option<String>,
    /// Kafka's `broker.rack`.
    pub rack: Option<String>,
    /// Directory of the write-ahead log.
    pub wal_dir: PathBuf,
    /// What the write-ahead log may take on disk.
    pub wal_capacity: ByteCount,
    /// Size of a file of the write-ahead log.
    pub wal_segment: ByteCount,
    /// Whether files of the write-ahead log are filled with zeros before they are needed.
    pub wal_prefill: bool,
    /// Memory for the newest batches of all partitions.
    pub tail_memory: ByteCount,
    /// Bytes of batches that wait for the device, after which producers are not read on.
    pub uncommitted_max: ByteCount,
    /// Unflushed bytes that start a flush; where they come in less than a second it waits for more.
    pub flush_bytes: ByteCount,
    /// Age of unflushed records that starts a flush.
    pub flush_age: Duration,
    /// A partition with more bytes than this in one flush gets an object of its own.
    pub segment_bytes_min: ByteCount,
    /// Bytes of one merged object.
    pub segment_bytes_max: ByteCount,
    /// Memory for what flushes and merges have under way.
    pub background_memory: ByteCount,
    /// Extents of a partition before it is merged.
    pub merge_extents: usize,
    /// Most extents of a partition in the metadata before older ones are spilled into a manifest;
    /// not more than [`esker_meta::Partition::EXTENTS_MAX`], and enough that some stay.
    pub extents_inline: usize,
    /// How long an object that nothing refers to is kept for readers with an older plan.
    pub garbage_grace: Duration,
    /// How often retention, merging and garbage collection look for work.
    pub housekeeping_every: Duration,
    /// How long a producer that does not write is remembered.
    pub producer_expiry: Duration,
    /// PartitionSlice of the write-ahead log that may be used before produce is throttled, in
    /// percent.
    pub throttle_percent: u8,
}

impl EngineOptions {
    /// Defaults for a broker whose log is in `wal_dir`.
    #[must_use]
    pub fn new(broker: BrokerId, wal_dir: PathBuf) -> Self {
        Self {
            broker,
            host: "localhost".to_owned(),
            port: 9092,
            peer: None,
            rack: None,
            wal_dir,
            wal_capacity: ByteCount::gib(2),
            wal_segment: ByteCount::mib(64),
            wal_prefill: true,
            tail_memory: ByteCount::mib(512),
            uncommitted_max: ByteCount::mib(128),
            flush_bytes: ByteCount::mib(64),
            flush_age: Duration::from_secs(30),
            segment_bytes_min: ByteCount::mib(12),
            segment_bytes_max: ByteCount::mib(256),
            background_memory: ByteCount::mib(512),
            merge_extents: 16,
            extents_inline: esker_meta::Partition::EXTENTS_MAX,
            garbage_grace: Duration::from_mins(10),
            housekeeping_every: Duration::from_secs(30),
            producer_expiry: Duration::from_hours(24),
            throttle_percent: 70,
        }
    }
}
