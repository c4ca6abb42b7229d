//! DescribeTransactions: nobody has a transaction.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use esker_wire::ErrorCode;
use esker_wire::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::TransactionalId);

pub(crate) async fn handle(call: &Call<'_>, request: DescribeTransactionsRequest<'_>) -> Outcome {
    let ids = once(request.transactional_ids.iter(), |id| Some(*id));
    let states = ids.map(|id| {
        let code = if id.is_empty() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TransactionalIdNotFound
        };
        TransactionState { error_code: code.code(), transactional_id: id, ..Default::default() }
    });
    call.answer(DescribeTransactionsResponse {
        transaction_states: states.collect(),
        ..Default::default()
    })
}
