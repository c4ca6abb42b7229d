//! What a server is told: command line, file, environment.

use crate::command::{DevOptions, ServerOptions};
use esker_bucket::{BucketConfig, BucketUrl, Checksum};
use esker_settings::typed::{self, BucketChecksum};
use esker_settings::{BrokerSettings, Level};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Everything that a server is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    /// HOST:PORT.
    pub(crate) kafka_addr: String,
    /// What clients are told, where it differs from what is bound.
    pub(crate) advertised_addr: Option<String>,
    /// HOST:PORT.
    pub(crate) admin_addr: String,
    pub(crate) bucket: BucketConfig,
    pub(crate) settings: BrokerSettings,
    /// What `settings` come to.
    pub(crate) typed: typed::Broker,
    /// Whether it is `esker dev`, which has defaults where a server asks to be told.
    pub(crate) is_dev: bool,
}

/// Options and file as they were written.
struct Told {
    is_dev: bool,
    data_dir: PathBuf,
    kafka_addr: String,
    advertised_addr: Option<String>,
    admin_addr: String,
    bucket: Option<String>,
    s3: S3,
    settings: BTreeMap<String, String>,
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
        Self::new(Told {
            is_dev: true,
            data_dir: options.data_dir.clone(),
            kafka_addr: options.kafka_addr.clone(),
            advertised_addr: None,
            admin_addr: options.admin_addr.clone(),
            bucket: options.bucket.clone(),
            s3: S3::default(),
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
        Self::new(Told {
            is_dev: false,
            data_dir: file.data_dir,
            kafka_addr: file.kafka_addr,
            advertised_addr: file.advertised_addr,
            admin_addr: file.admin_addr,
            bucket: file.bucket,
            s3: file.s3,
            settings,
        })
    }

    /// Settings win over the options and the keys that say the same in our own way.
    fn new(told: Told) -> Result<Self, ConfigProblem> {
        let settings = settings_of(&told.settings)?;
        let typed = settings.broker().map_err(|error| error.to_string())?;
        if !(typed.roles.broker && typed.roles.controller) {
            return Err("process.roles must be broker,controller: processes with one of the roles are not served yet"
                .to_owned());
        }
        let data_dir = climbed(typed.data_dir.as_ref().map_or(told.data_dir, PathBuf::from));
        let kafka_addr = match typed.listeners.as_slice() {
            _ if !settings.is_set("listeners") => told.kafka_addr,
            [one] => address_of(&one.host, one.port),
            _ => return Err("listeners names several: only one is served yet".to_owned()),
        };
        let advertised_addr = match typed.advertised.as_slice() {
            _ if !settings.is_set("advertised.listeners") => told.advertised_addr,
            [] => told.advertised_addr,
            [one, ..] => Some(address_of(&one.host, one.port)),
        };
        let admin_addr = if settings.is_set("esker.admin.listener") {
            typed.admin_listener.clone()
        } else {
            told.admin_addr
        };
        let bucket_url = typed.bucket.url.clone().or(told.bucket);
        let mut bucket = bucket(bucket_url.as_deref(), &data_dir, told.s3)?;
        override_bucket(&mut bucket, &settings, &typed.bucket);
        let is_dev = told.is_dev;
        Ok(Self {
            data_dir,
            kafka_addr,
            advertised_addr,
            admin_addr,
            bucket,
            settings,
            typed,
            is_dev,
        })
    }
}

/// The path without `..`: what is built upon it is compared, and told to others.
fn climbed(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let mut plain = PathBuf::new();
    for part in std::path::absolute(&path).unwrap_or(path).components() {
        if part == Component::ParentDir {
            // A link leads elsewhere than its name; what is not there yet is no link.
            plain = std::fs::canonicalize(&plain).unwrap_or(plain);
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// An address to bind or to tell; no host is every address of this machine.
fn address_of(host: &str, port: u16) -> String {
    match host {
        "" => format!("0.0.0.0:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// The settings by Kafka's names.
fn settings_of(written: &BTreeMap<String, String>) -> Result<BrokerSettings, ConfigProblem> {
    let mut settings = BrokerSettings::default();
    for (name, value) in written {
        settings.set(Level::Static, name, value).map_err(|error| error.to_string())?;
    }
    // The broker's number stands in its settings under both of Kafka's names, whoever chose it.
    let id = settings.broker().map_err(|error| error.to_string())?.node_id.to_string();
    for name in ["node.id", "broker.id"] {
        settings.set(Level::Static, name, &id).map_err(|error| error.to_string())?;
    }
    Ok(settings)
}

/// Puts what is set under `esker.bucket.` over what the file and the environment say.
fn override_bucket(config: &mut BucketConfig, settings: &BrokerSettings, set: &typed::Bucket) {
    let is_set = |name: &str| settings.is_set(&format!("esker.bucket.{name}"));
    let text = |place: &mut Option<String>, value: &Option<String>| {
        if value.is_some() {
            place.clone_from(value);
        }
    };
    text(&mut config.endpoint, &set.endpoint);
    text(&mut config.region, &set.region);
    text(&mut config.access_key, &set.access_key);
    text(&mut config.secret_key, &set.secret_key);
    text(&mut config.session_token, &set.session_token);
    config.path_style = set.path_style.or(config.path_style);
    if is_set("allow.http") {
        config.allow_http = set.allow_http;
    }
    if is_set("unsigned.payload") {
        config.unsigned_payload = set.unsigned_payload;
    }
    if is_set("checksum") {
        config.checksum = set.checksum.map(|checksum| match checksum {
            BucketChecksum::Crc64Nvme => Checksum::Crc64Nvme,
            BucketChecksum::Sha256 => Checksum::Sha256,
        });
    }
    if is_set("single.delete") {
        config.single_delete = set.single_delete;
    }
    if is_set("request.timeout.ms") {
        config.request_timeout = set.request_timeout;
    }
    if is_set("connect.timeout.ms") {
        config.connect_timeout = set.connect_timeout;
    }
    if is_set("retries") {
        config.retries = set.retries;
    }
    if is_set("retry.timeout.ms") {
        config.retry_timeout = set.retry_timeout;
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
