//! ApiVersions: what this broker answers.

use crate::broker::Broker;
use crate::dispatch::{Answer, Call};
use esker_wire::api::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use esker_wire::{ApiKey, ErrorCode};

/// The APIs that are answered. Kafka's others follow with the capabilities that they belong to.
const ANSWERED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
];

pub(crate) async fn handle(
    call: &Call<'_>,
    request: ApiVersionsRequest<'_>,
) -> Result<Answer, String> {
    let legal = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
            && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && text.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric)
    };
    let named = legal(request.client_software_name) && legal(request.client_software_version);
    if call.version() >= 3 && !named {
        let error_code = ErrorCode::InvalidRequest.code();
        return call.answer(&ApiVersionsResponse { error_code, ..Default::default() });
    }
    call.answer(&response(call.broker))
}

pub(crate) fn response(_broker: &Broker) -> ApiVersionsResponse<'static> {
    let api_keys = ANSWERED
        .iter()
        .map(|key| ApiVersion {
            api_key: key.code(),
            // librdkafka needs to see versions of Produce that no broker answers any more; Kafka does the same.
            min_version: if *key == ApiKey::Produce { 0 } else { key.oldest() },
            max_version: key.newest_stable(),
        })
        .collect();
    ApiVersionsResponse { api_keys, finalized_features_epoch: 0, ..Default::default() }
}
