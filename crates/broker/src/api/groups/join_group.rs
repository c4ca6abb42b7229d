//! JoinGroup.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use bytes::Bytes;
use esker_group::{JoinGroup, JoinGroupResponse as Joined, MemberId, Protocol};
use esker_types::GroupId;
use esker_wire::api::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Group);

/// First versions of what changed on the way.
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
const NULL_PROTOCOL_SINCE: i16 = 7;
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

pub(crate) async fn handle(call: &Call<'_>, request: JoinGroupRequest<'_>) -> Outcome {
    let group_id = GroupId::new(request.group_id);
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_owned(),
        metadata: Bytes::copy_from_slice(protocol.metadata),
    });
    let join = JoinGroup {
        group_id: group_id.clone(),
        member_id: MemberId::new(request.member_id),
        group_instance_id: request.group_instance_id.map(Into::into),
        client_id: call.header.client_id.unwrap_or_default().to_owned(),
        client_host: format!("/{}", call.client.peer.ip()),
        protocol_type: request.protocol_type.to_owned(),
        protocols: protocols.collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if call.version() >= REBALANCE_TIMEOUT_SINCE {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        requires_known_member_id: call.version() >= MEMBER_ID_REQUIRED_SINCE,
        supports_skipping_assignment: call.version() >= SKIP_ASSIGNMENT_SINCE,
        reason: request.reason.map(str::to_owned),
        fresh: call.broker.entropy().next_u128(),
    };
    match call.broker.coordinator.ask(&group_id, join).await {
        Ok(joined) => answer(call, &joined),
        Err(error) => call.answer(JoinGroupResponse {
            error_code: of_group_result(Some(error)),
            protocol_name: Some(""),
            member_id: request.member_id,
            ..Default::default()
        }),
    }
}

fn answer(call: &Call<'_>, joined: &Joined) -> Outcome {
    let members = joined.members.iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id.as_str(),
        group_instance_id: member.group_instance_id.as_deref(),
        metadata: &member.metadata,
    });
    let nothing = if call.version() >= NULL_PROTOCOL_SINCE { None } else { Some("") };
    call.answer(JoinGroupResponse {
        error_code: of_group_result(joined.error),
        generation_id: joined.generation_id,
        protocol_type: joined.protocol_type.as_deref(),
        protocol_name: joined.protocol_name.as_deref().or(nothing),
        leader: joined.leader.as_str(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.as_str(),
        members: members.collect(),
        ..Default::default()
    })
}
