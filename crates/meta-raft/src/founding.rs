//! How a directory without a log becomes part of a quorum: it founds one, or it joins one. Never both.
//!
//! *Founding.* All nodes are configured with the same voters. Each asks the others whether they are fresh, too. When a
//! majority is there and nobody belongs to a quorum in which anything was decided, each writes the same first entry by
//! itself, and an election decides.
//!
//! *Joining.* When somebody belongs to a quorum, this directory is a new disk, or came late. The quorum says whether it may be the
//! voter of its node: it may if none is known. Until it has read so in the log it copies the log and gives no votes.

use crate::rpc::{Proposed, Request, Status};
use bytes::Bytes;
use esker_env::{Clock, timeout};
use esker_meta::{Command, Proposal, Reply};
use esker_peer::{Peers, ServiceId};
use esker_types::{BrokerId, Timestamp};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Between two rounds of questions.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// For how long a question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds between two lines that say what is waited for.
const TELL_EVERY: u32 = 50;

/// A voter as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub node: BrokerId,
    /// Where other nodes reach it: `host:port`.
    pub address: String,
}

/// As Kafka's `controller.quorum.voters` has it: `1@host:port`.
impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.address)
    }
}

/// A text that is no voter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no voter: write ID@HOST:PORT, as in 1@broker-1.example:9194")]
pub struct NoVoter(String);

impl FromStr for Voter {
    type Err = NoVoter;

    fn from_str(text: &str) -> Result<Self, NoVoter> {
        let no = || NoVoter(text.to_owned());
        let (node, address) = text.split_once('@').ok_or_else(no)?;
        let node = node.parse().ok().filter(|node| *node >= 0).map(BrokerId).ok_or_else(no)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(no)?;
        if host.is_empty() || port.parse::<u16>().ok().is_none_or(|port| port == 0) {
            return Err(no());
        }
        Ok(Self { node, address: address.to_owned() })
    }
}

/// What a directory without a log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    Found,
    Join,
}

pub(crate) struct Asking<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) node: BrokerId,
    pub(crate) voters: &'a [Voter],
}

impl Asking<'_> {
    fn others(&self) -> impl Iterator<Item = &Voter> {
        self.voters.iter().filter(|voter| voter.node != self.node)
    }

    async fn ask(&self, voter: &Voter, request: &Request) -> Option<Bytes> {
        let body = Bytes::from(request.encode());
        let call = self.peers.call(voter.node, &voter.address, ServiceId::Quorum, body);
        match timeout(&**self.clock, PATIENCE, call).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(voter = %voter.node, %error, "a voter did not answer");
                None
            }
            Err(_) => None,
        }
    }

    /// Waits until it is known how this directory begins.
    pub(crate) async fn decide(&self) -> Beginning {
        let mut rounds = 0_u32;
        loop {
            let asked = self.others().map(|voter| self.ask(voter, &Request::Status));
            let answers = futures_util::future::join_all(asked).await;
            let statuses = answers.into_iter().flatten().filter_map(|a| Status::decode(&a).ok());
            let (mut fresh, mut members) = (1, 0);
            for status in statuses {
                match status {
                    Status::Fresh | Status::Founding => fresh += 1,
                    Status::Member => members += 1,
                }
            }
            if members > 0 {
                return Beginning::Join;
            }
            if fresh * 2 > self.voters.len() {
                return Beginning::Found;
            }
            if rounds.is_multiple_of(TELL_EVERY) {
                tracing::info!(
                    "waiting for a majority of the voters: {fresh} of {} are there",
                    self.voters.len()
                );
            }
            rounds += 1;
            self.clock.sleep(ASK_AGAIN).await;
        }
    }

    /// Asks the quorum to take this directory as the voter of its node, until it has decided.
    pub(crate) async fn admitted(&self, directory: Uuid) -> Result<(), String> {
        let command = Command::BindVoter { node: self.node, directory };
        let request = Request::Propose(Proposal { now: Timestamp(0), command });
        loop {
            for voter in self.others() {
                let Some(answer) = self.ask(voter, &request).await else { continue };
                match Proposed::decode(&answer) {
                    Ok(Proposed::Applied(_, Reply::Rejected(reason))) => {
                        return Err(reason.to_string());
                    }
                    Ok(Proposed::Applied(..)) => return Ok(()),
                    Ok(_) | Err(_) => {}
                }
            }
            self.clock.sleep(ASK_AGAIN).await;
        }
    }
}
