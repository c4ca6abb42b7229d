//! Retention: raising the first readable offset to where a topic's settings say.

use crate::context::Context;
use crate::follow::Follower;
use crate::partition::led::Partition;
use crate::partition::settings::TopicSettings;
use esker_meta::{Command, State};
use esker_meta_client::MetaError;
use esker_record::unproved_age;
use esker_types::{Bug, ObjectId, Offset, PartitionId, Timestamp, planted};
use std::sync::Arc;

/// Partitions whose log start is raised in one command.
const BATCH: usize = 1000;

/// Raises log starts.
pub(crate) struct Retention {
    context: Arc<Context>,
    follower: Arc<Follower>,
}

impl Retention {
    pub(crate) fn new(context: &Arc<Context>, follower: &Arc<Follower>) -> Self {
        Self { context: Arc::clone(context), follower: Arc::clone(follower) }
    }

    /// Raises log starts to where retention says.
    pub(crate) async fn retain(&self) -> Result<(), MetaError> {
        let state = self.context.image();
        let now = self.context.env.clock.wall();
        let mut due = Vec::new();
        self.follower.for_each_led(|topic, partition| {
            if let Some(start) = retained_from(&state, &topic.settings, partition, now) {
                due.push((partition.id, start));
            }
        });
        for chunk in due.chunks(BATCH) {
            self.set_log_starts(chunk.to_vec()).await?;
        }
        Ok(())
    }

    /// Raises the first readable offset of partitions. Offsets above the high watermark are the
    /// caller's mistake.
    pub(crate) async fn set_log_starts(
        &self,
        partitions: Vec<(PartitionId, Offset)>,
    ) -> Result<(), MetaError> {
        let command = Command::SetLogStart {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            partitions,
        };
        self.context.propose_until_known(command).await?;
        self.follower.refresh();
        Ok(())
    }
}

/// From when an extent or a manifest in `object` ages, of which the metadata says `claimed`: where
/// nobody has proved that, from when proving began, which is not before it was written.
pub(crate) fn ages_from(state: &State, object: ObjectId, claimed: Timestamp) -> Timestamp {
    match state.times_proved.iter().next() {
        Some((first, _)) if *first <= object => claimed,
        Some((_, since)) => unproved_age(claimed, *since),
        None => unproved_age(claimed, state.clock),
    }
}

/// Where a partition's log should start by its topic's retention, if further on than it does. Only
/// what the bucket holds is removed; extents are removed whole.
fn retained_from(
    state: &State,
    settings: &TopicSettings,
    partition: &Partition,
    now: Timestamp,
) -> Option<Offset> {
    let TopicSettings { deletes: true, retention, retention_bytes, .. } = *settings else {
        return None;
    };
    let row = state.partitions.get(&partition.id)?;
    let age = |object, claimed| ages_from(state, object, claimed);
    let manifests = row.manifests.iter().map(|m| (m.end, m.bytes, age(m.object, m.max_timestamp)));
    let extents = row.extents.iter().map(|e| (e.end, e.bytes, age(e.object, e.max_timestamp)));
    let mut excess = retention_bytes.map_or(0, |limit| partition.bytes(row).saturating_sub(limit));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use std::time::Duration;

    #[test]
    fn extents_that_are_too_old_are_below_the_log_start_and_those_behind_a_young_one_are_not() {
        let hour = Duration::from_hours(1);
        let settings = TopicSettings { retention: Some(hour), ..TopicSettings::default() };
        let fixture = Fixture::new(settings, |_| {});
        let now = fixture.context.env.clock.wall().get();
        let retention = Retention::new(&fixture.context, &fixture.follower);
        fixture.runtimes.block_on(async {
            for age in [3, 2, 0, 4] {
                fixture.put_extent(now - age * 3_600_000).await;
            }
            retention.retain().await.unwrap();
        });
        let row = fixture.row(fixture.partition(0).id);
        assert_eq!((row.log_start, row.tiered_end), (Offset(2), Offset(4)));
    }

    #[test]
    fn a_size_takes_whole_extents_only_and_no_policy_takes_none() {
        let settings =
            TopicSettings { retention: None, retention_bytes: Some(1), ..TopicSettings::default() };
        let fixture = Fixture::new(settings.clone(), |_| {});
        let now = fixture.context.env.clock.wall();
        fixture.runtimes.block_on(async {
            for _ in 0..3 {
                fixture.put_extent(now.get()).await;
            }
        });
        let (state, partition) = (fixture.context.image(), fixture.partition(0));
        let start = |settings: &TopicSettings| retained_from(&state, settings, &partition, now);
        assert_eq!(start(&settings), Some(Offset(2)), "a byte of the last one is wanted");
        let compacted = TopicSettings { deletes: false, ..settings };
        assert_eq!(start(&compacted), None);
    }
}
