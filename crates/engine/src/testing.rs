//! What unit tests of the engine's parts share: a context over memory, extents without a flush.

use crate::context::Context;
use crate::follow::Follower;
use crate::objects::object_ids::ObjectIds;
use crate::objects::tiered::TieredReader;
use crate::options::EngineOptions;
use crate::partition::cpu_yield::FlushPressure;
use crate::partition::led::Partition;
use crate::partition::settings::{ResolveSettings, TopicSettings};
use bytes::Bytes;
use esker_bucket::MemoryBucket;
use esker_cache::MemoryCache;
use esker_env::real::{Runtimes, SystemClock};
use esker_env::{BoxFuture, DiskLoop, Doorbell, Env, Spawner, TaskPlacement};
use esker_meta::{
    Command, FlushPart, FlushedObject, NewPartition, ObjectKind, Reply, State, Topic,
};
use esker_meta_client::{MetaClient, SoloMeta};
use esker_object::{BatchMeta, BlockFlags, ObjectBuilder};
use esker_plog::ProducerTable;
use esker_record::{BatchBuilder, BatchView};
use esker_types::{
    BrokerId, ClusterId, Incarnation, JournalId, LeaderEpoch, Offset, PartitionId, ProducerEpoch,
    ProducerId, StoreId, Timestamp, TopicId, TopicName,
};
use std::sync::Arc;
use std::time::Duration;

const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(7));

/// A spawner that spawns nothing.
pub(crate) struct Idle;

impl Spawner for Idle {
    fn shard_count(&self) -> usize {
        1
    }

    fn spawn(&self, _placement: TaskPlacement, name: &'static str, _task: BoxFuture<'static, ()>) {
        panic!("`{name}` is spawned")
    }

    fn spawn_blocking(&self, _work: Box<dyn FnOnce() + Send>) {
        panic!("something blocks")
    }

    fn yield_cpu(&self) {}

    fn disk_loop(&self, name: &'static str, _body: Box<dyn DiskLoop>) -> Doorbell {
        panic!("`{name}` is looped")
    }
}

/// Pressure that nobody feels.
pub(crate) fn no_pressure() -> Arc<FlushPressure> {
    let spawner: Arc<dyn Spawner> = Arc::new(Idle);
    FlushPressure::new(&spawner)
}

struct Settings(TopicSettings);

impl ResolveSettings for Settings {
    fn resolve(&self, _: &State, _: &Topic) -> TopicSettings {
        self.0.clone()
    }
}

/// A registered broker that leads one topic of two partitions, without a write-ahead log.
pub(crate) struct Fixture {
    pub(crate) context: Arc<Context>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) ids: Arc<ObjectIds>,
    pub(crate) tiered: Arc<TieredReader>,
    pub(crate) journal: JournalId,
    pub(crate) runtimes: Runtimes,
}

impl Fixture {
    /// With the topic's `settings`, and the engine's options as `adjust` leaves them.
    pub(crate) fn new(settings: TopicSettings, adjust: impl FnOnce(&mut EngineOptions)) -> Self {
        let runtimes = Runtimes::start(1, 1).unwrap();
        let env = Env::real(&runtimes);
        let meta: Arc<dyn MetaClient> = Arc::new(SoloMeta::new(Arc::new(SystemClock::new())));
        let mut options = EngineOptions::new(BrokerId(1), "wal".into());
        options.garbage_grace = Duration::ZERO;
        adjust(&mut options);
        let (incarnation, journal) = runtimes.block_on(found(&*meta));
        let bucket = Arc::new(MemoryBucket::new());
        let context = Arc::new(Context { env, options, incarnation, meta, bucket });
        let follower = Follower::new(&context, Arc::new(Settings(settings)), Default::default());
        let bucket = Arc::clone(&context.bucket);
        let cache = Arc::new(MemoryCache::new(1 << 20));
        Self {
            follower: Arc::new(follower),
            ids: Arc::new(ObjectIds::new(&context)),
            tiered: Arc::new(TieredReader::new(&context.env, bucket, cache)),
            context,
            journal,
            runtimes,
        }
    }

    pub(crate) fn partition(&self, index: usize) -> Arc<Partition> {
        let topics = self.follower.topics();
        topics.by_id(TOPIC).unwrap().partitions[index].clone().unwrap()
    }

    pub(crate) fn row(&self, partition: PartitionId) -> Arc<esker_meta::Partition> {
        Arc::clone(&self.context.image().partitions[&partition])
    }

    /// Commits one flush of one record of producer 9 to the first partition, with `timestamp`.
    pub(crate) async fn put_extent(&self, timestamp: i64) {
        let context = &self.context;
        let image = context.image();
        let partition = self.partition(0).id;
        let row = &image.partitions[&partition];
        let base = row.tiered_end;
        let batch = batch(base, timestamp);
        let view = BatchView::parse(&batch).unwrap();
        let mut producers = ProducerTable::default();
        producers.note(&view, context.env.clock.wall());
        let mut reserved = self.ids.next().await.unwrap();
        let object = reserved.id();
        let kind = esker_object::ObjectKind::Flush;
        let mut builder = ObjectBuilder::new(object, context.incarnation, kind);
        let meta = BatchMeta {
            base_offset: base,
            last_offset: base,
            max_timestamp: Timestamp(timestamp),
            leader_epoch: row.leader_epoch,
            flags: BlockFlags::default(),
        };
        let part = builder.partition(partition, row.topic, row.index);
        part.ages_from(Timestamp(timestamp));
        part.push_checked(meta, batch.clone(), view.whole_crc());
        part.producers(
            crate::objects::producer_state::kind_of(false),
            crate::objects::producer_state::section_of(&producers),
        );
        let encoded = builder.finish();
        context.put(object, &encoded).await.unwrap();
        let after = image.journals[&self.journal].drained;
        let part = &encoded.partitions[0];
        let command = Command::CommitFlush {
            broker: context.options.broker,
            incarnation: context.incarnation,
            journal: self.journal,
            after,
            upto: after.next(),
            objects: vec![FlushedObject {
                object,
                kind: ObjectKind::Flush,
                len: encoded.len,
                meta_position: encoded.meta_pos,
            }],
            parts: vec![FlushPart {
                partition,
                base: part.base,
                end: part.end,
                bytes: part.bytes,
                max_timestamp: part.ages_from,
                object,
                flags: crate::objects::part_flags::extent_flags(part.flags),
            }],
        };
        context.meta.propose(command).await.unwrap();
        reserved.commit();
    }

    /// Names of the data objects in the bucket.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let listed = self.context.bucket.list("d", None).await.unwrap();
        listed.objects.into_iter().map(|(key, _)| key.to_string()).collect()
    }
}

fn batch(base: Offset, timestamp: i64) -> Bytes {
    let sequence = i32::try_from(base.get()).unwrap();
    let mut builder = BatchBuilder::new(base)
        .producer(ProducerId(9), ProducerEpoch(0), sequence)
        .partition_leader_epoch(LeaderEpoch(0));
    builder.append(Timestamp(timestamp), None, Some(b"value"), &[]);
    builder.build().into()
}

/// A cluster with one registered broker, its journal, and a topic of two partitions.
async fn found(meta: &dyn MetaClient) -> (Incarnation, JournalId) {
    let broker = BrokerId(1);
    let store = StoreId(uuid::Uuid::from_u128(2));
    let cluster = ClusterId(uuid::Uuid::from_u128(1));
    meta.propose(Command::FoundCluster { cluster }).await.unwrap();
    let register = Command::RegisterBroker {
        broker,
        process: 1,
        host: "localhost".to_owned(),
        port: 9092,
        rack: None,
        stores: vec![store],
    };
    let Reply::Registered(incarnation) = meta.propose(register).await.unwrap() else { panic!() };
    meta.propose(Command::ProveTimes { broker, incarnation }).await.unwrap();
    let open = Command::OpenJournal {
        broker,
        incarnation,
        shard: 0,
        ensemble: vec![store],
        ack_quorum: 1,
        request: 1,
    };
    let Reply::Journal(journal) = meta.propose(open).await.unwrap() else { panic!() };
    let create = Command::CreateTopic {
        topic: TOPIC,
        name: TopicName::new("t").unwrap(),
        partitions: vec![NewPartition { leader: broker }; 2],
        replication_factor: 1,
        configs: vec![],
    };
    meta.propose(create).await.unwrap();
    (incarnation, journal)
}
