//! ListPartitionReassignments: nothing is ever under way, a partition moves in one step.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use esker_wire::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    _request: ListPartitionReassignmentsRequest<'_>,
) -> Outcome {
    call.answer(ListPartitionReassignmentsResponse { error_message: None, ..Default::default() })
}
