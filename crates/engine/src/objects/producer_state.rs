//! The producers of a partition as its objects say.
//!
//! Every extent says what its own batches add (a delta), and every so often one says everything
//! (full). So the state at the objects' end is the last full one and the deltas after it. What
//! extents said that are gone stands in snapshots: see
//! [`ProducerSnapshots`](crate::background::producer_snapshot::ProducerSnapshots).

use crate::objects::error::ObjectReadError;
use crate::objects::stored::StoredExtent;
use crate::objects::tiered::TieredReader;
use crate::partition::led::Partition;
use esker_meta::{ExtentFlags, State};
use esker_object::{ObjectMeta, Part, ProducerBatch, ProducerEntry, ProducerKind};
use esker_plog::{ProducerState, ProducerTable};
use esker_types::{Offset, PartitionId, Timestamp};

/// Extents after which one is full again.
pub(crate) const FULL_EVERY: usize = 16;

impl TieredReader {
    /// The producers' state at the objects' end, without those that were last seen before
    /// `horizon`.
    pub(crate) async fn producers(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: PartitionId,
        horizon: Timestamp,
    ) -> Result<ProducerTable, ObjectReadError> {
        self.producers_but(state, row, partition, horizon, |_| false).await
    }

    /// As [`Self::producers`], without what damaged objects say that `may_miss` lets go, by where
    /// their extent ends.
    pub(crate) async fn producers_but(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: PartitionId,
        horizon: Timestamp,
        may_miss: impl Fn(Offset) -> bool,
    ) -> Result<ProducerTable, ObjectReadError> {
        let sources = state.producer_sources(partition, row);
        let snapshot =
            sources.snapshot.and_then(|snapshot| StoredExtent::of_producers(state, &snapshot));
        let extents = sources.extents.iter().map(|extent| StoredExtent::of_extent(state, extent));
        let mut table = ProducerTable::default();
        for stored in snapshot.into_iter().chain(extents) {
            match self.producers_of_extent(partition, &stored).await {
                Ok(of_extent) => table.merge(of_extent),
                Err(error) if error.damaged_object().is_some() && may_miss(stored.end) => {}
                Err(error) => return Err(error),
            }
        }
        table.expire(horizon);
        Ok(table)
    }

    /// What one extent says.
    async fn producers_of_extent(
        &self,
        partition: PartitionId,
        stored: &StoredExtent,
    ) -> Result<ProducerTable, ObjectReadError> {
        let meta = self.object(stored).await?;
        let part = stored.find_part(&meta, partition)?;
        Ok(table_of(&meta, &part))
    }

    /// As [`Self::producers`]. Where an object is damaged that is what memory knows of it, and
    /// `None` where memory knows nothing.
    pub(crate) async fn producers_or_memory(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
        horizon: Timestamp,
    ) -> Result<Option<ProducerTable>, ObjectReadError> {
        match self.producers(state, row, partition.id, horizon).await {
            Err(error) if error.damaged_object().is_some() => {
                let (topic, index) = (&partition.name, partition.index);
                tracing::warn!(
                    problem = %error, %topic, partition = %index,
                    "what an object says of its producers is damaged"
                );
                Ok(partition.lock().log.producers().map(|table| table.until(row.tiered_end)))
            }
            read => read.map(Some),
        }
    }
}

/// What an extent says of its producers.
pub(crate) fn table_of(meta: &ObjectMeta, part: &Part) -> ProducerTable {
    let mut table = ProducerTable::default();
    for entry in meta.producers(part) {
        let batches = entry.batches.iter().map(|batch| esker_plog::ProducerBatch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            timestamp: batch.timestamp,
        });
        let producer = ProducerState {
            epoch: entry.epoch,
            batches: batches.collect(),
            last_seen: entry.last_seen,
        };
        table.insert(entry.producer, producer);
    }
    table
}

/// The section of an extent that says `table`.
pub(crate) fn section_of(table: &ProducerTable) -> Vec<ProducerEntry> {
    table
        .iter()
        .map(|(producer, state)| ProducerEntry {
            producer,
            epoch: state.epoch,
            coordinator_epoch: -1,
            open_txn_first: None,
            last_seen: state.last_seen,
            batches: state
                .batches
                .iter()
                .map(|batch| ProducerBatch {
                    first_sequence: batch.first_sequence,
                    last_sequence: batch.last_sequence,
                    base_offset: batch.base_offset,
                    last_offset: batch.last_offset,
                    timestamp: batch.timestamp,
                })
                .collect(),
        })
        .collect()
}

/// Whether the next extent of `row` says everything.
pub(crate) fn next_is_full(row: &esker_meta::Partition) -> bool {
    let since = row
        .extents
        .iter()
        .rev()
        .take_while(|extent| !extent.flags.has(ExtentFlags::PRODUCERS_FULL))
        .count();
    since + 1 >= FULL_EVERY
}

/// How an extent's section counts.
pub(crate) const fn kind_of(full: bool) -> ProducerKind {
    if full { ProducerKind::Full } else { ProducerKind::Delta }
}
