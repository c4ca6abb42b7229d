//! What a request costs a whole node in allocations, from socket to disk and back: as many for thousands of records as for one.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use esker_broker::{BrokerOptions, LiveSettings};
use esker_bucket::MemoryBucket;
use esker_cache::MemoryCache;
use esker_engine::EngineOptions;
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_node::{Node, NodeOptions};
use esker_record::{BatchBuilder, Codec};
use esker_settings::BrokerSettings;
use esker_types::{BrokerId, ByteCount, ClusterId, Offset, Timestamp};
use esker_wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use esker_wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use esker_wire::api::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use esker_wire::{Message, Reader, Request, encode_request_frame};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting how often any thread asks for memory.
struct Counting;

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The last versions that name topics.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const METADATA: i16 = 12;
const REQUESTS: u32 = 300;
/// About as many bytes in every batch.
const BATCH_LEN: usize = 16_000;
/// What clocks and timers of a node ask for meanwhile.
const OTHERS: u64 = 200;

fn batch(records: usize, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec, None);
    // As good as random, so that compressed batches are about as long, too.
    let mut state = 1_u32;
    for _ in 0..records {
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let value: Vec<u8> = (0..BATCH_LEN / records).map(|_| byte()).collect();
        builder.append(Timestamp(1), None, Some(&value), &[]);
    }
    builder.build()
}

/// A client that asks for no memory of its own while it counts.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    fn frame<'a, R: Request<'a>>(request: &R, version: i16) -> Vec<u8> {
        encode_request_frame(7, Some("c"), request, version).unwrap().to_vec()
    }

    /// The answer's body: what stands behind the header of this length.
    fn ask<'c, M: Message<'c>>(&'c mut self, frame: &[u8], version: i16) -> M {
        self.stream.write_all(frame).unwrap();
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap();
        let answer = &mut self.answer[..len];
        self.stream.read_exact(answer).unwrap();
        // Correlation id, and no tagged field.
        assert_eq!(answer[..5], [0, 0, 0, 7, 0]);
        M::decode(&mut Reader::new(&answer[5..]), version).unwrap()
    }

    fn create(&mut self, topic: &str) {
        let topics = vec![MetadataRequestTopic { name: Some(topic), ..Default::default() }];
        let request = MetadataRequest {
            topics: Some(topics.into()),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        let frame = Self::frame(&request, METADATA);
        let mut created = false;
        while !created {
            let answer: MetadataResponse<'_> = self.ask(&frame, METADATA);
            created = answer.topics.iter().all(|topic| {
                topic.error_code == 0 && topic.partitions.iter().all(|p| p.error_code == 0)
            });
        }
    }

    /// How often the process asks for memory while `REQUESTS` batches go into a topic.
    fn produce(&mut self, topic: &str, batch: &[u8]) -> u64 {
        let data = PartitionProduceData { index: 0, records: Some(batch.into()) };
        let topic = TopicProduceData {
            name: topic,
            partition_data: vec![data].into(),
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic].into(),
            ..Default::default()
        };
        let frame = Self::frame(&request, PRODUCE);
        counted(|| {
            for _ in 0..REQUESTS {
                let answer: ProduceResponse<'_> = self.ask(&frame, PRODUCE);
                let mut partitions =
                    answer.responses.iter().flat_map(|topic| topic.partition_responses);
                assert!(partitions.all(|partition| partition.error_code == 0));
            }
        })
    }

    /// How often the process asks for memory while a batch is read `REQUESTS` times.
    fn fetch(&mut self, topic: &str, len: usize) -> u64 {
        let partition = FetchPartition { partition_max_bytes: 1, ..Default::default() };
        let topic = FetchTopic { topic, partitions: vec![partition].into(), ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        let frame = Self::frame(&request, FETCH);
        counted(|| {
            for _ in 0..REQUESTS {
                let answer: FetchResponse<'_> = self.ask(&frame, FETCH);
                let partitions = answer.responses.iter().flat_map(|topic| topic.partitions);
                let read: usize =
                    partitions.filter_map(|p| p.records).map(|records| records.len()).sum();
                assert_eq!(read, len, "one batch");
            }
        })
    }
}

fn counted(work: impl FnOnce()) -> u64 {
    let before = CALLS.load(Ordering::Relaxed);
    work();
    CALLS.load(Ordering::Relaxed) - before
}

#[test]
fn a_request_costs_as_many_allocations_for_thousands_of_records_as_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    let mut engine = EngineOptions::new(BrokerId(1), dir.path().join("wal"));
    // Nothing goes to the bucket meanwhile, and all of it stays in memory.
    (engine.flush_bytes, engine.flush_age) = (ByteCount::mib(512), Duration::from_secs(3600));
    engine.tail_memory = ByteCount::mib(256);
    let options = NodeOptions {
        cluster: ClusterId(Uuid::from_u128(1)),
        metadata_dir: dir.path().join("metadata"),
        metadata_snapshot_entries: 1_000,
        metadata_snapshot_bytes: 1 << 20,
        engine,
        broker: BrokerOptions::default(),
        stop_patience: Duration::ZERO,
    };
    let node = runtimes.block_on(async {
        let listener = env.net.bind("127.0.0.1:0").await.unwrap();
        let settings = Arc::new(LiveSettings::new(BrokerId(1), BrokerSettings::default()));
        let cache = Arc::new(MemoryCache::new(1 << 20));
        let bucket = Arc::new(MemoryBucket::new());
        Node::start(&env, listener, bucket, cache, settings, options, None).await.unwrap()
    });
    let stream = TcpStream::connect(node.kafka_address()).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut client = Client { stream, answer: vec![0; 1 << 20] };
    client.create("warm");
    let warm = batch(10, Codec::None);
    client.produce("warm", &warm);
    client.fetch("warm", warm.len());

    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let counts = [1, 4_000].map(|records| {
            let batch = batch(records, codec);
            let topic = format!("{codec:?}-{records}");
            client.create(&topic);
            [client.produce(&topic, &batch), client.fetch(&topic, batch.len())]
        });
        println!(
            "{codec:?}: {counts:?} allocations for {REQUESTS} requests to produce and to fetch"
        );
        let [[produce_one, fetch_one], [produce_many, fetch_many]] = counts;
        assert!(
            produce_many <= produce_one + OTHERS,
            "{codec:?}: {produce_many} for {produce_one}"
        );
        assert!(fetch_many <= fetch_one + OTHERS, "{codec:?}: {fetch_many} for {fetch_one}");
        assert!(produce_one <= 30 * u64::from(REQUESTS), "{codec:?}: {produce_one} to produce");
        assert!(fetch_one <= 30 * u64::from(REQUESTS), "{codec:?}: {fetch_one} to fetch");
    }
    runtimes.block_on(node.stop());
}
