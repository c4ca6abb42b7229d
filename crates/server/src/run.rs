//! The life of a server process.

use crate::admin::Admin;
use crate::command::Arguments;
use crate::config::{Config, ConfigProblem};
use crate::logging;
use crate::peers::Neighbours;
use crate::traces::Traces;
use clap::CommandFactory;
use esker_broker::{BrokerOptions, CoordinatorOptions, LiveSettings};
use esker_bucket::{BucketUrl, marker};
use esker_cache::{ChunkCache, MemoryCache};
use esker_cache_foyer::{FoyerCache, FoyerOptions};
use esker_cli::ClientVerb;
use esker_engine::EngineOptions;
use esker_env::real::{Runtimes, same_device};
use esker_env::{Bucket, Env, Listener, OneDevice};
use esker_group::Options as GroupOptions;
use esker_node::{DataDir, Node, NodeFailure, NodeOptions};
use esker_settings::typed;
use esker_types::{BrokerId, ByteCount, ClusterId};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for "you asked for something that cannot be": nothing was changed.
const USAGE: u8 = 2;
/// The exit code for "the disk failed": acknowledged records are as safe as the disk is.
const DISK_FAILED: u8 = 3;
/// The exit code for "the cluster thinks this process dead": start it again, and it registers anew.
const FENCED: u8 = 75;
/// Memory for requests where `queued.max.request.bytes` sets no limit: there always is one.
const REQUEST_MEMORY: usize = 512 << 20;

/// Serves until a signal comes.
pub(crate) fn serve(config: Result<Config, ConfigProblem>) -> ExitCode {
    let outcome = config.and_then(|config| {
        logging::start();
        stop_at_contradictions();
        for (setting, why) in config.settings.ineffective() {
            tracing::warn!(setting, "it has no effect: {why}");
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let runtimes = Runtimes::start(cores, cores.clamp(1, 4))
            .map_err(|error| format!("start threads: {error}"))?;
        let env = Env::real(&runtimes);
        runtimes.block_on(run(&env, config))
    });
    match outcome {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::DiskFailed) => ExitCode::from(DISK_FAILED),
        Ok(End::Fenced) => ExitCode::from(FENCED),
        Err(problem) => {
            complain(&problem);
            ExitCode::from(USAGE)
        }
    }
}

/// How a server's life ended.
enum End {
    Stopped,
    DiskFailed,
    Fenced,
}

/// Carries out a client verb.
pub(crate) fn client(verb: ClientVerb) -> ExitCode {
    let runtimes = match Runtimes::start(1, 1) {
        Ok(runtimes) => runtimes,
        Err(error) => {
            complain(&format!("start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let env = Env::real(&runtimes);
    runtimes.block_on(esker_cli::run(&env, Arguments::command(), verb))
}

#[expect(clippy::print_stderr, reason = "the one line that says why the server does not start")]
pub(crate) fn complain(problem: &str) {
    eprintln!("esker: {problem}");
}

/// A contradiction in our own state ends the process at once: what is durable is consistent, what is in memory may not
/// be.
fn stop_at_contradictions() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        tracing::error!(%panic, "the broker contradicts itself and stops; a restart recovers from what is durable");
        std::process::abort();
    }));
}

async fn run(env: &Env, config: Config) -> Result<End, ConfigProblem> {
    // Signals are heard from the very beginning: a stop during a long recovery is a stop.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let typed = &config.typed;
    let broker_id = BrokerId(typed.node_id);
    // A bucket on the log's own device shares its fate: a flush that fails may lose what either has written.
    let device = OneDevice::new(Arc::clone(&env.disk));
    let beside = Env { disk: Arc::new(device.beside()), ..env.clone() };
    let bucket_env = match &config.bucket.url {
        BucketUrl::File(root) if same_device(root, &config.data_dir) => &beside,
        _ => env,
    };
    let bucket =
        esker_bucket::open(bucket_env, &config.bucket).map_err(|error| error.to_string())?;
    let env = &Env { disk: Arc::new(device), ..env.clone() };
    // What cannot be had is found out before anything is written.
    DataDir::look(&*env.disk, &config.data_dir).map_err(|error| error.to_string())?;
    let kafka = listen(env, &config.kafka_addr, "--kafka-addr").await?;
    let admin = listen(env, &config.admin_addr, "--admin-addr").await?;
    let bucket_url = config.bucket.url.to_string();
    marker::check_marker(&*bucket, ClusterId::ZERO)
        .await
        .map_err(|error| format!("bucket {bucket_url}: {error}"))?;
    let neighbours = Neighbours::of(env, &config)?;
    let fresh = match &neighbours {
        None => env.entropy.next_u128(),
        Some(neighbours) => {
            let cluster = neighbours.cluster(&*bucket).await;
            cluster.map_err(|error| format!("bucket {bucket_url}: {error}"))?.0.as_u128()
        }
    };
    let peer_address = neighbours.as_ref().map(|neighbours| neighbours.own_address(&config));
    let peers = match neighbours {
        None => None,
        Some(neighbours) => Some(neighbours.listen(env, &config).await?),
    };
    let mut data_dir = DataDir::open(&*env.disk, &config.data_dir, broker_id, fresh)
        .map_err(|error| error.to_string())?;
    let identity = data_dir.identity().clone();
    if let Err(error) = marker::claim(&*bucket, identity.cluster).await {
        // The bucket's trouble is what the operator must hear of.
        if let Err(error) = data_dir.abandon(&*env.disk) {
            tracing::warn!(%error, "the new data directory could not be emptied again");
        }
        return Err(format!(
            "bucket {bucket_url}: {error} (which cluster this is says {})",
            config.data_dir.join("identity.json").display()
        ));
    }
    if identity.broker != broker_id {
        return Err(format!(
            "{} belongs to broker {}, not to broker {broker_id}: set node.id={}, or give another directory",
            data_dir.path().display(),
            identity.broker,
            identity.broker
        ));
    }
    refuse_old_copy(env, &*bucket, &bucket_url, &mut data_dir).await?;
    let mut options = node_options(&config, typed, &data_dir)?;
    options.engine.peer = peer_address;
    let cache = cache_of(env, typed, &config.bucket.url, &data_dir);
    let settings = Arc::new(LiveSettings::new(broker_id, config.settings.clone()));
    let objects = Arc::clone(&bucket);
    let node = Node::start(env, kafka, bucket, cache, settings, options, peers)
        .await
        .map_err(|error| error.to_string())?;
    data_dir.note_served(&*env.disk).map_err(|error| error.to_string())?;
    let node = Arc::new(node);
    let traces = Arc::new(Traces::start(env, &config, &node, objects).await?);
    let admin = Admin::start(env, admin, Arc::clone(&node), Arc::clone(&traces));
    tracing::info!(
        kafka = %node.kafka_address(),
        admin = %admin.address(),
        bucket = bucket_url,
        data = %data_dir.path().display(),
        cluster = %identity.cluster,
        "ready"
    );
    let why = tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        failure = node.failed() => return Ok(end_of(failure)),
    };
    tracing::info!(signal = why, "stopping: flush, release, exit; once more to stop at once");
    tokio::select! {
        biased;
        // Also the last sync may fail.
        failure = node.failed() => return Ok(end_of(failure)),
        () = stop(&node, &admin, &traces) => {}
        _ = terminate.recv() => tracing::warn!("stopped at once; the rest is recovered at the next start"),
        _ = interrupt.recv() => tracing::warn!("stopped at once; the rest is recovered at the next start"),
    }
    Ok(End::Stopped)
}

fn end_of(failure: NodeFailure) -> End {
    match failure {
        NodeFailure::Disk(failure) => disk_failed(&failure),
        NodeFailure::Fenced => {
            tracing::error!(
                "the cluster thinks this process dead, or another has registered as this broker: others lead its partitions. It ends; \
                 start it again, and it takes part anew"
            );
            End::Fenced
        }
    }
}

fn disk_failed(failure: &str) -> End {
    tracing::error!(
        %failure,
        "the disk failed; the broker stops, because what the disk holds is only known by reading it again. \
         Nothing was acknowledged since. Check the device and the kernel's log, then start again"
    );
    End::DiskFailed
}

/// Refuses a directory that is a copy from before the broker's last start: what was acknowledged since is not in it.
async fn refuse_old_copy(
    env: &Env,
    bucket: &dyn Bucket,
    bucket_url: &str,
    data_dir: &mut DataDir,
) -> Result<(), ConfigProblem> {
    let failed = |error| format!("bucket {bucket_url}: {error}");
    let (broker, known) = (data_dir.identity().broker, data_dir.identity().starts);
    let seen = marker::starts(bucket, broker).await.map_err(failed)?;
    if seen > known {
        return Err(format!(
            "{} knows of {known} starts of broker {broker}, the bucket {bucket_url} of {seen}: this directory is an \
             old copy, and what was acknowledged since is not in it. Put the newest directory back; the object \
             `starts-{broker}` holds the bucket's number",
            data_dir.path().display()
        ));
    }
    // The directory first: a crash in between must not make it look old.
    data_dir.count_start(&*env.disk).map_err(|error| error.to_string())?;
    marker::set_starts(bucket, broker, data_dir.identity().starts).await.map_err(failed)
}

async fn stop(node: &Node, admin: &Admin, traces: &Traces) {
    admin.not_ready();
    traces.stop().await;
    node.stop().await;
    admin.stop().await;
}

async fn listen(
    env: &Env,
    address: &str,
    option: &str,
) -> Result<Box<dyn Listener>, ConfigProblem> {
    env.net
        .bind(address)
        .await
        .map_err(|error| format!("listen on {address}: {error}. Choose another with {option}"))
}

/// Where a disk is nearer than the bucket, so much of it is for what was read from there.
const CACHE_DISK: ByteCount = ByteCount::gib(1);

/// The cache of what was read from the bucket. Nothing of it exists before the first cold read.
fn cache_of(
    env: &Env,
    settings: &typed::Broker,
    bucket: &BucketUrl,
    data_dir: &DataDir,
) -> Arc<dyn ChunkCache> {
    let memory = usize::try_from(settings.cache_memory.get()).unwrap_or(usize::MAX);
    // Writing to a disk what was just read from one costs commits their time and saves nothing.
    let is_near = matches!(bucket, BucketUrl::File(_) | BucketUrl::Memory);
    let usual = if is_near { ByteCount(0) } else { CACHE_DISK };
    let disk = settings.cache_disk.unwrap_or(usual).get();
    if disk == 0 {
        return Arc::new(MemoryCache::new(memory));
    }
    let cluster = data_dir.identity().cluster;
    let dir = data_dir.path().join("cache");
    Arc::new(FoyerCache::new(env, FoyerOptions::new(dir, disk, memory, cluster)))
}

fn node_options(
    config: &Config,
    settings: &typed::Broker,
    data_dir: &DataDir,
) -> Result<NodeOptions, ConfigProblem> {
    let (host, port) = advertised(config)?;
    let groups = &settings.groups;
    let engine = EngineOptions {
        host: host.clone(),
        port,
        rack: settings.rack.clone(),
        wal_capacity: settings.wal_capacity,
        wal_segment: settings.wal_segment,
        wal_prefill: settings.wal_prefill,
        tail_memory: settings.tail_memory,
        flush_bytes: settings.flush_bytes,
        flush_age: settings.flush_age,
        segment_bytes_min: settings.segment_bytes_min,
        segment_bytes_max: settings.segment_bytes_max,
        uncommitted_max: settings.uncommitted_max,
        background_memory: settings.background_memory,
        merge_extents: settings.merge_extents,
        garbage_grace: settings.garbage_grace,
        housekeeping_every: settings.housekeeping_every,
        producer_expiry: settings.producer_expiry,
        throttle_percent: settings.throttle_percent,
        ..EngineOptions::new(data_dir.identity().broker, data_dir.path().join("wal"))
    };
    let broker = BrokerOptions {
        advertised_host: host,
        advertised_port: port,
        request_bytes_max: settings.request_bytes_max,
        request_memory: settings.request_memory.unwrap_or(REQUEST_MEMORY),
        fetch_bytes_max: settings.fetch_bytes_max,
        connection_idle_max: settings.connection_idle_max,
        fetch_sessions_max: settings.fetch_sessions_max,
        auto_create_topics: settings.auto_create_topics,
        partitions_default: settings.partitions_default,
        replication_factor_default: settings.replication_factor_default,
        describe_partitions_max: settings.describe_partitions_max,
        delete_topics: settings.delete_topics,
        partitions_max: settings.partitions_max,
        coordinator: CoordinatorOptions {
            groups: GroupOptions {
                group_min_session_timeout_ms: groups.session_timeout_min_ms,
                group_max_session_timeout_ms: groups.session_timeout_max_ms,
                group_initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
                group_max_size: groups.size_max,
                new_member_join_timeout: groups.join_timeout,
                offsets_retention_minutes: groups.offsets_retention_minutes,
                offsets_retention_check_interval_ms: groups.offsets_retention_check_interval_ms,
                offset_metadata_max_bytes: groups.offset_metadata_bytes_max,
            },
            partitions: groups.offsets_partitions,
            segment_bytes: groups.offsets_segment_bytes,
            ..CoordinatorOptions::default()
        },
    };
    Ok(NodeOptions {
        cluster: data_dir.identity().cluster,
        metadata_dir: data_dir.metadata(),
        metadata_snapshot_entries: settings.metadata_snapshot_entries,
        metadata_snapshot_bytes: settings.metadata_snapshot_bytes,
        engine,
        broker,
        stop_patience: settings.stop_patience,
    })
}

/// Where clients are told to connect; port 0 stands for the one that is bound.
fn advertised(config: &Config) -> Result<(String, u16), ConfigProblem> {
    let address = config.advertised_addr.as_deref().unwrap_or(&config.kafka_addr);
    let (host, port) =
        address.rsplit_once(':').ok_or_else(|| format!("`{address}` is no HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| format!("`{address}`: `{port}` is no port"))?;
    // Nobody can connect to "any address", and clients write no brackets.
    let host = match host.trim_start_matches('[').trim_end_matches(']') {
        "0.0.0.0" | "::" | "" => "localhost",
        host => host,
    };
    Ok((host.to_owned(), port))
}
