//! The producers of a partition: loaded once from its objects and its tail, then kept up by
//! appends.

use crate::engine::Engine;
use crate::partition::led::Partition;
use crate::serve::read::ReadError;
use esker_plog::{ProducerState, ProducerTable, TailBatch};
use esker_record::BatchView;
use esker_types::ProducerId;
use std::sync::Arc;

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
            let state = self.context.image();
            let Some(row) = state.partitions.get(&partition.id) else { return Ok(()) };
            let horizon = self.context.producer_horizon();
            let table = self.tiered.producers(&state, row, partition.id, horizon).await?;
            let tail: Vec<TailBatch> = {
                let inner = partition.lock();
                if inner.log.producers().is_some() {
                    return Ok(());
                }
                inner.log.tail_from(row.tiered_end).cloned().collect()
            };
            let bytes = match self.reader.bytes_of_tail(tail).await {
                // A flush has taken the tail and trimmed the log: the objects say it now. Told as
                // an error, the next batch on the way would be out of order, and its producer would
                // begin a new epoch.
                Err(_) if partition.position().tiered_end > row.tiered_end => continue,
                bytes => bytes?,
            };
            let mut inner = partition.lock();
            // Idempotent batches are refused until this is loaded, so only a flush can have changed
            // anything that matters: then start again.
            if inner.log.position().tiered_end > row.tiered_end {
                continue;
            }
            let views = bytes.iter().filter_map(|batch| BatchView::parse(batch).ok());
            inner.log.load_producers(table, views, self.context.env.clock.wall());
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
        let horizon = self.context.producer_horizon();
        let inner = partition.lock();
        let known = inner.log.producers().into_iter().flat_map(ProducerTable::iter);
        let active = known.filter(|(_, state)| state.last_seen >= horizon);
        Ok(active.map(|(id, state)| (id, state.clone())).collect())
    }
}
