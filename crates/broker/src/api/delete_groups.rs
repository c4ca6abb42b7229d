//! DeleteGroups.

use crate::coordinator::GroupRequest;
use crate::dispatch::{Answer, Call};
use crate::error_code::of_group_result;
use crate::once::once;
use esker_group::Response;
use esker_types::GroupId;
use esker_wire::api::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DeleteGroupsRequest<'_>,
) -> Result<Answer, String> {
    let mut results = Vec::new();
    for group in once(request.groups_names.iter(), |group| Some(*group)) {
        let id = GroupId::new(group);
        let asked = call.broker.ask_group(&id, GroupRequest::Delete(vec![id.clone()])).await;
        let error = match asked {
            Ok(Response::DeleteGroups(deleted)) => {
                deleted.groups.first().and_then(|(_, result)| result.err())
            }
            Ok(other) => return Err(format!("DeleteGroups was answered with {other:?}")),
            Err(error) => Some(error),
        };
        results.push((group, error, error.map(|error| error.to_string())));
    }
    let results = results.iter().map(|(group, error, message)| DeletableGroupResult {
        group_id: group,
        error_code: of_group_result(*error),
        error_message: message.as_deref(),
    });
    call.answer(&DeleteGroupsResponse { results: results.collect(), ..Default::default() })
}
