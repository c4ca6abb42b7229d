//! The engine's parts, its start and its end.

use crate::background::garbage::GarbageSeen;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::flush_policy::FlushPolicy;
use crate::journal::owned::Journal;
use crate::journal::tail_budget::TailBudget;
use crate::journal::uncommitted::Uncommitted;
use crate::objects::object_ids::ObjectIds;
use crate::objects::quarantine::Quarantine;
use crate::objects::tiered::TieredReader;
use crate::options::EngineOptions;
use crate::partition::cpu_yield::FlushPressure;
use crate::partition::led::Partition;
use crate::partition::registry::{TopicEntry, TopicRegistry};
use crate::partition::settings::ResolveSettings;
use crate::partition::shard_wakers::ShardWakers;
use crate::serve::lookup;
use crate::start::opened_log::OpenedLog;
use crate::start::recovery::{self, RecoveredTails};
use arc_swap::ArcSwap;
use esker_cache::{ChunkCache, ObjectReader};
use esker_env::{Bucket, Budget, Env, TaskPlacement};
use esker_meta::{Command, Reply, State};
use esker_meta_client::{MetaClient, MetaError};
use esker_plog::{LogState, PartitionLog};
use esker_types::{Bug, Incarnation, JournalId, PartitionId, is_internal_topic, planted};
use esker_wal::{Wal, WalError, WalFailure};
use imbl::ordmap::DiffItem;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The journal of internal topics; it is flushed early, so that a coordinator's restart has little to read.
const SYSTEM_JOURNAL: usize = 0;
/// Journals that one broker writes: one for internal topics, one for the rest.
const JOURNALS: u8 = 2;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The metadata.
    #[error("register with the metadata: {0}")]
    Meta(#[from] MetaError),
    /// The write-ahead log.
    #[error(
        "open the write-ahead log in {}: {source}. Nothing was changed; if files were damaged, put the directory back \
         from a copy", dir.display()
    )]
    Wal {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong.
        source: WalError,
    },
    /// The write-ahead log is there but cannot prove what it promised.
    #[error("{0}")]
    Damaged(String),
    /// The write-ahead log refused a journal.
    #[error("open a journal: {0}")]
    Journal(#[from] esker_wal::AppendError),
    /// The write-ahead log could not be read.
    #[error("read the write-ahead log: {0}")]
    WalRead(#[from] esker_wal::ReadError),
    /// The write-ahead log failed during the start.
    #[error("the write-ahead log failed: {0}")]
    LogFailed(WalFailure),
}

/// What waits to be put into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushStatus {
    /// Committed bytes that the bucket does not hold.
    pub unflushed_bytes: usize,
    /// Age of the oldest of them.
    pub oldest: Option<std::time::Duration>,
    /// Bytes of batches in memory.
    pub tail_memory_bytes: usize,
    /// The last attempt failed: why.
    pub failing: bool,
}

/// The engine of one broker. Everything that serves requests holds an [`Arc`] of it.
pub struct Engine {
    env: Env,
    options: EngineOptions,
    incarnation: Incarnation,
    meta: Arc<dyn MetaClient>,
    bucket: Arc<dyn Bucket>,
    settings: Arc<dyn ResolveSettings>,
    wal: Wal,
    sink: Arc<DurabilityListener>,
    tail_memory: Arc<TailBudget>,
    /// What flushes and merges hold.
    pub(crate) background: Budget,
    uncommitted: Arc<Uncommitted>,
    pub(crate) garbage_seen: Mutex<GarbageSeen>,
    /// What lookups by time unpack.
    pub(crate) searches: Budget,
    journals: Vec<Arc<Journal>>,
    /// Journals of earlier registrations that are not drained, oldest first; then the live ones.
    pub(crate) draining: Mutex<Vec<Arc<Journal>>>,
    pub(crate) ids: ObjectIds,
    pub(crate) cold: TieredReader,
    pub(crate) quarantine: Quarantine,
    topics: ArcSwap<TopicRegistry>,
    /// The image that `topics` shows.
    shown: Mutex<Shown>,
    /// Rings when somebody wants a flush now.
    pub(crate) flush_now: Arc<Notify>,
    /// Rings when housekeeping cannot wait for its turn.
    pub(crate) maintenance_requested: Notify,
    pub(crate) flush_failing: std::sync::atomic::AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shown {
    state: Arc<State>,
    /// Tails of partitions that are not opened yet, found at the start.
    recovered: RecoveredTails,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

impl Engine {
    /// Registers the broker, recovers what earlier registrations left, opens journals and starts the background tasks.
    /// Metadata that is shorter than `log` reaches is refused before it comes here.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn start(
        env: Env,
        log: OpenedLog,
        meta: Arc<dyn MetaClient>,
        bucket: Arc<dyn Bucket>,
        cache: Arc<dyn ChunkCache>,
        settings: Arc<dyn ResolveSettings>,
        options: EngineOptions,
    ) -> Result<Arc<Self>, EngineError> {
        log.compare(&meta.image())?;
        let store = log.store();
        let OpenedLog { wal: opened, recovered, .. } = log;
        let tail_memory = Arc::new(TailBudget::new(bytes_of(options.tail_memory)));
        let sink = Arc::new(DurabilityListener::new(
            Arc::clone(&env.clock),
            Arc::clone(&tail_memory),
            ShardWakers::new(&*env.spawner),
            FlushPolicy::new(&options),
            Arc::clone(&bucket),
        ));
        let wal = opened.start(Arc::clone(&sink) as Arc<dyn esker_wal::DurableSink>);
        let incarnation = register(&env, &*meta, &options, store).await?;
        // Every journal that this log may have held was made by an earlier command of the metadata than this one.
        wal.bound_lost_journals(JournalId::new(incarnation.get(), 0));
        let place = (options.wal_dir.as_path(), store);
        let found = recovery::recover(&env, &*meta, &wal, &sink, &recovered, place).await?;
        let uncommitted = Arc::new(Uncommitted::new(bytes_of(options.uncommitted_max)));
        let mut journals = Vec::new();
        for shard in 0..JOURNALS {
            let id = open_journal(&env, &*meta, &wal, &options, incarnation, shard, store).await?;
            let journal = Arc::new(Journal::new(id, wal.clone(), Arc::clone(&uncommitted)));
            sink.add(Arc::clone(&journal));
            journals.push(journal);
        }
        // What leads partitions has durable journals: a log without them is from an earlier time.
        for journal in &journals {
            recovery::wait_for(&wal, &sink, journal.id, |_| true).await?;
        }
        env.fail_point("start: journals opened").await;
        recovery::elect(&*meta, options.broker, incarnation, &found.tails).await?;
        let ids = ObjectIds::new(&env, Arc::clone(&meta), options.broker, incarnation);
        let cold = TieredReader::new(&env, Arc::clone(&bucket), cache);
        let background = Budget::new(bytes_of(options.background_memory));
        let engine = Arc::new(Self {
            env,
            options,
            incarnation,
            meta,
            bucket,
            settings,
            wal,
            sink,
            tail_memory,
            background,
            uncommitted,
            garbage_seen: Mutex::default(),
            searches: Budget::new(lookup::DECOMPRESSED_MAX),
            draining: Mutex::default(),
            journals,
            ids,
            cold,
            quarantine: Quarantine::default(),
            topics: ArcSwap::default(),
            shown: Mutex::new(Shown { state: Arc::default(), recovered: found.tails }),
            flush_now: Arc::new(Notify::new()),
            maintenance_requested: Notify::new(),
            flush_failing: std::sync::atomic::AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        engine.refresh();
        // From here on a partition that appears is new, and has no tail.
        engine.shown.lock().recovered.clear();
        let mut draining: Vec<_> =
            found.journals.into_iter().map(|journal| Arc::new(journal.attach(&engine))).collect();
        draining.extend(engine.journals.iter().cloned());
        *engine.draining.lock() = draining;
        engine.start_tasks();
        Ok(engine)
    }

    fn start_tasks(self: &Arc<Self>) {
        let mut images = self.meta.follow();
        let engine = Arc::clone(self);
        self.spawn("follow the metadata", async move {
            while images.changed().await.is_ok() {
                engine.env.fail_point("image: changed").await;
                engine.refresh();
            }
        });
        let engine = Arc::clone(self);
        self.spawn("flush", async move { engine.run_flush().await });
        let engine = Arc::clone(self);
        self.spawn("housekeeping", async move { engine.maintain().await });
        let engine = Arc::clone(self);
        self.spawn("deletion", async move { engine.run_deletion().await });
        let engine = Arc::clone(self);
        self.spawn("watch the space", async move { engine.watch_wal_space().await });
    }

    /// Runs a background task until the engine stops.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        let task = self.tasks.track_future(async move {
            let stopped = std::pin::pin!(stop.cancelled());
            futures_util::future::select(std::pin::pin!(task), stopped).await;
        });
        self.env.spawner.spawn(TaskPlacement::Background, name, Box::pin(task));
    }

    /// What was appended and waits for the device.
    #[must_use]
    pub const fn uncommitted(&self) -> &Arc<Uncommitted> {
        &self.uncommitted
    }

    /// Flushes everything if the bucket takes it within `patience`, then stops. What is not flushed stays in the
    /// write-ahead log.
    pub async fn stop(self: &Arc<Self>, patience: std::time::Duration) {
        let flushed = esker_env::timeout(&*self.env.clock, patience, self.flush_all(None)).await;
        if flushed.is_err() {
            tracing::warn!(
                "the bucket did not take everything in time; the rest stays in the write-ahead log"
            );
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.cold.reader().cache().close().await;
        let closed = self.sink.closed.notified();
        self.wal.close();
        // A log whose last sync fails is never closed in good order.
        futures_util::future::select(std::pin::pin!(closed), std::pin::pin!(self.failed())).await;
    }

    /// Brings [`Engine::topics`] up to the newest image. Whoever proposed a change wakeups this before answering.
    pub fn refresh(&self) {
        let mut shown = self.shown.lock();
        let newest = self.meta.image();
        if newest.applied <= shown.state.applied {
            return;
        }
        let mut topics = TopicRegistry::clone(&self.topics.load());
        let mut touched: BTreeMap<esker_types::TopicId, ()> = BTreeMap::new();
        for change in shown.state.topics.diff(&newest.topics) {
            match change {
                DiffItem::Add(id, _) | DiffItem::Update { new: (id, _), .. } => {
                    touched.insert(*id, ());
                }
                DiffItem::Remove(id, _) => {
                    if let Some(topic) = topics.remove(*id) {
                        topic.partitions.iter().flatten().for_each(|partition| partition.close());
                    }
                }
            }
        }
        for change in shown.state.partitions.diff(&newest.partitions) {
            match change {
                DiffItem::Add(_, partition) => {
                    touched.insert(partition.topic, ());
                }
                DiffItem::Update { old: (_, old), new: (id, new) } => {
                    let led = |p: &esker_meta::Partition| (p.leader, p.leader_incarnation);
                    if led(old) != led(new) {
                        touched.insert(new.topic, ());
                    }
                    if let Some(partition) = find(&topics, new) {
                        follow_partition(partition, new);
                        let _ = id;
                    }
                }
                DiffItem::Remove(..) => {}
            }
        }
        if shown.state.configs != newest.configs {
            touched.extend(newest.topics.keys().map(|id| (*id, ())));
        }
        for id in touched.into_keys() {
            if let Some(topic) = newest.topics.get(&id) {
                let hosted = self.host(&topics, &newest, id, topic, &mut shown.recovered);
                topics.insert(Arc::new(hosted));
            }
        }
        shown.state = newest;
        self.topics.store(Arc::new(topics));
    }

    fn host(
        &self,
        topics: &TopicRegistry,
        state: &State,
        id: esker_types::TopicId,
        topic: &esker_meta::Topic,
        recovered: &mut RecoveredTails,
    ) -> TopicEntry {
        let known = topics.by_id(id);
        let settings = Arc::new(self.settings.resolve(state, topic));
        let partitions = topic
            .partitions
            .iter()
            .enumerate()
            .map(|(place, pid)| {
                let row = state.partitions.get(pid)?;
                let open = known.and_then(|known| known.partitions.get(place)?.clone());
                let mine =
                    row.leader == self.options.broker && row.leader_incarnation == self.incarnation;
                match (open, mine) {
                    (Some(partition), true) => {
                        partition.settings.store(Arc::clone(&settings));
                        Some(partition)
                    }
                    (Some(partition), false) => {
                        partition.close();
                        None
                    }
                    (None, true) => {
                        let tail = recovered.remove(pid).unwrap_or_default();
                        let name = topic.name.clone();
                        let log = open_log(row, tail);
                        Some(Partition::new(*pid, id, name, row.index, Arc::clone(&settings), log))
                    }
                    (None, false) => None,
                }
            })
            .collect();
        TopicEntry { id, name: topic.name.clone(), settings, partitions }
    }

    /// The topics as of the newest image seen.
    #[must_use]
    pub fn topics(&self) -> Arc<TopicRegistry> {
        self.topics.load_full()
    }

    /// A partition that this broker leads.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<Arc<Partition>> {
        let state = self.meta.image();
        let row = state.partitions.get(&id)?;
        find(&self.topics(), row).cloned()
    }

    /// Bytes of a partition, in the bucket and beyond.
    #[must_use]
    pub fn partition_bytes(&self, partition: &Partition) -> u64 {
        let state = self.meta.image();
        let Some(row) = state.partitions.get(&partition.id) else { return 0 };
        let inner = partition.lock();
        let tail: u64 = inner.log.tail_from(row.tiered_end).map(|batch| u64::from(batch.len)).sum();
        row.tiered_bytes() + tail
    }

    pub(crate) fn journal_of(&self, partition: &Partition) -> &Arc<Journal> {
        if is_internal_topic(partition.name.as_str()) {
            return &self.journals[SYSTEM_JOURNAL];
        }
        let shards = self.journals.len() as u64 - 1;
        let shard = usize::try_from(partition.id.get() % shards).expect("a handful of journals");
        &self.journals[1 + shard]
    }

    pub(crate) fn rule(&self) -> &FlushPolicy {
        &self.sink.rule
    }

    pub(crate) fn flush_pressure(&self) -> &Arc<FlushPressure> {
        &self.sink.flush_pressure
    }

    /// Whether the write-ahead log failed: nothing is acknowledged until the process restarts.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.sink.failure.get().is_some()
    }

    /// Completes when the write-ahead log fails, with the reason. That is final: the process has to end, and a new
    /// one reads what the disk really holds.
    pub async fn failed(&self) -> WalFailure {
        loop {
            let failed = self.sink.failed.notified();
            let mut failed = std::pin::pin!(failed);
            failed.as_mut().enable();
            if let Some(failure) = self.sink.failure.get() {
                return failure.clone();
            }
            failed.await;
        }
    }

    /// What waits to be put into the bucket.
    #[must_use]
    pub fn flush_status(&self) -> FlushStatus {
        let now = self.env.clock.now();
        let backlogs: Vec<_> = self.draining.lock().iter().map(|j| j.backlog()).collect();
        FlushStatus {
            unflushed_bytes: backlogs.iter().map(|backlog| backlog.bytes).sum(),
            oldest: backlogs.iter().filter_map(|b| b.oldest).min().map(|at| now.since(at)),
            tail_memory_bytes: self.tail_memory.bytes(),
            failing: self.flush_failing.load(Ordering::Relaxed),
        }
    }

    /// How much of the write-ahead log is used beyond the point where produce is slowed down: 0 below it, 1 when it is
    /// full.
    #[must_use]
    pub fn pressure(&self) -> f64 {
        let space = self.wal.space();
        // The last segment is kept for what frees space.
        let usable = space.capacity.saturating_sub(self.options.wal_segment.get()).max(1);
        let start = usable / 100 * u64::from(self.options.throttle_percent.min(99));
        if space.full {
            return 1.0;
        }
        let over = space.used.saturating_sub(start);
        let range = usable - start;
        // Ratios of byte counts: precision is of no interest.
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a delay")]
        let pressure = over as f64 / range as f64;
        pressure.min(1.0)
    }

    /// Forgets what could be read again: footers, and what the caches hold of objects.
    pub async fn clear_cache(&self) {
        self.cold.clear().await;
    }

    /// The reader of objects, for its figures.
    #[must_use]
    pub fn objects(&self) -> &ObjectReader {
        self.cold.reader()
    }

    /// The world.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The metadata.
    #[must_use]
    pub fn meta(&self) -> &Arc<dyn MetaClient> {
        &self.meta
    }

    /// The write-ahead log.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// This broker's registration.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.bucket
    }

    pub(crate) fn backlog_bell(&self) -> &Arc<Notify> {
        &self.sink.backlog
    }
}

fn find<'a>(topics: &'a TopicRegistry, row: &esker_meta::Partition) -> Option<&'a Arc<Partition>> {
    topics.by_id(row.topic)?.partition(row.index)?
}

/// Takes over what the metadata decided about a partition.
fn follow_partition(partition: &Partition, row: &esker_meta::Partition) {
    let mut inner = partition.lock();
    let high_watermark = inner.log.position().high_watermark;
    inner.log.set_tiered_end(row.tiered_end.min(high_watermark));
    inner.log.set_log_start(row.log_start.min(high_watermark));
}

fn open_log(row: &esker_meta::Partition, tail: Vec<esker_plog::TailBatch>) -> PartitionLog {
    let mut log = PartitionLog::open(LogState {
        leader_epoch: row.leader_epoch,
        log_start: if planted(Bug::TrimForgotten) {
            row.extents.first().map_or(row.tiered_end, |extent| extent.base)
        } else {
            row.log_start
        },
        tiered_end: row.tiered_end,
        epochs: row.epochs.iter().map(|epoch| (epoch.epoch, epoch.start)).collect(),
    });
    for batch in tail {
        log.restore(batch);
    }
    if !planted(Bug::TrimForgotten) {
        log.set_log_start(row.log_start.min(log.position().high_watermark));
    }
    log
}

async fn register(
    env: &Env,
    meta: &dyn MetaClient,
    options: &EngineOptions,
    store: esker_types::StoreId,
) -> Result<Incarnation, EngineError> {
    let reply = meta
        .propose(Command::RegisterBroker {
            broker: options.broker,
            process: env.entropy.next_u128(),
            host: options.host.clone(),
            port: options.port,
            rack: options.rack.clone(),
            stores: vec![store],
        })
        .await?;
    let Reply::Registered(incarnation) = reply else {
        panic!("a registration is answered with an incarnation, not {reply:?}")
    };
    if meta.image().times_proved.is_empty() {
        // Before the first id of an object is given out.
        meta.propose(Command::ProveTimes { broker: options.broker, incarnation }).await?;
    }
    Ok(incarnation)
}

async fn open_journal(
    env: &Env,
    meta: &dyn MetaClient,
    wal: &Wal,
    options: &EngineOptions,
    incarnation: Incarnation,
    shard: u8,
    store: esker_types::StoreId,
) -> Result<JournalId, EngineError> {
    let reply = meta
        .propose(Command::OpenJournal {
            broker: options.broker,
            incarnation,
            shard,
            ensemble: vec![store],
            ack_quorum: 1,
            request: env.entropy.next_u64(),
        })
        .await?;
    let Reply::Journal(id) = reply else {
        panic!("an opening is answered with a journal, not {reply:?}")
    };
    wal.open_journal(id, bytes::Bytes::new())?;
    Ok(id)
}

pub(crate) fn bytes_of(count: esker_types::ByteCount) -> usize {
    usize::try_from(count.get()).unwrap_or(usize::MAX)
}
