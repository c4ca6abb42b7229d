//! What voters say to each other: `docs/formats/peer-protocol.md`. In the layout of the log, for the same reason.

use crate::entry::{Bad, Reader, Writer};
use crate::types::{LogId, TypeConfig, Vote};
use esker_meta::{Envelope, Proposal, Reply};
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

/// Entries of one request are at most so many bytes, or one entry.
const APPEND_BYTES_MAX: usize = 8 << 20;
/// Why an encoding cannot fail to be read by its own program.
const OWN: &str = "what is encoded here has this form";

/// What is asked of a voter.
pub(crate) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    /// A piece of a snapshot; with the last one it is installed.
    Snapshot(SnapshotPiece),
    /// Order and apply a command. The time in it is the asker's and not used.
    Propose(Proposal),
    /// Who are you.
    Status,
}

/// A piece of a snapshot in the form of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotPiece {
    pub(crate) vote: Vote,
    /// Bytes of the whole.
    pub(crate) len: u64,
    /// Where this piece begins.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// How a voter answers [`Request::Propose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proposed {
    /// Applied as this entry of the log.
    Applied(u64, Reply),
    /// Somebody else leads, or nobody.
    NotLeader,
    /// It may be applied later, or not.
    Unavailable(String),
    /// This voter has failed for good.
    Failed(String),
}

/// How a voter answers [`Request::Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Its directory is empty and belongs to no quorum.
    Fresh,
    /// It has decided to found a quorum, and nothing has been decided in that yet.
    Founding,
    /// It belongs to a quorum.
    Member,
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Append(request) => put_append(&mut out, request),
            Self::Vote(request) => put_vote(&mut out, 2, request),
            Self::PreVote(request) => put_vote(&mut out, 3, request),
            Self::Snapshot(piece) => {
                out.u8(4);
                out.vote(&piece.vote);
                out.u64(piece.len);
                out.u64(piece.at);
                out.bytes(&piece.bytes);
            }
            Self::Propose(proposal) => {
                out.u8(5);
                out.bytes(&Envelope::encode(proposal));
            }
            Self::Status => out.u8(6),
        }
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Bad> {
        let mut reader = Reader(bytes);
        let request = match reader.u8()? {
            1 => Self::Append(take_append(&mut reader)?),
            2 => Self::Vote(take_vote(&mut reader)?),
            3 => Self::PreVote(take_vote(&mut reader)?),
            4 => Self::Snapshot(SnapshotPiece {
                vote: reader.vote()?,
                len: reader.u64()?,
                at: reader.u64()?,
                bytes: reader.bytes()?.to_vec(),
            }),
            5 => Self::Propose(Envelope::decode(reader.bytes()?)?),
            6 => Self::Status,
            other => return Err(format!("request {other}")),
        };
        reader.end()?;
        Ok(request)
    }
}

/// As many entries as one request may carry, and the last of them when some are left out.
pub(crate) fn shortened(request: &mut AppendEntriesRequest<TypeConfig>) -> Option<LogId> {
    let mut bytes = 0;
    let fit = request.entries.iter().take_while(|entry| {
        let mut one = Writer::default();
        one.entry(entry);
        bytes += one.0.len();
        bytes <= APPEND_BYTES_MAX
    });
    let fit = fit.count().max(1);
    if fit >= request.entries.len() {
        return None;
    }
    request.entries.truncate(fit);
    request.entries.last().map(RaftEntry::log_id)
}

fn put_append(out: &mut Writer, request: &AppendEntriesRequest<TypeConfig>) {
    out.u8(1);
    out.vote(&request.vote);
    out.maybe_log_id(request.prev_log_id.as_ref());
    out.maybe_log_id(request.leader_commit.as_ref());
    out.count(request.entries.len());
    for entry in &request.entries {
        let mut one = Writer::default();
        one.entry(entry);
        out.bytes(&one.0);
    }
}

fn take_append(reader: &mut Reader<'_>) -> Result<AppendEntriesRequest<TypeConfig>, Bad> {
    let vote = reader.vote()?;
    let prev_log_id = reader.maybe_log_id()?;
    let leader_commit = reader.maybe_log_id()?;
    let mut entries = Vec::new();
    for _ in 0..reader.count(8)? {
        let mut one = Reader(reader.bytes()?);
        entries.push(one.entry()?);
        one.end()?;
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, leader_commit, entries })
}

fn put_vote(out: &mut Writer, number: u8, request: &VoteRequest<TypeConfig>) {
    out.u8(number);
    out.vote(&request.vote);
    out.maybe_log_id(request.last_log_id.as_ref());
    out.u8(u8::from(request.leadership_transfer));
}

fn take_vote(reader: &mut Reader<'_>) -> Result<VoteRequest<TypeConfig>, Bad> {
    let mut request = VoteRequest::new(reader.vote()?, reader.maybe_log_id()?);
    request.leadership_transfer = reader.u8()? != 0;
    Ok(request)
}

pub(crate) fn encode_appended(response: &AppendEntriesResponse<TypeConfig>) -> Vec<u8> {
    let mut out = Writer::default();
    match response {
        AppendEntriesResponse::Success => out.u8(0),
        AppendEntriesResponse::PartialSuccess(upto) => {
            out.u8(1);
            out.maybe_log_id(upto.as_ref());
        }
        AppendEntriesResponse::Conflict => out.u8(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.u8(3);
            out.vote(vote);
        }
    }
    out.0
}

pub(crate) fn decode_appended(bytes: &[u8]) -> Result<AppendEntriesResponse<TypeConfig>, Bad> {
    let mut reader = Reader(bytes);
    let response = match reader.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(reader.maybe_log_id()?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(reader.vote()?),
        other => return Err(format!("answer {other}")),
    };
    reader.end()?;
    Ok(response)
}

pub(crate) fn encode_voted(response: &VoteResponse<TypeConfig>) -> Vec<u8> {
    let mut out = Writer::default();
    out.vote(&response.vote);
    out.maybe_log_id(response.last_log_id.as_ref());
    out.u8(u8::from(response.vote_granted));
    out.0
}

pub(crate) fn decode_voted(bytes: &[u8]) -> Result<VoteResponse<TypeConfig>, Bad> {
    let mut reader = Reader(bytes);
    let (vote, last) = (reader.vote()?, reader.maybe_log_id()?);
    let granted = reader.u8()? != 0;
    reader.end()?;
    Ok(VoteResponse::new(vote, last, granted))
}

/// The answer to a piece of a snapshot: the voter's vote.
pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = Writer::default();
    out.vote(vote);
    out.0
}

pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote, Bad> {
    let mut reader = Reader(bytes);
    let vote = reader.vote()?;
    reader.end()?;
    Ok(vote)
}

impl Proposed {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Applied(index, reply) => {
                out.u8(0);
                out.u64(*index);
                out.bytes(&postcard::to_stdvec(reply).expect(OWN));
            }
            Self::NotLeader => out.u8(1),
            // To somebody else it is the same: another voter may lead soon.
            Self::Unavailable(reason) | Self::Failed(reason) => {
                out.u8(2);
                out.bytes(reason.as_bytes());
            }
        }
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Bad> {
        let mut reader = Reader(bytes);
        let answer = match reader.u8()? {
            0 => {
                let index = reader.u64()?;
                let reply = postcard::from_bytes(reader.bytes()?).map_err(|e| e.to_string())?;
                Self::Applied(index, reply)
            }
            1 => Self::NotLeader,
            2 => Self::Unavailable(String::from_utf8_lossy(reader.bytes()?).into_owned()),
            other => return Err(format!("answer {other}")),
        };
        reader.end()?;
        Ok(answer)
    }
}

impl Status {
    pub(crate) fn encode(self) -> Vec<u8> {
        vec![self as u8]
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Bad> {
        match bytes {
            [0] => Ok(Self::Fresh),
            [1] => Ok(Self::Founding),
            [2] => Ok(Self::Member),
            _ => Err("an unknown status".to_owned()),
        }
    }
}
