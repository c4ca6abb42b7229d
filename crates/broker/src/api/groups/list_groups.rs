//! ListGroups.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use esker_wire::api::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Group);

pub(crate) async fn handle(call: &Call<'_>, request: ListGroupsRequest<'_>) -> Outcome {
    let states: Vec<String> = request.states_filter.iter().map(str::to_owned).collect();
    let types: Vec<String> = request.types_filter.iter().map(str::to_owned).collect();
    let listed = call
        .broker
        .coordinator
        .look_at_groups(move |shard| shard.list_groups(&states, &types))
        .await;
    let listed: Result<Vec<_>, _> = listed.and_then(|shards| shards.into_iter().collect());
    match listed {
        Err(error) => call.answer(ListGroupsResponse {
            error_code: of_group_result(Some(error)),
            ..Default::default()
        }),
        Ok(shards) => {
            let groups = shards.iter().flatten().map(|group| ListedGroup {
                group_id: group.group_id.as_str(),
                protocol_type: &group.protocol_type,
                group_state: group.state.name(),
                group_type: group.group_type,
            });
            call.answer(ListGroupsResponse { groups: groups.collect(), ..Default::default() })
        }
    }
}
