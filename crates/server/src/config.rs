//! What a server is told: command line, file, environment.

use crate::command::{DevOptions, ServerOptions};
use esker_bucket::{BucketConfig, BucketUrl};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that a server is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) kafka_addr: String,
    /// What clients are told, where it differs from what is bound.
    pub(crate) advertised_addr: Option<String>,
    pub(crate) admin_addr: String,
    pub(crate) bucket: BucketConfig,
    /// Settings by name, as written.
    pub(crate) settings: BTreeMap<String, String>,
}

/// Why a configuration is no good: a sentence with what to try.
pub(crate) type ConfigProblem = String;

/// The file of `esker server`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    data_dir: PathBuf,
    #[serde(default = "default_kafka_addr")]
    kafka_addr: String,
    advertised_addr: Option<String>,
    #[serde(default = "default_admin_addr")]
    admin_addr: String,
    bucket: Option<String>,
    #[serde(default)]
    s3: S3,
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
}

/// What the AWS_* variables say, for those who prefer a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct S3 {
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    path_style: Option<bool>,
    allow_http: Option<bool>,
}

fn default_kafka_addr() -> String {
    "127.0.0.1:9092".to_owned()
}

fn default_admin_addr() -> String {
    "127.0.0.1:9600".to_owned()
}

impl Config {
    pub(crate) fn for_dev(options: &DevOptions) -> Result<Self, ConfigProblem> {
        Ok(Self {
            data_dir: options.data_dir.clone(),
            kafka_addr: options.kafka_addr.clone(),
            advertised_addr: None,
            admin_addr: options.admin_addr.clone(),
            bucket: bucket(options.bucket.as_deref(), &options.data_dir, S3::default())?,
            settings: parse_sets(&options.settings)?,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "read before there is a world to go through")]
    pub(crate) fn from_file(options: &ServerOptions) -> Result<Self, ConfigProblem> {
        let path = &options.config;
        let bytes = std::fs::read(path).map_err(|error| {
            format!("read {}: {error}. Give the path of a TOML file with --config", path.display())
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
        let file: File = toml::from_str(&text)
            .map_err(|error| format!("{}: {}", path.display(), error.to_string().trim_end()))?;
        let mut settings = BTreeMap::new();
        for (name, value) in file.settings {
            settings.insert(name.clone(), text_of(&name, value)?);
        }
        settings.extend(parse_sets(&options.settings)?);
        let bucket = bucket(file.bucket.as_deref(), &file.data_dir, file.s3)?;
        Ok(Self {
            data_dir: file.data_dir,
            kafka_addr: file.kafka_addr,
            advertised_addr: file.advertised_addr,
            admin_addr: file.admin_addr,
            bucket,
            settings,
        })
    }
}

fn text_of(name: &str, value: toml::Value) -> Result<String, ConfigProblem> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Result<Vec<_>, _> =
                items.into_iter().map(|item| text_of(name, item)).collect();
            Ok(items?.join(","))
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => Err(format!(
            "setting `{name}` needs a text, a number, true or false; names with dots are written in quotes"
        )),
    }
}

fn parse_sets(sets: &[String]) -> Result<BTreeMap<String, String>, ConfigProblem> {
    sets.iter()
        .map(|set| {
            let (name, value) = set.split_once('=').ok_or_else(|| {
                format!("--set {set}: write KEY=VALUE, for example num.partitions=4")
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn bucket(url: Option<&str>, data_dir: &Path, s3: S3) -> Result<BucketConfig, ConfigProblem> {
    let url: BucketUrl = match url {
        Some(url) => url.parse().map_err(|error| format!("bucket: {error}"))?,
        None => {
            let dir = std::path::absolute(data_dir.join("bucket"))
                .map_err(|error| format!("{}: {error}", data_dir.display()))?;
            format!("file://{}", dir.display())
                .parse()
                .map_err(|error| format!("bucket: {error}"))?
        }
    };
    let mut config = BucketConfig::from_vars(url, |name| std::env::var(name).ok())
        .map_err(|error| format!("bucket: {error}"))?;
    let S3 {
        endpoint,
        region,
        access_key_id,
        secret_access_key,
        session_token,
        path_style,
        allow_http,
    } = s3;
    config.endpoint = endpoint.or(config.endpoint);
    config.region = region.or(config.region);
    config.access_key = access_key_id.or(config.access_key);
    config.secret_key = secret_access_key.or(config.secret_key);
    config.session_token = session_token.or(config.session_token);
    config.path_style = path_style.or(config.path_style);
    config.allow_http = allow_http.unwrap_or(config.allow_http);
    Ok(config)
}
