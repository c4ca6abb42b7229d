//! The table of APIs: it makes the modules, the routes and what ApiVersions offers. An API is one file and one line here.

use crate::access::Access;
use crate::bounds;
use crate::call::{Call, Outcome};
use crate::protocol_violation::ProtocolViolation;
#[cfg(test)]
use crate::tests::frames;
use esker_wire::{ApiKey, Reader, Request};

/// Each line is `Key: Request => file`. A file has `handle`, and `ACCESS` with what the request needs to be allowed.
/// Folders have further files that their handlers share, behind `with`; one handler is reached without `handle`, because it
/// takes the frame apart, and says so by `(takes_the_frame)`.
macro_rules! apis {
    ($(
        $folder:ident $(with $($shared:ident),+)? {
            $($key:ident: $request:ident => $module:ident $(($how:tt))?),+ $(,)?
        }
    )+) => {
        $(
            pub(crate) mod $folder {
                $($(pub(crate) mod $shared;)+)?
                $(pub(crate) mod $module;)+
            }
        )+

        /// The APIs that are answered, with what each needs. Kafka's others follow with the capabilities that they belong to.
        pub(crate) const SERVED: &[(ApiKey, Access)] =
            &[$($((ApiKey::$key, $folder::$module::ACCESS),)+)+];

        /// Has the handler of an API answer; nothing where there is none.
        pub(crate) async fn route<'a>(call: &Call<'a>, body: Reader<'a>) -> Option<Outcome> {
            // Each handler's future has its own allocation: one for all would be as large as the largest.
            match call.header.api_key {
                $($(ApiKey::$key => apis!(@answer call body $folder $module $(($how))?),)+)+
                _ => None,
            }
        }

        /// A request of each API without anything in it, at a version.
        #[cfg(test)]
        #[expect(elided_lifetimes_in_paths, reason = "some requests borrow and others do not")]
        pub(crate) fn blank(key: ApiKey, version: i16) -> Vec<u8> {
            match key {
                $($(ApiKey::$key => frames::blank::<esker_wire::api::$module::$request>(version),)+)+
                _ => unreachable!("{key:?} is not served"),
            }
        }

        /// Whether bytes are an answer to a request of an API at a version, to the last of them.
        #[cfg(test)]
        #[expect(elided_lifetimes_in_paths, reason = "some requests borrow and others do not")]
        pub(crate) fn is_answer(key: ApiKey, version: i16, frame: &[u8]) -> bool {
            match key {
                $($(ApiKey::$key => {
                    frames::is_answer::<esker_wire::api::$module::$request>(version, frame)
                })+)+
                _ => unreachable!("{key:?} is not served"),
            }
        }
    };
    (@answer $call:ident $body:ident $folder:ident $module:ident ($how:tt)) => {
        None
    };
    (@answer $call:ident $body:ident $folder:ident $module:ident) => {
        Some(match decode($call, $body, $folder::$module::ACCESS) {
            Ok(request) => Box::pin($folder::$module::handle($call, request)).await,
            Err(violation) => Err(violation),
        })
    };
}

apis! {
    cluster with features {
        AlterReplicaLogDirs: AlterReplicaLogDirsRequest => alter_replica_log_dirs,
        ApiVersions: ApiVersionsRequest => api_versions,
        DescribeCluster: DescribeClusterRequest => describe_cluster,
        DescribeLogDirs: DescribeLogDirsRequest => describe_log_dirs,
        DescribeQuorum: DescribeQuorumRequest => describe_quorum,
        UnregisterBroker: UnregisterBrokerRequest => unregister_broker,
        UpdateFeatures: UpdateFeaturesRequest => update_features,
    }
    configs with config_change {
        AlterConfigs: AlterConfigsRequest => alter_configs,
        DescribeConfigs: DescribeConfigsRequest => describe_configs,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest => incremental_alter_configs,
        ListConfigResources: ListConfigResourcesRequest => list_config_resources,
    }
    groups {
        DeleteGroups: DeleteGroupsRequest => delete_groups,
        DescribeGroups: DescribeGroupsRequest => describe_groups,
        FindCoordinator: FindCoordinatorRequest => find_coordinator,
        Heartbeat: HeartbeatRequest => heartbeat,
        JoinGroup: JoinGroupRequest => join_group,
        LeaveGroup: LeaveGroupRequest => leave_group,
        ListGroups: ListGroupsRequest => list_groups,
        OffsetCommit: OffsetCommitRequest => offset_commit,
        OffsetDelete: OffsetDeleteRequest => offset_delete,
        OffsetFetch: OffsetFetchRequest => offset_fetch,
        SyncGroup: SyncGroupRequest => sync_group,
    }
    records {
        DeleteRecords: DeleteRecordsRequest => delete_records,
        DescribeProducers: DescribeProducersRequest => describe_producers,
        Fetch: FetchRequest => fetch,
        InitProducerId: InitProducerIdRequest => init_producer_id,
        ListOffsets: ListOffsetsRequest => list_offsets,
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => offset_for_leader_epoch,
        Produce: ProduceRequest => produce (takes_the_frame),
    }
    security {
        DescribeAcls: DescribeAclsRequest => describe_acls,
        DescribeClientQuotas: DescribeClientQuotasRequest => describe_client_quotas,
        DescribeUserScramCredentials: DescribeUserScramCredentialsRequest => describe_user_scram_credentials,
        SaslAuthenticate: SaslAuthenticateRequest => sasl_authenticate,
        SaslHandshake: SaslHandshakeRequest => sasl_handshake,
    }
    topics with assignment {
        AlterPartitionReassignments: AlterPartitionReassignmentsRequest => alter_partition_reassignments,
        CreatePartitions: CreatePartitionsRequest => create_partitions,
        CreateTopics: CreateTopicsRequest => create_topics,
        DeleteTopics: DeleteTopicsRequest => delete_topics,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest => describe_topic_partitions,
        ElectLeaders: ElectLeadersRequest => elect_leaders,
        ListPartitionReassignments: ListPartitionReassignmentsRequest => list_partition_reassignments,
        Metadata: MetadataRequest => metadata,
    }
    transactions {
        DescribeTransactions: DescribeTransactionsRequest => describe_transactions,
        ListTransactions: ListTransactionsRequest => list_transactions,
    }
}

fn decode<'a, R: Request<'a>>(
    call: &Call<'_>,
    mut body: Reader<'a>,
    access: Access,
) -> Result<R, ProtocolViolation> {
    let request = R::decode(&mut body, call.version())
        .map_err(|error| ProtocolViolation::Body { api: R::API, error })?;
    bounds::check(body.elements())?;
    call.authorize(access).map_err(|_| ProtocolViolation::Denied(R::API))?;
    Ok(request)
}
