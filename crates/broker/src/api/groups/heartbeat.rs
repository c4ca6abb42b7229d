//! Heartbeat.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use esker_group::{GroupError, Heartbeat, MemberId};
use esker_types::GroupId;
use esker_wire::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Group);

pub(crate) async fn handle(call: &Call<'_>, request: HeartbeatRequest<'_>) -> Outcome {
    let group_id = GroupId::new(request.group_id);
    let heartbeat = Heartbeat {
        group_id: group_id.clone(),
        generation_id: request.generation_id,
        member_id: MemberId::new(request.member_id),
        group_instance_id: request.group_instance_id.map(Into::into),
    };
    let error = match call.broker.coordinator.ask(&group_id, heartbeat).await {
        Ok(beaten) => beaten.err(),
        // As in Kafka: a member keeps still until its group is there again; it need not look for another coordinator.
        Err(GroupError::CoordinatorLoadInProgress) => None,
        Err(error) => Some(error),
    };
    call.answer(HeartbeatResponse { error_code: of_group_result(error), ..Default::default() })
}
