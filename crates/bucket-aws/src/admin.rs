//! Setting a bucket up.

use crate::client::{ClientError, connect, words};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use esker_bucket::BucketConfig;

/// Why a bucket could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdminError {
    /// It is not reached by the S3 protocol.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store refused.
    #[error("{operation} bucket `{bucket}`: {message}")]
    Store {
        /// `find` or `create`.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// The store's words.
        message: String,
    },
}

/// Makes the bucket of `config` if it is not there; says whether it made it.
///
/// # Errors
/// When the store refuses, or the bucket belongs to somebody else.
pub async fn create_bucket_if_missing(config: &BucketConfig) -> Result<bool, AdminError> {
    let s3 = connect(config).await?;
    let fail = |operation, message| {
        Err(AdminError::Store { operation, bucket: s3.bucket.clone(), message })
    };
    match s3.client.head_bucket().bucket(&s3.bucket).send().await {
        Ok(_) => return Ok(false),
        Err(error) => match words(&error) {
            (Some(404), _) => {}
            (_, message) => return fail("find", message),
        },
    }
    let mut request = s3.client.create_bucket().bucket(&s3.bucket);
    // The oldest region is the one that must not be named, and stores of one's own have none.
    if config.endpoint.is_none() && s3.region != "us-east-1" {
        let place = BucketLocationConstraint::from(s3.region.as_str());
        let place = CreateBucketConfiguration::builder().location_constraint(place).build();
        request = request.create_bucket_configuration(place);
    }
    match request.send().await {
        Ok(_) => Ok(true),
        Err(error) => match words(&error) {
            // Somebody with the same rights was faster.
            (_, message) if message.starts_with("BucketAlreadyOwnedByYou") => Ok(false),
            (_, message) => fail("create", message),
        },
    }
}
