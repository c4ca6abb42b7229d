//! Applications' traces on this broker: where they come in, who indexes them, who answers for them.

use crate::config::{Config, ConfigProblem};
use esker_client::{Client, ClientOptions};
use esker_env::{Bucket, Env, TaskPlacement};
use esker_node::Node;
use esker_traces::SPANS_TOPIC;
use esker_traces::gateway::Gateway;
use esker_traces::indexer::{self, IndexerOptions};
use esker_traces::store::TraceStore;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where `esker dev` takes OTLP if nobody said where.
const DEV_HTTP: &str = "127.0.0.1:4318";
/// How long one request of the indexer or a question may be tried.
const DEADLINE: Duration = Duration::from_secs(20);

/// The parts of this broker that are about traces.
pub(crate) struct Traces {
    pub(crate) store: Arc<TraceStore>,
    gateway: Option<Gateway>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Traces {
    /// Listens as the configuration says, and indexes what this broker leads.
    pub(crate) async fn start(
        env: &Env,
        config: &Config,
        node: &Arc<Node>,
        bucket: Arc<dyn Bucket>,
    ) -> Result<Self, ConfigProblem> {
        let client = client(env, node.kafka_address());
        let gateway = listen(env, config, &client).await?;
        let store = Arc::new(TraceStore::new(client, bucket));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let options = IndexerOptions { every: config.typed.traces_index_every };
        let (world, indexed, node) = (env.clone(), Arc::clone(&store), Arc::clone(node));
        let until = stop.clone();
        let index = tasks.track_future(async move {
            let led = || led_partitions(&node);
            until.run_until_cancelled(indexer::run(&world, &indexed, options, led)).await;
        });
        env.spawner.spawn(TaskPlacement::Background, "index traces", Box::pin(index));
        Ok(Self { store, gateway, stop, tasks })
    }

    /// Stops taking and indexing.
    pub(crate) async fn stop(&self) {
        if let Some(gateway) = &self.gateway {
            gateway.stop().await;
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A client of this broker, and by it of all.
fn client(env: &Env, kafka: SocketAddr) -> Client {
    let ip = match kafka.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let brokers = vec![SocketAddr::new(ip, kafka.port()).to_string()];
    let client_id = "esker-traces".to_owned();
    let options =
        ClientOptions { brokers, client_id, deadline: DEADLINE, ..ClientOptions::default() };
    Client::new(env.clone(), options)
}

/// A port that nobody asked for may be taken; one that somebody asked for may not.
async fn listen(
    env: &Env,
    config: &Config,
    client: &Client,
) -> Result<Option<Gateway>, ConfigProblem> {
    let told = config.typed.otlp_http_listener.as_deref();
    let address = match told {
        Some("") => return Ok(None),
        Some(address) => address,
        None if config.is_dev => DEV_HTTP,
        None => return Ok(None),
    };
    match env.net.bind(address).await {
        Ok(listener) => {
            let gateway = Gateway::start(env, listener, client.clone());
            tracing::info!(http = %gateway.address(), "OTLP is taken");
            Ok(Some(gateway))
        }
        Err(error) if told.is_none() => {
            // Another broker of this machine, or a collector: no matter for warnings, as nobody asked for it.
            tracing::info!(address, %error, "no OTLP is taken: set esker.otlp.http.listener to another address");
            Ok(None)
        }
        Err(error) => Err(format!(
            "listen on {address}: {error}. Choose another with esker.otlp.http.listener"
        )),
    }
}

/// The partitions of the topic of spans that this broker leads.
fn led_partitions(node: &Node) -> Vec<i32> {
    let topics = node.engine().topics();
    let Some(topic) = topics.by_name(SPANS_TOPIC) else { return Vec::new() };
    topic.partitions.iter().flatten().map(|partition| partition.index.get()).collect()
}
