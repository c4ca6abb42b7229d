//! AlterConfigs: replaces all settings of a resource.

use crate::alter_configs::{Alteration, Operation, alter, more_than_once, stored_names};
use crate::dispatch::{Answer, Call};
use crate::once::named_twice;
use esker_wire::ErrorCode;
use esker_wire::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

pub(crate) async fn handle(
    call: &Call<'_>,
    request: AlterConfigsRequest<'_>,
) -> Result<Answer, String> {
    let resources = request.resources.iter().map(|r| (r.resource_type, r.resource_name));
    let twice = named_twice(resources);
    let mut results = Vec::new();
    for resource in &request.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let mut alterations: Vec<_> = resource
            .configs
            .iter()
            .map(|config| Alteration {
                name: config.name.to_owned(),
                operation: Operation::Set,
                value: config.value.map(str::to_owned),
            })
            .collect();
        // What is not named goes back to its default.
        for stored in stored_names(call, kind, name) {
            if alterations.iter().all(|alteration| alteration.name != stored) {
                let operation = Operation::Delete;
                alterations.push(Alteration { name: stored, operation, value: None });
            }
        }
        let result = if twice.contains(&(kind, name)) {
            Err(more_than_once())
        } else {
            alter(call, kind, name, alterations, request.validate_only).await
        };
        results.push((kind, name, result));
    }
    let responses = results.iter().map(|(kind, name, result)| AlterConfigsResourceResponse {
        error_code: result.as_ref().err().map_or(ErrorCode::None, |(code, _)| *code).code(),
        error_message: result.as_ref().err().map(|(_, message)| message.as_str()),
        resource_type: *kind,
        resource_name: name,
    });
    call.answer(&AlterConfigsResponse { responses: responses.collect(), ..Default::default() })
}
