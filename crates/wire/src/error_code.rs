//! Kafka's error codes.

use std::fmt::{self, Display, Formatter};

macro_rules! error_codes {
    ($($(#[$attribute:meta])* $variant:ident = $code:literal, $name:literal, $retry:ident, $message:literal;)*) => {
        /// What a response says about its request or a part of it. All codes of Kafka 4.4.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                $(#[$attribute])*
                #[doc = concat!("`", $name, "`: ", $message, ".")]
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The error with this code.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                Some(match code {
                    $($code => Self::$variant,)*
                    _ => return None,
                })
            }

            /// Kafka's name, such as `NOT_COORDINATOR`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, for people.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)*
                }
            }

            /// Whether clients try again.
            #[must_use]
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$variant => error_codes!(@ $retry),)*
                }
            }
        }
    };
    (@ retriable) => { true };
    (@ final) => { false };
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", final, "unexpected error on the server";
    #[default]
    None = 0, "NONE", final, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", final, "offset is outside the range that the partition holds";
    CorruptMessage = 2, "CORRUPT_MESSAGE", retriable, "record batch is corrupt or not valid for its topic";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "topic or partition is not known here";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", final, "fetch size is not valid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", retriable, "partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", retriable, "broker is neither leader nor follower of the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", retriable, "request timed out";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", final, "broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", retriable, "replica is not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", final, "record batch exceeds the largest size allowed";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", final, "controller has moved to another broker";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", final, "offset metadata is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", retriable, "connection broke before the response came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "coordinator is still loading";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", retriable, "coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", retriable, "broker is not the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", final, "topic name or operation on the topic is not valid";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", final, "record batch exceeds the segment size";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", retriable, "too few replicas are in sync";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "record was written to too few replicas in sync";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", final, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", final, "generation is not the one of the group";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", final, "protocols do not fit those of the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", final, "group id is not valid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", final, "coordinator does not know the member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", final, "session timeout is outside the range allowed";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", final, "group is rebalancing";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", final, "size of the committed offsets is not valid";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", final, "not authorized for the topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", final, "not authorized for the group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", final, "not authorized for the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", final, "timestamp is outside the range allowed";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", final, "SASL mechanism is not supported";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", final, "request does not fit the state of SASL";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", final, "version is not supported";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", final, "topic exists already";
    InvalidPartitions = 37, "INVALID_PARTITIONS", final, "number of partitions is not valid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", final, "replication factor is not valid";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", final, "replica assignment is not valid";
    InvalidConfig = 40, "INVALID_CONFIG", final, "configuration is not valid";
    NotController = 41, "NOT_CONTROLLER", retriable, "node is not the active controller";
    InvalidRequest = 42, "INVALID_REQUEST", final, "request is not valid";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "message format does not support the request";
    PolicyViolation = 44, "POLICY_VIOLATION", final, "request violates a policy";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "sequence number is out of order";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", final, "sequence number was seen before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", final, "producer epoch is old";
    InvalidTxnState = 48, "INVALID_TXN_STATE", final, "transaction is not in a state for this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", final, "producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", final, "transaction timeout is too long";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", retriable, "another operation on the transaction is under way";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", final, "transaction coordinator has been replaced";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "not authorized for the transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", final, "security is disabled";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", final, "operation was not attempted";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", retriable, "disk failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", final, "log directory is not known";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", final, "SASL authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", final, "producer id is not known";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", final, "partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are disabled";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", final, "delegation token is not known";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "principal is neither owner nor renewer of the token";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens cannot be requested on this connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "not authorized for the delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", final, "delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", final, "type of the principal is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", final, "group is not empty";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", final, "group does not exist";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "fetch session is not known";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", retriable, "epoch of the fetch session is not valid";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", retriable, "leader has no such listener";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", final, "deletion of topics is disabled";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", retriable, "leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", retriable, "leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", final, "client does not support the compression of the partition";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", final, "broker epoch is old";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", retriable, "new leader does not know the high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", final, "group needs a member id first";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", final, "group is full";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", final, "another member has taken over the instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no eligible leader is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", retriable, "partition needs no election";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", final, "no reassignment is in progress";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", final, "group is subscribed to the topic";
    InvalidRecord = 87, "INVALID_RECORD", final, "record was refused by validation";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", retriable, "offsets of an open transaction are pending";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", retriable, "quota is exceeded";
    ProducerFenced = 90, "PRODUCER_FENCED", final, "a newer producer has the transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", final, "resource does not exist";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", final, "resource is named twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", final, "credential is not acceptable";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", final, "sender or recipient is no voter";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", final, "version of the update is not valid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", final, "feature could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "principal of a forwarded request cannot be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", final, "snapshot does not exist";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", final, "position is outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", retriable, "topic id is not known here";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", final, "broker id is in use";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", final, "broker id is not registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", retriable, "topic id is not the one of the log";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", final, "cluster id is another";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", final, "transactional id does not exist";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "fetch session mixes topic ids and names";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", final, "replica may not join the in-sync set";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", final, "partition was updated and has a new leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "offset is in tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", final, "member epoch is fenced";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", final, "instance id is still in use";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", final, "assignor is not supported by the group";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", final, "member epoch is old";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", final, "endpoint is of another type";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", final, "type of the endpoint is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", final, "controller id is not known";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", final, "telemetry subscription is not known";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", final, "telemetry is too large";
    InvalidRegistration = 119, "INVALID_REGISTRATION", final, "registration is not valid";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", final, "transaction failed and can be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", final, "record is not in a state for this";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", retriable, "share session is not known";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", retriable, "epoch of the share session is not valid";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", final, "epoch of the share state is fenced";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", final, "voter key is another";
    DuplicateVoter = 126, "DUPLICATE_VOTER", final, "voter exists already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", final, "voter does not exist";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", final, "regular expression is not valid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", final, "metadata is stale, bootstrap anew";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", final, "topology is not valid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "epoch of the topology is not valid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", final, "epoch of the topology is old";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", retriable, "too many share sessions";
    GroupDeletionFailed = 134, "GROUP_DELETION_FAILED", final, "group was not deleted, the message says why";
    StreamsTopologyDescriptionUpdateFailed = 135, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", final, "description of the topology was not taken";
    ControllerIdNotRegistered = 136, "CONTROLLER_ID_NOT_REGISTERED", final, "controller is not registered";
}

impl ErrorCode {
    /// Code on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether it says that all is well.
    #[must_use]
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

impl Display for ErrorCode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_errors_correspond() {
        for (index, error) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::try_from(error.code() + 1).unwrap(), index);
            assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        }
        assert_eq!(ErrorCode::ALL.len(), 138);
        assert_eq!(ErrorCode::from_code(137), None);
        assert_eq!(ErrorCode::from_code(-2), None);
        assert_eq!(ErrorCode::default().code(), 0);
    }

    #[test]
    fn clients_retry_what_kafka_calls_retriable() {
        assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
        assert!(!ErrorCode::RebalanceInProgress.is_retriable());
        assert_eq!(ErrorCode::ALL.iter().filter(|error| error.is_retriable()).count(), RETRIABLE);
        assert_eq!(ErrorCode::InvalidTopicException.to_string(), "INVALID_TOPIC_EXCEPTION");
    }

    /// As counted in the Java client of Kafka 4.4.
    const RETRIABLE: usize = 32;
}
