//! LeaveGroup.

use crate::coordinator::GroupRequest;
use crate::dispatch::{Answer, Call};
use crate::error_code::of_group_result;
use esker_group::{LeaveGroup, LeavingMember, MemberId, Response};
use esker_types::GroupId;
use esker_wire::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

/// First version with several members.
const BATCHED: i16 = 3;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: LeaveGroupRequest<'_>,
) -> Result<Answer, String> {
    let group_id = GroupId::new(request.group_id);
    let batched = call.version() >= BATCHED;
    let members = if batched {
        let member = |member: esker_wire::api::leave_group::MemberIdentity<'_>| LeavingMember {
            member_id: MemberId::new(member.member_id),
            group_instance_id: member.group_instance_id.map(Into::into),
            reason: member.reason.map(str::to_owned),
        };
        request.members.iter().map(member).collect()
    } else {
        vec![LeavingMember {
            member_id: MemberId::new(request.member_id),
            group_instance_id: None,
            reason: None,
        }]
    };
    let leave = LeaveGroup { group_id: group_id.clone(), members };
    match call.broker.ask_group(&group_id, GroupRequest::Leave(leave)).await {
        Ok(Response::Leave(left)) if batched => {
            let members = left.members.iter().map(|member| MemberResponse {
                member_id: member.member_id.as_str(),
                group_instance_id: member.group_instance_id.as_deref(),
                error_code: of_group_result(member.error),
            });
            call.answer(&LeaveGroupResponse {
                error_code: of_group_result(left.error),
                members: members.collect(),
                ..Default::default()
            })
        }
        Ok(Response::Leave(left)) => {
            let error = left.error.or_else(|| left.members.first().and_then(|m| m.error));
            let error_code = of_group_result(error);
            call.answer(&LeaveGroupResponse { error_code, ..Default::default() })
        }
        Ok(other) => Err(format!("LeaveGroup was answered with {other:?}")),
        Err(error) => call.answer(&LeaveGroupResponse {
            error_code: of_group_result(Some(error)),
            ..Default::default()
        }),
    }
}
