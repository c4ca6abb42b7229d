//! A node: metadata, engine and listener over one world. The simulator builds the same from its own.

use crate::counted_bucket::{BucketRequests, CountedBucket};
use esker_broker::{Broker, BrokerOptions, Listening, LiveSettings};
use esker_cache::ChunkCache;
use esker_controller::{Controller, ControllerOptions};
use esker_engine::{
    Copies, Engine, EngineError, EngineOptions, OpenedLog, Replication, ResolveSettings,
    StoreService,
};
use esker_env::{Bucket, Env, Listener, timeout};
use esker_meta::Command;
use esker_meta_client::{MetaClient, MetaError};
use esker_meta_raft::{
    Quorum, QuorumDescription, QuorumError, QuorumOptions, QuorumService, Voter,
};
use esker_peer::{
    Greeting, Liveness, PeerListener, PeerSecurity, Peers, PeersOptions, ServiceId, Services,
};
use esker_types::{BrokerId, ClusterId};
use futures_util::future::{Either, select};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long one that stops waits for the quorum to decide something.
const QUORUM_PATIENCE: Duration = Duration::from_secs(3);

/// What a node is made of.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The cluster.
    pub cluster: ClusterId,
    /// Where the metadata log lives.
    pub metadata_dir: PathBuf,
    /// Log entries between two metadata snapshots.
    pub metadata_snapshot_entries: u64,
    /// Bytes of the metadata log between two snapshots of it.
    pub metadata_snapshot_bytes: u64,
    /// The engine.
    pub engine: EngineOptions,
    /// The request side.
    pub broker: BrokerOptions,
    /// How long a stop may wait for the bucket.
    pub stop_patience: Duration,
}

/// The other nodes of a cluster.
pub struct PeerNodes {
    /// Where they reach this one.
    pub listener: Box<dyn Listener>,
    /// What nodes prove to each other.
    pub security: PeerSecurity,
    /// The voters of the metadata quorum, this node among them.
    pub voters: Vec<Voter>,
    /// A voter that hears nothing from the leader for so long stands for election.
    pub election_timeout: Duration,
    /// When brokers are dead.
    pub controller: ControllerOptions,
    /// How journals are copied.
    pub copies: Copies,
}

/// Why a node has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFailure {
    /// What it acknowledges can no longer be made durable: which file, and what failed. Final: kernels forget what a failed sync was
    /// about, so only a new process that reads the disk again knows what it holds.
    Disk(String),
    /// The cluster thinks this process dead, or another has registered as its broker. A new process registers anew.
    Fenced,
}

impl std::fmt::Debug for PeerNodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerNodes").field("voters", &self.voters).finish_non_exhaustive()
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The metadata log.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The metadata.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    quorum: Quorum,
    /// Where other nodes reach this one.
    peers: Option<PeerListener>,
    engine: Arc<Engine>,
    broker: Arc<Broker>,
    listening: Listening,
    bucket_requests: Arc<BucketRequests>,
    stop_patience: Duration,
}

impl Node {
    /// Starts a node that serves whoever connects to `listener`. Whoever does so before the node is up waits.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing runs then.
    pub async fn start(
        env: &Env,
        listener: Box<dyn Listener>,
        bucket: Arc<dyn Bucket>,
        cache: Arc<dyn ChunkCache>,
        settings: Arc<LiveSettings>,
        options: NodeOptions,
        peers: Option<PeerNodes>,
    ) -> Result<Self, NodeError> {
        let log = OpenedLog::open(env, options.cluster, &options.engine).await?;
        let quorum_options = QuorumOptions {
            reaches: log.newest_metadata_index(),
            dir: options.metadata_dir,
            node: options.engine.broker,
            voters: Vec::new(),
            election_timeout: Duration::from_millis(1500),
            propose_timeout: Duration::from_secs(30),
            snapshot_every: options.metadata_snapshot_entries,
            snapshot_every_bytes: options.metadata_snapshot_bytes,
        };
        let (quorum, peers, replication) = match peers {
            None => {
                let quorum = Quorum::open_alone(env, quorum_options).await?;
                fence_predecessor(&quorum, options.engine.broker).await?;
                (quorum, None, None)
            }
            Some(peers) => {
                let joined = join_peers(env, options.cluster, quorum_options, peers).await?;
                (joined.quorum, Some(joined.listener), Some(joined.replication))
            }
        };
        quorum.propose(Command::FoundCluster { cluster: options.cluster }).await?;
        let meta: Arc<dyn MetaClient> = Arc::new(quorum.clone());
        let resolve: Arc<dyn ResolveSettings> = Arc::clone(&settings) as _;
        let bucket_requests = Arc::new(BucketRequests::default());
        let bucket = Arc::new(CountedBucket::new(bucket, Arc::clone(&bucket_requests)));
        let engine = Engine::start(
            env.clone(),
            log,
            meta,
            bucket,
            cache,
            resolve,
            options.engine,
            replication,
        )
        .await?;
        let broker = Broker::new(Arc::clone(&engine), settings, options.broker);
        let listening = Listening::start(Arc::clone(&broker), listener);
        let stop_patience = options.stop_patience;
        Ok(Self { quorum, peers, engine, broker, listening, bucket_requests, stop_patience })
    }

    /// Where clients connect.
    #[must_use]
    pub fn kafka_address(&self) -> std::net::SocketAddr {
        self.listening.address()
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The metadata quorum as this node sees it.
    pub async fn describe_quorum(&self) -> QuorumDescription {
        self.quorum.describe().await
    }

    /// The request side.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What this node has asked of the bucket.
    #[must_use]
    pub fn bucket_requests(&self) -> &BucketRequests {
        &self.bucket_requests
    }

    /// Completes when the quorum decides nothing for a while: without it nothing can be given away, and no flush committed.
    async fn without_quorum(&self) {
        let clock = &*self.engine.env().clock;
        while let Ok(Ok(_)) =
            timeout(clock, QUORUM_PATIENCE, self.quorum.propose(Command::Noop)).await
        {
            clock.sleep(QUORUM_PATIENCE).await;
        }
        tracing::warn!(
            "the metadata quorum decides nothing: what is left stays in the write-ahead log"
        );
    }

    /// Completes when this node has to end, with the reason.
    pub async fn failed(&self) -> NodeFailure {
        tokio::select! {
            biased;
            failure = self.engine.failed() => NodeFailure::Disk(failure.to_string()),
            failure = self.quorum.failed() => NodeFailure::Disk(failure),
            () = self.engine.fenced() => NodeFailure::Fenced,
        }
    }

    /// Gives its partitions to others, stops accepting, flushes what the bucket takes in time, lets go of everything.
    pub async fn stop(&self) {
        let mut undecided = pin!(self.without_quorum());
        let leaving = pin!(self.engine.leave(self.stop_patience));
        let can_flush = matches!(select(leaving, undecided.as_mut()).await, Either::Left(_));
        self.listening.stop().await;
        if can_flush {
            let flushing = pin!(self.engine.flush_within(self.stop_patience));
            select(flushing, undecided).await;
        }
        self.engine.stop().await;
        self.quorum.close().await;
        if let Some(peers) = &self.peers {
            peers.stop();
        }
    }
}

/// Fences the last registration of a node that is alone. Its process has ended: this one holds the lock on the only metadata
/// that it could act by. Where there are others, the leader of the quorum sees to that.
async fn fence_predecessor(quorum: &Quorum, broker: BrokerId) -> Result<(), MetaError> {
    let image = quorum.image();
    let alive = image.brokers.get(&broker).filter(|row| row.is_alive());
    if let Some(row) = alive {
        let incarnation = row.incarnation;
        quorum.propose(Command::FenceBroker { broker, incarnation }).await?;
    }
    Ok(())
}

/// What a node has of its cluster.
struct Joined {
    quorum: Quorum,
    listener: PeerListener,
    replication: Replication,
}

/// Answers the other nodes, opens the quorum with them, and watches the brokers while this node leads it.
async fn join_peers(
    env: &Env,
    cluster: ClusterId,
    options: QuorumOptions,
    nodes: PeerNodes,
) -> Result<Joined, QuorumError> {
    let PeerNodes { listener, security, voters, election_timeout, controller, copies } = nodes;
    let node = options.node;
    let greeting = Greeting { cluster, node, directory: Uuid::nil() };
    let greeting = Arc::new(Mutex::new(greeting));
    let process = env.entropy.next_u128();
    let (quorum, store) = (QuorumService::default(), StoreService::default());
    let services: Services = [
        (ServiceId::Quorum, Arc::new(quorum.clone()) as _),
        (ServiceId::Store, Arc::new(store.clone()) as _),
        (ServiceId::Liveness, Arc::new(Liveness::new(Arc::clone(&env.clock), process)) as _),
    ]
    .into();
    let listener =
        PeerListener::start(env, listener, Arc::clone(&greeting), security.clone(), services);
    let peers = Peers::new(env.clone(), greeting, PeersOptions::new(security));
    let options = QuorumOptions { voters, election_timeout, ..options };
    // Records do not stand in the way of votes.
    let stores = peers.apart();
    let quorum = Quorum::open(env, options, peers.clone(), quorum).await?;
    Controller::start(env, node, process, &quorum, &peers, controller);
    let replication = Replication { process, peers: stores, service: store, copies };
    Ok(Joined { quorum, listener, replication })
}
