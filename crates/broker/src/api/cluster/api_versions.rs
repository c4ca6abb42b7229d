//! ApiVersions: what this broker answers.

use crate::access::Access;
use crate::api::SERVED;
use crate::api::cluster::features;
use crate::broker::Broker;
use crate::call::{Call, Outcome};
use esker_wire::api::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use esker_wire::{ApiKey, ErrorCode};

pub(crate) const ACCESS: Access = Access::Anyone;

pub(crate) async fn handle(call: &Call<'_>, request: ApiVersionsRequest<'_>) -> Outcome {
    let refused = |code: ErrorCode| ApiVersionsResponse {
        error_code: code.code(),
        finalized_features_epoch: -1,
        ..Default::default()
    };
    if !is_well_formed(&request, call.version()) {
        return call.answer(refused(ErrorCode::InvalidRequest));
    }
    call.client.introduce(request.client_software_name, request.client_software_version);
    if call.version() >= 5 && !means_us(&request, call.broker) {
        return call.answer(refused(ErrorCode::RebootstrapRequired));
    }
    call.answer(response(call.broker))
}

/// Whether the client names itself, and either both cluster and node or neither.
fn is_well_formed(request: &ApiVersionsRequest<'_>, version: i16) -> bool {
    let legal = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
            && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && text.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric)
    };
    let named = legal(request.client_software_name) && legal(request.client_software_version);
    let whole = request.cluster_id.is_some() == (request.node_id != -1);
    (version < 3 || named) && (version < 5 || whole)
}

/// Whether this is the broker that the client thinks it is talking to, if it says so.
fn means_us(request: &ApiVersionsRequest<'_>, broker: &Broker) -> bool {
    let Some(cluster) = request.cluster_id else { return true };
    let ours = broker.engine().meta().image().cluster.to_string();
    cluster == ours && request.node_id == broker.id()
}

fn response(broker: &Broker) -> ApiVersionsResponse<'static> {
    let applied = broker.engine().meta().image().applied;
    ApiVersionsResponse {
        api_keys: SERVED.iter().map(|(key, _)| versions(*key)).collect(),
        supported_features: features::supported().collect(),
        finalized_features: features::finalized().collect(),
        finalized_features_epoch: i64::try_from(applied).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

/// What is said to a client that asks in a version that nobody has: which versions of this one there are.
pub(crate) fn of_another_version() -> ApiVersionsResponse<'static> {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: [versions(ApiKey::ApiVersions)].into_iter().collect(),
        ..Default::default()
    }
}

fn versions(key: ApiKey) -> ApiVersion {
    ApiVersion {
        api_key: key.code(),
        // librdkafka needs to see versions of Produce that no broker answers any more; Kafka does the same.
        min_version: if key == ApiKey::Produce { 0 } else { key.oldest() },
        max_version: key.newest_stable(),
    }
}
