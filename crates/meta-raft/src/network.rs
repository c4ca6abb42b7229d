//! Asking other voters.

use crate::founding::{NoVoter, Voter};
use crate::rpc::{self, Request, SnapshotPiece};
use crate::snapshot_file;
use crate::types::{Snapshot, TypeConfig, Vote};
use bytes::Bytes;
use esker_env::{Clock, timeout};
use esker_peer::{Peers, ServiceId};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A snapshot travels in pieces of this many bytes.
const PIECE_LEN: usize = 4 << 20;
/// For how long a piece may travel.
const PIECE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the ways to other voters.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) peers: Peers,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The way to one voter.
pub(crate) struct Way {
    network: Network,
    voter: Result<Voter, NoVoter>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Way;

    async fn new_client(&mut self, _target: u64, node: &openraft::BasicNode) -> Way {
        Way { network: self.clone(), voter: node.addr.parse() }
    }
}

/// Why there is no answer.
enum Unanswered {
    /// Nobody there: it is looked for again after a while.
    Away(io::Error),
    /// Late, or not to be understood.
    Failed(io::Error),
}

impl From<Unanswered> for RPCError<TypeConfig> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Away(error) => Self::Unreachable(Unreachable::new(&error)),
            Unanswered::Failed(error) => Self::Network(NetworkError::new(&error)),
        }
    }
}

impl From<Unanswered> for StreamingError<TypeConfig> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Away(error) => Self::Unreachable(Unreachable::new(&error)),
            Unanswered::Failed(error) => Self::Network(NetworkError::new(&error)),
        }
    }
}

impl Way {
    async fn ask<T>(
        &self,
        request: &Request,
        limit: Duration,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        let body = Bytes::from(request.encode());
        let Network { peers, clock } = &self.network;
        let failed = |error: String| Unanswered::Failed(io::Error::other(error));
        let Voter { node, address } = self.voter.as_ref().map_err(|e| failed(e.to_string()))?;
        let call = peers.call(*node, address, ServiceId::Quorum, body);
        let answer = timeout(&**clock, limit, call).await.map_err(|e| failed(e.to_string()))?;
        let answer = answer.map_err(|error| Unanswered::Away(io::Error::other(error)))?;
        decode(&answer).map_err(failed)
    }
}

impl RaftNetworkV2<TypeConfig> for Way {
    type SnapshotData = Arc<esker_meta::State>;

    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let last = rpc::shortened(&mut request);
        let request = Request::Append(request);
        let answer = self.ask(&request, option.soft_ttl(), rpc::decode_appended).await?;
        Ok(match (answer, last) {
            (AppendEntriesResponse::Success, Some(last)) => {
                AppendEntriesResponse::PartialSuccess(Some(last))
            }
            (answer, _) => answer,
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.ask(&Request::Vote(request), option.soft_ttl(), rpc::decode_voted).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Ok(self.ask(&Request::PreVote(request), option.soft_ttl(), rpc::decode_voted).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut cancel = pin!(cancel);
        let bytes = snapshot_file::encode(&snapshot.meta, &snapshot.snapshot);
        let bytes = bytes.map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
        let mut at = 0;
        loop {
            let piece = &bytes[at..bytes.len().min(at + PIECE_LEN)];
            let next = at + piece.len();
            let request = Request::Snapshot(SnapshotPiece {
                vote,
                len: bytes.len() as u64,
                at: at as u64,
                bytes: piece.to_vec(),
            });
            let theirs = tokio::select! {
                biased;
                closed = &mut cancel => return Err(StreamingError::Closed(closed)),
                theirs = self.ask(&request, PIECE_PATIENCE, rpc::decode_vote) => theirs?,
            };
            if next == bytes.len() || theirs > vote {
                return Ok(SnapshotResponse::new(theirs));
            }
            at = next;
        }
    }
}
