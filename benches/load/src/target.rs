//! Where the load goes.

use esker_client::{Client, ClientError};
use esker_env::{ByteStream, Env, Spawner, TaskPlacement};
use esker_wire::ApiKey;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Why a run did not come about or broke off.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Finding the topic failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A connection broke.
    #[error("connection to {address}: {source}")]
    Connection {
        /// Whose.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// The options contradict themselves or the topic.
    #[error("{0}")]
    Options(String),
}

/// A topic, found.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) env: Env,
    pub(crate) topic: Arc<str>,
    /// The brokers that lead partitions of it.
    pub(crate) leaders: Vec<Leader>,
}

/// A broker and the partitions that it leads.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) address: Arc<str>,
    pub(crate) partitions: Arc<[i32]>,
    pub(crate) produce_version: i16,
    pub(crate) fetch_version: i16,
}

impl Target {
    /// Finds a topic and who leads its partitions.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn find(client: &Client, topic: &str) -> Result<Self, LoadError> {
        let found = client.topic(topic, false).await?;
        let mut by_leader: BTreeMap<i32, (Arc<esker_client::Connection>, Vec<i32>)> =
            BTreeMap::new();
        for partition in &found.partitions {
            let (leader, connection) = client.leader(topic, partition.index).await?;
            by_leader
                .entry(leader)
                .or_insert_with(|| (connection, Vec::new()))
                .1
                .push(partition.index);
        }
        let leaders = by_leader
            .into_values()
            .map(|(connection, partitions)| {
                Ok(Leader {
                    address: connection.address().into(),
                    partitions: partitions.into(),
                    produce_version: connection.version(ApiKey::Produce)?,
                    fetch_version: connection.version(ApiKey::Fetch)?,
                })
            })
            .collect::<Result<_, ClientError>>()?;
        Ok(Self { env: client.env().clone(), topic: topic.into(), leaders })
    }
}

/// Connects, and then runs all `works` on one shard until each is done. The connections are all there before any work
/// begins.
pub(crate) async fn run_all<W, T>(env: &Env, works: Vec<(Arc<str>, W)>) -> Result<Vec<T>, LoadError>
where
    W: FnOnce(Box<dyn ByteStream>) -> esker_env::BoxFuture<'static, Result<T, LoadError>>
        + Send
        + 'static,
    T: Send + 'static,
{
    let (done, result) = oneshot::channel();
    let net = Arc::clone(&env.net);
    let all = async move {
        let mut connected = Vec::new();
        for (address, work) in works {
            let stream = net
                .connect(&address)
                .await
                .map_err(|source| LoadError::Connection { address: address.to_string(), source })?;
            connected.push(work(stream));
        }
        join_all(connected).await.into_iter().collect()
    };
    let task = async move {
        // Nobody waits any more when the process is on its way out.
        let _gone = done.send(all.await);
    };
    let spawner: &dyn Spawner = &*env.spawner;
    spawner.spawn(TaskPlacement::Shard(0), "load", Box::pin(task));
    result.await.map_err(|_| LoadError::Options("the run was cancelled".to_owned()))?
}
