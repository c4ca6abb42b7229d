//! ListConfigResources: what has settings.

use crate::access::{Access, Operation, Resource};
use crate::api::configs::describe_configs::{BROKER, GROUP, TOPIC};
use crate::call::{Call, Outcome};
use esker_meta::{ConfigResource as Owner, State};
use esker_wire::ErrorCode;
use esker_wire::api::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::DescribeConfigs, Resource::Cluster);

/// Types of which there is none here: log levels of brokers, and what clients are asked to measure.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const TYPES: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

pub(crate) async fn handle(call: &Call<'_>, request: ListConfigResourcesRequest<'_>) -> Outcome {
    let asked = &request.resource_types;
    if !asked.iter().all(|one| TYPES.contains(&one)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return call.answer(ListConfigResourcesResponse { error_code, ..Default::default() });
    }
    let state = call.broker.engine().meta().image();
    // Version 0 knows client metrics only.
    let is_wanted =
        |one| call.version() >= 1 && (asked.is_empty() || asked.iter().any(|a| a == one));
    let mut names = Vec::new();
    for one in TYPES.into_iter().filter(|one| is_wanted(*one)) {
        names.extend(resources(&state, one).into_iter().map(|name| (name, one)));
    }
    let resources = names.iter().map(|(name, resource_type)| ConfigResource {
        resource_name: name,
        resource_type: *resource_type,
    });
    call.answer(ListConfigResourcesResponse {
        config_resources: resources.collect(),
        ..Default::default()
    })
}

fn resources(state: &State, resource_type: i8) -> Vec<String> {
    match resource_type {
        TOPIC => state.topics.values().map(|topic| topic.name.as_str().to_owned()).collect(),
        BROKER => state.brokers.keys().map(|id| id.get().to_string()).collect(),
        GROUP => {
            let owners = state.configs.iter().filter(|(_, settings)| !settings.is_empty());
            let groups = owners.filter_map(|(owner, _)| match owner {
                Owner::Group(group) => Some(group.clone()),
                Owner::Broker(_) => None,
            });
            groups.collect()
        }
        _ => Vec::new(),
    }
}
