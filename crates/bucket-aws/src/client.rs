//! The SDK's client for a bucket configuration.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use esker_bucket::{BucketConfig, BucketUrl};

/// Why there is no client for a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bucket `{url}` is not reached by the S3 protocol")]
pub struct ClientError {
    /// The bucket.
    pub url: String,
}

/// A client and the bucket that it is for.
pub(crate) struct S3 {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: String,
}

/// Builds a client. Nothing is asked of the store, but the machine's own credentials may be looked up.
pub(crate) async fn connect(config: &BucketConfig) -> Result<S3, ClientError> {
    let BucketUrl::S3 { bucket, prefix } = &config.url else {
        return Err(ClientError { url: config.url.to_string() });
    };
    let region = config.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(config.request_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.clone()))
        .timeout_config(timeouts)
        // What is probed is the store, not our patience.
        .retry_config(RetryConfig::disabled());
    if let (Some(access), Some(secret)) = (&config.access_key, &config.secret_key) {
        let credentials =
            Credentials::new(access, secret, config.session_token.clone(), None, "esker");
        loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials));
    }
    if let Some(endpoint) = &config.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let settings = aws_sdk_s3::config::Builder::from(&loader.load().await)
        .force_path_style(config.is_path_style())
        // Checksums that a request does not need break stores that do not know them.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(S3 { client: Client::from_conf(settings), bucket: bucket.clone(), prefix, region })
}

/// The status and words of a failed request.
pub(crate) fn words<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> (Option<u16>, String) {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let text = match (error.code(), error.message(), status) {
        (Some(code), Some(message), _) => format!("{code}: {message}"),
        (Some(code), None, _) => code.to_owned(),
        (None, _, Some(status @ 300..)) => format!("status {status}"),
        // No answer, or a good one that does not read.
        (None, _, _) => chain(error),
    };
    (status, text)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
