//! A machine of the tests: real files, a bucket that can fail, metadata that outlives the engine.

use crate::failing_disk::FailingDisk;
use bytes::{Bytes, BytesMut};
use esker_bucket::MemoryBucket;
use esker_cache::MemoryCache;
use esker_engine::{
    Ack, Engine, EngineError, EngineOptions, OpenedLog, Partition, ResolveSettings, TopicSettings,
};
use esker_env::real::Runtimes;
use esker_env::{BoxFuture, Bucket, BucketError, BucketErrorKind, Env, ListPage, ObjectKey};
use esker_meta::{Command, NewPartition, State, Topic};
use esker_meta_client::{MetaClient, SoloMeta};
use esker_record::{BatchBuilder, BatchView, Times, batches};
use esker_types::{
    BrokerId, ByteCount, ClusterId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicName,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) const TOPIC: TopicId = TopicId(Uuid::from_u128(7));

struct Settings(TopicSettings);

impl ResolveSettings for Settings {
    fn resolve(&self, _: &State, _: &Topic) -> TopicSettings {
        self.0.clone()
    }
}

/// A bucket that can be out of reach.
pub(crate) struct Flaky {
    pub(crate) inner: Arc<dyn Bucket>,
    pub(crate) down: AtomicBool,
    /// This many reads answer with one bit changed.
    pub(crate) garbled: AtomicUsize,
    /// This many puts are carried out and answered with an error.
    pub(crate) answers_lost: AtomicUsize,
    /// This many reads wait until they are let go, and say that they do.
    pub(crate) held: AtomicUsize,
    pub(crate) holds: Notify,
    pub(crate) lets_go: Notify,
}

/// Takes one from what is left.
fn one_of(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Flaky {
    fn check(&self, key: &ObjectKey) -> Result<(), BucketError> {
        if self.down.load(Ordering::SeqCst) { Err(Self::out_of_reach(key)) } else { Ok(()) }
    }

    fn out_of_reach(key: &ObjectKey) -> BucketError {
        let (key, message) = (key.to_string(), "out of reach".to_owned());
        BucketError { kind: BucketErrorKind::Retry, operation: "any", key, message }
    }
}

impl Bucket for Flaky {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.check(key)?;
            self.inner.put(key, body).await?;
            if one_of(&self.answers_lost) { Err(Self::out_of_reach(key)) } else { Ok(()) }
        })
    }
    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(async move {
            self.check(key)?;
            if one_of(&self.held) {
                self.holds.notify_one();
                self.lets_go.notified().await;
            }
            let bytes = self.inner.get_range(key, range).await?;
            if !one_of(&self.garbled) {
                return Ok(bytes);
            }
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            Ok(bytes.into())
        })
    }
    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        self.inner.head(key)
    }
    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        self.inner.delete(keys)
    }
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        self.inner.list(prefix, after)
    }
}

/// A machine whose engine can be started again and again.
pub(crate) struct Machine {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) meta: Arc<SoloMeta>,
    pub(crate) bucket: Arc<Flaky>,
    /// Syncs of the disk fail.
    pub(crate) syncs_fail: Arc<AtomicBool>,
    pub(crate) settings: TopicSettings,
    pub(crate) adjust: fn(&mut EngineOptions),
}

impl Machine {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(esker_env::real::SystemClock::new());
        let bucket = Arc::new(Flaky {
            inner: Arc::new(MemoryBucket::new()),
            down: AtomicBool::new(false),
            garbled: AtomicUsize::new(0),
            answers_lost: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            holds: Notify::new(),
            lets_go: Notify::new(),
        });
        Self {
            dir: tempfile::tempdir().unwrap(),
            meta: Arc::new(SoloMeta::new(clock)),
            bucket,
            syncs_fail: Arc::default(),
            settings: TopicSettings { retention: None, ..TopicSettings::default() },
            adjust: |_| {},
        }
    }

    /// Changes a bit of the only object in the bucket, at `position`, counted from its end where negative.
    pub(crate) async fn damage_the_object(&self, position: i64) {
        let listed = self.bucket.list("d", None).await.unwrap().objects;
        assert_eq!(listed.len(), 1);
        let key = listed[0].0.clone();
        let mut bytes = self.bucket.get_range(&key, 0..listed[0].1).await.unwrap().to_vec();
        let len = i64::try_from(bytes.len()).unwrap();
        let position = if position < 0 { len + position } else { position };
        bytes[usize::try_from(position).unwrap()] ^= 4;
        self.bucket.inner.delete(vec![key.clone()]).await;
        self.bucket.inner.put(&key, vec![bytes.into()]).await.unwrap();
    }

    /// Runs `work` on a started engine. The engine is dropped without a stop, as a crash would.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(&Arc<Engine>) -> T) -> T {
        self.try_run(work).unwrap()
    }

    pub(crate) fn try_run<T>(
        &self,
        work: impl AsyncFnOnce(&Arc<Engine>) -> T,
    ) -> Result<T, EngineError> {
        let runtimes = Runtimes::start(1, 2).unwrap();
        let mut env = Env::real(&runtimes);
        let fails = Arc::clone(&self.syncs_fail);
        env.disk = Arc::new(FailingDisk { inner: env.disk, fails });
        runtimes.block_on(async {
            let cluster = ClusterId(Uuid::from_u128(1));
            self.meta.propose(Command::FoundCluster { cluster }).await.unwrap();
            let mut options = EngineOptions::new(BrokerId(1), self.wal());
            options.wal_segment = ByteCount::mib(1);
            options.wal_capacity = ByteCount::mib(8);
            options.garbage_grace = Duration::ZERO;
            (self.adjust)(&mut options);
            let meta: Arc<dyn MetaClient> = Arc::clone(&self.meta) as _;
            let bucket: Arc<dyn Bucket> = Arc::clone(&self.bucket) as _;
            let settings = Arc::new(Settings(self.settings.clone()));
            let cache = Arc::new(MemoryCache::new(16 << 20));
            let log = OpenedLog::open(&env, cluster, &options).await.unwrap();
            let engine =
                Engine::start(env, log, meta, bucket, cache, settings, options, None).await?;
            if self.meta.image().topics.is_empty() {
                let command = Command::CreateTopic {
                    topic: TOPIC,
                    name: TopicName::new("t").unwrap(),
                    partitions: vec![NewPartition { leader: BrokerId(1) }; 2],
                    replication_factor: 1,
                    configs: vec![],
                };
                self.meta.propose(command).await.unwrap();
                engine.refresh();
            }
            let result = work(&engine).await;
            // Lets go of the directory for the next start; nothing is flushed.
            engine.stop().await;
            Ok(result)
        })
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.dir.path().join("wal")
    }

    /// Puts a copy of the log back and says why it is not served.
    pub(crate) fn refuses(&self, copy: &Path) -> String {
        std::fs::remove_dir_all(self.wal()).unwrap();
        copy_dir(copy, &self.wal());
        self.try_run(async |_| ()).unwrap_err().to_string()
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

pub(crate) fn partition(engine: &Engine, index: usize) -> Arc<Partition> {
    let topics = engine.topics();
    topics.by_id(TOPIC).unwrap().partitions[index].clone().unwrap()
}

pub(crate) fn batch(values: Range<i64>, timestamp: i64) -> BytesMut {
    let mut builder = BatchBuilder::new(Offset(0));
    for value in values {
        builder.append(Timestamp(timestamp + value), None, Some(&value.to_be_bytes()), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

/// The batch says that it is compressed, which it is not: nobody can open it.
pub(crate) fn unopenable(values: Range<i64>, timestamp: i64) -> BytesMut {
    const ATTRIBUTES: usize = 21;
    const ZSTD: u8 = 4;
    let mut bytes = batch(values, timestamp);
    bytes[ATTRIBUTES + 1] |= ZSTD;
    let crc = BatchView::parse(&bytes).unwrap().compute_crc();
    bytes[ATTRIBUTES - 4..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Records without a timestamp.
pub(crate) fn timeless(values: Range<i64>) -> BytesMut {
    let mut builder = BatchBuilder::new(Offset(0));
    for value in values {
        builder.append(Timestamp::NONE, None, Some(&value.to_be_bytes()), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

pub(crate) fn sequenced(first: i32, count: i32) -> BytesMut {
    let mut builder = BatchBuilder::new(Offset(0)).producer(ProducerId(9), ProducerEpoch(0), first);
    for value in first..first + count {
        builder.append(Timestamp(1), None, Some(&i64::from(value).to_be_bytes()), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

pub(crate) async fn append(engine: &Engine, partition: &Arc<Partition>, batch: BytesMut) -> Offset {
    let ack = Ack::new();
    let result = engine.append(partition, batch, Times::Proved, Some(&ack)).unwrap();
    ack.arm();
    assert!(ack.wait().await);
    result.base
}

/// All values from `from` on, with their offsets checked to be dense.
pub(crate) async fn read(engine: &Arc<Engine>, partition: &Arc<Partition>, from: i64) -> Vec<i64> {
    let mut values = Vec::new();
    let mut next = Offset(from);
    while next < partition.position().high_watermark {
        let fetched = engine.read(partition, next, 10_000, true).await.unwrap();
        for bytes in &fetched.batches {
            for batch in batches(bytes) {
                let batch = batch.unwrap();
                assert!(batch.verify_crc().is_ok());
                let payload = batch.decompressed(1 << 20).unwrap();
                for record in batch.records(&payload) {
                    let record = record.unwrap();
                    let offset = batch.offset_of(record.offset_delta);
                    if offset >= next {
                        assert_eq!(offset, next);
                        next = offset.next();
                        values.push(i64::from_be_bytes(record.value.unwrap().try_into().unwrap()));
                    }
                }
            }
        }
    }
    values
}

pub(crate) fn numbers(range: Range<i64>) -> Vec<i64> {
    range.collect()
}
