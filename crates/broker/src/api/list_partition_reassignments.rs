//! ListPartitionReassignments: nothing is ever under way, a partition moves in one step.

use crate::dispatch::{Answer, Call};
use esker_wire::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(crate) async fn handle(
    call: &Call<'_>,
    _request: ListPartitionReassignmentsRequest<'_>,
) -> Result<Answer, String> {
    call.answer(&ListPartitionReassignmentsResponse { error_message: None, ..Default::default() })
}
