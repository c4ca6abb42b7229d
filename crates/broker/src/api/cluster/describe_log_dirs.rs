//! DescribeLogDirs: how large partitions are.
//!
//! There is one directory, the write-ahead log's. A partition's size is what it takes in the bucket and in the log
//! together: what people who ask for the size of a topic mean.

use crate::access::{Access, Operation, Resource};
use crate::broker::Broker;
use crate::call::{Call, Outcome};
use esker_env::Blocking;
use esker_wire::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

pub(crate) async fn handle(call: &Call<'_>, request: DescribeLogDirsRequest<'_>) -> Outcome {
    let engine = call.broker.engine();
    let wanted: Option<BTreeMap<&str, BTreeSet<i32>>> = request.topics.as_ref().map(|topics| {
        topics.iter().map(|topic| (topic.topic, topic.partitions.iter().collect())).collect()
    });
    let hosted = engine.topics();
    let mut topics = Vec::new();
    for topic in hosted.iter() {
        let name = topic.name.as_str();
        let indexes = match &wanted {
            None => None,
            Some(wanted) => match wanted.get(name) {
                Some(indexes) => Some(indexes),
                None => continue,
            },
        };
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .flatten()
            .filter(|partition| indexes.is_none_or(|i| i.contains(&partition.index.get())))
            .map(|partition| DescribeLogDirsPartition {
                partition_index: partition.index.get(),
                partition_size: i64::try_from(engine.partition_bytes(partition))
                    .unwrap_or(i64::MAX),
                ..Default::default()
            })
            .collect();
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic { name, partitions: partitions.into() });
        }
    }
    let dir = engine.options().wal_dir.clone();
    let log_dir = log_dir(call.broker);
    let disk = Arc::clone(&engine.env().disk);
    let free = engine.env().spawner.blocking(move || disk.free_bytes(&dir)).await;
    let space = engine.wal().space();
    let result = DescribeLogDirsResult {
        log_dir: &log_dir,
        topics: topics.into(),
        total_bytes: i64::try_from(space.capacity).unwrap_or(i64::MAX),
        usable_bytes: free
            .ok()
            .map(|free| free.min(space.capacity.saturating_sub(space.used)))
            .and_then(|free| i64::try_from(free).ok())
            .unwrap_or(-1),
        ..Default::default()
    };
    call.answer(DescribeLogDirsResponse { results: vec![result].into(), ..Default::default() })
}

/// The name of the only directory.
pub(crate) fn log_dir(broker: &Broker) -> String {
    broker.engine().options().wal_dir.display().to_string()
}
