//! Producers of whom nothing is known yet, and whose first batch was refused for a while.
//!
//! A producer has up to five batches on their way. One that is known continues where it stopped, so a batch behind a
//! refused one is out of order. One that is not known may begin anywhere, because what it wrote may be forgotten: if its
//! first batch finds a full disk and its second one room, the second would stand before the first. So where a refused
//! producer has to begin is kept until it does.
//!
//! This is memory only: whoever sends again over a new connection begins with what is not acknowledged.

use crate::producer::ProducerError;
use esker_record::BatchView;
use esker_types::{Bug, ProducerEpoch, ProducerId, planted};
use std::collections::BTreeMap;

/// Producers of a partition that are remembered. What comes beyond is judged as if it had not been refused.
const PRODUCERS_MAX: usize = 1000;

/// Where refused producers begin.
#[derive(Debug, Default)]
pub(crate) struct PendingFirstSequences(BTreeMap<ProducerId, FirstBatch>);

/// The batch that has to be a producer's first.
#[derive(Debug, Clone, Copy)]
struct FirstBatch {
    epoch: ProducerEpoch,
    sequence: i32,
}

impl PendingFirstSequences {
    /// Notes that a batch of a producer that is not known was refused, and will be sent again.
    pub(crate) fn note(&mut self, batch: &BatchView<'_>) {
        if planted(Bug::RefusalForgotten) {
            return;
        }
        let refused = FirstBatch { epoch: batch.producer_epoch(), sequence: batch.base_sequence() };
        if let Some(known) = self.0.get_mut(&batch.producer_id()) {
            if refused.epoch > known.epoch {
                *known = refused;
            }
        } else if self.0.len() < PRODUCERS_MAX {
            self.0.insert(batch.producer_id(), refused);
        }
    }

    /// Whether a batch of a producer that is not known may be its first.
    pub(crate) fn check(&self, batch: &BatchView<'_>) -> Result<(), ProducerError> {
        match self.0.get(&batch.producer_id()) {
            Some(first)
                if first.epoch == batch.producer_epoch()
                    && first.sequence < batch.base_sequence() =>
            {
                let (got, last) = (batch.base_sequence(), first.sequence - 1);
                Err(ProducerError::OutOfOrderSequence { got, last })
            }
            _ => Ok(()),
        }
    }

    /// The producer has begun.
    pub(crate) fn remove(&mut self, producer: ProducerId) {
        if !self.0.is_empty() {
            self.0.remove(&producer);
        }
    }
}
