//! AlterConfigs: replaces all settings of a resource.

use crate::access::{Access, Operation, Resource};
use crate::api::configs::config_change::{
    Alteration, ConfigOperation, alter, more_than_once, stored_names,
};
use crate::api_error::{code_of, text_of};
use crate::call::{Call, Outcome};
use crate::dedup::named_twice;
use esker_wire::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::AlterConfigs, Resource::Cluster);

pub(crate) async fn handle(call: &Call<'_>, request: AlterConfigsRequest<'_>) -> Outcome {
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
                operation: ConfigOperation::Set,
                value: config.value.map(str::to_owned),
            })
            .collect();
        // What is not named goes back to its default.
        for stored in stored_names(call, kind, name) {
            if alterations.iter().all(|alteration| alteration.name != stored) {
                let operation = ConfigOperation::Delete;
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
        error_code: code_of(result),
        error_message: text_of(result),
        resource_type: *kind,
        resource_name: name,
    });
    call.answer(AlterConfigsResponse { responses: responses.collect(), ..Default::default() })
}
