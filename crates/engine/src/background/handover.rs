//! Leaders that give partitions away: those that somebody has moved, and all when this broker is drained or stops.
//!
//! Nothing is copied: what is in the bucket, any broker can read. So everything goes there while clients are served; then the
//! partitions are *frozen*, which takes as long as the last records need into the bucket, and the metadata names their next
//! leaders. Clients are told to look for a leader meanwhile. A move that takes too long is given up, and tried again later.

use crate::background::flush::Flusher;
use crate::context::Context;
use crate::follow::Follower;
use crate::partition::ack::Ack;
use crate::partition::led::Partition;
use esker_env::timeout;
use esker_meta::{BrokerState, Command, LeaderTransfer, Reply, State};
use esker_meta_client::MetaError;
use esker_types::{BrokerId, PartitionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long partitions may take no records because they move.
const FROZEN_MAX: Duration = Duration::from_secs(2);
/// After a move that was given up.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Partitions and their next leaders.
type Moves = BTreeMap<PartitionId, BrokerId>;

/// Gives partitions away that this broker leads.
pub(crate) struct LeaderHandover {
    context: Arc<Context>,
    follower: Arc<Follower>,
    flusher: Arc<Flusher>,
    /// One is at it at a time.
    turn: tokio::sync::Mutex<()>,
}

impl LeaderHandover {
    pub(crate) fn new(
        context: &Arc<Context>,
        follower: &Arc<Follower>,
        flusher: &Arc<Flusher>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            follower: Arc::clone(follower),
            flusher: Arc::clone(flusher),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Carries out what the metadata wants of this broker, until the quorum ends.
    pub(crate) async fn run(&self) {
        let mut images = self.context.meta.follow();
        loop {
            let wanted = self.wanted(&self.context.image());
            let is_done = wanted.is_empty() || self.hand_over(wanted).await;
            if !is_done {
                self.context.env.clock.sleep(TRY_AGAIN_AFTER).await;
            } else if images.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives everything away, because this process ends.
    pub(crate) async fn leave(&self) {
        let everything = self.everything(&self.context.image());
        if !everything.is_empty() {
            self.hand_over(everything).await;
        }
    }

    fn is_led(&self, row: &esker_meta::Partition) -> bool {
        (row.leader, row.leader_incarnation)
            == (self.context.options.broker, self.context.incarnation)
    }

    /// What this broker is to give away.
    fn wanted(&self, image: &State) -> Moves {
        let own = image.brokers.get(&self.context.options.broker);
        if own.is_some_and(|row| row.state == BrokerState::Draining) {
            return self.everything(image);
        }
        let may_lead = |to: &BrokerId| {
            image.brokers.get(to).is_some_and(|row| row.state == BrokerState::Active)
        };
        let moves = image.moves.iter().filter(|(id, to): &(&PartitionId, &BrokerId)| {
            may_lead(to) && image.partitions.get(*id).is_some_and(|row| self.is_led(row))
        });
        moves.map(|(id, to)| (*id, *to)).collect()
    }

    /// All that this broker leads, to those who lead the least.
    fn everything(&self, image: &State) -> Moves {
        let others = image.placeable().filter(|(id, _)| *id != self.context.options.broker);
        let mut load: BTreeMap<BrokerId, usize> = others.map(|(id, _)| (id, 0)).collect();
        for row in image.partitions.values() {
            if let Some(count) = load.get_mut(&row.leader) {
                *count += 1;
            }
        }
        let mut least: BTreeSet<_> = load.into_iter().map(|(id, count)| (count, id)).collect();
        let mut moves = Moves::new();
        for (id, _) in image.partitions.iter().filter(|(_, row)| self.is_led(row)) {
            let Some((count, to)) = least.pop_first() else { break };
            moves.insert(*id, to);
            least.insert((count + 1, to));
        }
        moves
    }

    /// Whether all of them have gone, to these brokers or with their topics.
    async fn hand_over(&self, moves: Moves) -> bool {
        let _turn = self.turn.lock().await;
        let clock = &*self.context.env.clock;
        // Most of it, while clients are served.
        self.flusher.flush_all(None).await;
        let mut frozen = Frozen::default();
        for (id, to) in moves {
            if let Some(partition) = self.follower.partition(id) {
                frozen.add(partition, to);
            }
        }
        let began = clock.now();
        if timeout(clock, FROZEN_MAX, self.empty(&frozen)).await.is_err() {
            tracing::warn!(partitions = frozen.0.len(), "moving takes too long: tried again later");
            return false;
        }
        let (moved, left) = self.transfer(frozen).await;
        let took = clock.now().since(began);
        tracing::info!(moved, left, ?took, "partitions were given away");
        left == 0
    }

    /// Completes when every record of frozen partitions is in the bucket.
    async fn empty(&self, frozen: &Frozen) {
        let ack = Ack::new();
        for (partition, _) in &frozen.0 {
            let mut inner = partition.lock();
            let end = inner.log.position().log_end;
            inner.acknowledge_at(end, &ack);
        }
        ack.arm();
        // A journal that fails ends this process.
        ack.wait().await;
        self.flusher.flush_all(None).await;
    }

    /// How many partitions have gone, and how many this broker still leads. Whatever ends the wait for the quorum's answer, they
    /// stay frozen without it: their next leaders may lead them already.
    async fn transfer(&self, mut frozen: Frozen) -> (usize, usize) {
        let under_way = std::mem::take(&mut frozen.0);
        let transfers = under_way.iter().map(|(partition, to)| {
            let position = partition.position();
            LeaderTransfer {
                partition: partition.id,
                expect: position.leader_epoch,
                start: position.log_end,
                to: *to,
            }
        });
        let command = Command::TransferLeaders {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            partitions: transfers.collect(),
        };
        let moved = match self.context.propose_until_known(command).await {
            Ok(Reply::Elected(moved)) => BTreeSet::from_iter(moved),
            Ok(reply) => panic!("a transfer is answered with partitions, not {reply:?}"),
            Err(MetaError::Rejected(reason)) => {
                tracing::warn!(%reason, "the partitions are not given away");
                BTreeSet::new()
            }
            // The quorum has ended, and this process with it.
            Err(MetaError::Unavailable(_) | MetaError::Failed(_)) => std::future::pending().await,
        };
        self.follower.refresh();
        let count = under_way.len();
        frozen.0 = under_way;
        frozen.0.retain(|(partition, _)| !moved.contains(&partition.id));
        (count - frozen.0.len(), frozen.0.len())
    }
}

/// Partitions that take no records, and their next leaders. They take records again when this is dropped.
#[derive(Default)]
struct Frozen(Vec<(Arc<Partition>, BrokerId)>);

impl Frozen {
    fn add(&mut self, partition: Arc<Partition>, to: BrokerId) {
        partition.lock().set_frozen(true);
        self.0.push((partition, to));
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for (partition, _) in &self.0 {
            partition.lock().set_frozen(false);
        }
    }
}
