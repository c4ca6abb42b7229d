//! The other nodes of a cluster, as the configuration names them.

use crate::config::{Config, ConfigProblem};
use esker_bucket::marker::{self, Marker};
use esker_env::{Bucket, Env};
use esker_node::{ControllerOptions, Copies, PeerNodes, PeerSecurity, Voter, derived_id};
use esker_types::{BrokerId, ClusterId};
use std::path::PathBuf;

/// Longest secret that is read from a file.
const SECRET_LEN_MAX: u64 = 4096;

/// A configuration that names other nodes.
pub(crate) struct Neighbours {
    voters: Vec<Voter>,
    listener: String,
    secret: Vec<u8>,
}

impl Neighbours {
    /// What `config` says of other nodes; nothing where this one is alone.
    pub(crate) fn of(env: &Env, config: &Config) -> Result<Option<Self>, ConfigProblem> {
        let typed = &config.typed;
        let voters: Result<Vec<Voter>, _> = typed.voters.iter().map(|v| v.parse()).collect();
        let voters = voters.map_err(|error| format!("controller.quorum.voters: {error}"))?;
        if voters.len() < 2 {
            return Ok(None);
        }
        let own = BrokerId(typed.node_id);
        let missing = |what: &str| {
            format!("controller.quorum.voters names {} nodes, and {what}", voters.len())
        };
        if !voters.iter().any(|voter| voter.node == own) {
            return Err(missing(&format!(
                "none of them is {own}, which node.id says that this one is: brokers that are no voters are not served yet"
            )));
        }
        let listener = typed.peer_listener.clone().ok_or_else(|| {
            missing(
                "esker.peer.listener says nothing: set it to HOST:PORT, where they reach this one",
            )
        })?;
        let secret = secret(env, config)?.ok_or_else(|| {
            missing(
                "there is no secret that they prove themselves by: set esker.cluster.secret, esker.cluster.secret.file or \
                 ESKER_CLUSTER_SECRET to the output of `openssl rand -hex 32`, the same on all nodes",
            )
        })?;
        Ok(Some(Self { voters, listener, secret }))
    }

    /// The cluster to which an empty data directory belongs: the bucket's, or one that follows from the configuration, so that all
    /// founders name the same one.
    pub(crate) async fn cluster(&self, bucket: &dyn Bucket) -> Result<ClusterId, ConfigProblem> {
        match marker::check_marker(bucket, ClusterId::ZERO).await {
            Ok(Marker::Foreign(cluster)) => Ok(cluster),
            Ok(_) => {
                let mut names: Vec<_> = self.voters.iter().map(Voter::to_string).collect();
                names.sort_unstable();
                let id = derived_id(&self.secret, names.join(",").as_bytes());
                Ok(ClusterId(uuid::Uuid::from_u128(id)))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Where they reach this one: as they are told, else as the voters' list has it, else where it listens.
    pub(crate) fn own_address(&self, config: &Config) -> String {
        let own = BrokerId(config.typed.node_id);
        let listed = self.voters.iter().find(|voter| voter.node == own);
        let listed = listed.map(|voter| voter.address.clone());
        let told = config.typed.peer_advertised.clone();
        told.or(listed).unwrap_or_else(|| self.listener.clone())
    }

    /// Listens for them.
    pub(crate) async fn listen(
        self,
        env: &Env,
        config: &Config,
    ) -> Result<PeerNodes, ConfigProblem> {
        let security = PeerSecurity::from_secret(&self.secret, &env.clock);
        let security = security.map_err(|error| error.to_string())?;
        let listener = env.net.bind(&self.listener).await.map_err(|error| {
            format!("listen on {}: {error}. Choose another with esker.peer.listener", self.listener)
        })?;
        let typed = &config.typed;
        Ok(PeerNodes {
            listener,
            security,
            voters: self.voters,
            election_timeout: typed.election_timeout,
            controller: ControllerOptions {
                heartbeat_every: typed.heartbeat_every,
                session_timeout: typed.session_timeout,
                balance_every: typed.balance_every,
            },
            copies: Copies { stores: typed.journal_copies, acks: typed.journal_acks },
        })
    }
}

fn secret(env: &Env, config: &Config) -> Result<Option<Vec<u8>>, ConfigProblem> {
    let typed = &config.typed;
    if let Some(secret) = &typed.cluster_secret {
        return Ok(Some(secret.clone().into_bytes()));
    }
    if let Some(path) = &typed.cluster_secret_file {
        let path = PathBuf::from(path);
        let read = env.disk.read(&path, SECRET_LEN_MAX);
        let mut secret = read.map_err(|error| {
            format!("esker.cluster.secret.file: read {}: {error}", path.display())
        })?;
        while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            secret.pop();
        }
        return Ok(Some(secret));
    }
    Ok(std::env::var("ESKER_CLUSTER_SECRET").ok().map(String::into_bytes))
}
