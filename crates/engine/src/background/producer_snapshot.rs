//! What extents say of producers, said again before they go.
//!
//! Sequence numbers outlive the records that they came with: a producer that was not answered sends its batch again, and
//! what retention or a trim has taken meanwhile must not be taken for new. So an extent below the log start stays as long
//! as it is the only one to say something of producers. Here all of that is said once more, in one object for many
//! partitions, and the metadata lets go of those extents.

use crate::engine::Engine;
use crate::objects::tiered::ObjectReadError;
use crate::partition::led::Partition;
use crate::serve::producer_state::section_of;
use esker_env::BucketError;
use esker_meta::{Command, FlushedObject, ObjectKind, ProducersRef, State};
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

/// What is to be said of a partition.
struct Carried {
    row: Arc<esker_meta::Partition>,
    producers: ProducerTable,
}

/// Why it was put off.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Engine {
    /// Lets extents below log starts go that are kept for what they say of producers.
    pub(crate) async fn carry_forward(&self) -> Result<(), MetaError> {
        let state = self.meta().image();
        let mut all = BTreeMap::new();
        let mut count = 0;
        for (pid, row) in &state.partitions {
            let is_held = row.manifests.is_empty()
                && row.extents.first().is_some_and(|extent| extent.end <= row.log_start);
            let Some(partition) = is_held.then(|| self.partition(*pid)).flatten() else { continue };
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

    /// The producers of a partition at the end of its objects. What a damaged object says that is due to go, goes.
    async fn producers_to_carry(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
    ) -> Result<ProducerTable, ObjectReadError> {
        if let Some(known) = self.producers_known(state, row, partition).await? {
            return Ok(known);
        }
        self.producers_at_end(state, row, partition, |end| end <= row.log_start).await
    }

    async fn write_snapshot(&self, all: BTreeMap<PartitionId, Carried>) -> Result<(), MetaError> {
        if all.is_empty() {
            return Ok(());
        }
        match self.put_snapshot(all).await {
            Err(SnapshotError::Bucket(error)) => {
                tracing::debug!(%error, "extents below log starts stay");
                Ok(())
            }
            Err(SnapshotError::Meta(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    async fn put_snapshot(&self, all: BTreeMap<PartitionId, Carried>) -> Result<(), SnapshotError> {
        let mut taken = match all.values().all(|kept| kept.producers.is_empty()) {
            true => None,
            false => Some(self.ids.next().await?),
        };
        let mut partitions = Vec::with_capacity(all.len());
        let mut objects = Vec::new();
        if let Some(taken) = &taken {
            let object = taken.id();
            let kind = esker_object::ObjectKind::Producers;
            let mut builder = ObjectBuilder::new(object, self.incarnation(), kind);
            for (pid, Carried { row, producers }) in
                all.iter().filter(|(_, k)| !k.producers.is_empty())
            {
                builder
                    .partition(*pid, row.topic, row.index)
                    .range(Offset::ZERO, row.tiered_end)
                    .producers(ProducerKind::Full, section_of(producers));
            }
            let encoded = builder.finish();
            self.put(object, &encoded).await?;
            self.env().fail_point("producers: stored").await;
            let (len, meta_position) = (encoded.len, encoded.meta_pos);
            let kind = ObjectKind::Producers;
            objects.push(FlushedObject { object, kind, len, meta_position });
        }
        for (pid, Carried { row, producers }) in all {
            let object = taken.as_ref().filter(|_| !producers.is_empty()).map(|taken| taken.id());
            partitions.push((pid, ProducersRef { object, upto: row.tiered_end }));
        }
        let command = Command::KeepProducers {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            objects,
            partitions,
        };
        self.propose_until_known(command).await?;
        if let Some(taken) = &mut taken {
            taken.commit();
        }
        Ok(())
    }
}
