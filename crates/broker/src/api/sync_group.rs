//! SyncGroup.

use crate::coordinator::GroupRequest;
use crate::dispatch::{Answer, Call};
use crate::error_code::of_group_result;
use bytes::Bytes;
use esker_group::{MemberId, Response, SyncGroup};
use esker_types::GroupId;
use esker_wire::ErrorCode;
use esker_wire::api::sync_group::{SyncGroupRequest, SyncGroupResponse};

/// First version that has to say which protocol it means.
const PROTOCOL_NAMED_SINCE: i16 = 5;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: SyncGroupRequest<'_>,
) -> Result<Answer, String> {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version() >= PROTOCOL_NAMED_SINCE && !named {
        let error_code = ErrorCode::InconsistentGroupProtocol.code();
        return call.answer(&SyncGroupResponse { error_code, ..Default::default() });
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
    match call.broker.ask_group(&group_id, GroupRequest::Sync(sync)).await {
        Ok(Response::Sync(synced)) => call.answer(&SyncGroupResponse {
            error_code: of_group_result(synced.error),
            protocol_type: synced.protocol_type.as_deref(),
            protocol_name: synced.protocol_name.as_deref(),
            assignment: &synced.assignment,
            ..Default::default()
        }),
        Ok(other) => Err(format!("SyncGroup was answered with {other:?}")),
        Err(error) => call.answer(&SyncGroupResponse {
            error_code: of_group_result(Some(error)),
            ..Default::default()
        }),
    }
}
