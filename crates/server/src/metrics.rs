//! What `/metrics` shows, gathered when it is asked for.

use esker_node::Node;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// The node's figures in OpenMetrics text.
pub(crate) fn render(node: &Node) -> String {
    let mut registry = Registry::with_prefix("esker");
    registry.register_collector(Box::new(Figures::of(node)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("text is written into memory");
    text
}

#[derive(Debug)]
struct Figures {
    gauges: Vec<(&'static str, &'static str, Option<Unit>, u64)>,
    counters: Vec<(&'static str, &'static str, Option<Unit>, u64)>,
}

impl Figures {
    fn of(node: &Node) -> Self {
        let engine = node.engine();
        let flush = engine.flush_status();
        let space = engine.wal().space();
        let stats = engine.wal().stats();
        let state = engine.meta().image();
        let bytes = Some(Unit::Bytes);
        let count = |n: usize| n as u64;
        let mut gauges = vec![
            (
                "connections",
                "Open client connections",
                None,
                count(node.broker().connection_count()),
            ),
            (
                "fetch_sessions",
                "Incremental fetch sessions",
                None,
                count(node.broker().fetch_session_count()),
            ),
            ("topics", "Topics", None, count(state.topics.len())),
            ("partitions", "Partitions", None, count(state.partitions.len())),
            ("objects", "Objects in the bucket that are in use", None, count(state.objects.len())),
            (
                "garbage_objects",
                "Objects that wait to be deleted",
                None,
                count(state.garbage.len()),
            ),
            (
                "unflushed",
                "Committed bytes that are not in the bucket",
                bytes.clone(),
                count(flush.unflushed_bytes),
            ),
            (
                "unflushed_oldest_age",
                "Age of the oldest of them",
                Some(Unit::Seconds),
                flush.oldest.map_or(0, |age| age.as_secs()),
            ),
            (
                "tail_memory",
                "Record batches in memory",
                bytes.clone(),
                count(flush.tail_memory_bytes),
            ),
            ("wal_used", "Write-ahead log in use", bytes.clone(), space.used),
            ("wal_capacity", "Limit of the write-ahead log", bytes.clone(), space.capacity),
            ("flush_failing", "1 while flushes fail", None, u64::from(flush.failing)),
            (
                "wal_failed",
                "1 when the write-ahead log failed for good",
                None,
                u64::from(engine.is_failed()),
            ),
        ];
        let reader = engine.objects();
        let (cache, cold) = (reader.cache().stats(), reader.stats().totals());
        gauges.extend([
            ("cache_memory", "Cold data in memory", bytes.clone(), cache.memory_bytes),
            ("cache_disk", "Space on disk for cold data", bytes.clone(), cache.disk_bytes),
        ]);
        let requests = node.bucket_requests();
        let counters = vec![
            ("cache_hits_memory", "Chunks found in memory", None, cold.chunks_memory),
            ("cache_hits_disk", "Chunks found on disk", None, cold.chunks_disk),
            ("cache_misses", "Chunks fetched from the bucket", None, cold.chunks_fetched),
            ("cache_corrupt", "Chunks on disk that failed their checksum", None, cache.corrupt),
            (
                "cold_read_damaged",
                "Ranges from the cache or the bucket that failed their checksum and were fetched again",
                None,
                cold.damaged,
            ),
            ("bucket_puts", "Objects put into the bucket", None, requests.puts()),
            ("bucket_put", "Bytes in them", bytes.clone(), requests.put_bytes()),
            ("bucket_heads", "Questions for the length of an object", None, requests.heads()),
            ("bucket_lists", "Pages of listings of the bucket", None, requests.lists()),
            ("bucket_deletes", "Objects deleted from the bucket", None, requests.deletes()),
            ("bucket_gets", "Range requests to the bucket", None, requests.gets()),
            ("bucket_get_errors", "Those of cold reads that failed", None, cold.get_errors),
            (
                "bucket_get",
                "Bytes that cold reads got from the bucket",
                bytes.clone(),
                cold.get_bytes,
            ),
            ("wal_commits", "Group commits", None, stats.commits),
            ("wal_records", "Entries in them", None, stats.records),
            (
                "wal_read",
                "Bytes read back from the write-ahead log",
                bytes.clone(),
                stats.bytes_read,
            ),
            ("wal_written", "Bytes written to the write-ahead log", bytes, stats.bytes),
        ];
        Self { gauges, counters }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, unit, value) in &self.gauges {
            let gauge = ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX));
            let metric =
                encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        for (name, help, unit, value) in &self.counters {
            let counter = ConstCounter::new(*value);
            let metric =
                encoder.encode_descriptor(name, help, unit.as_ref(), counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
