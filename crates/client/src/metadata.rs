//! What brokers say of the cluster.

use esker_wire::Uuid;
use esker_wire::api::metadata::MetadataResponse;
use std::collections::BTreeMap;

/// Which topics metadata is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topics<'a> {
    /// All.
    All,
    /// These.
    Named(&'a [&'a str]),
    /// These; those that do not exist are made if the broker allows it.
    Created(&'a [&'a str]),
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataBroker {
    /// Its number.
    pub id: i32,
    /// Where clients connect.
    pub host: String,
    /// Where clients connect.
    pub port: i32,
    /// Where it stands.
    pub rack: Option<String>,
}

impl MetadataBroker {
    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataPartition {
    /// Its index.
    pub index: i32,
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// Its leader, -1 for none.
    pub leader: i32,
    /// The leader's epoch, -1 where the broker does not say.
    pub leader_epoch: i32,
    /// Brokers that keep it.
    pub replicas: Vec<i32>,
    /// Brokers that keep all of it.
    pub in_sync: Vec<i32>,
    /// Brokers that keep it and are away.
    pub offline: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataTopic {
    /// Its name.
    pub name: String,
    /// Its id; zero where the broker does not say.
    pub id: Uuid,
    /// Kafka's error code, 0 for none.
    pub error_code: i16,
    /// Whether it belongs to Kafka itself.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<MetadataPartition>,
}

/// What a broker said of the cluster at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The broker that takes changes, -1 for none.
    pub controller: i32,
    /// The brokers, by number.
    pub brokers: BTreeMap<i32, MetadataBroker>,
    /// The topics that were asked for, by name.
    pub topics: BTreeMap<String, MetadataTopic>,
}

impl Metadata {
    pub(crate) fn read(response: &MetadataResponse<'_>) -> Self {
        let brokers = response.brokers.iter().map(|broker| {
            let (host, rack) = (broker.host.to_owned(), broker.rack.map(str::to_owned));
            (broker.node_id, MetadataBroker { id: broker.node_id, host, port: broker.port, rack })
        });
        let topics = response.topics.iter().filter_map(|topic| {
            let mut partitions: Vec<_> = topic
                .partitions
                .iter()
                .map(|partition| MetadataPartition {
                    index: partition.partition_index,
                    error_code: partition.error_code,
                    leader: partition.leader_id,
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.to_vec(),
                    in_sync: partition.isr_nodes.to_vec(),
                    offline: partition.offline_replicas.to_vec(),
                })
                .collect();
            partitions.sort_by_key(|partition| partition.index);
            let name = topic.name?.to_owned();
            let (id, error_code, is_internal) =
                (topic.topic_id, topic.error_code, topic.is_internal);
            let topic =
                MetadataTopic { name: name.clone(), id, error_code, is_internal, partitions };
            Some((name, topic))
        });
        Self {
            cluster_id: response.cluster_id.map(str::to_owned),
            controller: response.controller_id,
            brokers: brokers.collect(),
            topics: topics.collect(),
        }
    }
}
