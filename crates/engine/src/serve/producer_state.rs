//! The producers of a partition as its objects tell them.
//!
//! Every extent says what its own batches add (a delta), and every so often one says everything (full). So the state at
//! the objects' end is the last full one and the deltas after it. What extents said that are gone is said elsewhere: see
//! [`crate::background::producer_snapshot`].

use crate::engine::Engine;
use crate::objects::tiered::{ObjectReadError, Stored, find_part, stored_extent};
use crate::partition::led::Partition;
use crate::serve::read::ReadError;
use esker_meta::{ExtentFlags, ProducersRef, State};
use esker_object::{Part, ProducerBatch, ProducerEntry, ProducerKind};
use esker_plog::{ProducerState, ProducerTable, TailBatch};
use esker_record::BatchView;
use esker_types::{Offset, ProducerId, Timestamp};
use std::sync::Arc;

/// Extents after which one is full again.
pub(crate) const FULL_EVERY: usize = 16;

impl Partition {
    /// Whether the producers' state is in memory.
    #[must_use]
    pub fn knows_producers(&self) -> bool {
        self.lock().log.producers().is_some()
    }
}

impl Engine {
    /// Loads the producers' state of a partition, once.
    ///
    /// # Errors
    /// See [`ReadError`]; nothing has changed.
    pub async fn load_producers(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
    ) -> Result<(), ReadError> {
        loop {
            let state = self.meta().image();
            let Some(row) = state.partitions.get(&partition.id) else { return Ok(()) };
            let table = self.producers_in_objects(&state, row, partition).await?;
            let tail: Vec<TailBatch> = {
                let inner = partition.lock();
                if inner.log.producers().is_some() {
                    return Ok(());
                }
                inner.log.tail_from(row.tiered_end).cloned().collect()
            };
            let bytes = match self.bytes_of_tail(tail).await {
                // A flush has taken the tail and trimmed the log: the objects say it now. Told as an error, the
                // next batch on the way would be out of order, and its producer would begin a new epoch.
                Err(_) if partition.position().tiered_end > row.tiered_end => continue,
                bytes => bytes?,
            };
            let mut inner = partition.lock();
            // Idempotent batches are refused until this is loaded, so only a flush can have changed anything that
            // matters: then start again.
            if inner.log.position().tiered_end > row.tiered_end {
                continue;
            }
            let views = bytes.iter().filter_map(|batch| BatchView::parse(batch).ok());
            inner.log.load_producers(table, views, self.env().clock.wall());
            return Ok(());
        }
    }

    /// The producers that a partition remembers, ascending by id.
    ///
    /// # Errors
    /// See [`ReadError`]: their state could not be loaded.
    pub async fn active_producers(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
    ) -> Result<Vec<(ProducerId, ProducerState)>, ReadError> {
        self.load_producers(partition).await?;
        let horizon = self.env().clock.wall().get() - millis(self.options().producer_expiry);
        let inner = partition.lock();
        let known = inner.log.producers().into_iter().flat_map(ProducerTable::iter);
        let active = known.filter(|(_, state)| state.last_seen.get() >= horizon);
        Ok(active.map(|(id, state)| (id, state.clone())).collect())
    }

    /// The producers' state at the objects' end.
    pub(crate) async fn producers_in_objects(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
    ) -> Result<ProducerTable, ObjectReadError> {
        self.producers_at_end(state, row, partition, |_| false).await
    }

    /// As [`Engine::producers_in_objects`], without what damaged objects say that may be missed. Told of a stretch by
    /// where it ends.
    pub(crate) async fn producers_at_end(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
        may_miss: impl Fn(Offset) -> bool,
    ) -> Result<ProducerTable, ObjectReadError> {
        let told = state.producers_told(partition.id, row);
        let kept = told.kept.and_then(|kept| stored_producers(state, &kept));
        let extents = told.extents.iter().map(|extent| stored_extent(state, extent));
        let mut table = ProducerTable::default();
        for stored in kept.into_iter().chain(extents) {
            match self.producers_of_object(partition, &stored).await {
                Ok(said) => table.merge(said),
                Err(ObjectReadError::Corrupt(_) | ObjectReadError::Gone(_))
                    if may_miss(stored.end) => {}
                Err(error) => return Err(error),
            }
        }
        let horizon = self.env().clock.wall().get() - millis(self.options().producer_expiry);
        table.expire(Timestamp(horizon));
        Ok(table)
    }

    /// What one object says.
    async fn producers_of_object(
        &self,
        partition: &Partition,
        stored: &Stored,
    ) -> Result<ProducerTable, ObjectReadError> {
        let meta = self.cold.object(stored).await?;
        let part = find_part(&meta, partition, stored)?;
        Ok(table_of(&meta, &part))
    }

    /// As [`Engine::producers_in_objects`]. Where an object is damaged that is what memory knows of it, and `None` where
    /// memory knows nothing.
    pub(crate) async fn producers_known(
        &self,
        state: &State,
        row: &esker_meta::Partition,
        partition: &Partition,
    ) -> Result<Option<ProducerTable>, ObjectReadError> {
        match self.producers_in_objects(state, row, partition).await {
            Err(ObjectReadError::Corrupt(problem) | ObjectReadError::Gone(problem)) => {
                let (topic, index) = (&partition.name, partition.index);
                tracing::warn!(problem, %topic, partition = %index, "what an object says of its producers is damaged");
                Ok(partition.lock().log.producers().map(|table| table.until(row.tiered_end)))
            }
            read => read.map(Some),
        }
    }
}

/// Where the producers of a partition are told beside its extents.
pub(crate) fn stored_producers(state: &State, kept: &ProducersRef) -> Option<Stored> {
    let id = kept.object?;
    let object = state.objects.get(&id).expect("what is referred to has a row");
    Some(Stored {
        base: Offset::ZERO,
        end: kept.upto,
        object: id,
        incarnation: object.incarnation,
        len: object.len,
        meta_position: object.meta_position,
        max_timestamp: Timestamp::NONE,
        bytes: 0,
        flags: ExtentFlags::default(),
    })
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What an extent says of its producers.
pub(crate) fn table_of(meta: &esker_object::ObjectMeta, part: &Part) -> ProducerTable {
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
