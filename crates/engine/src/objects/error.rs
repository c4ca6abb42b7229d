//! Why an object could not be read.

use esker_env::{BucketError, BucketErrorKind, ObjectKey};
use esker_object::Corrupt;
use esker_record::BatchError;
use esker_types::{ObjectId, Offset, PartitionId};

/// Why an object could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectReadError {
    /// The bucket did not give it; try again.
    #[error("{source}")]
    Unavailable {
        /// The object.
        object: ObjectId,
        /// What the bucket said.
        source: BucketError,
    },
    /// It is not there.
    #[error("{source}")]
    Gone {
        /// The object.
        object: ObjectId,
        /// What the bucket said.
        source: BucketError,
    },
    /// What is there is not what was written.
    #[error("{source}")]
    Corrupt {
        /// The object.
        object: ObjectId,
        /// What is wrong with it.
        source: ObjectDamage,
    },
}

/// What is wrong with an object.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectDamage {
    /// Its footer, or a block.
    #[error("object `{key}`: {source}")]
    Data {
        /// Its key.
        key: ObjectKey,
        /// What was found.
        source: Corrupt,
    },
    /// It is a manifest segment.
    #[error("manifest `{key}`: {source}")]
    Manifest {
        /// Its key.
        key: ObjectKey,
        /// What was found.
        source: Corrupt,
    },
    /// A block holds what is no batch.
    #[error(transparent)]
    Batch(BatchError),
    /// The metadata names it as two things.
    #[error("object {0} is a data object and a manifest")]
    TwoKinds(ObjectId),
    /// A partition that should be in it is not.
    #[error("object {object} does not hold partition {partition}")]
    NoPartition {
        /// The object.
        object: ObjectId,
        /// The partition.
        partition: PartitionId,
    },
    /// An offset that should be in it is not.
    #[error("object {object} does not hold offset {offset} of partition {partition}")]
    NoOffset {
        /// The object.
        object: ObjectId,
        /// The partition.
        partition: PartitionId,
        /// The offset.
        offset: Offset,
    },
}

impl ObjectReadError {
    /// A request for `object` that the bucket refused.
    pub(crate) fn of_bucket(object: ObjectId) -> impl Fn(BucketError) -> Self {
        move |source| match source.kind {
            BucketErrorKind::Retry | BucketErrorKind::Denied | BucketErrorKind::Invalid => {
                Self::Unavailable { object, source }
            }
            BucketErrorKind::NotFound => Self::Gone { object, source },
        }
    }

    /// A block of `object` that holds what is no batch.
    pub(crate) fn of_batch(object: ObjectId) -> impl Fn(BatchError) -> Self {
        move |error| Self::Corrupt { object, source: ObjectDamage::Batch(error) }
    }

    /// The object that is damaged or gone: to be read when somebody has put it back, and not
    /// before.
    pub(crate) fn damaged_object(&self) -> Option<ObjectId> {
        match self {
            Self::Corrupt { object, .. } | Self::Gone { object, .. } => Some(*object),
            Self::Unavailable { .. } => None,
        }
    }
}
