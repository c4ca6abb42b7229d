//! Carries producer state forward: before an extent below the log start is dropped, the producer
//! state that only it holds is written to a new object.
//!
//! Sequence numbers outlive the records that they came with: a producer that was not answered sends
//! its batch again, and what retention or a trim has taken meanwhile must not be taken for new. So
//! an extent below the log start stays as long as it is the only one to say something of producers.
//! Here all of that is said once more, in one object for many partitions, and the metadata lets go
//! of those extents.

use crate::context::Context;
use crate::follow::Follower;
use crate::objects::error::ObjectReadError;
use crate::objects::object_ids::{ObjectIds, ReservedId};
use crate::objects::producer_state::section_of;
use crate::objects::tiered::TieredReader;
use crate::partition::led::Partition;
use esker_env::BucketError;
use esker_meta::{Command, FlushedObject, ObjectKind, ProducerSnapshotRef, State};
use esker_meta_client::MetaError;
use esker_object::{ObjectBuilder, ProducerKind};
use esker_plog::ProducerTable;
use esker_types::{Offset, PartitionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Partitions of one object.
const PARTITIONS_MAX: usize = 1000;
/// Producers of one object, of about 200 bytes each; one partition may have more.
const PRODUCERS_MAX: usize = 10_000;

/// The producer state of a partition at the end of its objects.
struct Carried {
    row: Arc<esker_meta::Partition>,
    producers: ProducerTable,
}

/// Why a snapshot was put off.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Writes snapshots of producer state.
pub(crate) struct ProducerSnapshots {
    context: Arc<Context>,
    follower: Arc<Follower>,
    ids: Arc<ObjectIds>,
    tiered: Arc<TieredReader>,
}

impl ProducerSnapshots {
    pub(crate) fn new(
        context: &Arc<Context>,
        follower: &Arc<Follower>,
        ids: &Arc<ObjectIds>,
        tiered: &Arc<TieredReader>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            follower: Arc::clone(follower),
            ids: Arc::clone(ids),
            tiered: Arc::clone(tiered),
        }
    }

    /// Lets extents below log starts go that are kept for their producer state.
    pub(crate) async fn carry_forward(&self) -> Result<(), MetaError> {
        let state = self.context.image();
        let mut all = BTreeMap::new();
        let mut count = 0;
        for (pid, row) in &state.partitions {
            let is_held = row.manifests.is_empty()
                && row.extents.first().is_some_and(|extent| extent.end <= row.log_start);
            let partition = is_held.then(|| self.follower.partition(*pid)).flatten();
            let Some(partition) = partition else { continue };
            match self.producers_to_carry(&state, row, &partition).await {
                Ok(producers) => {
                    count += producers.len();
                    all.insert(*pid, Carried { row: Arc::clone(row), producers });
                }
                Err(error) => {
                    tracing::debug!(%error, partition = %pid, "extents below the log start stay");
                }
            }
            if all.len() >= PARTITIONS_MAX || count >= PRODUCERS_MAX {
                count = 0;
                self.write_snapshot(std::mem::take(&mut all)).await?;
            }
        }
        self.write_snapshot(all).await
    }

    /// The producers of a partition at the end of its objects. What a damaged object says that is
    /// due to go, goes.
    async fn producers_to_carry(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
    ) -> Result<ProducerTable, ObjectReadError> {
        let (tiered, horizon) = (&self.tiered, self.context.producer_horizon());
        if let Some(known) = tiered.producers_or_memory(state, row, partition, horizon).await? {
            return Ok(known);
        }
        let is_due = |end| end <= row.log_start;
        tiered.producers_but(state, row, partition.id, horizon, is_due).await
    }

    async fn write_snapshot(&self, all: BTreeMap<PartitionId, Carried>) -> Result<(), MetaError> {
        if all.is_empty() {
            return Ok(());
        }
        match self.put_and_commit(all).await {
            Err(SnapshotError::Bucket(error)) => {
                tracing::debug!(%error, "extents below log starts stay");
                Ok(())
            }
            Err(SnapshotError::Meta(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    async fn put_and_commit(
        &self,
        all: BTreeMap<PartitionId, Carried>,
    ) -> Result<(), SnapshotError> {
        let mut reserved = match all.values().all(|carried| carried.producers.is_empty()) {
            true => None,
            false => Some(self.ids.next().await?),
        };
        let mut objects = Vec::new();
        if let Some(reserved) = &reserved {
            objects.push(self.put(reserved, &all).await?);
        }
        let object = reserved.as_ref().map(ReservedId::id);
        let snapshot = |carried: Carried| ProducerSnapshotRef {
            object: object.filter(|_| !carried.producers.is_empty()),
            upto: carried.row.tiered_end,
        };
        let command = Command::KeepProducers {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            objects,
            partitions: all.into_iter().map(|(pid, carried)| (pid, snapshot(carried))).collect(),
        };
        self.context.propose_until_known(command).await?;
        if let Some(reserved) = &mut reserved {
            reserved.commit();
        }
        Ok(())
    }

    /// Puts one object with the producers of all partitions that have some.
    async fn put(
        &self,
        reserved: &ReservedId,
        all: &BTreeMap<PartitionId, Carried>,
    ) -> Result<FlushedObject, SnapshotError> {
        let object = reserved.id();
        let kind = esker_object::ObjectKind::Producers;
        let mut builder = ObjectBuilder::new(object, self.context.incarnation, kind);
        for (pid, Carried { row, producers }) in all {
            if !producers.is_empty() {
                builder
                    .partition(*pid, row.topic, row.index)
                    .range(Offset::ZERO, row.tiered_end)
                    .producers(ProducerKind::Full, section_of(producers));
            }
        }
        let encoded = builder.finish();
        self.context.put(object, &encoded).await?;
        self.context.env.fail_point("producers: stored").await;
        let (len, meta_position) = (encoded.len, encoded.meta_pos);
        Ok(FlushedObject { object, kind: ObjectKind::Producers, len, meta_position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::retention::Retention;
    use crate::testing::Fixture;

    #[test]
    fn an_extent_below_the_log_start_goes_when_its_producers_stand_elsewhere() {
        let fixture = Fixture::new(Default::default(), |_| {});
        let Fixture { context, follower, ids, tiered, .. } = &fixture;
        let snapshots = ProducerSnapshots::new(context, follower, ids, tiered);
        let partition = fixture.partition(0).id;
        let producers = async || {
            let (state, row) = (context.image(), fixture.row(partition));
            let horizon = context.producer_horizon();
            tiered.producers(&state, &row, partition, horizon).await.unwrap()
        };
        fixture.runtimes.block_on(async {
            fixture.put_extent(5).await;
            fixture.put_extent(6).await;
            let before = producers().await;
            snapshots.carry_forward().await.unwrap();
            assert_eq!(fixture.objects().await.len(), 2, "nothing is below the log start");
            let retention = Retention::new(context, follower);
            retention.set_log_starts(vec![(partition, Offset(2))]).await.unwrap();
            assert!(!fixture.row(partition).extents.is_empty(), "they hold producers");
            snapshots.carry_forward().await.unwrap();
            assert!(fixture.row(partition).extents.is_empty());
            assert_eq!(fixture.objects().await.len(), 3);
            let states = |table: &ProducerTable| {
                table.iter().map(|(id, state)| (id, state.clone())).collect::<Vec<_>>()
            };
            assert_eq!(states(&producers().await), states(&before));
            assert_eq!(before.len(), 1);
        });
    }
}
