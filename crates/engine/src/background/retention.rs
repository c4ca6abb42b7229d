//! Housekeeping: retention, trims, producers that stopped writing. Bounded steps, one after the other.

use crate::engine::Engine;
use crate::partition::led::Partition;
use crate::partition::registry::TopicEntry;
use crate::partition::settings::TopicSettings;
use esker_env::timeout;
use esker_meta::{Command, State};
use esker_meta_client::MetaError;
use esker_record::unproved_age;
use esker_types::{Bug, ObjectId, Offset, PartitionId, Timestamp, planted};
use std::sync::Arc;
use std::time::Duration;

/// Partitions whose log start is raised in one command.
const BATCH: usize = 1000;

/// Garbage without a grace period is looked for so often.
const DELETION_EVERY_MIN: Duration = Duration::from_secs(1);

impl Engine {
    pub(crate) async fn maintain(self: Arc<Self>) {
        loop {
            let wanted = std::pin::pin!(self.maintenance_requested.notified());
            let every = self.options().housekeeping_every;
            // Its turn has come, or a flush cannot go on without it.
            let _either = timeout(&*self.env().clock, every, wanted).await;
            self.run_maintenance().await;
        }
    }

    /// Garbage goes beside everything else: a flush may wait for a merge, and nothing for a deletion.
    pub(crate) async fn run_deletion(self: Arc<Self>) {
        let options = self.options();
        let often = options.garbage_grace.max(DELETION_EVERY_MIN);
        loop {
            self.env().clock.sleep(options.housekeeping_every.min(often)).await;
            self.delete_garbage().await;
        }
    }

    /// One round of everything that is not urgent.
    pub async fn run_maintenance_once(self: &Arc<Self>) {
        self.run_maintenance().await;
        self.delete_garbage().await;
    }

    async fn run_maintenance(self: &Arc<Self>) {
        for (what, result) in [
            ("retention", self.retain().await),
            ("keep producers", self.carry_forward().await),
            ("expire id blocks", self.expire_blocks().await),
            ("merge", self.merge_due().await),
            ("spill manifests", self.spill_due().await),
            ("give up ids", self.give_up_abandoned().await),
        ] {
            if let Err(error) = result {
                tracing::warn!(what, %error, "housekeeping; it is tried again");
            }
        }
        self.expire_producers();
    }

    async fn delete_garbage(&self) {
        if let Err(error) = self.collect_garbage().await {
            tracing::warn!(%error, "deletion of garbage; it is tried again");
        }
    }

    /// Raises log starts to where retention says.
    async fn retain(&self) -> Result<(), MetaError> {
        let state = self.meta().image();
        let now = self.env().clock.wall();
        let mut due = Vec::new();
        for topic in self.topics().iter() {
            for partition in topic.partitions.iter().flatten() {
                if let Some(start) = retained_from(&state, topic, partition, now) {
                    due.push((partition.id, start));
                }
            }
        }
        for chunk in due.chunks(BATCH) {
            self.set_log_starts(chunk.to_vec()).await?;
        }
        Ok(())
    }

    /// Raises the first readable offset of partitions. Offsets above the high watermark are the caller's mistake.
    ///
    /// # Errors
    /// See [`MetaError`].
    pub async fn set_log_starts(
        &self,
        partitions: Vec<(PartitionId, Offset)>,
    ) -> Result<(), MetaError> {
        let command = Command::SetLogStart {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            partitions,
        };
        self.propose_until_known(command).await?;
        self.refresh();
        Ok(())
    }

    fn expire_producers(&self) {
        let age = i64::try_from(self.options().producer_expiry.as_millis()).unwrap_or(i64::MAX);
        let horizon = Timestamp(self.env().clock.wall().get().saturating_sub(age));
        for topic in self.topics().iter() {
            for partition in topic.partitions.iter().flatten() {
                if let Some(producers) = partition.lock().log.producers_mut() {
                    producers.expire(horizon);
                }
            }
        }
    }
}

/// From when an extent or a manifest in `object` ages, of which the metadata says `claimed`: where nobody has proved
/// that, from when proving began, which is not before it was written.
pub(crate) fn ages_from(state: &State, object: ObjectId, claimed: Timestamp) -> Timestamp {
    match state.times_proved.iter().next() {
        Some((first, _)) if *first <= object => claimed,
        Some((_, since)) => unproved_age(claimed, *since),
        None => unproved_age(claimed, state.clock),
    }
}

/// Where a partition's log should start by its topic's retention, if further on than it does. Only what the bucket holds
/// is removed; extents are removed whole.
fn retained_from(
    state: &State,
    topic: &TopicEntry,
    partition: &Partition,
    now: Timestamp,
) -> Option<Offset> {
    let TopicSettings { deletes: true, retention, retention_bytes, .. } = *topic.settings else {
        return None;
    };
    let row = state.partitions.get(&partition.id)?;
    let age = |object, claimed| ages_from(state, object, claimed);
    let manifests = row.manifests.iter().map(|m| (m.end, m.bytes, age(m.object, m.max_timestamp)));
    let extents = row.extents.iter().map(|e| (e.end, e.bytes, age(e.object, e.max_timestamp)));
    let mut excess = retention_bytes.map_or(0, |limit| {
        let tail: u64 = {
            let inner = partition.lock();
            inner.log.tail_from(row.tiered_end).map(|batch| u64::from(batch.len)).sum()
        };
        (row.tiered_bytes() + tail).saturating_sub(limit)
    });
    let horizon = retention.map(|age| {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        now.get().saturating_sub(age)
    });
    let mut start = None;
    for (end, bytes, ages_from) in manifests.chain(extents) {
        let expired = horizon.is_some_and(|horizon| ages_from.get() < horizon);
        let fits = excess >= bytes || planted(Bug::RetentionTakesMore);
        let too_much = retention_bytes.is_some() && fits && excess > 0;
        if !expired && !too_much {
            break;
        }
        excess = excess.saturating_sub(bytes);
        start = Some(end);
    }
    start.filter(|start| *start > row.log_start)
}
