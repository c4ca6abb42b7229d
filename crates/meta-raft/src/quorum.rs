//! Opening, proposing, closing.

use crate::disk_full_retry::DiskGate;
use crate::log_compaction::compact_by_bytes;
use crate::log_file::{LogContent, LogFile, LogFileError};
use crate::log_store::LogStore;
use crate::network::NoPeers;
use crate::snapshot_file::{self, SnapshotFileError};
use crate::state_machine::{Files, StateMachine};
use crate::types::{LogId, Payload, Raft, Runtime};
use esker_env::watch;
use esker_env::{Blocking, BoxFuture, Clock, Env, TaskPlacement};
use esker_meta::{Command, Proposal, Reply, State};
use esker_meta_client::{MetaClient, MetaError, settle};
use openraft::{BasicNode, Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

/// How to run a voter.
#[derive(Debug, Clone)]
pub struct QuorumOptions {
    /// Where the log and the snapshot live.
    pub dir: PathBuf,
    /// This voter's number.
    pub voter: u64,
    /// Log entries between two snapshots.
    pub snapshot_every: u64,
    /// Bytes of the log between two snapshots.
    pub snapshot_every_bytes: u64,
    /// An entry that somebody has seen: a log that ends before it is an old copy.
    pub reaches: u64,
}

/// Why the quorum does not start.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// The log.
    #[error("open the metadata log: {0}")]
    Log(#[from] LogFileError),
    /// The snapshot.
    #[error("open the metadata snapshot: {0}")]
    Snapshot(#[from] SnapshotFileError),
    /// Files of different times.
    #[error(
        "{}: {what}. Put the newest data directory back, the whole of it from one time", dir.display()
    )]
    OldCopy {
        /// Where the metadata lives.
        dir: PathBuf,
        /// How that shows.
        what: String,
    },
    /// openraft refused.
    #[error("start the metadata quorum: {0}")]
    Raft(String),
}

/// This process's voter.
#[derive(Clone)]
pub struct Quorum {
    raft: Raft,
    clock: Arc<dyn Clock>,
    disk_gate: Arc<DiskGate>,
    image: watch::Receiver<Arc<State>>,
    closed: Arc<Mutex<bool>>,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quorum").finish_non_exhaustive()
    }
}

impl Quorum {
    /// Opens the log in `options.dir`, founding a quorum of one when it is empty, and returns when this voter leads
    /// and everything that was committed is applied.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn open(env: &Env, options: QuorumOptions) -> Result<Self, QuorumError> {
        let (opened, result) = oneshot::channel();
        let inner = env.clone();
        let seed = env.entropy.next_u64();
        // Its tasks live where they are spawned from, and draw from its seed.
        env.spawner.spawn(
            TaskPlacement::Meta,
            "metadata",
            Box::pin(Runtime::scope(seed, async move {
                let _caller_gone = opened.send(Self::open_here(&inner, options).await);
            })),
        );
        result.await.map_err(|_| QuorumError::Raft("the runtime is shutting down".to_owned()))?
    }

    async fn open_here(env: &Env, options: QuorumOptions) -> Result<Self, QuorumError> {
        let (disk, dir) = (Arc::clone(&env.disk), options.dir.clone());
        let (log, loaded) = env
            .spawner
            .blocking(move || {
                let log = LogFile::open(Arc::clone(&disk), &dir)?;
                let loaded = snapshot_file::load(&*disk, &dir)?;
                let snapshot = loaded.as_ref().and_then(|(last, ..)| *last);
                match old_copy(&log.1, snapshot.as_ref(), options.reaches) {
                    Some(what) => Err(QuorumError::OldCopy { dir, what }),
                    None => Ok((log, loaded)),
                }
            })
            .await?;
        let (file, content) = log;
        let (image_writer, image) = watch::channel(Arc::default());
        let disk_gate = DiskGate::new(Arc::clone(&env.clock));
        let files = Files {
            spawner: Arc::clone(&env.spawner),
            disk_gate: Arc::clone(&disk_gate),
            disk: Arc::clone(&env.disk),
            dir: options.dir,
            closed: Arc::default(),
        };
        let closed = Arc::clone(&files.closed);
        let machine = StateMachine::new(files, loaded, image_writer);
        let store = LogStore::new(Arc::clone(&env.spawner), Arc::clone(&disk_gate), file, content);
        let growth = store.growth();
        let config = Config {
            cluster_name: "esker".to_owned(),
            heartbeat_interval: 500,
            election_timeout_min: 1500,
            election_timeout_max: 3000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
            max_in_snapshot_log_to_keep: options.snapshot_every / 2,
            enable_pre_vote: Some(true),
            // Times of the last entries through its stages, which nobody reads.
            log_stage_capacity: Some(1),
            ..Config::default()
        };
        let failed = |error: &dyn std::fmt::Display| QuorumError::Raft(error.to_string());
        let config = Arc::new(config.validate().map_err(|e| failed(&e))?);
        let raft = Raft::new(options.voter, config, NoPeers, store, machine)
            .await
            .map_err(|e| failed(&e))?;
        if raft.is_initialized().await.map_err(|e| failed(&e))? {
            raft.trigger().elect(false).await.map_err(|e| failed(&e))?;
        } else {
            let members = BTreeMap::from([(options.voter, BasicNode::default())]);
            raft.initialize(members).await.map_err(|e| failed(&e))?;
        }
        raft.wait(Some(Duration::from_secs(60)))
            .current_leader(options.voter, "this voter leads")
            .await
            .map_err(|e| failed(&e))?;
        let quorum = Self { raft, clock: Arc::clone(&env.clock), disk_gate, image, closed };
        // Commits, and with it applies, everything that the log held.
        quorum.propose(Command::Noop).await.map_err(|e| failed(&e))?;
        let short = compact_by_bytes(
            env.clone(),
            quorum.raft.clone(),
            growth,
            options.snapshot_every_bytes,
        );
        env.spawner.spawn(TaskPlacement::Meta, "metadata log", Box::pin(short));
        Ok(quorum)
    }

    /// Completes when the log or a snapshot could not be written, with the reason. That is final: the process has to
    /// end, and a new one reads what the disk really holds. A full disk is no failure: it is waited for.
    pub async fn failed(&self) -> String {
        self.disk_gate.failed().await
    }

    /// Stops taking part. What was answered is durable already.
    pub async fn close(&self) {
        self.disk_gate.close();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the metadata quorum did not stop cleanly");
        }
        // Whoever opens the directory next must not meet our last snapshot half way.
        *self.closed.lock().await = true;
    }
}

/// How it shows that the log, the snapshot and what others have seen of them are not of one time. A snapshot holds
/// entries that were durable in the log, and the log lets go of entries that a durable snapshot holds.
fn old_copy(log: &LogContent, snapshot: Option<&LogId>, reaches: u64) -> Option<String> {
    let index = |id: Option<&LogId>| id.map_or(0, |id| id.index());
    let (end, purged, snapshot) =
        (index(log.last().as_ref()), index(log.purged.as_ref()), index(snapshot));
    if snapshot < purged {
        Some(format!("the log begins after entry {purged}, the snapshot ends at {snapshot}"))
    } else if end < snapshot {
        Some(format!("the log ends at entry {end}, the snapshot at {snapshot}: the log is older"))
    } else if end < reaches {
        Some(format!(
            "the metadata ends at entry {end} and is older than the write-ahead log, which knows of entry {reaches}"
        ))
    } else {
        None
    }
}

impl MetaClient for Quorum {
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply, MetaError>> {
        let proposal = Proposal { now: self.clock.wall(), command };
        Box::pin(async move {
            match self.raft.client_write(Payload(proposal)).await {
                Ok(response) => settle(response.data.expect("a proposal has a reply")),
                Err(error) => {
                    let message = error.to_string();
                    Err(match error.into_fatal() {
                        Some(_) => MetaError::Failed(message),
                        None => MetaError::Unavailable(message),
                    })
                }
            }
        })
    }

    fn image(&self) -> Arc<State> {
        Arc::clone(&self.image.borrow())
    }

    fn follow(&self) -> watch::Receiver<Arc<State>> {
        self.image.clone()
    }
}
