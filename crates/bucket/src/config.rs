//! What is needed to reach a bucket.

use crate::url::{BucketUrl, UrlError};
use std::fmt;
use std::time::Duration;

/// What is needed to reach a bucket. Printing it for a person shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Where it is.
    pub url: BucketUrl,
    /// The store's address where it is not the cloud's own, for example `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The bucket's region; `us-east-1` if unset.
    pub region: Option<String>,
    /// Fixed credentials. Without them the machine's own are used (web identity, container, instance).
    pub access_key: Option<String>,
    /// The secret that belongs to `access_key`.
    pub secret_key: Option<String>,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// Whether the bucket's name goes into the path rather than the host name; if unset, it does where an
    /// `endpoint` is set.
    pub path_style: Option<bool>,
    /// Permits an endpoint without TLS. One on this machine needs no permission.
    pub allow_http: bool,
    /// Whether requests leave the body out of their signature. Signing a body costs a SHA-256 of every byte, and
    /// what guards it on its way is `checksum` (and TLS).
    pub unsigned_payload: bool,
    /// Checksum that accompanies each put, verified by the store before it answers.
    pub checksum: Option<Checksum>,
    /// Deletes one by one: for stores that have no bulk deletion. One that says so is noticed anyway.
    pub single_delete: bool,
    /// Longest that one attempt of a request may take.
    pub request_timeout: Duration,
    /// Longest that making a connection may take.
    pub connect_timeout: Duration,
    /// How often a request is sent again after a failure that may pass.
    pub retries: usize,
    /// No attempt starts later than this after the first.
    pub retry_timeout: Duration,
    /// Settings of the backend under the names of its environment variables, such as `AWS_ROLE_ARN` or
    /// `AZURE_STORAGE_ACCOUNT_KEY`.
    pub settings: Vec<(String, String)>,
}

/// Checksums that a store verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-64/NVME: nearly free to compute.
    Crc64Nvme,
    /// SHA-256: for stores that know no other.
    Sha256,
}

/// A setting that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A variable that takes one of a few words.
    #[error("`{name}` is `{value}`, expected {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
}

/// Variables that are handed to the backend as they are.
const PASSED_ON: [&str; 33] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IMDSV1_FALLBACK",
    "AWS_METADATA_ENDPOINT",
    "AWS_S3_EXPRESS",
    "AWS_SKIP_SIGNATURE",
    "AWS_REQUEST_PAYER",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BASE_URL",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_AUTHORITY_HOST",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_USE_EMULATOR",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_OBJECT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_AZURE_CLI",
];

impl BucketConfig {
    /// The defaults for `url`.
    #[must_use]
    pub const fn new(url: BucketUrl) -> Self {
        Self {
            url,
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
            session_token: None,
            path_style: None,
            allow_http: false,
            unsigned_payload: true,
            checksum: Some(Checksum::Crc64Nvme),
            single_delete: false,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retries: 2,
            retry_timeout: Duration::from_secs(10),
            settings: Vec::new(),
        }
    }

    /// The defaults for `url` under the usual environment variables, read through `variable`. An empty variable
    /// counts as absent.
    ///
    /// # Errors
    /// When a variable that takes one of a few words holds another.
    pub fn from_vars(
        url: BucketUrl,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let flag = |name: &'static str| match get(name) {
            None => Ok(None),
            Some(value) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(Some(true)),
                "false" | "0" | "no" | "off" => Ok(Some(false)),
                _ => Err(ConfigError::Value { name, value, expected: "`true` or `false`" }),
            },
        };
        let mut config = Self::new(url);
        config.endpoint = get("AWS_ENDPOINT_URL_S3")
            .or_else(|| get("AWS_ENDPOINT_URL"))
            .or_else(|| get("AWS_ENDPOINT"));
        config.region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        config.access_key = get("AWS_ACCESS_KEY_ID");
        config.secret_key = get("AWS_SECRET_ACCESS_KEY");
        config.session_token = get("AWS_SESSION_TOKEN");
        config.path_style = flag("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")?.map(|hosted| !hosted);
        config.allow_http = flag("AWS_ALLOW_HTTP")?.unwrap_or(config.allow_http);
        config.unsigned_payload = flag("AWS_UNSIGNED_PAYLOAD")?.unwrap_or(config.unsigned_payload);
        config.single_delete = flag("AWS_DISABLE_BULK_DELETE")?.unwrap_or(config.single_delete);
        if let Some(value) = get("AWS_CHECKSUM_ALGORITHM") {
            config.checksum = match value.to_ascii_lowercase().as_str() {
                "crc64nvme" => Some(Checksum::Crc64Nvme),
                "sha256" => Some(Checksum::Sha256),
                "none" => None,
                _ => {
                    let expected = "`crc64nvme`, `sha256` or `none`";
                    return Err(ConfigError::Value {
                        name: "AWS_CHECKSUM_ALGORITHM",
                        value,
                        expected,
                    });
                }
            };
        }
        for name in PASSED_ON {
            if let Some(value) = get(name) {
                config.settings.push((name.to_owned(), value));
            }
        }
        Ok(config)
    }

    /// Whether the bucket's name goes into the path.
    #[must_use]
    pub fn is_path_style(&self) -> bool {
        self.path_style.unwrap_or_else(|| self.endpoint.is_some())
    }
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |value: &Option<String>| value.as_ref().map(|_| "…");
        f.debug_struct("BucketConfig")
            .field("url", &self.url.to_string())
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key", &self.access_key)
            .field("secret_key", &secret(&self.secret_key))
            .field("session_token", &secret(&self.session_token))
            .field("path_style", &self.is_path_style())
            .field("allow_http", &self.allow_http)
            .field("unsigned_payload", &self.unsigned_payload)
            .field("checksum", &self.checksum)
            .field("single_delete", &self.single_delete)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("retries", &self.retries)
            .field("retry_timeout", &self.retry_timeout)
            .field("settings", &self.settings.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<BucketConfig, ConfigError> {
        let find = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        BucketConfig::from_vars(BucketUrl::Memory, find)
    }

    #[test]
    fn variables_are_read_and_secrets_stay_unprinted() {
        let config = read(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_SESSION_TOKEN", ""),
            ("AWS_DEFAULT_REGION", "eu-north-1"),
            ("AWS_CHECKSUM_ALGORITHM", "none"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "hush-too"),
        ])
        .unwrap();
        assert!(config.is_path_style());
        assert_eq!(config.region.as_deref(), Some("eu-north-1"));
        assert_eq!((config.session_token.as_deref(), config.checksum), (None, None));
        let printed = format!("{config:?}");
        assert!(printed.contains("AZURE_STORAGE_ACCOUNT_KEY") && !printed.contains("hush"));
    }

    #[test]
    fn the_style_can_be_chosen_and_a_wrong_word_is_refused() {
        let hosted = [("AWS_ENDPOINT", "http://x"), ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")];
        assert!(!read(&hosted).unwrap().is_path_style());
        assert!(!read(&[]).unwrap().is_path_style());
        let error = read(&[("AWS_ALLOW_HTTP", "perhaps")]).unwrap_err();
        assert!(error.to_string().contains("`AWS_ALLOW_HTTP` is `perhaps`"), "{error}");
    }
}
