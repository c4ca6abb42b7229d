//! From our errors to Kafka's codes: the only place where one is chosen for the other.

use esker_engine::{AppendError, ReadError};
use esker_group::GroupError;
use esker_meta::Rejected;
use esker_meta_client::MetaError;
use esker_plog::ProducerError;
use esker_record::{BatchError, RecordFaultKind};
use esker_wire::ErrorCode;

pub(crate) fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::NotLeader => ErrorCode::NotLeaderOrFollower,
        AppendError::Producer(ProducerError::InvalidProducerEpoch { .. }) => {
            ErrorCode::InvalidProducerEpoch
        }
        AppendError::Producer(ProducerError::OutOfOrderSequence { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::ProducersNotLoaded
        | AppendError::Full
        | AppendError::ExtentLimitReached
        | AppendError::Failed => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange(_) => ErrorCode::OffsetOutOfRange,
        error if error.is_damage() => ErrorCode::CorruptMessage,
        _ => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn of_batch(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Incomplete { .. } | BatchError::CorruptMessage(_) => ErrorCode::CorruptMessage,
        BatchError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        BatchError::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
        BatchError::UnsupportedCompressionType { .. } => ErrorCode::UnsupportedCompressionType,
    }
}

pub(crate) fn of_record_fault(kind: RecordFaultKind) -> ErrorCode {
    match kind {
        RecordFaultKind::InvalidRecord => ErrorCode::InvalidRecord,
        RecordFaultKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
    }
}

pub(crate) fn of_meta(error: &MetaError) -> ErrorCode {
    match error {
        MetaError::Rejected(reason) => of_rejection(reason),
        MetaError::Unavailable(_) => ErrorCode::RequestTimedOut,
        MetaError::Failed(_) => ErrorCode::KafkaStorageError,
    }
}

fn of_rejection(reason: &Rejected) -> ErrorCode {
    match reason {
        Rejected::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        Rejected::TopicCollides(_) => ErrorCode::InvalidTopicException,
        Rejected::UnknownTopic(_) => ErrorCode::UnknownTopicId,
        Rejected::PartitionCount(_) => ErrorCode::InvalidPartitions,
        Rejected::Fenced(_) | Rejected::UnknownBroker(_) => ErrorCode::StaleBrokerEpoch,
        Rejected::OtherCluster(_)
        | Rejected::ForeignObject(_)
        | Rejected::ObjectExists(_)
        | Rejected::JournalState(_)
        | Rejected::Drained(_)
        | Rejected::NotContiguous(..)
        | Rejected::TooManyExtents(_)
        | Rejected::ExtentsChanged(_)
        | Rejected::BadSwap(_)
        | Rejected::OtherVoter(..)
        | Rejected::BrokerIdInUse(_)
        | Rejected::RescuedBy(_) => ErrorCode::UnknownServerError,
        Rejected::UnknownPartition(_) => ErrorCode::UnknownTopicOrPartition,
        Rejected::BrokerAlive(_) | Rejected::BrokerHolds { .. } => ErrorCode::InvalidRequest,
    }
}

pub(crate) fn of_group(error: GroupError) -> ErrorCode {
    match error {
        GroupError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::UnknownServerError => ErrorCode::UnknownServerError,
    }
}

/// The code of an optional group error.
pub(crate) fn of_group_result(error: Option<GroupError>) -> i16 {
    error.map_or(ErrorCode::None, of_group).code()
}
