//! Answering other voters, and brokers that propose.

use crate::founding::Voter;
use crate::leader_watch::EndedLeader;
use crate::rpc::{self, Proposed, Request, SnapshotPiece, Status};
use crate::snapshot_file;
use crate::types::{Payload, Raft, Snapshot, SnapshotMeta, Vote};
use bytes::Bytes;
use esker_env::{BoxFuture, Clock, watch};
use esker_meta::{Command, Proposal, SNAPSHOT_LEN_MAX, State};
use esker_peer::{Caller, Service, ServiceError};
use esker_types::BrokerId;
use parking_lot::Mutex;
use std::sync::Arc;
use uuid::Uuid;

/// The voter of this process as others see it. Made before the voter is: peers may ask while it starts.
#[derive(Clone, Default)]
pub struct QuorumService(Arc<Mutex<Stage>>);

#[derive(Clone, Default)]
enum Stage {
    /// The log is being read.
    #[default]
    Starting,
    /// There is no log, and it is not decided whether this directory founds a quorum or joins one.
    Fresh,
    Member(Member),
}

/// What answers take.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) raft: Raft,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) image: watch::Receiver<Arc<State>>,
    pub(crate) node: BrokerId,
    pub(crate) directory: Uuid,
    /// It has been a voter since its quorum was founded, and its log knows what it voted.
    pub(crate) founder: bool,
    pub(crate) arriving: Arc<Mutex<Arriving>>,
    pub(crate) ended_leader: EndedLeader,
}

/// A snapshot of which pieces have arrived.
#[derive(Default)]
pub(crate) struct Arriving {
    vote: Option<Vote>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for QuorumService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuorumService").finish_non_exhaustive()
    }
}

impl QuorumService {
    pub(crate) fn is_fresh(&self) {
        *self.0.lock() = Stage::Fresh;
    }

    pub(crate) fn is_member(&self, member: Member) {
        *self.0.lock() = Stage::Member(member);
    }

    pub(crate) fn has_ended(&self) {
        *self.0.lock() = Stage::Starting;
    }
}

impl Service for QuorumService {
    fn serve(
        &self,
        caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        let stage = self.0.lock().clone();
        Box::pin(async move {
            let request = Request::decode(&request).map_err(ServiceError::new)?;
            let answer = match (stage, request) {
                (Stage::Starting, _) => return Err(ServiceError::new("the voter is starting")),
                (Stage::Fresh, Request::Status) => Status::Fresh.encode(),
                (Stage::Fresh, _) => return Err(ServiceError::new("not a member of a quorum yet")),
                (Stage::Member(member), request) => member.answer(caller, request).await?,
            };
            Ok(Bytes::from(answer))
        })
    }
}

impl Member {
    async fn answer(&self, caller: Caller, request: Request) -> Result<Vec<u8>, ServiceError> {
        match request {
            Request::Status => Ok(self.status().await.encode()),
            Request::Propose(proposal) => Ok(self.propose(proposal.command).await.encode()),
            Request::Append(request) => {
                self.check(&caller)?;
                let done = self.raft.append_entries(request).await;
                Ok(rpc::encode_appended(&done.map_err(ServiceError::new)?))
            }
            Request::Vote(mut request) => {
                self.check(&caller)?;
                self.check_may_vote()?;
                request.leadership_transfer |= self.waits_for_nobody().await;
                let done = self.raft.vote(request).await;
                Ok(rpc::encode_voted(&done.map_err(ServiceError::new)?))
            }
            Request::PreVote(request) => {
                self.check(&caller)?;
                self.check_may_vote()?;
                let done = self.raft.pre_vote(request).await;
                Ok(rpc::encode_voted(&done.map_err(ServiceError::new)?))
            }
            Request::Snapshot(piece) => {
                self.check(&caller)?;
                self.take_piece(piece).await
            }
        }
    }

    /// Whether the caller is the directory that is known as the voter of its node.
    fn check(&self, caller: &Caller) -> Result<(), ServiceError> {
        match self.image.borrow().voters.get(&caller.node) {
            Some(known) if *known != caller.directory => Err(ServiceError::new(format!(
                "voter {} is directory {known}, and this is {}: remove the voter and add it again",
                caller.node, caller.directory
            ))),
            _ => Ok(()),
        }
    }

    /// Whether this directory can know all votes that were given in its name.
    fn check_may_vote(&self) -> Result<(), ServiceError> {
        let known = self.image.borrow().voters.get(&self.node).copied();
        let may_vote = known.map_or(self.founder, |known| known == self.directory);
        if may_vote { Ok(()) } else { Err(ServiceError::new("this voter has not caught up yet")) }
    }

    /// Whether this voter owes no leader its loyalty: the leader's process has ended, or this voter has given a vote since, or
    /// was deposed itself.
    async fn waits_for_nobody(&self) -> bool {
        match self.leader().await {
            Leader::There(voter) => self.ended_leader.is(voter.node),
            Leader::Nobody => true,
            Leader::Here => false,
        }
    }

    /// How many voters stand for election before this one when that leader has ended, and how many in all.
    pub(crate) async fn turn_after(&self, leader: BrokerId) -> (u32, u32) {
        let now = self.raft.wait(None).metrics(|_| true, "now").await;
        let Ok(now) = now else { return (0, 1) };
        let (own, leader) = (*self.raft.node_id(), u64::try_from(leader.0).unwrap_or_default());
        let voters = now.membership_config.membership().voter_ids();
        let others: Vec<_> = voters.filter(|voter| *voter != leader).collect();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (count(others.iter().filter(|voter| **voter < own).count()), count(others.len()))
    }

    /// Has a command ordered, if this voter leads.
    pub(crate) async fn propose(&self, command: Command) -> Proposed {
        // The leader's clock is the clock of the metadata.
        let proposal = Proposal { now: self.clock.wall(), command };
        match self.raft.client_write(Payload(proposal)).await {
            Ok(done) => {
                let reply = done.data.expect("a proposal has a reply");
                Proposed::Applied(done.log_id.index(), reply)
            }
            Err(error) => match error.forward_to_leader() {
                // A discarded entry may still be committed: who repeats the command finds it done.
                Some(_) => Proposed::NotLeader,
                None if error.fatal().is_some() => Proposed::Failed(error.to_string()),
                None => Proposed::Unavailable(error.to_string()),
            },
        }
    }

    async fn take_piece(&self, piece: SnapshotPiece) -> Result<Vec<u8>, ServiceError> {
        let whole = {
            let mut arriving = self.arriving.lock();
            if piece.at == 0 {
                *arriving = Arriving { vote: Some(piece.vote), bytes: Vec::new() };
            }
            let fits = arriving.vote == Some(piece.vote)
                && arriving.bytes.len() as u64 == piece.at
                && piece.at + piece.bytes.len() as u64 <= piece.len
                && piece.len <= SNAPSHOT_LEN_MAX;
            if !fits {
                *arriving = Arriving::default();
                return Err(ServiceError::new(
                    "this piece of a snapshot does not continue the last",
                ));
            }
            arriving.bytes.extend_from_slice(&piece.bytes);
            let is_whole = arriving.bytes.len() as u64 == piece.len;
            is_whole.then(|| std::mem::take(&mut *arriving).bytes)
        };
        let Some(bytes) = whole else { return Ok(rpc::encode_vote(&piece.vote)) };
        let (last_log_id, last_membership, state) =
            snapshot_file::parse(&bytes).map_err(ServiceError::new)?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        let snapshot = Snapshot { meta, snapshot: Arc::new(state) };
        let installed = self.raft.install_full_snapshot(piece.vote, snapshot).await;
        Ok(rpc::encode_vote(&installed.map_err(ServiceError::new)?.vote))
    }

    /// The first entry is every founder's own.
    async fn status(&self) -> Status {
        let has_more = |last: Option<u64>| last.is_none_or(|last| last > 0);
        let metrics = self.raft.wait(None).metrics(|_| true, "now").await;
        let is_founding = metrics.is_ok_and(|now| !has_more(now.last_log_index));
        if is_founding { Status::Founding } else { Status::Member }
    }

    /// Who leads, as far as is known here.
    pub(crate) async fn leader(&self) -> Leader {
        let Some(leader) = self.raft.current_leader().await else { return Leader::Nobody };
        if leader == *self.raft.node_id() {
            return Leader::Here;
        }
        let wait = self.raft.wait(None);
        let Ok(metrics) = wait.metrics(|_| true, "now").await else { return Leader::Nobody };
        let node = metrics.membership_config.membership().get_node(&leader);
        node.and_then(|node| node.addr.parse().ok()).map_or(Leader::Nobody, Leader::There)
    }
}

/// Who leads the quorum.
pub(crate) enum Leader {
    Nobody,
    Here,
    There(Voter),
}

impl Leader {
    /// The node that leads, as seen by node `own`.
    pub(crate) fn node(&self, own: BrokerId) -> Option<BrokerId> {
        match self {
            Self::Nobody => None,
            Self::Here => Some(own),
            Self::There(voter) => Some(voter.node),
        }
    }
}
