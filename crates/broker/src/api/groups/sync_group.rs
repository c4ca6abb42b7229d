//! SyncGroup.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use bytes::Bytes;
use esker_group::{MemberId, SyncGroup};
use esker_types::GroupId;
use esker_wire::ErrorCode;
use esker_wire::api::sync_group::{SyncGroupRequest, SyncGroupResponse};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Group);

/// First version that has to say which protocol it means.
const PROTOCOL_NAMED_SINCE: i16 = 5;

pub(crate) async fn handle(call: &Call<'_>, request: SyncGroupRequest<'_>) -> Outcome {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version() >= PROTOCOL_NAMED_SINCE && !named {
        let error_code = ErrorCode::InconsistentGroupProtocol.code();
        return call.answer(SyncGroupResponse { error_code, ..Default::default() });
    }
    let group_id = GroupId::new(request.group_id);
    let assignments = request.assignments.iter().map(|assignment| {
        (MemberId::new(assignment.member_id), Bytes::copy_from_slice(assignment.assignment))
    });
    let sync = SyncGroup {
        group_id: group_id.clone(),
        generation_id: request.generation_id,
        member_id: MemberId::new(request.member_id),
        group_instance_id: request.group_instance_id.map(Into::into),
        protocol_type: request.protocol_type.map(str::to_owned),
        protocol_name: request.protocol_name.map(str::to_owned),
        assignments: assignments.collect(),
    };
    match call.broker.coordinator.ask(&group_id, sync).await {
        Ok(synced) => call.answer(SyncGroupResponse {
            error_code: of_group_result(synced.error),
            protocol_type: synced.protocol_type.as_deref(),
            protocol_name: synced.protocol_name.as_deref(),
            assignment: &synced.assignment,
            ..Default::default()
        }),
        Err(error) => call.answer(SyncGroupResponse {
            error_code: of_group_result(Some(error)),
            ..Default::default()
        }),
    }
}
