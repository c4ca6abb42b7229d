//! One simulation: lives of a node under faults, crashes between them, a last life in which everything heals.

use crate::bucket::{SimBucket, Store};
use crate::disk::{DiskFaults, Drive, Lie, SimDisk};
use crate::entropy::SimEntropy;
use crate::model::Model;
use crate::net::SimNet;
use crate::panics;
use crate::power::Power;
use crate::time::{SimClock, SimSpawner, within};
use crate::trace::Trace;
use crate::workload::{Clients, SimProducer, is_explained};
use esker_broker::{BrokerOptions, LiveSettings};
use esker_cache::MemoryCache;
use esker_client::{Client, ClientError, ClientOptions};
use esker_engine::EngineOptions;
use esker_env::{Bucket, Clock, Entropy, Env};
use esker_meta::ObjectKind;
use esker_object::{data_key, manifest_key};
use esker_server::{DataDir, Node, NodeOptions};
use esker_settings::BrokerSettings;
use esker_types::{BrokerId, ByteCount, MonoTime};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ADDRESS: &str = "node:9092";
const DIR: &str = "/data";
const BROKER: BrokerId = BrokerId(1);
/// Virtual time within which a healed node serves everything that waits.
const HEALED_WITHIN: Duration = Duration::from_secs(120);
/// Producers; every third sends without sequence numbers.
const PRODUCERS: u64 = 6;

/// A bug that is put in on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The disk lies.
    Disk(Lie),
    /// The bucket loses its put of this number.
    LostPut(u64),
}

/// What came of a simulation.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold; empty when all is well.
    pub problems: Vec<String>,
    /// Hash and number of all events: a seed decides both.
    pub trace: (u64, u64),
    /// The events, where they were kept.
    pub lines: Vec<String>,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Batches acknowledged.
    pub acks: u64,
    /// Records read and compared.
    pub reads: u64,
    /// Starts of the node.
    pub lives: u64,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The power fails after a time, or after so many operations of the disk.
    Crash { operations: Option<u64> },
    /// The node is stopped.
    Stop,
    /// Everything is checked.
    Last,
}

struct Simulation {
    entropy: SimEntropy,
    drive: Arc<Drive>,
    store: Arc<Store>,
    trace: Arc<Trace>,
    model: Arc<Mutex<Model>>,
    producers: Vec<Arc<tokio::sync::Mutex<SimProducer>>>,
    before: Duration,
    lives: u64,
}

/// Runs the simulation of `seed`.
#[must_use]
pub fn simulate(seed: u64, planted: Option<Planted>, keep_trace: bool) -> Outcome {
    let lie = match planted {
        Some(Planted::Disk(lie)) => Some(lie),
        _ => None,
    };
    let lost_put = match planted {
        Some(Planted::LostPut(number)) => Some(number),
        _ => None,
    };
    let producer = |number| {
        let producer = SimProducer::new(number, number % 3 != 2);
        Arc::new(tokio::sync::Mutex::new(producer))
    };
    let mut simulation = Simulation {
        entropy: SimEntropy::new(seed),
        drive: Arc::new(Drive::new(lie)),
        store: Arc::new(Store::new(lost_put)),
        trace: Arc::new(Trace::new(keep_trace)),
        model: Arc::default(),
        producers: (0..PRODUCERS).map(producer).collect(),
        before: Duration::ZERO,
        lives: 0,
    };
    let crashes = 2 + simulation.entropy.below(4);
    for number in 0..=crashes {
        let end = match simulation.entropy.below(10) {
            _ if number == crashes => End::Last,
            0..5 => End::Crash { operations: Some(simulation.entropy.below(900)) },
            5..8 => End::Crash { operations: None },
            _ => End::Stop,
        };
        simulation.live(end);
        if !simulation.model.lock().problems.is_empty() {
            break;
        }
    }
    let model = simulation.model.lock();
    let mut problems = model.problems.clone();
    problems.extend(simulation.store.problems());
    Outcome {
        problems,
        trace: simulation.trace.hash(),
        lines: simulation.trace.lines(),
        virtual_time: simulation.before,
        acks: model.acks,
        reads: model.reads,
        lives: simulation.lives,
    }
}

impl Simulation {
    fn live(&mut self, end: End) {
        self.lives += 1;
        let entropy = self.entropy.branch(&format!("life {}", self.lives));
        let operations = match end {
            End::Crash { operations } => operations,
            End::Stop | End::Last => None,
        };
        let power = Arc::new(Power::new(operations));
        panics::watch(&power);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing from the system");
        let (problem, took) = tokio::task::LocalSet::new().block_on(&runtime, async {
            let world = World::new(self, &power, &entropy, end);
            let problem = Box::pin(world.live(end)).await.err();
            power.fail();
            (problem, Duration::from_nanos(world.env.clock.now().0))
        });
        drop(runtime);
        let mut model = self.model.lock();
        model.problems.extend(problem);
        model.problems.extend(panics::seen());
        drop(model);
        self.before += took + Duration::from_secs(1);
        if end != End::Stop {
            self.drive.lose_power(&entropy.branch("power"));
        }
        self.trace.note(MonoTime::default().plus(took).0, "life ends", "", self.lives);
    }
}

/// One life's world.
struct World {
    env: Env,
    net: SimNet,
    bucket: Arc<SimBucket>,
    store: Arc<Store>,
    power: Arc<Power>,
    entropy: Arc<SimEntropy>,
    clients: Clients,
    producers: Vec<Arc<tokio::sync::Mutex<SimProducer>>>,
    failing_sync: bool,
}

impl World {
    fn new(simulation: &Simulation, power: &Arc<Power>, entropy: &SimEntropy, end: End) -> Self {
        let calm = end == End::Last;
        let skew = i64::try_from(entropy.below(20_000)).expect("small") - 10_000;
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(simulation.before, skew));
        let slow = !calm && entropy.chance(25);
        let failing_sync = (matches!(end, End::Crash { .. }) && entropy.chance(15))
            .then(|| 1 + entropy.below(200));
        let faults = DiskFaults { failing_sync, capacity: None };
        let parts = || (Arc::clone(power), Arc::clone(&simulation.trace), Arc::clone(&clock));
        let (on, trace, time) = parts();
        let disk = SimDisk::new(Arc::clone(&simulation.drive), on, trace, time, entropy, faults);
        let (on, trace, time) = parts();
        let net = SimNet::new(on, trace, time, entropy);
        let (on, trace, time) = parts();
        let failing = if calm { 0 } else { entropy.below(30) };
        let store = Arc::clone(&simulation.store);
        let bucket = SimBucket::new(Arc::clone(&store), on, trace, time, entropy, failing);
        let env = Env {
            clock,
            entropy: entropy.fork("node"),
            spawner: Arc::new(SimSpawner::new(Arc::clone(power), entropy, slow)),
            disk: Arc::new(disk),
            net: Arc::new(net.clone()),
        };
        let options = ClientOptions {
            brokers: vec![ADDRESS.to_owned()],
            client_id: "sim".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            deadline: Duration::from_mins(1),
            ..ClientOptions::default()
        };
        let clients = Clients {
            client: Client::new(env.clone(), options),
            model: Arc::clone(&simulation.model),
            entropy: Arc::new(entropy.branch("workload")),
        };
        Self {
            env,
            net,
            bucket: Arc::new(bucket),
            store,
            power: Arc::clone(power),
            entropy: Arc::new(entropy.branch("world")),
            clients,
            producers: simulation.producers.clone(),
            failing_sync: failing_sync.is_some(),
        }
    }

    async fn live(&self, end: End) -> Result<(), String> {
        tokio::select! {
            biased;
            () = self.power.failure() => Ok(()),
            outcome = Box::pin(self.powered(end)) => outcome,
        }
    }

    async fn powered(&self, end: End) -> Result<(), String> {
        let started = Box::pin(self.start()).await;
        let (_dir, node) = match started {
            Ok(started) => started,
            Err(_) if self.failing_sync || !self.power.is_on() => return Ok(()),
            Err(error) => return Err(format!("the node does not start: {error}")),
        };
        let told = |what: &'static str| {
            move |error: ClientError| format!("{what} within the deadline: {error}")
        };
        let outcome = Box::pin(async {
            self.clients.make_topics().await.map_err(told("make topics"))?;
            self.clients.read_everything().await.map_err(told("read everything"))?;
            self.clients.read_group().await.map_err(told("read the group's offsets"))?;
            Ok::<_, String>(())
        });
        match outcome.await {
            Err(_) if self.failing_sync => return Ok(()),
            // A bucket that fails a third of all requests may hold up a read for longer than a client waits.
            Err(problem) if end == End::Last => return Err(problem),
            _ => {}
        }
        if end == End::Last {
            Box::pin(self.heal(&node)).await?;
        } else {
            self.work(&node);
            let life = Duration::from_millis(self.entropy.between(2_000, 60_000));
            self.env.clock.sleep(life).await;
        }
        let image = node.engine().meta().image();
        image.check().map_err(|problem| format!("metadata: {problem}"))?;
        if end == End::Stop {
            let limit = Duration::from_mins(2);
            let stopped = within(limit, node.stop()).await;
            stopped.ok_or_else(|| "the node does not stop within two minutes".to_owned())?;
        }
        Ok(())
    }

    async fn start(&self) -> Result<(DataDir, Arc<Node>), String> {
        let fresh = self.entropy.next_u128();
        let dir = DataDir::open(&*self.env.disk, Path::new(DIR), BROKER, fresh)
            .map_err(|error| error.to_string())?;
        let listener = self.env.net.bind(ADDRESS).await.map_err(|error| error.to_string())?;
        let mut engine = EngineOptions::new(BROKER, dir.path().join("wal"));
        engine.host = "node".to_owned();
        engine.wal_segment = ByteCount::kib(256);
        engine.wal_capacity = ByteCount::mib(4);
        engine.tail_memory = ByteCount::kib(512);
        engine.flush_bytes = ByteCount::kib(128);
        engine.flush_age = Duration::from_secs(3);
        engine.segment_bytes_min = ByteCount::kib(24);
        engine.segment_bytes_max = ByteCount::kib(256);
        engine.merge_extents = 4;
        engine.garbage_grace = Duration::from_secs(5);
        engine.housekeeping_every = Duration::from_secs(2);
        let options = NodeOptions {
            cluster: dir.identity().cluster,
            metadata_dir: dir.path().join("metadata"),
            metadata_snapshot_entries: 5000,
            engine,
            broker: BrokerOptions {
                advertised_host: "node".to_owned(),
                auto_create_topics: false,
                ..BrokerOptions::default()
            },
            stop_patience: Duration::from_secs(10),
        };
        let settings = Arc::new(LiveSettings::new(BROKER, BrokerSettings::default()));
        let bucket: Arc<dyn Bucket> = Arc::clone(&self.bucket) as _;
        let cache = Arc::new(MemoryCache::new(1 << 20));
        let node = Node::start(&self.env, listener, bucket, cache, settings, options)
            .await
            .map_err(|error| error.to_string())?;
        Ok((dir, Arc::new(node)))
    }

    /// Starts everything that goes on beside each other until the life ends.
    fn work(&self, node: &Arc<Node>) {
        for producer in &self.producers {
            let (producer, clients) = (Arc::clone(producer), self.clients.clone());
            self.repeat(300, async move || producer.lock().await.step(&clients).await);
        }
        let clients = self.clients.clone();
        self.repeat(500, async move || clients.read_somewhere().await);
        let clients = self.clients.clone();
        self.repeat(900, async move || clients.commit().await);
        let clients = self.clients.clone();
        self.repeat(9_000, async move || clients.trim().await);
        let clients = self.clients.clone();
        self.repeat(12_000, async move || clients.churn().await);
        let node = Arc::clone(node);
        self.repeat(8_000, async move || {
            node.engine().flush_all(None).await;
            node.engine().clear_cache().await;
            Ok(())
        });
        let net = self.net.clone();
        self.repeat(6_000, async move || {
            net.break_one();
            Ok(())
        });
        let (bucket, clock, entropy) =
            (Arc::clone(&self.bucket), Arc::clone(&self.env.clock), Arc::clone(&self.entropy));
        self.repeat(30_000, async move || {
            bucket.set_out_of_reach(true);
            clock.sleep(Duration::from_millis(entropy.between(1_000, 40_000))).await;
            bucket.set_out_of_reach(false);
            Ok(())
        });
    }

    /// Does `work` again and again, with pauses up to `pause_ms`.
    fn repeat<F>(&self, pause_ms: u64, work: F)
    where
        F: AsyncFn() -> Result<(), ClientError> + 'static,
    {
        let (clock, entropy) = (Arc::clone(&self.env.clock), Arc::clone(&self.entropy));
        let task = async move {
            loop {
                clock.sleep(Duration::from_millis(entropy.between(1, pause_ms))).await;
                let _faults_explain_it = work().await;
            }
        };
        drop(tokio::task::spawn_local(task));
    }

    /// Nothing fails any more: what waits must get through, and everything be found.
    async fn heal(&self, node: &Arc<Node>) -> Result<(), String> {
        let progress = async {
            for producer in &self.producers {
                let mut producer = producer.lock().await;
                loop {
                    let outcome = producer.step(&self.clients).await;
                    if outcome.is_ok() && producer.is_idle() {
                        break;
                    }
                    if let Err(error) = outcome.as_ref()
                        && !is_explained(error)
                    {
                        return Err(format!("a healed node says: {error}"));
                    }
                    self.env.clock.sleep(Duration::from_millis(200)).await;
                }
            }
            self.clients.read_everything().await.map_err(|error| error.to_string())?;
            self.clients.commit().await.map_err(|error| error.to_string())?;
            self.clients.read_group().await.map_err(|error| error.to_string())
        };
        within(HEALED_WITHIN, Box::pin(progress))
            .await
            .ok_or_else(|| "no progress within 120 s of healing".to_owned())??;
        self.bucket_settles(node).await?;
        // From the bucket alone.
        node.engine().clear_cache().await;
        self.clients.read_everything().await.map_err(|error| error.to_string())
    }

    /// Waits until the bucket holds exactly what the metadata names.
    async fn bucket_settles(&self, node: &Arc<Node>) -> Result<(), String> {
        let since = self.env.clock.now();
        loop {
            node.engine().flush_all(None).await;
            self.env.clock.sleep(Duration::from_secs(3)).await;
            let image = node.engine().meta().image();
            let named: BTreeSet<String> = image
                .objects
                .iter()
                .map(|(id, row)| match row.kind {
                    ObjectKind::Manifest => manifest_key(*id, row.incarnation),
                    _ => data_key(*id, row.incarnation),
                })
                .collect();
            let held: BTreeSet<String> = self.store.keys().into_iter().collect();
            let missing: Vec<_> = named.difference(&held).collect();
            if !missing.is_empty() {
                return Err(format!("the bucket does not hold {missing:?}"));
            }
            // What a manifest lists has no row of its own.
            let listed = image.partitions.values().any(|row| !row.manifests.is_empty());
            let extra: Vec<_> = held.difference(&named).collect();
            if listed || extra.is_empty() {
                return Ok(());
            }
            if self.env.clock.now().since(since) > HEALED_WITHIN {
                return Err(format!("nothing names {extra:?}, and they are kept"));
            }
        }
    }
}
