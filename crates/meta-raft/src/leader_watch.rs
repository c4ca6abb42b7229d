//! Following who leads, and standing for election as soon as the leader's process has ended.
//!
//! A voter that has heard of a leader lately gives its vote to nobody else: a leader that is only slow must not be deposed by
//! whoever is impatient. That a process has *ended* is no matter of patience (see [`Sentinel`]), so who knows it neither waits nor
//! makes others wait.

use crate::service::{Leader, Member};
use esker_env::{Clock, watch};
use esker_peer::{Sentinel, Sign};
use esker_types::BrokerId;
use futures_util::future::{Either, select};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a question is on its way to the leader.
const HOLD: Duration = Duration::from_millis(500);
/// Voters that see a leader end stand one after the other, so that they do not share the votes.
const TURN: Duration = Duration::from_millis(50);

/// The leader whose process is known to have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndedLeader(Arc<Mutex<Option<BrokerId>>>);

impl EndedLeader {
    /// Whether that is this one.
    pub(crate) fn is(&self, leader: BrokerId) -> bool {
        *self.0.lock() == Some(leader)
    }

    fn set(&self, leader: Option<BrokerId>) {
        *self.0.lock() = leader;
    }
}

pub(crate) struct LeaderWatch {
    pub(crate) member: Member,
    pub(crate) sentinel: Sentinel,
    pub(crate) clock: Arc<dyn Clock>,
    /// An answer that comes later than this is none.
    pub(crate) patience: Duration,
    pub(crate) leaders: watch::Sender<Option<BrokerId>>,
}

impl LeaderWatch {
    /// Watches until the voter ends.
    pub(crate) async fn run(self) {
        loop {
            let current = self.member.raft.current_leader().await;
            let leader = self.member.leader().await;
            self.member.ended_leader.set(None);
            self.leaders.send_replace(leader.node(self.member.node));
            let mut changed = pin!(self.changed(current));
            let goes_on = match leader {
                Leader::There(voter) => tokio::select! {
                    goes_on = &mut changed => goes_on,
                    () = self.replace_when_gone(voter.node, &voter.address) => true,
                },
                // A leader whom this voter knows by its number alone: its log will tell where it is.
                Leader::Nobody if current.is_some() => {
                    let known = pin!(self.clock.sleep(TURN));
                    match select(changed, known).await {
                        Either::Left((goes_on, _)) => goes_on,
                        Either::Right(_) => true,
                    }
                }
                Leader::Here | Leader::Nobody => changed.await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Returns when somebody leads who is not `current`; false when the voter has ended.
    async fn changed(&self, current: Option<u64>) -> bool {
        let wait = self.member.raft.wait(Some(Duration::from_secs(3600)));
        let is_other = |leader: Option<u64>| leader.is_some() && leader != current;
        let change = wait.metrics(|now| is_other(now.current_leader), "another leader").await;
        match change {
            Ok(_) => true,
            // An hour without a change is none; an end is told by the next question.
            Err(_) => self
                .member
                .raft
                .wait(None)
                .metrics(|_| true, "now")
                .await
                .is_ok_and(|now| now.running_state.is_ok()),
        }
    }

    /// Watches the leader until its process has ended, and stands for election then, in this voter's turns, until the
    /// caller sees another leader, or one that came back.
    async fn replace_when_gone(&self, leader: BrokerId, address: &str) {
        loop {
            match self.sentinel.look(leader, address, None, HOLD, self.patience).await {
                Sign::Gone => break,
                Sign::Alive => {}
                Sign::Silent => self.clock.sleep(HOLD).await,
            }
        }
        self.member.ended_leader.set(Some(leader));
        let (turn, turns) = self.member.turn_after(leader).await;
        tracing::info!(%leader, turn, "the process of the metadata quorum's leader has ended");
        // The others have to see it, too.
        self.clock.sleep(TURN * turn + TURN / 2).await;
        let look = || self.sentinel.look(leader, address, None, Duration::ZERO, self.patience);
        while look().await == Sign::Gone {
            if let Err(error) = self.member.raft.trigger().elect(false).await {
                tracing::debug!(%error, "the voter ends");
                return;
            }
            self.clock.sleep(TURN * turns).await;
        }
    }
}
