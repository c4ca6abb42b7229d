//! The engine's start: registration, recovery, its parts and its tasks.

use super::{DECOMPRESSED_MAX, Engine};
use crate::background::flush::{FlushParts, Flusher};
use crate::background::garbage::GarbageCollector;
use crate::background::handover::LeaderHandover;
use crate::background::maintenance::Maintenance;
use crate::background::merge::{MergeParts, Merger};
use crate::background::producer_snapshot::ProducerSnapshots;
use crate::background::rescue::BrokerRescue;
use crate::background::retention::Retention;
use crate::background::roll::JournalRoller;
use crate::background::spill::Spiller;
use crate::background::tasks::{Task, Tasks};
use crate::background::wal_space::WalSpaceWatch;
use crate::context::Context;
use crate::follow::Follower;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::flush_policy::FlushPolicy;
use crate::journal::opening::JournalOpener;
use crate::journal::owned::OwnedJournal;
use crate::journal::reader::JournalReader;
use crate::journal::tail_budget::TailBudget;
use crate::journal::uncommitted::Uncommitted;
use crate::objects::object_ids::ObjectIds;
use crate::objects::quarantine::Quarantine;
use crate::objects::tiered::TieredReader;
use crate::options::EngineOptions;
use crate::partition::cpu_yield::FlushPressure;
use crate::partition::settings::ResolveSettings;
use crate::partition::shard_wakers::ShardWakers;
use crate::start::error::EngineError;
use crate::start::opened_log::OpenedLog;
use crate::start::recovery::{FoundJournal, RecoveredJournals, Recovery};
use crate::start::register::{elect, open_journals, register};
use crate::stores::hosted::HostedJournals;
use crate::stores::replication::{Replication, Stores};
use esker_cache::ChunkCache;
use esker_env::{Bucket, Budget, Env};
use esker_meta_client::MetaClient;
use esker_types::JournalId;
use esker_wal::{DurableSink, Recovered, Wal};
use std::sync::Arc;

/// What makes things durable.
struct Durable {
    wal: Wal,
    listener: Arc<DurabilityListener>,
    journals: Vec<Arc<OwnedJournal>>,
    tail_budget: Arc<TailBudget>,
    uncommitted: Arc<Uncommitted>,
    opener: Arc<JournalOpener>,
}

/// The log as a store for others, and the stores of others.
fn stores(
    context: &Arc<Context>,
    wal: &Wal,
    listener: &DurabilityListener,
    recovered: &Recovered,
    parts: Replication,
) -> Arc<Stores> {
    let Replication { peers, service, copies, process: _ } = parts;
    let known = recovered.journals.iter().map(|journal| journal.status.journal).collect();
    let unborn = JournalId::new(context.incarnation.get(), 0);
    let lost_before = recovered.lost_before.map(|_| unborn);
    let own = (context.options.broker, context.incarnation);
    let spawner = &context.env.spawner;
    let hosted = HostedJournals::new(spawner, wal, &context.meta, own, (known, lost_before));
    let hosted = Arc::new(hosted);
    listener.hosts(&hosted);
    service.serves(&hosted);
    Arc::new(Stores { context: Arc::clone(context), hosted, peers, copies })
}

impl Engine {
    /// Registers the broker, recovers what earlier registrations left, opens journals and starts
    /// the background tasks. Metadata that is shorter than `log` reaches is refused before it comes
    /// here.
    ///
    /// # Errors
    /// See [`EngineError`].
    #[expect(clippy::too_many_arguments, reason = "what a broker consists of")]
    pub async fn start(
        env: Env,
        log: OpenedLog,
        meta: Arc<dyn MetaClient>,
        bucket: Arc<dyn Bucket>,
        cache: Arc<dyn ChunkCache>,
        settings: Arc<dyn ResolveSettings>,
        options: EngineOptions,
        replication: Option<Replication>,
    ) -> Result<Arc<Self>, EngineError> {
        log.compare(&meta.image())?;
        let store = log.store();
        let OpenedLog { wal: opened, recovered, .. } = log;
        let tail_budget = Arc::new(TailBudget::new(options.tail_memory.as_usize()));
        let listener = Arc::new(DurabilityListener::new(
            Arc::clone(&env.clock),
            Arc::clone(&tail_budget),
            ShardWakers::new(&*env.spawner),
            FlushPolicy::new(&options),
            FlushPressure::new(&env.spawner),
            env.device.clone(),
        ));
        let wal = opened.start(Arc::clone(&listener) as Arc<dyn DurableSink>);
        let process = match &replication {
            Some(replication) => replication.process,
            None => env.entropy.next_u128(),
        };
        let incarnation = register(&env, &*meta, &options, process, store).await?;
        // Every journal that this log may have held was made by an earlier command of the metadata
        // than this one.
        wal.bound_lost_journals(JournalId::new(incarnation.get(), 0));
        let context = Arc::new(Context { env, options, incarnation, meta, bucket });
        let recovery = Recovery {
            env: &context.env,
            meta: &*context.meta,
            wal: &wal,
            listener: &listener,
            recovered: &recovered,
            dir: &context.options.wal_dir,
            store,
            broker: context.options.broker,
        };
        // Among others, what an earlier process of this broker has left is taken over as that of any other is.
        let found = if replication.is_none() {
            recovery.run().await?
        } else {
            recovery.drop_forgotten(&context.image())?;
            RecoveredJournals::default()
        };
        let stores = replication.map(|parts| stores(&context, &wal, &listener, &recovered, parts));
        let uncommitted = Arc::new(Uncommitted::new(context.options.uncommitted_max.as_usize()));
        let opener = Arc::new(JournalOpener {
            context: Arc::clone(&context),
            wal: wal.clone(),
            listener: Arc::clone(&listener),
            uncommitted: Arc::clone(&uncommitted),
            stores,
        });
        let journals = open_journals(&opener).await?;
        context.env.fail_point("start: journals opened").await;
        if opener.stores.is_none() {
            elect(&context, &found.tails).await?;
        }
        let durable = Durable { wal, listener, journals, tail_budget, uncommitted, opener };
        let engine = Self::assemble(context, durable, found, cache, settings);
        engine.start_tasks();
        Ok(engine)
    }

    fn assemble(
        context: Arc<Context>,
        durable: Durable,
        found: RecoveredJournals,
        cache: Arc<dyn ChunkCache>,
        settings: Arc<dyn ResolveSettings>,
    ) -> Arc<Self> {
        let Durable { wal, listener, journals, tail_budget, uncommitted, opener } = durable;
        let ids = Arc::new(ObjectIds::new(&context));
        let bucket = Arc::clone(&context.bucket);
        let tiered = Arc::new(TieredReader::new(&context.env, bucket, cache));
        let memory = Budget::new(context.options.background_memory.as_usize());
        let quarantine = Arc::new(Quarantine::default());
        let follower = Arc::new(Follower::new(&context, settings, found.tails));
        let at = context.env.clock.now();
        let attach = |journal: FoundJournal| {
            Arc::new(journal.attach(at, &wal, &uncommitted, |pid| follower.partition(pid)))
        };
        let mut undrained: Vec<_> = found.journals.into_iter().map(attach).collect();
        undrained.extend(journals.iter().cloned());
        let merge = MergeParts {
            context: Arc::clone(&context),
            follower: Arc::clone(&follower),
            ids: Arc::clone(&ids),
            tiered: Arc::clone(&tiered),
            quarantine: Arc::clone(&quarantine),
            flush_pressure: Arc::clone(&listener.flush_pressure),
            memory: memory.clone(),
        };
        let merger = Arc::new(Merger::new(merge, listener.policy.max_bytes()));
        let reader = JournalReader::new(&context.env.spawner, &wal);
        let flush = FlushParts {
            context: Arc::clone(&context),
            wal: wal.clone(),
            reader: reader.clone(),
            listener: Arc::clone(&listener),
            follower: Arc::clone(&follower),
            ids: Arc::clone(&ids),
            tiered: Arc::clone(&tiered),
            quarantine,
            merger: Arc::clone(&merger),
            memory,
        };
        let flusher = Arc::new(Flusher::new(flush, undrained));
        let maintenance = Arc::new(Maintenance {
            retention: Retention::new(&context, &follower),
            snapshots: ProducerSnapshots::new(&context, &follower, &ids, &tiered),
            spiller: Spiller::new(&context, &ids),
            garbage: GarbageCollector::new(&context, &ids, &tiered),
            context: Arc::clone(&context),
            follower: Arc::clone(&follower),
            merger,
        });
        let handover = Arc::new(LeaderHandover::new(&context, &follower, &flusher));
        Arc::new(Self {
            context,
            follower,
            reader,
            tiered,
            searches: Budget::new(DECOMPRESSED_MAX),
            listener,
            wal,
            journals,
            tail_budget,
            uncommitted,
            handover,
            flusher,
            maintenance,
            opener,
            tasks: Tasks::default(),
        })
    }

    fn start_tasks(&self) {
        let spawner = &self.context.env.spawner;
        let follower = Arc::clone(&self.follower);
        self.tasks.spawn(spawner, Task::FollowMetadata, async move { follower.run().await });
        let flusher = Arc::clone(&self.flusher);
        self.tasks.spawn(spawner, Task::Flush, async move { flusher.run().await });
        let maintenance = Arc::clone(&self.maintenance);
        self.tasks.spawn(spawner, Task::Maintenance, async move { maintenance.run().await });
        let maintenance = Arc::clone(&self.maintenance);
        self.tasks.spawn(spawner, Task::Deletion, async move { maintenance.run_deletion().await });
        let watch = WalSpaceWatch::new(&self.context, &self.wal, &self.flusher);
        self.tasks.spawn(spawner, Task::WalSpace, async move { watch.run().await });
        if let Some(stores) = &self.opener.stores {
            self.start_replication(stores);
        }
    }

    fn start_replication(&self, stores: &Arc<Stores>) {
        let spawner = &self.context.env.spawner;
        let roller = JournalRoller {
            context: Arc::clone(&self.context),
            listener: Arc::clone(&self.listener),
            opener: Arc::clone(&self.opener),
            journals: self.journals.clone(),
            flusher: Arc::clone(&self.flusher),
        };
        self.tasks.spawn(spawner, Task::Roll, async move { roller.run().await });
        // By itself: a rescue that waits for stores does not keep the log from being emptied.
        let hosted = Arc::clone(&stores.hosted);
        self.tasks.spawn(spawner, Task::Hosting, async move { hosted.run().await });
        let rescue = BrokerRescue {
            context: Arc::clone(&self.context),
            wal: self.wal.clone(),
            stores: Arc::clone(stores),
            follower: Arc::clone(&self.follower),
            flusher: Arc::clone(&self.flusher),
            uncommitted: Arc::clone(&self.uncommitted),
        };
        self.tasks.spawn(spawner, Task::Rescue, async move { rescue.run().await });
        let handover = Arc::clone(&self.handover);
        self.tasks.spawn(spawner, Task::Handover, async move { handover.run().await });
    }
}
