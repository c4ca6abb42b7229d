//! One life's world: the machines, the network, the bucket, the clients, and what goes wrong with each.

use crate::bucket::{BucketFaults, SimBucket, Store};
use crate::cache::{CacheFaults, SimCache};
use crate::catalogue::At;
use crate::clients::Clients;
use crate::disk::{DiskFaults, SimDisk};
use crate::drive::{Drive, Injury};
use crate::entropy::SimEntropy;
use crate::model::{Oracle, Problem};
use crate::net::SimNet;
use crate::plan::{Feature, Plan};
use crate::power::Power;
use crate::run::{End, Producers, Simulation};
use crate::time::{Points, SimClock, SimSpawner, within};
use crate::trace::Trace;
use esker_broker::{BrokerOptions, CoordinatorOptions, LiveSettings};
use esker_client::{Client, ClientError, ClientOptions};
use esker_engine::EngineOptions;
use esker_env::{Bucket, Clock, DeviceShare, Entropy, Env, Net, OneDevice};
use esker_node::{DataDir, Node, NodeOptions};
use esker_settings::BrokerSettings;
use esker_types::{BrokerId, ByteCount, MonoTime};
use parking_lot::Mutex;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PORT: u16 = 9092;
const DIR: &str = "/data";
const BROKER: BrokerId = BrokerId(1);
/// How long a start may take whatever the disk and the bucket do: requests that fail are tried again.
const START_MAX: Duration = Duration::from_mins(10);
/// Where the clients are.
pub(crate) const CLIENTS: &str = "clients";

/// How a life went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// The node ran, or lost its power on the way.
    Went,
    /// In the last life something was damaged that only a restart with the disk restored heals.
    Wounded,
    /// The node said what is damaged and did not start.
    Refused,
    /// The power failed, or the disk did, before the node had started.
    Unborn,
}

/// A machine in one life: its seams, and what is injected through them.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) env: Env,
    pub(crate) drive: Arc<Drive>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) spawner: Arc<SimSpawner>,
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) bucket: Arc<SimBucket>,
    /// Its disk was damaged before it started: what was done, and to which files.
    injury: Option<(String, Vec<PathBuf>)>,
    /// Operations of its disk fail: it may fail for good.
    pub(crate) disk_fails: bool,
}

/// One life's world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    /// One today.
    pub(crate) hosts: Vec<Host>,
    pub(crate) net: SimNet,
    pub(crate) store: Arc<Store>,
    pub(crate) power: Arc<Power>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) entropy: Arc<SimEntropy>,
    pub(crate) clients: Clients,
    pub(crate) producers: Producers,
    /// Damage that was done while a node ran.
    pub(crate) wounds: Arc<Mutex<Vec<Injury>>>,
    pub(crate) life: u64,
    cache: CacheFaults,
    /// Whether what is read of objects may arrive damaged.
    bodies_damaged: bool,
    /// Whether the node has started.
    born: AtomicBool,
}

/// The faults of one life that are there from its start.
struct Faults {
    disk: DiskFaults,
    bucket: BucketFaults,
    slow_disk: bool,
    skew_ms: i64,
    drift_ppm: i64,
    points: u64,
    forgetful: u64,
    rotting: u64,
    latency: u64,
}

impl Faults {
    fn new(plan: &Plan, entropy: &SimEntropy, end: End) -> Self {
        let entropy = entropy.branch("faults");
        // Every die is thrown whatever is left out, so that what remains stays as it was.
        let some = |feature, percent, value: u64| {
            let there = entropy.chance(plan.percent(feature, percent));
            if there && plan.has(feature) { value } else { 0 }
        };
        let signed = |range: u64| {
            let range = i64::try_from(range).expect("small");
            i64::try_from(entropy.below(2 * range.unsigned_abs() + 1)).expect("small") - range
        };
        let crash = end.is_sudden();
        let nth = |number: u64| (crash && number > 0).then_some(number);
        let bucket = BucketFaults {
            failing: some(Feature::Bucket, 70, entropy.below(30)),
            slow: some(Feature::SlowBucket, 40, entropy.below(4)),
            damaged: some(Feature::Bodies, 40, entropy.below(60)),
            ..BucketFaults::default()
        };
        let some_syncs = if entropy.chance(50) { 10 } else { 200 };
        let disk = DiskFaults {
            // Syncs of directories are among the first.
            failing_sync: nth(some(Feature::SyncError, 25, 1 + entropy.below(some_syncs))),
            failing_write: nth(some(Feature::WriteError, 12, 1 + entropy.below(300))),
            failing_reads: if crash { some(Feature::ReadError, 10, entropy.below(30)) } else { 0 },
        };
        let clock = plan.has(Feature::Clock);
        let (skew, drift) = (signed(600_000), signed(50_000));
        Self {
            disk,
            bucket,
            slow_disk: some(Feature::SlowDisk, 25, 1) == 1,
            skew_ms: if clock { skew } else { 0 },
            drift_ppm: if clock { drift } else { 0 },
            points: some(Feature::Points, 60, entropy.below(60)),
            forgetful: some(Feature::Cache, 50, entropy.below(60)),
            rotting: some(Feature::Cache, 30, entropy.between(1, 30)),
            latency: 6 + some(Feature::Partition, 15, entropy.below(100)),
        }
    }
}

impl World {
    pub(crate) fn new(
        simulation: &Simulation,
        power: &Arc<Power>,
        entropy: &SimEntropy,
        end: End,
        injury: Option<&Injury>,
    ) -> Self {
        let plan = simulation.plan.clone();
        let faults = Faults::new(&plan, entropy, end);
        let machine = &simulation.machines[0];
        let trace = || Arc::clone(&simulation.trace);
        let ends = end.is_sudden() && plan.has(Feature::Points);
        let points = Points::new(entropy, Arc::clone(power), trace(), faults.points, ends);
        let before = simulation.before;
        let clock = Arc::new(SimClock::new(before, faults.skew_ms, faults.drift_ppm, points));
        let time = || Arc::clone(&clock) as Arc<dyn Clock>;
        let drive = Arc::clone(&machine.drive);
        let disk = SimDisk::new(
            Arc::clone(&drive),
            Arc::clone(power),
            trace(),
            time(),
            entropy,
            faults.disk,
        );
        let disk = Arc::new(disk);
        let net = SimNet::new(machine.host, Arc::clone(power), trace(), time(), entropy);
        net.set_latency(faults.latency);
        let store = Arc::clone(&simulation.store);
        let on = Arc::clone(power);
        let bodies_damaged = faults.bucket.damaged > 0 || faults.rotting > 0;
        let bucket = SimBucket::new(
            Arc::clone(&store),
            on,
            trace(),
            (time(), before),
            entropy,
            faults.bucket,
        );
        let spawner =
            Arc::new(SimSpawner::new(Arc::clone(power), trace(), entropy, faults.slow_disk));
        let undecided = plan.planted.is_some_and(|planted| planted.at == At::Seed);
        let node = match undecided {
            // What a hash map goes by: two runs never agree on it.
            true => SimEntropy::new(RandomState::new().build_hasher().finish()),
            false => entropy.branch("node"),
        };
        let env = Env {
            clock: time(),
            entropy: Arc::new(node),
            spawner: Arc::clone(&spawner) as _,
            disk: Arc::new(OneDevice::new(Arc::clone(&disk) as _)),
            net: Arc::new(net.clone()),
            device: DeviceShare::default(),
        };
        let options = ClientOptions {
            brokers: vec![format!("{}:{PORT}", machine.host)],
            client_id: "sim".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            deadline: Duration::from_mins(1),
            ..ClientOptions::default()
        };
        simulation.model.lock().life = simulation.lives;
        let outside = Env { net: Arc::new(net.at(CLIENTS)) as Arc<dyn Net>, ..env.clone() };
        let clients = Clients {
            client: Client::new(outside, options),
            model: Arc::clone(&simulation.model),
            entropy: Arc::new(entropy.branch("workload")),
            trace: trace(),
            before,
            rush: Arc::default(),
        };
        let host = Host {
            name: machine.host,
            env,
            drive,
            clock,
            spawner,
            disk,
            bucket: Arc::new(bucket),
            injury: injury.map(|injury| (injury.what.clone(), injury.files.clone())),
            disk_fails: faults.disk.failing_sync.is_some()
                || faults.disk.failing_write.is_some()
                || faults.disk.failing_reads > 0,
        };
        let mistaken = plan.planted.is_some_and(|planted| planted.at == At::Cache);
        Self {
            plan,
            hosts: vec![host],
            net,
            store,
            power: Arc::clone(power),
            trace: trace(),
            entropy: Arc::new(entropy.branch("world")),
            clients,
            producers: simulation.producers.clone(),
            wounds: Arc::default(),
            life: simulation.lives,
            cache: CacheFaults { forgetful: faults.forgetful, rotting: faults.rotting, mistaken },
            bodies_damaged,
            born: AtomicBool::new(false),
        }
    }

    /// The machine that runs a broker.
    pub(crate) fn host(&self) -> &Host {
        &self.hosts[0]
    }

    pub(crate) fn now(&self) -> MonoTime {
        self.host().env.clock.now()
    }

    /// What was damaged while nodes ran.
    pub(crate) fn wounds(&self) -> Vec<Injury> {
        std::mem::take(&mut self.wounds.lock())
    }

    pub(crate) async fn live(&self, end: End) -> Result<Course, Problem> {
        tokio::select! {
            biased;
            () = self.power.failure() => {
                Ok(if self.born.load(Ordering::Relaxed) { Course::Went } else { Course::Unborn })
            }
            outcome = Box::pin(self.powered(end)) => outcome,
        }
    }

    async fn powered(&self, end: End) -> Result<Course, Problem> {
        let host = self.host();
        let Some(started) = within(START_MAX, Box::pin(self.start(host))).await else {
            let what = format!("the node does not start within {} s", START_MAX.as_secs());
            return Err(Problem::new(Oracle::Progress, what));
        };
        let (_dir, node) = match (started, &host.injury) {
            (Ok(started), _) => started,
            (Err(_), _) if host.disk_fails || !self.power.is_on() => return Ok(Course::Unborn),
            (Err(error), Some((_, files))) if names_what_is_damaged(&error, files) => {
                self.trace.note(self.now().0, "refused", &error, 0);
                return Ok(Course::Refused);
            }
            (Err(error), injury) => {
                let damaged = injury.as_ref().map(|(what, _)| format!(" after {what}"));
                let damaged = damaged.unwrap_or_default();
                let what = format!("the node does not start{damaged}: {error}");
                return Err(Problem::new(Oracle::Start, what));
            }
        };
        self.born.store(true, Ordering::Relaxed);
        match Box::pin(self.first_look()).await {
            Err(_) if host.disk_fails => return Ok(Course::Went),
            // A bucket that fails a third of all requests may hold up a read for longer than a client waits. In the
            // last life everything is looked at again.
            Err(_) | Ok(()) => {}
        }
        if matches!(end, End::Last | End::Peace) {
            if !Box::pin(self.last_life(&node, end)).await? {
                return Ok(Course::Wounded);
            }
        } else {
            self.work(&node);
            let life = Duration::from_millis(self.entropy.between(2_000, 60_000));
            let life = self.plan.life_max.map_or(life, |longest| life.min(longest));
            host.env.clock.sleep(life).await;
        }
        let damaged = node.engine().objects().stats().totals().damaged;
        if damaged > 0 && !self.bodies_damaged {
            let what = format!("{damaged} ranges were not what had been put");
            return Err(Problem::new(Oracle::Cache, what));
        }
        let image = node.engine().meta().image();
        let sound = image.check();
        sound.map_err(|problem| Problem::new(Oracle::Metadata, problem))?;
        if end == End::Stop {
            let limit = Duration::from_mins(2);
            let stopped = within(limit, node.stop()).await;
            stopped.ok_or_else(|| {
                Problem::new(Oracle::Progress, "the node does not stop within two minutes")
            })?;
        }
        Ok(Course::Went)
    }

    /// Everything that earlier lives promised.
    async fn first_look(&self) -> Result<(), ClientError> {
        self.clients.make_topics().await?;
        self.clients.read_everything("first").await?;
        self.seek_everything(false).await?;
        self.clients.read_groups().await?;
        self.clients.read_admin().await
    }

    async fn start(&self, host: &Host) -> Result<(DataDir, Arc<Node>), String> {
        let fresh = self.entropy.next_u128();
        let dir = DataDir::open(&*host.env.disk, Path::new(DIR), BROKER, fresh)
            .map_err(|error| error.to_string())?;
        let address = format!("{}:{PORT}", host.name);
        let listener = host.env.net.bind(&address).await.map_err(|error| error.to_string())?;
        let mut engine = EngineOptions::new(BROKER, dir.path().join("wal"));
        engine.host = host.name.to_owned();
        // Every start may find a log of other sizes than it is told to use.
        let segment = 64 << self.entropy.below(4);
        engine.wal_segment = ByteCount::kib(segment);
        engine.wal_capacity = ByteCount::kib(segment * self.entropy.between(4, 32));
        engine.tail_memory = ByteCount::kib(256);
        engine.flush_bytes = ByteCount::kib(128);
        engine.flush_age = Duration::from_secs(3);
        engine.segment_bytes_min = ByteCount::kib(24);
        if self.entropy.chance(50) || host.clock.ends_at_spill() {
            // Objects that are not merged but listed in manifests.
            engine.segment_bytes_min = ByteCount(1);
            engine.extents_inline = 17;
            engine.flush_bytes = ByteCount::kib(16);
            engine.flush_age = Duration::from_millis(500);
        }
        engine.segment_bytes_max = ByteCount::kib(256);
        engine.merge_extents = 4;
        engine.garbage_grace = Duration::from_secs(5);
        engine.housekeeping_every = Duration::from_secs(2);
        let options = NodeOptions {
            cluster: dir.identity().cluster,
            metadata_dir: dir.path().join("metadata"),
            metadata_snapshot_entries: 100,
            metadata_snapshot_bytes: self.entropy.between(1 << 10, 16 << 10),
            engine,
            broker: BrokerOptions {
                advertised_host: host.name.to_owned(),
                auto_create_topics: false,
                coordinator: CoordinatorOptions { log_records_min: 40, ..Default::default() },
                ..BrokerOptions::default()
            },
            stop_patience: Duration::from_secs(10),
        };
        let settings = Arc::new(LiveSettings::new(BROKER, BrokerSettings::default()));
        let bucket: Arc<dyn Bucket> = Arc::clone(&host.bucket) as _;
        let trace = Arc::clone(&self.trace);
        let cache = SimCache::new(1 << 20, trace, &self.entropy, self.cache);
        let node =
            Node::start(&host.env, listener, bucket, Arc::new(cache), settings, options, None)
                .await
                .map_err(|error| error.to_string())?;
        Ok((dir, Arc::new(node)))
    }

    /// Nothing fails any more, on any machine.
    pub(crate) fn calm(&self) {
        self.net.calm();
        for host in &self.hosts {
            host.clock.calm();
            host.spawner.calm();
            host.disk.calm();
            host.drive.leave_room(None);
            host.bucket.set_faults(|faults| *faults = BucketFaults::default());
        }
    }
}

/// Whether a refusal tells an operator which of `damaged` is damaged: its path, or its name and its directory.
fn names_what_is_damaged(error: &str, damaged: &[PathBuf]) -> bool {
    let said = |path: Option<&Path>, quote: &str| {
        path.is_some_and(|path| error.contains(&format!("{quote}{}{quote}", path.display())))
    };
    damaged.iter().any(|file| {
        let name = file.file_name().map(Path::new);
        said(Some(file), "") || (said(file.parent(), "") && said(name, "`"))
    })
}
