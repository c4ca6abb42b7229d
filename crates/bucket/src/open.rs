//! From a configuration to a bucket.

use crate::config::BucketConfig;
use crate::file::FileBucket;
use crate::memory::MemoryBucket;
use crate::remote::RemoteBucket;
use crate::url::BucketUrl;
use esker_env::{Bucket, Env};
use std::sync::Arc;

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A setting is wrong or missing.
    #[error("bucket `{url}`: {problem}; {advice}")]
    Setting {
        /// The bucket.
        url: String,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// This build was made without the backend.
    #[error("bucket `{url}`: this build has no support for it; build with the feature `{feature}`")]
    Unsupported {
        /// The bucket.
        url: String,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
}

/// Opens a bucket. Nothing is asked of it and no client is built: whether it can be reached shows with the first
/// request.
///
/// # Errors
/// When the configuration cannot work.
pub fn open(env: &Env, config: &BucketConfig) -> Result<Arc<dyn Bucket>, OpenError> {
    let bucket: Arc<dyn Bucket> = match &config.url {
        BucketUrl::Memory => Arc::new(MemoryBucket::new()),
        BucketUrl::File(root) => Arc::new(FileBucket::new(env, root.clone())),
        BucketUrl::S3 { .. } | BucketUrl::Gcs { .. } | BucketUrl::Azure { .. } => {
            check(config)?;
            Arc::new(RemoteBucket::new(env, config.clone()))
        }
    };
    Ok(bucket)
}

fn check(config: &BucketConfig) -> Result<(), OpenError> {
    let fail = |problem: String, advice| {
        Err(OpenError::Setting { url: config.url.to_string(), problem, advice })
    };
    let unsupported =
        |feature| Err(OpenError::Unsupported { url: config.url.to_string(), feature });
    match &config.url {
        BucketUrl::Gcs { .. } if !cfg!(feature = "gcp") => return unsupported("gcp"),
        BucketUrl::Azure { .. } if !cfg!(feature = "azure") => return unsupported("azure"),
        BucketUrl::S3 { bucket, .. }
            if !config.is_path_style() && config.endpoint.is_some() && bucket.contains('.') =>
        {
            return fail(
                "a bucket's name with a dot cannot be part of a host name".to_owned(),
                "address it by path",
            );
        }
        _ => {}
    }
    match (&config.access_key, &config.secret_key) {
        (Some(_), None) => {
            return fail("an access key without its secret".to_owned(), "set both or neither");
        }
        (None, Some(_)) => {
            return fail("a secret without its access key".to_owned(), "set both or neither");
        }
        _ => {}
    }
    let Some(endpoint) = &config.endpoint else { return Ok(()) };
    let Some((scheme, host)) = endpoint.split_once("://") else {
        return fail(
            format!("the endpoint `{endpoint}` has no scheme"),
            "write `https://host` or `http://host:port`",
        );
    };
    match scheme {
        "https" => Ok(()),
        "http" if config.allow_http || is_this_machine(host) => Ok(()),
        "http" => fail(
            format!("the endpoint `{endpoint}` has no TLS"),
            "write `https://…`, or allow plain HTTP if the network between is trusted",
        ),
        _ => fail(
            format!("the endpoint `{endpoint}` has an unknown scheme"),
            "write `https://host` or `http://host:port`",
        ),
    }
}

/// Whether an endpoint names this machine, so that no network lies between.
fn is_this_machine(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or(host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str) -> BucketConfig {
        let mut config = BucketConfig::new("s3://logs/x".parse().unwrap());
        config.endpoint = Some(endpoint.to_owned());
        config
    }

    #[test]
    fn plain_http_needs_permission_beyond_this_machine() {
        for endpoint in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9000/x"] {
            assert_eq!(check(&config(endpoint)), Ok(()), "{endpoint}");
        }
        for endpoint in
            ["http://10.0.0.1:9000", "http://localhost.example", "minio:9000", "ftp://x"]
        {
            let error = check(&config(endpoint)).unwrap_err().to_string();
            assert!(error.contains(endpoint) && error.contains("s3://logs/x"), "{error}");
        }
        let allowed = BucketConfig { allow_http: true, ..config("http://10.0.0.1:9000") };
        assert_eq!(check(&allowed), Ok(()));
    }

    #[test]
    fn half_a_credential_is_refused() {
        let mut config = config("https://x");
        config.access_key = Some("key".to_owned());
        assert!(check(&config).unwrap_err().to_string().contains("set both or neither"));
    }
}
