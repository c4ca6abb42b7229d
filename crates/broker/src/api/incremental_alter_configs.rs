//! IncrementalAlterConfigs: set, delete, append to and subtract from settings.

use crate::alter_configs::{Alteration, Operation, alter, more_than_once};
use crate::dispatch::{Answer, Call};
use crate::once::named_twice;
use esker_wire::ErrorCode;
use esker_wire::api::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

pub(crate) async fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest<'_>,
) -> Result<Answer, String> {
    let resources = request.resources.iter().map(|r| (r.resource_type, r.resource_name));
    let twice = named_twice(resources);
    let mut results = Vec::new();
    for resource in &request.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let alterations: Result<Vec<_>, _> = resource
            .configs
            .iter()
            .map(|config| {
                let operation = Operation::of(config.config_operation)?;
                let (name, value) = (config.name.to_owned(), config.value.map(str::to_owned));
                Ok(Alteration { name, operation, value })
            })
            .collect();
        let result = match alterations {
            _ if twice.contains(&(kind, name)) => Err(more_than_once()),
            Ok(alterations) => alter(call, kind, name, alterations, request.validate_only).await,
            Err(refusal) => Err(refusal),
        };
        results.push((kind, name, result));
    }
    let responses = results.iter().map(|(kind, name, result)| AlterConfigsResourceResponse {
        error_code: result.as_ref().err().map_or(ErrorCode::None, |(code, _)| *code).code(),
        error_message: result.as_ref().err().map(|(_, message)| message.as_str()),
        resource_type: *kind,
        resource_name: name,
    });
    call.answer(&IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}
