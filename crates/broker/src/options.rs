//! Settings of the request side.

use crate::coordinator_options::CoordinatorOptions;
use std::time::Duration;

/// `connections.max.idle.ms` of Kafka.
const CONNECTION_IDLE_DEFAULT: Duration = Duration::from_mins(10);

/// Settings of the request side; Kafka's names in the comments.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// The host that clients are told.
    pub advertised_host: String,
    /// The port that clients are told; 0 for the one that was bound.
    pub advertised_port: u16,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`: memory for requests that are being received or answered.
    pub request_memory: usize,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `connections.max.idle.ms`; `None` keeps idle connections.
    pub connection_idle_max: Option<Duration>,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`.
    pub replication_factor_default: i16,
    /// `max.request.partition.size.limit`.
    pub describe_partitions_max: i32,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// Partitions that one topic may have.
    pub partitions_max: i32,
    /// Groups.
    pub coordinator: CoordinatorOptions,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            advertised_host: "localhost".to_owned(),
            advertised_port: 0,
            request_bytes_max: 100 << 20,
            request_memory: 512 << 20,
            fetch_bytes_max: 55 << 20,
            describe_partitions_max: 2000,
            connection_idle_max: Some(CONNECTION_IDLE_DEFAULT),
            fetch_sessions_max: 1000,
            auto_create_topics: true,
            partitions_default: 1,
            replication_factor_default: 1,
            delete_topics: true,
            partitions_max: 100_000,
            coordinator: CoordinatorOptions::default(),
        }
    }
}
