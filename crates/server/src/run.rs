//! The life of a server process.

use crate::admin::Admin;
use crate::config::{Config, ConfigProblem};
use crate::logging;
use esker_broker::BrokerOptions;
use esker_bucket::marker;
use esker_engine::EngineOptions;
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_server::{DataDir, Node, NodeOptions};
use esker_types::BrokerId;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for "you asked for something that cannot be": nothing was changed.
const USAGE: u8 = 2;
/// How long a stop waits for the bucket.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Serves until a signal comes.
pub(crate) fn serve(config: Result<Config, ConfigProblem>) -> ExitCode {
    let outcome = config.and_then(|config| {
        logging::start();
        stop_at_contradictions();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let runtimes = Runtimes::start(cores, cores.clamp(1, 4))
            .map_err(|error| format!("start threads: {error}"))?;
        let env = Env::real(&runtimes);
        runtimes.block_on(run(&env, config))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::from(USAGE)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one line that says why the server does not start")]
fn complain(problem: &str) {
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

async fn run(env: &Env, config: Config) -> Result<(), ConfigProblem> {
    // Signals are heard from the very beginning: a stop during a long recovery is a stop.
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let broker_id = BrokerId(1);
    let data_dir = DataDir::open(&*env.disk, &config.data_dir, broker_id, env.entropy.next_u128())
        .map_err(|error| error.to_string())?;
    let identity = data_dir.identity().clone();
    let bucket = esker_bucket::open(env, &config.bucket).map_err(|error| error.to_string())?;
    let bucket_url = config.bucket.url.to_string();
    marker::claim(&*bucket, identity.cluster)
        .await
        .map_err(|error| format!("bucket {bucket_url}: {error}"))?;
    let options = node_options(&config, &data_dir, broker_id)?;
    let settings = Arc::new(KafkaDefaults);
    let node = Node::start(env, Arc::clone(&bucket), settings, options)
        .await
        .map_err(|error| error.to_string())?;
    let node = Arc::new(node);
    let admin = Admin::start(env, &config.admin_addr, Arc::clone(&node))
        .await
        .map_err(|error| error.to_string())?;
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
    };
    tracing::info!(signal = why, "stopping: flush, release, exit; once more to stop at once");
    tokio::select! {
        biased;
        () = stop(&node, &admin) => {}
        _ = terminate.recv() => tracing::warn!("stopped at once; the rest is recovered at the next start"),
        _ = interrupt.recv() => tracing::warn!("stopped at once; the rest is recovered at the next start"),
    }
    Ok(())
}

async fn stop(node: &Node, admin: &Admin) {
    admin.not_ready();
    node.stop().await;
    admin.stop().await;
}

fn node_options(
    config: &Config,
    data_dir: &DataDir,
    broker: BrokerId,
) -> Result<NodeOptions, ConfigProblem> {
    let mut engine = EngineOptions::new(broker, data_dir.path().join("wal"));
    let mut broker_options = BrokerOptions::default();
    let advertised = config.advertised_addr.as_deref().unwrap_or(&config.kafka_addr);
    let (host, port) =
        advertised.rsplit_once(':').ok_or_else(|| format!("`{advertised}` is no HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| format!("`{advertised}`: `{port}` is no port"))?;
    // Nobody can connect to "any address".
    let host = if matches!(host, "0.0.0.0" | "[::]" | "") { "localhost" } else { host };
    host.clone_into(&mut engine.host);
    host.clone_into(&mut broker_options.advertised_host);
    engine.port = port;
    broker_options.advertised_port = port;
    Ok(NodeOptions {
        cluster: data_dir.identity().cluster,
        kafka_address: config.kafka_addr.clone(),
        metadata_dir: data_dir.path().join("metadata"),
        engine,
        broker: broker_options,
        stop_patience: STOP_PATIENCE,
    })
}

/// Kafka's defaults for every topic.
struct KafkaDefaults;

impl esker_engine::ResolveSettings for KafkaDefaults {
    fn resolve(
        &self,
        _state: &esker_meta::State,
        _topic: &esker_meta::Topic,
    ) -> esker_engine::TopicSettings {
        esker_engine::TopicSettings::default()
    }
}
