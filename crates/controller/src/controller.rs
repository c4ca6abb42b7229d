//! Watching brokers while this node leads the metadata quorum.

use crate::failure_detector::{Death, FailureDetector, Target};
use esker_env::{BoxFuture, Env, TaskPlacement};
use esker_meta::Command;
use esker_meta_client::{MetaClient, MetaError};
use esker_meta_raft::Quorum;
use esker_peer::{Peers, ProcessId, Sentinel, Sign};
use esker_types::BrokerId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// When brokers are dead.
#[derive(Debug, Clone, Copy)]
pub struct ControllerOptions {
    /// Kafka's `broker.heartbeat.interval.ms`: how often each is asked for a sign of life.
    pub heartbeat_every: Duration,
    /// Kafka's `broker.session.timeout.ms`: silence that means death.
    pub session_timeout: Duration,
    /// Kafka's `leader.imbalance.check.interval.seconds`; `None` leaves leadership where it is.
    pub balance_every: Option<Duration>,
}

/// Imbalance that is worth moves, in percent: Kafka's `leader.imbalance.per.broker.percentage`.
const IMBALANCE_PERCENT: usize = 10;
/// Partitions that move together; the next are planned when they have arrived.
const MOVES_AT_ONCE: usize = 200;

/// Watches brokers while this node leads the metadata quorum.
pub struct Controller {
    env: Env,
    own: BrokerId,
    process: ProcessId,
    quorum: Quorum,
    sentinel: Sentinel,
    options: ControllerOptions,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The looks that are under way.
type Looks = FuturesUnordered<BoxFuture<'static, (Target, Sign)>>;

impl Controller {
    /// Starts it on node `own`, in `process`. It ends with the quorum.
    pub fn start(
        env: &Env,
        own: BrokerId,
        process: ProcessId,
        quorum: &Quorum,
        peers: &Peers,
        options: ControllerOptions,
    ) {
        let sentinel = Sentinel::new(peers, Arc::clone(&env.clock));
        let quorum = quorum.clone();
        let controller = Self { env: env.clone(), own, process, quorum, sentinel, options };
        env.spawner.spawn(TaskPlacement::Meta, "controller", Box::pin(controller.run()));
    }

    async fn run(self) {
        let mut leaders = self.quorum.leaders();
        loop {
            let is_mine = |leader: &Option<BrokerId>| (*leader == Some(self.own)).then_some(());
            if leaders.wait_for(is_mine).await.is_err() {
                return;
            }
            tracing::info!("this node leads the metadata quorum and watches the brokers");
            let mut others = leaders.clone();
            let is_others = |leader: &Option<BrokerId>| (*leader != Some(self.own)).then_some(());
            tokio::select! {
                () = self.watch() => return,
                _ = others.wait_for(is_others) => {}
            }
        }
    }

    /// Watches until the quorum ends.
    async fn watch(&self) {
        let clock = &self.env.clock;
        let mut images = self.quorum.follow();
        let mut detector = FailureDetector::new(self.options.session_timeout, clock.now());
        let (mut looks, mut under_way) = (Looks::new(), BTreeSet::new());
        let mut balanced = clock.now();
        loop {
            detector.follow(&images.borrow(), self.process, clock.now());
            for target in detector.targets() {
                if under_way.insert((target.broker, target.incarnation)) {
                    looks.push(self.look(target));
                }
            }
            self.fence(detector.dead(clock.now())).await;
            let is_due = |every: Duration| clock.now().since(balanced) >= every;
            if self.options.balance_every.is_some_and(is_due) {
                balanced = clock.now();
                self.balance().await;
            }
            tokio::select! {
                Some((target, sign)) = looks.next() => {
                    under_way.remove(&(target.broker, target.incarnation));
                    detector.saw(&target, sign, clock.now());
                }
                changed = images.changed() => if changed.is_err() { return },
                () = clock.sleep(self.options.heartbeat_every) => {}
            }
        }
    }

    fn look(&self, target: Target) -> BoxFuture<'static, (Target, Sign)> {
        let (sentinel, clock) = (self.sentinel.clone(), Arc::clone(&self.env.clock));
        let ControllerOptions { heartbeat_every, session_timeout, .. } = self.options;
        Box::pin(async move {
            let Target { broker, address, process, .. } = &target;
            let look =
                sentinel.look(*broker, address, Some(*process), heartbeat_every, session_timeout);
            let sign = look.await;
            if sign == Sign::Silent {
                // Who does not answer is not asked in a circle.
                clock.sleep(heartbeat_every.min(session_timeout / 4)).await;
            }
            (target, sign)
        })
    }

    /// Moves partitions to brokers that lead fewer, some at a time.
    async fn balance(&self) {
        let image = self.quorum.image();
        if !image.moves.is_empty() || image.imbalance_percent() < IMBALANCE_PERCENT {
            return;
        }
        let plan = image.plan_balance();
        let moves: Vec<_> =
            plan.iter().take(MOVES_AT_ONCE).map(|(id, to)| (*id, Some(*to))).collect();
        tracing::info!(
            moves = moves.len(),
            planned = plan.len(),
            "partitions are moved for balance"
        );
        if let Err(error) = self.quorum.propose_as_leader(Command::MoveLeaders { moves }).await {
            tracing::warn!(%error, "not balanced yet");
        }
    }

    async fn fence(&self, dead: Vec<Death>) {
        for Death { broker, incarnation, gone } in dead {
            let why = if gone { "its process has ended" } else { "it is silent" };
            tracing::warn!(%broker, %incarnation, why, "the broker is dead: others take over");
            let command = Command::FenceBroker { broker, incarnation };
            // Only as the leader: one that was deposed while it stood still must not accuse anybody.
            match self.quorum.propose_as_leader(command).await {
                Ok(_) => {}
                Err(MetaError::Unavailable(reason) | MetaError::Failed(reason)) => {
                    tracing::warn!(%broker, reason, "the broker could not be fenced yet");
                }
                Err(MetaError::Rejected(reason)) => tracing::warn!(%broker, %reason, "not fenced"),
            }
        }
    }
}
