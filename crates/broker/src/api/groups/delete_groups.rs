//! DeleteGroups.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use crate::error_code::of_group_result;
use esker_types::GroupId;
use esker_wire::api::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Delete, Resource::Group);

pub(crate) async fn handle(call: &Call<'_>, request: DeleteGroupsRequest<'_>) -> Outcome {
    let mut results = Vec::new();
    for group in once(request.groups_names.iter(), |group| Some(*group)) {
        let id = GroupId::new(group);
        let asked = call.broker.coordinator.ask(&id, vec![id.clone()]).await;
        let error = match asked {
            Ok(deleted) => deleted.groups.first().and_then(|(_, result)| result.err()),
            Err(error) => Some(error),
        };
        results.push((group, error, error.map(|error| error.to_string())));
    }
    let results = results.iter().map(|(group, error, message)| DeletableGroupResult {
        group_id: group,
        error_code: of_group_result(*error),
        error_message: message.as_deref(),
    });
    call.answer(DeleteGroupsResponse { results: results.collect(), ..Default::default() })
}
