//! IncrementalAlterConfigs: set, delete, append to and subtract from settings.

use crate::access::{Access, Operation, Resource};
use crate::api::configs::config_change::{Alteration, ConfigOperation, alter, more_than_once};
use crate::api_error::{code_of, text_of};
use crate::call::{Call, Outcome};
use crate::dedup::named_twice;
use esker_wire::api::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::AlterConfigs, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest<'_>,
) -> Outcome {
    let resources = request.resources.iter().map(|r| (r.resource_type, r.resource_name));
    let twice = named_twice(resources);
    let mut results = Vec::new();
    for resource in &request.resources {
        let (kind, name) = (resource.resource_type, resource.resource_name);
        let alterations: Result<Vec<_>, _> = resource
            .configs
            .iter()
            .map(|config| {
                let operation = ConfigOperation::of(config.config_operation)?;
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
        error_code: code_of(result),
        error_message: text_of(result),
        resource_type: *kind,
        resource_name: name,
    });
    call.answer(IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}
