//! The command line.

use clap::{Args, Parser, Subcommand};
use esker_cli::ClientVerb;
use std::path::PathBuf;

/// A Kafka-protocol log service on object storage.
#[derive(Debug, Parser)]
#[command(name = "esker", version, about, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run one broker with everything in one process and nothing else needed
    Dev(DevOptions),
    /// Run a broker as a configuration file says
    Server(ServerOptions),
    #[command(flatten)]
    Client(ClientVerb),
}

/// Options of `esker dev`.
#[derive(Debug, Args)]
pub(crate) struct DevOptions {
    /// So many brokers, each a process of its own: a cluster on this machine
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) brokers: u16,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", env = "ESKER_DATA_DIR", default_value = "./esker-data")]
    pub(crate) data_dir: PathBuf,
    /// Where Kafka clients connect; with several brokers the first one's, the others' ports follow
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub(crate) kafka_addr: String,
    /// Where health, metrics and commands are served (no login: keep it local); with several brokers the first one's
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9600")]
    pub(crate) admin_addr: String,
    /// Where records end up: file:///DIR, memory:, s3://BUCKET/PREFIX, gs://…, az://…
    /// [default: a directory inside the data directory]
    #[arg(long, value_name = "URL", env = "ESKER_BUCKET")]
    pub(crate) bucket: Option<String>,
    /// A setting by Kafka's name, or ours under `esker.`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// Options of `esker server`.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// The configuration (TOML); `esker config docs` describes it
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: PathBuf,
    /// A setting by Kafka's name, or ours under `esker.`; wins over the file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}
