//! IncrementalAlterConfigs: set, delete, append to and subtract from settings.

use crate::alter_configs::{Alteration, Operation, alter};
use crate::dispatch::{Answer, Call};
use esker_wire::ErrorCode;
use esker_wire::api::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use std::collections::BTreeSet;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest<'_>,
) -> Result<Answer, String> {
    let mut seen = BTreeSet::new();
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
            _ if !seen.insert((kind, name.to_owned())) => {
                let message = "Each resource must appear at most once.".to_owned();
                Err((ErrorCode::InvalidRequest, message))
            }
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
