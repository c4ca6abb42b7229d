//! DescribeGroups.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use crate::error_code::of_group;
use esker_group::DescribedGroup as Described;
use esker_types::GroupId;
use esker_wire::ErrorCode;
use esker_wire::api::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Group);

/// First version in which a group that does not exist is an error.
const MISSING_IS_AN_ERROR: i16 = 6;
/// Every operation on a group (read, delete, describe, and those on its settings), as a bit set: without an authorizer all
/// are allowed.
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

pub(crate) async fn handle(call: &Call<'_>, request: DescribeGroupsRequest<'_>) -> Outcome {
    let mut described = Vec::new();
    for group in once(request.groups.iter(), |group| Some(*group)) {
        let name = group.to_owned();
        let seen = call
            .broker
            .coordinator
            .look_at_group(&GroupId::new(group), move |shard| shard.describe_group(&name))
            .await;
        described.push((group, seen.and_then(|seen| seen).map_err(of_group)));
    }
    let operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let not_found = described.iter().map(|(group_id, _)| format!("Group {group_id} not found."));
    let not_found: Vec<_> = not_found.collect();
    let groups = described.iter().zip(&not_found).map(|((group_id, seen), not_found)| {
        let blank = DescribedGroup {
            group_id,
            error_message: None,
            authorized_operations: operations,
            ..Default::default()
        };
        match seen {
            Ok(Some(group)) => describe(group, blank),
            Ok(None) if call.version() >= MISSING_IS_AN_ERROR => DescribedGroup {
                error_code: ErrorCode::GroupIdNotFound.code(),
                error_message: Some(not_found),
                group_state: "Dead",
                authorized_operations: i32::MIN,
                ..blank
            },
            Ok(None) => DescribedGroup { group_state: "Dead", ..blank },
            Err(code) => DescribedGroup { error_code: code.code(), ..blank },
        }
    });
    call.answer(DescribeGroupsResponse { groups: groups.collect(), ..Default::default() })
}

fn describe<'a>(group: &'a Described, blank: DescribedGroup<'a>) -> DescribedGroup<'a> {
    let members = group.members.iter().map(|member| DescribedGroupMember {
        member_id: member.member_id.as_str(),
        group_instance_id: member.group_instance_id.as_deref(),
        client_id: &member.client_id,
        client_host: &member.client_host,
        member_metadata: &member.metadata,
        member_assignment: &member.assignment,
    });
    DescribedGroup {
        group_state: group.state.name(),
        protocol_type: &group.protocol_type,
        protocol_data: &group.protocol_data,
        members: members.collect(),
        ..blank
    }
}
