//! Answers that can tell a client to slow down.

use esker_wire::api;
use std::time::Duration;

/// An answer with the time for which its client is to send nothing, if it has a field for that.
pub(crate) trait Throttled {
    fn set_throttle(&mut self, throttle: Duration);
}

fn millis(throttle: Duration) -> i32 {
    i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX)
}

macro_rules! throttled {
    ($($response:ty),* $(,)?) => {
        $(impl Throttled for $response {
            fn set_throttle(&mut self, throttle: Duration) {
                self.throttle_time_ms = millis(throttle);
            }
        })*
    };
}

/// Those that belong to logging in have no field, for nobody is slowed down before that; nor has what controllers are asked.
macro_rules! never_throttled {
    ($($response:ty),* $(,)?) => {
        $(impl Throttled for $response {
            fn set_throttle(&mut self, _: Duration) {}
        })*
    };
}

never_throttled! {
    api::describe_quorum::DescribeQuorumResponse<'_>,
    api::sasl_authenticate::SaslAuthenticateResponse<'_>,
    api::sasl_handshake::SaslHandshakeResponse<'_>,
}

throttled! {
    api::alter_replica_log_dirs::AlterReplicaLogDirsResponse<'_>,
    api::api_versions::ApiVersionsResponse<'_>,
    api::describe_cluster::DescribeClusterResponse<'_>,
    api::describe_log_dirs::DescribeLogDirsResponse<'_>,
    api::unregister_broker::UnregisterBrokerResponse<'_>,
    api::update_features::UpdateFeaturesResponse<'_>,
    api::alter_configs::AlterConfigsResponse<'_>,
    api::describe_configs::DescribeConfigsResponse<'_>,
    api::incremental_alter_configs::IncrementalAlterConfigsResponse<'_>,
    api::list_config_resources::ListConfigResourcesResponse<'_>,
    api::delete_groups::DeleteGroupsResponse<'_>,
    api::describe_groups::DescribeGroupsResponse<'_>,
    api::find_coordinator::FindCoordinatorResponse<'_>,
    api::heartbeat::HeartbeatResponse,
    api::join_group::JoinGroupResponse<'_>,
    api::leave_group::LeaveGroupResponse<'_>,
    api::list_groups::ListGroupsResponse<'_>,
    api::offset_commit::OffsetCommitResponse<'_>,
    api::offset_delete::OffsetDeleteResponse<'_>,
    api::offset_fetch::OffsetFetchResponse<'_>,
    api::sync_group::SyncGroupResponse<'_>,
    api::delete_records::DeleteRecordsResponse<'_>,
    api::describe_producers::DescribeProducersResponse<'_>,
    api::fetch::FetchResponse<'_>,
    api::init_producer_id::InitProducerIdResponse,
    api::list_offsets::ListOffsetsResponse<'_>,
    api::offset_for_leader_epoch::OffsetForLeaderEpochResponse<'_>,
    api::produce::ProduceResponse<'_>,
    api::describe_acls::DescribeAclsResponse<'_>,
    api::describe_client_quotas::DescribeClientQuotasResponse<'_>,
    api::describe_user_scram_credentials::DescribeUserScramCredentialsResponse<'_>,
    api::alter_partition_reassignments::AlterPartitionReassignmentsResponse<'_>,
    api::create_partitions::CreatePartitionsResponse<'_>,
    api::create_topics::CreateTopicsResponse<'_>,
    api::delete_topics::DeleteTopicsResponse<'_>,
    api::describe_topic_partitions::DescribeTopicPartitionsResponse<'_>,
    api::elect_leaders::ElectLeadersResponse<'_>,
    api::list_partition_reassignments::ListPartitionReassignmentsResponse<'_>,
    api::metadata::MetadataResponse<'_>,
    api::describe_transactions::DescribeTransactionsResponse<'_>,
    api::list_transactions::ListTransactionsResponse<'_>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_is_told_in_milliseconds_and_never_wraps() {
        let mut response = api::heartbeat::HeartbeatResponse::default();
        response.set_throttle(Duration::from_millis(250));
        assert_eq!(response.throttle_time_ms, 250);
        response.set_throttle(Duration::from_hours(24 * 365));
        assert_eq!(response.throttle_time_ms, i32::MAX);
    }
}
