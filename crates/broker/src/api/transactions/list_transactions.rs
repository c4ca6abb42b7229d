//! ListTransactions: there are none.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use esker_wire::ErrorCode;
use esker_wire::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use regex::Regex;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::TransactionalId);

/// The states by which one may filter.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];
/// Patterns are parsed up to this length: parsing takes many times their memory.
const PATTERN_BYTES_MAX: usize = 4096;

pub(crate) async fn handle(call: &Call<'_>, request: ListTransactionsRequest<'_>) -> Outcome {
    let is_pattern = |text: &str| text.len() <= PATTERN_BYTES_MAX && Regex::new(text).is_ok();
    if !request.transactional_id_pattern.is_none_or(|text| text.is_empty() || is_pattern(text)) {
        let error_code = ErrorCode::InvalidRegularExpression.code();
        return call.answer(ListTransactionsResponse { error_code, ..Default::default() });
    }
    let unknown = request.state_filters.iter().filter(|state| !STATES.contains(state));
    call.answer(ListTransactionsResponse {
        unknown_state_filters: unknown.collect(),
        ..Default::default()
    })
}
