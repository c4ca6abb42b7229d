//! Opening, proposing, closing.

use crate::disk_full_retry::DiskGate;
use crate::founding::{Asking, Beginning, Voter};
use crate::leader_watch::{EndedLeader, LeaderWatch};
use crate::log_compaction::compact_by_bytes;
use crate::log_file::{LogContent, LogFile, LogFileError};
use crate::log_store::LogStore;
use crate::network::Network;
use crate::rpc::{Proposed, Request};
use crate::service::{Leader, Member, QuorumService};
use crate::snapshot_file::{self, SnapshotFileError};
use crate::state_machine::{Files, StateMachine};
use crate::types::{LogId, Raft, Runtime, StoredMembership};
use crate::voter_file::VoterFile;
use bytes::Bytes;
use esker_env::watch;
use esker_env::{Blocking, BoxFuture, Elapsed, Env, TaskPlacement, timeout};
use esker_meta::{Command, Proposal, Reply, State};
use esker_meta_client::{MetaClient, MetaError, settle};
use esker_peer::{Greeting, PeerSecurity, Peers, PeersOptions, Sentinel, ServiceId};
use esker_types::{BrokerId, ClusterId, Timestamp};
use futures_util::future::{Either, select};
use openraft::{BasicNode, Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;

/// How to run a voter.
#[derive(Debug, Clone)]
pub struct QuorumOptions {
    /// Where the log and the snapshot live.
    pub dir: PathBuf,
    /// This voter's node.
    pub node: BrokerId,
    /// All voters, this one among them. None: this voter is a quorum of its own.
    pub voters: Vec<Voter>,
    /// A voter that hears nothing from the leader for this long, or up to twice as long, stands for election.
    pub election_timeout: Duration,
    /// For how long a proposal is repeated while no voter leads.
    pub propose_timeout: Duration,
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
    /// The file that says which voter this is.
    #[error("open the voter's file in {}: {source}", dir.display())]
    VoterFile {
        /// Where the metadata lives.
        dir: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// The quorum knows another directory as this voter.
    #[error(
        "the quorum does not take {} as voter {node}: {reason}. If the disk was replaced, remove the voter (`esker quorum \
         remove {node}`) and add it again (`esker quorum add {node}`)", dir.display()
    )]
    NotAdmitted {
        /// The node.
        node: BrokerId,
        /// Where the metadata lives.
        dir: PathBuf,
        /// The quorum's words.
        reason: String,
    },
    /// openraft refused.
    #[error("start the metadata quorum: {0}")]
    Raft(String),
}

/// The quorum as one of its voters sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumDescription {
    /// The node that leads it, if that is known.
    pub leader: Option<BrokerId>,
    /// The newest term that is known.
    pub term: u64,
    /// The newest entry that is applied here.
    pub applied: u64,
    /// Its voters.
    pub voters: Vec<VoterDescription>,
}

/// A voter as another sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterDescription {
    /// Its `node.id`.
    pub node: BrokerId,
    /// Where other nodes reach it; empty where it is alone.
    pub address: String,
    /// The newest entry that it has: known of oneself, and of all by the leader.
    pub last_entry: Option<u64>,
}

/// This process's voter.
#[derive(Clone)]
pub struct Quorum {
    member: Member,
    peers: Peers,
    propose_timeout: Duration,
    disk_gate: Arc<DiskGate>,
    image: watch::Receiver<Arc<State>>,
    leaders: watch::Receiver<Option<BrokerId>>,
    closed: Arc<Mutex<bool>>,
    service: QuorumService,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quorum").finish_non_exhaustive()
    }
}

impl Quorum {
    /// Opens the log in `options.dir` and returns when a voter leads and everything that was committed before is
    /// applied here. An empty directory founds a quorum or joins one, see `founding.rs`. Others reach this voter through
    /// `service`, which has to be served before.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn open(
        env: &Env,
        options: QuorumOptions,
        peers: Peers,
        service: QuorumService,
    ) -> Result<Self, QuorumError> {
        let (opened, result) = oneshot::channel();
        let inner = env.clone();
        let seed = env.entropy.next_u64();
        // Its tasks live where they are spawned from, and draw from its seed.
        env.spawner.spawn(
            TaskPlacement::Meta,
            "metadata",
            Box::pin(Runtime::scope(seed, async move {
                let quorum = Self::open_here(&inner, options, peers, service).await;
                let _caller_gone = opened.send(quorum);
            })),
        );
        result.await.map_err(|_| QuorumError::Raft("the runtime is shutting down".to_owned()))?
    }

    /// Opens a quorum of one voter, which nobody else talks to.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn open_alone(env: &Env, options: QuorumOptions) -> Result<Self, QuorumError> {
        let options = QuorumOptions { voters: Vec::new(), ..options };
        let greeting =
            Greeting { cluster: ClusterId::default(), node: options.node, directory: Uuid::nil() };
        let greeting = Arc::new(parking_lot::Mutex::new(greeting));
        let peers = Peers::new(env.clone(), greeting, PeersOptions::new(PeerSecurity::Open));
        Self::open(env, options, peers, QuorumService::default()).await
    }

    async fn open_here(
        env: &Env,
        options: QuorumOptions,
        peers: Peers,
        service: QuorumService,
    ) -> Result<Self, QuorumError> {
        let mut files = read_files(env, &options).await?;
        peers.is_directory(files.voter.directory);
        let beginning = if files.is_empty() {
            service.is_fresh();
            let beginning = begin(env, &options, &peers, files.voter.directory).await?;
            if beginning == Beginning::Found {
                files.found(env, &options).await?;
            }
            Some(beginning)
        } else {
            None
        };
        let directory = files.voter;
        let (image_writer, image) = watch::channel(Arc::default());
        let disk_gate = DiskGate::new(Arc::clone(&env.clock));
        let saving = Files {
            spawner: Arc::clone(&env.spawner),
            disk_gate: Arc::clone(&disk_gate),
            disk: Arc::clone(&env.disk),
            dir: options.dir.clone(),
            closed: Arc::default(),
        };
        let closed = Arc::clone(&saving.closed);
        let machine = StateMachine::new(saving, files.snapshot, image_writer);
        let store = LogStore::new(
            Arc::clone(&env.spawner),
            Arc::clone(&disk_gate),
            files.log,
            files.content,
        );
        let growth = store.growth();
        let failed = |error: &dyn std::fmt::Display| QuorumError::Raft(error.to_string());
        let config = Arc::new(config(&options).validate().map_err(|e| failed(&e))?);
        let network = Network { peers: peers.clone(), clock: Arc::clone(&env.clock) };
        let raft = Raft::new(number(&options), config, network, store, machine)
            .await
            .map_err(|e| failed(&e))?;
        let member = Member {
            raft: raft.clone(),
            clock: Arc::clone(&env.clock),
            image: image.clone(),
            node: options.node,
            directory: directory.directory,
            founder: directory.founder,
            arriving: Arc::default(),
            ended_leader: EndedLeader::default(),
        };
        service.is_member(member.clone());
        if beginning == Some(Beginning::Found) {
            raft.initialize(members(&options)).await.map_err(|e| failed(&e))?;
        } else if options.voters.len() < 2 {
            raft.trigger().elect(false).await.map_err(|e| failed(&e))?;
        }
        let (leaders_sender, leaders) = watch::channel(None);
        let watching = LeaderWatch {
            member: member.clone(),
            sentinel: Sentinel::new(&peers, Arc::clone(&env.clock)),
            clock: Arc::clone(&env.clock),
            patience: options.election_timeout,
            leaders: leaders_sender,
        };
        env.spawner.spawn(TaskPlacement::Meta, "metadata leader", Box::pin(watching.run()));
        let propose_timeout = options.propose_timeout;
        let quorum =
            Self { member, peers, propose_timeout, disk_gate, image, leaders, closed, service };
        {
            // A log that cannot be written has ended the voter, and nobody will ever lead it.
            let caught_up = pin!(quorum.catch_up(&directory));
            let failed = pin!(quorum.disk_gate.failed());
            match select(caught_up, failed).await {
                Either::Left((caught_up, _)) => caught_up?,
                Either::Right((reason, _)) => return Err(QuorumError::Raft(reason)),
            }
        }
        let short = compact_by_bytes(env.clone(), raft, growth, options.snapshot_every_bytes);
        env.spawner.spawn(TaskPlacement::Meta, "metadata log", Box::pin(short));
        Ok(quorum)
    }

    /// Waits until everything is applied that was committed before, and until the metadata knows this directory as its
    /// node's voter.
    async fn catch_up(&self, file: &VoterFile) -> Result<(), QuorumError> {
        let Member { node, .. } = self.member;
        let bind = Command::BindVoter { node, directory: file.directory };
        loop {
            match self.propose(bind.clone()).await {
                Ok(_) => return Ok(()),
                Err(MetaError::Unavailable(reason)) => {
                    tracing::info!(%reason, "waiting for the metadata quorum");
                }
                Err(MetaError::Rejected(reason)) => {
                    return Err(QuorumError::Raft(reason.to_string()));
                }
                Err(MetaError::Failed(reason)) => return Err(QuorumError::Raft(reason)),
            }
        }
    }

    /// Has a command ordered by whoever leads, and waits until it is applied here.
    async fn propose_anywhere(&self, command: Command) -> Result<Reply, MetaError> {
        let clock = Arc::clone(&self.member.clock);
        let mut last = "no voter leads".to_owned();
        let attempts = async {
            loop {
                match self.propose_once(&command).await {
                    Ok((index, reply)) => {
                        let mut image = self.image.clone();
                        let shown = |image: &Arc<State>| (image.applied >= index).then_some(());
                        if image.wait_for(shown).await.is_err() {
                            return Err(MetaError::Failed("the voter has ended".to_owned()));
                        }
                        return settle(reply);
                    }
                    Err(Attempt::Final(error)) => return Err(error),
                    Err(Attempt::Again(reason)) => last = reason,
                }
                clock.sleep(PROPOSE_AGAIN).await;
            }
        };
        match timeout(&*self.member.clock, self.propose_timeout, attempts).await {
            Ok(result) => result,
            Err(Elapsed) => Err(MetaError::Unavailable(last)),
        }
    }

    async fn propose_once(&self, command: &Command) -> Result<(u64, Reply), Attempt> {
        let again = |reason: &dyn std::fmt::Display| Attempt::Again(reason.to_string());
        if self.disk_gate.is_closing() {
            return Err(Attempt::Final(MetaError::Unavailable("the voter stops".to_owned())));
        }
        let answer = match self.member.leader().await {
            Leader::Nobody => return Err(Attempt::Again("no voter leads".to_owned())),
            Leader::Here => self.member.propose(command.clone()).await,
            Leader::There(voter) => {
                let proposal = Proposal { now: Timestamp(0), command: command.clone() };
                let body = Bytes::from(Request::Propose(proposal).encode());
                let call = self.peers.call(voter.node, &voter.address, ServiceId::Quorum, body);
                Proposed::decode(&call.await.map_err(|e| again(&e))?).map_err(|e| again(&e))?
            }
        };
        match answer {
            Proposed::Applied(index, reply) => Ok((index, reply)),
            Proposed::NotLeader => Err(Attempt::Again("the leader has changed".to_owned())),
            Proposed::Unavailable(reason) => Err(Attempt::Again(reason)),
            Proposed::Failed(reason) => Err(Attempt::Final(MetaError::Failed(reason))),
        }
    }

    /// The node that leads the quorum, as far as is known here.
    pub async fn leader(&self) -> Option<BrokerId> {
        self.member.leader().await.node(self.member.node)
    }

    /// The node that leads the quorum, as far as is known here, and its changes.
    #[must_use]
    pub fn leaders(&self) -> watch::Receiver<Option<BrokerId>> {
        self.leaders.clone()
    }

    /// The quorum as this voter sees it.
    pub async fn describe(&self) -> QuorumDescription {
        let applied = self.image.borrow().applied;
        let leader = self.leader().await;
        let now = self.member.raft.wait(None).metrics(|_| true, "now").await.ok();
        let Some(now) = now else {
            return QuorumDescription { leader, term: 0, applied, voters: Vec::new() };
        };
        let matched = |id: u64| {
            if id == now.id {
                return now.last_log_index;
            }
            let followers = now.replication.as_ref()?;
            followers.get(&id)?.as_ref().map(|entry| entry.index())
        };
        let membership = now.membership_config.membership();
        let voter = |id: u64| {
            let node = BrokerId(i32::try_from(id).ok()?);
            let address = membership.get_node(&id)?.addr.parse::<Voter>();
            let address = address.map(|voter| voter.address).unwrap_or_default();
            let last_entry = matched(id);
            Some(VoterDescription { node, address, last_entry })
        };
        let voters = membership.voter_ids().filter_map(voter).collect();
        QuorumDescription { leader, term: now.current_term, applied, voters }
    }

    /// Has `command` ordered, if this voter leads when it is, and waits until it is applied here.
    ///
    /// # Errors
    /// See [`MetaError`]; [`MetaError::Unavailable`] when another leads.
    pub async fn propose_as_leader(&self, command: Command) -> Result<Reply, MetaError> {
        match self.member.propose(command).await {
            Proposed::Applied(_, reply) => settle(reply),
            Proposed::NotLeader => Err(MetaError::Unavailable("another voter leads".to_owned())),
            Proposed::Unavailable(reason) => Err(MetaError::Unavailable(reason)),
            Proposed::Failed(reason) => Err(MetaError::Failed(reason)),
        }
    }

    /// Completes when the log or a snapshot could not be written, with the reason. That is final: the process has to
    /// end, and a new one reads what the disk really holds. A full disk is no failure: it is waited for.
    pub async fn failed(&self) -> String {
        self.disk_gate.failed().await
    }

    /// Stops taking part. What was answered is durable already.
    pub async fn close(&self) {
        self.disk_gate.close();
        self.service.has_ended();
        if let Err(error) = self.member.raft.shutdown().await {
            tracing::warn!(%error, "the metadata quorum did not stop cleanly");
        }
        // Whoever opens the directory next must not meet our last snapshot half way.
        *self.closed.lock().await = true;
    }
}

/// Between two attempts to have a command ordered.
const PROPOSE_AGAIN: Duration = Duration::from_millis(50);

/// Why a command was not ordered.
enum Attempt {
    Again(String),
    Final(MetaError),
}

/// What the directory holds.
struct Opened {
    log: LogFile,
    content: LogContent,
    snapshot: Option<(Option<LogId>, StoredMembership, State)>,
    voter: VoterFile,
}

impl Opened {
    fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.content.is_empty()
    }

    async fn found(&mut self, env: &Env, options: &QuorumOptions) -> Result<(), QuorumError> {
        let (disk, dir, mut voter) = (Arc::clone(&env.disk), options.dir.clone(), self.voter);
        let founded = env.spawner.blocking(move || voter.found(&*disk, &dir).map(|()| voter)).await;
        let dir = options.dir.clone();
        self.voter = founded.map_err(|source| QuorumError::VoterFile { dir, source })?;
        Ok(())
    }
}

async fn read_files(env: &Env, options: &QuorumOptions) -> Result<Opened, QuorumError> {
    let (disk, entropy) = (Arc::clone(&env.disk), Arc::clone(&env.entropy));
    let (dir, reaches, voters) = (options.dir.clone(), options.reaches, options.voters.len());
    let read = move || {
        let (log, content) = LogFile::open(Arc::clone(&disk), &dir)?;
        let snapshot = snapshot_file::load(&*disk, &dir)?;
        let last = snapshot.as_ref().and_then(|(last, ..)| *last);
        if let Some(what) = old_copy(&content, last.as_ref(), reaches, voters < 2) {
            return Err(QuorumError::OldCopy { dir, what });
        }
        let is_empty = snapshot.is_none() && content.is_empty();
        let voter = VoterFile::open(&*disk, &*entropy, &dir, is_empty)
            .map_err(|source| QuorumError::VoterFile { dir, source })?;
        Ok(Opened { log, content, snapshot, voter })
    };
    env.spawner.blocking(read).await
}

/// Decides how an empty directory begins, and has it admitted when it joins.
async fn begin(
    env: &Env,
    options: &QuorumOptions,
    peers: &Peers,
    directory: Uuid,
) -> Result<Beginning, QuorumError> {
    if options.voters.len() < 2 {
        return Ok(Beginning::Found);
    }
    let (clock, node, voters) = (&env.clock, options.node, &options.voters[..]);
    let asking = Asking { peers, clock, node, voters };
    let beginning = asking.decide().await;
    if beginning == Beginning::Join {
        let dir = options.dir.clone();
        let admitted = asking.admitted(directory).await;
        admitted.map_err(|reason| QuorumError::NotAdmitted { node, dir, reason })?;
    }
    Ok(beginning)
}

fn config(options: &QuorumOptions) -> Config {
    let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let election = millis(options.election_timeout).max(10);
    Config {
        cluster_name: "esker".to_owned(),
        heartbeat_interval: election / 4,
        election_timeout_min: election,
        election_timeout_max: election * 2,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
        max_in_snapshot_log_to_keep: options.snapshot_every / 2,
        enable_pre_vote: Some(true),
        // Times of the last entries through its stages, which nobody reads.
        log_stage_capacity: Some(1),
        ..Config::default()
    }
}

/// The number of the only voter, whatever its node.
const ALONE: u64 = 1;

fn number_of(node: BrokerId) -> u64 {
    u64::try_from(node.0).unwrap_or_default()
}

/// This voter's number in the quorum: its node's, among others.
fn number(options: &QuorumOptions) -> u64 {
    if options.voters.is_empty() { ALONE } else { number_of(options.node) }
}

fn members(options: &QuorumOptions) -> BTreeMap<u64, BasicNode> {
    if options.voters.is_empty() {
        return BTreeMap::from([(ALONE, BasicNode::default())]);
    }
    options.voters.iter().map(|voter| (number_of(voter.node), BasicNode::new(voter))).collect()
}

/// How it shows that the log, the snapshot and what others have seen of them are not of one time. A snapshot holds
/// entries that were durable in the log, and the log lets go of entries that a durable snapshot holds. With other
/// voters a snapshot may also have come from one of them, and the write-ahead log may know more than this log.
fn old_copy(
    log: &LogContent,
    snapshot: Option<&LogId>,
    reaches: u64,
    is_alone: bool,
) -> Option<String> {
    let index = |id: Option<&LogId>| id.map_or(0, |id| id.index());
    let (end, purged, snapshot) =
        (index(log.last().as_ref()), index(log.purged.as_ref()), index(snapshot));
    if snapshot < purged {
        Some(format!("the log begins after entry {purged}, the snapshot ends at {snapshot}"))
    } else if is_alone && end < snapshot {
        Some(format!("the log ends at entry {end}, the snapshot at {snapshot}: the log is older"))
    } else if is_alone && end < reaches {
        Some(format!(
            "the metadata ends at entry {end} and is older than the write-ahead log, which knows of entry {reaches}"
        ))
    } else {
        None
    }
}

impl MetaClient for Quorum {
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply, MetaError>> {
        Box::pin(self.propose_anywhere(command))
    }

    fn image(&self) -> Arc<State> {
        Arc::clone(&self.image.borrow())
    }

    fn follow(&self) -> watch::Receiver<Arc<State>> {
        self.image.clone()
    }
}
