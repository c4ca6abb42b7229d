//! LeaveGroup.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use esker_group::{LeaveGroup, LeavingMember, MemberId};
use esker_types::GroupId;
use esker_wire::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Group);

/// First version with several members.
const BATCHED: i16 = 3;

pub(crate) async fn handle(call: &Call<'_>, request: LeaveGroupRequest<'_>) -> Outcome {
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
    match call.broker.coordinator.ask(&group_id, leave).await {
        Ok(left) if batched => {
            let members = left.members.iter().map(|member| MemberResponse {
                member_id: member.member_id.as_str(),
                group_instance_id: member.group_instance_id.as_deref(),
                error_code: of_group_result(member.error),
            });
            call.answer(LeaveGroupResponse {
                error_code: of_group_result(left.error),
                members: members.collect(),
                ..Default::default()
            })
        }
        Ok(left) => {
            let error = left.error.or_else(|| left.members.first().and_then(|m| m.error));
            let error_code = of_group_result(error);
            call.answer(LeaveGroupResponse { error_code, ..Default::default() })
        }
        Err(error) => call.answer(LeaveGroupResponse {
            error_code: of_group_result(Some(error)),
            ..Default::default()
        }),
    }
}
