//! Maintenance: everything that is not urgent, in bounded steps, one after the other.

use crate::background::garbage::GarbageCollector;
use crate::background::merge::Merger;
use crate::background::producer_snapshot::ProducerSnapshots;
use crate::background::retention::Retention;
use crate::background::spill::Spiller;
use crate::context::Context;
use crate::follow::Follower;
use esker_meta_client::MetaError;
use std::sync::Arc;
use std::time::Duration;

/// Garbage without a grace period is looked for so often.
const DELETION_EVERY_MIN: Duration = Duration::from_secs(1);

/// A job of maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Retention,
    CarryProducersForward,
    ExpireIdBlocks,
    Merge,
    Spill,
    GiveUpIds,
}

impl Job {
    /// In the order of a round.
    const ALL: [Self; 6] = [
        Self::Retention,
        Self::CarryProducersForward,
        Self::ExpireIdBlocks,
        Self::Merge,
        Self::Spill,
        Self::GiveUpIds,
    ];

    /// Its name in the log.
    const fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::CarryProducersForward => "keep producers",
            Self::ExpireIdBlocks => "expire id blocks",
            Self::Merge => "merge",
            Self::Spill => "spill manifests",
            Self::GiveUpIds => "give up ids",
        }
    }
}

/// What maintenance consists of.
pub(crate) struct Maintenance {
    pub(crate) context: Arc<Context>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) retention: Retention,
    pub(crate) snapshots: ProducerSnapshots,
    pub(crate) merger: Arc<Merger>,
    pub(crate) spiller: Spiller,
    pub(crate) garbage: GarbageCollector,
}

impl Maintenance {
    /// Does a round whenever its turn has come, or a flush cannot go on without it.
    pub(crate) async fn run(&self) {
        loop {
            let _either = self.merger.wait(self.context.options.housekeeping_every).await;
            self.run_round().await;
        }
    }

    /// Garbage goes beside everything else: a flush may wait for a merge, and nothing for a
    /// deletion.
    pub(crate) async fn run_deletion(&self) {
        let options = &self.context.options;
        let often = options.garbage_grace.max(DELETION_EVERY_MIN);
        loop {
            self.context.env.clock.sleep(options.housekeeping_every.min(often)).await;
            self.delete_garbage().await;
        }
    }

    /// One round of everything, deletions as well.
    pub(crate) async fn run_once(&self) {
        self.run_round().await;
        self.delete_garbage().await;
    }

    async fn run_round(&self) {
        for job in Job::ALL {
            if let Err(error) = self.run_job(job).await {
                tracing::warn!(what = job.name(), %error, "housekeeping; it is tried again");
            }
        }
        self.expire_producers();
    }

    async fn run_job(&self, job: Job) -> Result<(), MetaError> {
        match job {
            Job::Retention => self.retention.retain().await,
            Job::CarryProducersForward => self.snapshots.carry_forward().await,
            Job::ExpireIdBlocks => self.garbage.expire_blocks().await,
            Job::Merge => self.merger.merge_due().await,
            Job::Spill => self.spiller.spill_due().await,
            Job::GiveUpIds => self.garbage.give_up_abandoned().await,
        }
    }

    async fn delete_garbage(&self) {
        if let Err(error) = self.garbage.collect_garbage().await {
            tracing::warn!(%error, "deletion of garbage; it is tried again");
        }
    }

    /// Forgets producers that have not written for long.
    fn expire_producers(&self) {
        let horizon = self.context.producer_horizon();
        self.follower.for_each_led(|_, partition| {
            if let Some(producers) = partition.lock().log.producers_mut() {
                producers.expire(horizon);
            }
        });
    }
}
