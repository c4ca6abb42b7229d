//! Which batches of a fetch belong to aborted transactions.

use esker_record::{BatchView, ControlType, control_type};
use esker_types::{Offset, ProducerId};
use esker_wire::api::fetch::AbortedTransaction;
use std::collections::BTreeSet;

/// Follows the aborted transactions of one partition through one fetch.
pub(crate) struct Aborted {
    /// Those that begin further on, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Producers whose transaction is open here and was aborted.
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    pub(crate) fn new(mut transactions: Vec<AbortedTransaction>) -> Self {
        transactions.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead: transactions, open: BTreeSet::new() }
    }

    /// Whether the records of `batch` were aborted. Batches are asked for in order.
    pub(crate) fn covers(&mut self, batch: &BatchView<'_>) -> bool {
        let last = batch.last_offset();
        while let Some(next) = self.ahead.pop_if(|next| Offset(next.first_offset) <= last) {
            self.open.insert(ProducerId(next.producer_id));
        }
        batch.is_transactional() && !batch.is_control() && self.open.contains(&batch.producer_id())
    }

    /// Notes a control batch: an abort ends its producer's transaction.
    pub(crate) fn on_control(&mut self, batch: &BatchView<'_>, key: &[u8]) {
        if matches!(control_type(key), Ok(ControlType::Abort)) {
            self.open.remove(&batch.producer_id());
        }
    }
}
