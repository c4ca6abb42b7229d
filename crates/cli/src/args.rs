//! The command line of the client verbs.

mod cluster;
mod traces;

pub(crate) use cluster::{BrokerVerb, ClusterVerb, JournalVerb, QuorumVerb};

pub(crate) use traces::{TraceFormat, TracesListArgs, TracesVerb};

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What a client can do.
#[derive(Debug, Subcommand)]
pub enum ClientVerb {
    /// List, make, describe, change, delete, trim topics; write and read records
    Topic {
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
        /// What to do.
        #[command(subcommand)]
        verb: TopicVerb,
    },
    /// List, describe, move, delete consumer groups
    Group {
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
        /// What to do.
        #[command(subcommand)]
        verb: GroupVerb,
    },
    /// Health, brokers, balance
    Cluster {
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: ClusterVerb,
    },
    /// List, drain, forget brokers
    Broker {
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: BrokerVerb,
    },
    /// Who orders the metadata
    Quorum {
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: QuorumVerb,
    },
    /// Where acknowledged records are before the bucket has them
    Journal {
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: JournalVerb,
    },
    /// Find traces that applications have sent
    Traces {
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: TracesVerb,
    },
    /// What is in the bucket and what is on its way there
    Tier {
        /// The broker.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: TierVerb,
    },
    /// The cache of what was read back from the bucket
    Cache {
        /// The broker.
        #[command(flatten)]
        admin: AdminArgs,
        /// What to do.
        #[command(subcommand)]
        verb: CacheVerb,
    },
    /// Look into a write-ahead log
    Wal {
        /// What to do.
        #[command(subcommand)]
        verb: WalVerb,
    },
    /// Look for what is wrong, and say what to do about it
    Doctor(DoctorArgs),
    /// Measure a cluster: throughput, latency, whatever speaks Kafka's protocol
    Bench {
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
        /// What to measure.
        #[command(subcommand)]
        verb: BenchVerb,
    },
    /// Settings
    Config {
        /// What to do.
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where the cluster is.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// Brokers to begin with, separated by commas
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        env = "ESKER_BROKERS",
        default_value = "127.0.0.1:9092"
    )]
    pub brokers: Vec<String>,
    /// How long to try while errors last that may pass
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30")]
    pub timeout: u64,
}

/// Where a broker's admin interface is.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The admin interface of a broker
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "ESKER_ADMIN",
        default_value = "127.0.0.1:9600"
    )]
    pub admin: String,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Table,
    /// For people with wide screens
    Wide,
    /// One JSON document
    Json,
    /// One JSON document a line
    Jsonl,
    /// Names only
    Name,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: OutputFormat,
}

/// Permission to destroy.
#[derive(Debug, Clone, Copy, Args)]
pub struct DestroyArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicVerb {
    /// List topics
    #[command(alias = "ls")]
    List {
        /// Only topics that match this regular expression
        #[arg(short, long, value_name = "REGEX")]
        regex: Option<String>,
        /// Kafka's own topics too
        #[arg(short, long)]
        internal: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make topics
    Create {
        /// Their names
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        /// Partitions; -1 for the broker's default
        #[arg(short, long, default_value = "-1", allow_hyphen_values = true)]
        partitions: i32,
        /// Replicas; -1 for the broker's default
        #[arg(short, long, default_value = "-1", allow_hyphen_values = true)]
        replicas: i16,
        /// A setting; may be repeated
        #[arg(short = 'c', long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// A topic that exists is no error
        #[arg(long)]
        if_not_exists: bool,
        /// Only judge whether they could be made
        #[arg(long)]
        dry_run: bool,
    },
    /// Show a topic: partitions, offsets, settings
    Describe {
        /// Its name
        #[arg(value_name = "TOPIC")]
        name: String,
        /// Settings at their defaults too
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change a topic's settings, or give it more partitions
    Alter {
        /// Its name
        #[arg(value_name = "TOPIC")]
        name: String,
        /// A setting; may be repeated
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// A setting to be taken back; may be repeated
        #[arg(short, long, value_name = "KEY")]
        unset: Vec<String>,
        /// How many partitions it is to have
        #[arg(short, long)]
        partitions: Option<i32>,
        /// Only judge whether it could be changed
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete topics with all their records
    Delete {
        /// Their names
        #[arg(required = true, value_name = "TOPIC")]
        names: Vec<String>,
        #[command(flatten)]
        destroy: DestroyArgs,
    },
    /// Delete a topic's oldest records
    Trim {
        /// Its name
        #[arg(value_name = "TOPIC")]
        name: String,
        /// What comes before is deleted: an offset, `end`, -N, or @TIME
        #[arg(short = 'o', long, value_name = "OFFSET", allow_hyphen_values = true)]
        before: String,
        /// Only these partitions
        #[arg(short, long, value_delimiter = ',')]
        partitions: Vec<i32>,
        #[command(flatten)]
        destroy: DestroyArgs,
    },
    /// Have another broker lead a topic's partitions, or one of them; nothing is copied
    Move {
        /// The topic, or one of its partitions
        #[arg(value_name = "TOPIC[:PARTITION]")]
        place: String,
        /// The broker that is to lead
        #[arg(long, value_name = "ID")]
        to: i32,
        /// The broker that is asked.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Write records, by default one a line
    Produce(ProduceArgs),
    /// Read records
    Consume(ConsumeArgs),
}

/// Options of `esker topic produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic; not needed where the format reads it with %t
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
    /// How records are read, such as `%k %v\n`
    #[arg(short, long, default_value = "%v\\n")]
    pub format: String,
    /// How each delivery is printed; empty for not at all
    #[arg(long, default_value = "Produced to partition %p at offset %o.\\n")]
    pub output_format: String,
    /// Key of every record that has none
    #[arg(short, long)]
    pub key: Option<String>,
    /// A header of every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE")]
    pub headers: Vec<String>,
    /// The partition of every record that names none
    #[arg(short, long, default_value = "-1", allow_hyphen_values = true)]
    pub partition: i32,
    /// Compression: none, gzip, snappy, lz4, zstd
    #[arg(short = 'z', long, default_value = "snappy")]
    pub compression: String,
    /// Empty values are tombstones
    #[arg(short = 'Z', long)]
    pub tombstone: bool,
    /// Who must have a record: -1 or all, 1 the leader, 0 nobody
    #[arg(long, default_value = "all", allow_hyphen_values = true)]
    pub acks: String,
    /// Let brokers recognize what is sent again
    #[arg(long)]
    pub idempotent: bool,
    /// A topic that does not exist is made, if the broker allows it
    #[arg(long)]
    pub allow_auto_topic_creation: bool,
}

/// Options of `esker topic consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// From where: start, end, N, +N, -N, FROM:TO, @TIME, @TIME:TIME
    #[arg(short, long, default_value = "start", allow_hyphen_values = true)]
    pub offset: String,
    /// Only these partitions
    #[arg(short, long, value_delimiter = ',')]
    pub partitions: Vec<i32>,
    /// Stop after so many records
    #[arg(short, long)]
    pub num: Option<u64>,
    /// Read as a member of this group, and commit what was printed
    #[arg(short, long, conflicts_with = "partitions")]
    pub group: Option<String>,
    /// The topics are regular expressions
    #[arg(short, long)]
    pub regex: bool,
    /// How records are printed: json, jsonl, or verbs such as `%t %k %v\n`
    #[arg(short, long, default_value = "json")]
    pub format: String,
    /// Leave records of open and aborted transactions out
    #[arg(long)]
    pub read_committed: bool,
    /// Print markers of transactions too
    #[arg(long)]
    pub print_control_records: bool,
    /// Print what surrounds records, not keys and values (json formats)
    #[arg(long)]
    pub meta_only: bool,
    /// Where this client stands
    #[arg(long, default_value = "", hide_default_value = true)]
    pub rack: String,
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum GroupVerb {
    /// List groups
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a group: members, offsets, lag
    Describe {
        /// Its id
        #[arg(value_name = "GROUP")]
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Set the offsets of a group that has no members
    Seek {
        /// Its id
        #[arg(value_name = "GROUP")]
        id: String,
        /// To where: start, end, N, +N, -N, or @TIME
        #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
        to: String,
        /// Only these topics; topics without an offset of the group are added
        #[arg(short, long, value_delimiter = ',')]
        topics: Vec<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete groups that have no members, with their offsets
    Delete {
        /// Their ids
        #[arg(required = true, value_name = "GROUP")]
        ids: Vec<String>,
        #[command(flatten)]
        destroy: DestroyArgs,
    },
}

/// What to do with the bucket.
#[derive(Debug, Subcommand)]
pub enum TierVerb {
    /// Show what is in the bucket and what is on its way
    Status {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Put everything that is committed into the bucket, and wait for it
    Flush {
        /// Only this topic
        topic: Option<String>,
    },
    /// Read every object that is referred to, and check it
    Verify,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    /// Show how full it is and how often it helps
    Stats {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Empty it
    Clear,
}

/// What to do with a write-ahead log.
#[derive(Debug, Subcommand)]
pub enum WalVerb {
    /// Show journals and damage; nothing is changed
    Inspect {
        /// The log's directory
        dir: PathBuf,
        /// Every record too
        #[arg(long)]
        records: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Options of `esker doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Examine this bucket instead of a cluster: s3://BUCKET/PREFIX, gs://…, az://…, file:///DIR (no broker is needed)
    #[arg(long, value_name = "URL")]
    pub bucket: Option<String>,
    /// Make the bucket first if it is missing (S3 protocol only)
    #[arg(long, requires = "bucket")]
    pub create: bool,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The broker.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Send records, at a rate or as fast as the brokers take them
    Produce(BenchProduceArgs),
    /// Read a topic as several groups would
    Consume(BenchConsumeArgs),
    /// Send single records on a timetable and read them back
    Latency(BenchLatencyArgs),
}

/// How a measurement is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Options of `esker bench produce`.
#[derive(Debug, Args)]
pub struct BenchProduceArgs {
    /// The topic; it has to exist
    pub topic: String,
    /// Bytes of a record's value
    #[arg(short, long, value_name = "BYTES", default_value = "1024")]
    pub size: usize,
    /// Records in a batch
    #[arg(long, value_name = "COUNT", default_value = "16")]
    pub batch: usize,
    /// Batches in a request, each for another partition
    #[arg(long, value_name = "COUNT", default_value = "16")]
    pub batches: usize,
    /// Connections to each broker
    #[arg(short, long, value_name = "COUNT", default_value = "4")]
    pub connections: usize,
    /// Requests of a connection that may wait for their answers
    #[arg(long, value_name = "COUNT", default_value = "5")]
    pub in_flight: usize,
    /// How to compress batches: none, gzip, snappy, lz4, zstd. Values are lines of a log then
    #[arg(short = 'z', long, default_value = "none")]
    pub compression: String,
    /// Who must have a record: -1 or all, 1 the leader, 0 nobody
    #[arg(long, default_value = "all", allow_hyphen_values = true)]
    pub acks: String,
    /// Bytes of values a second; as fast as possible without
    #[arg(long, value_name = "BYTES")]
    pub rate: Option<f64>,
    /// How long to send
    #[arg(short, long, value_name = "SECONDS", default_value = "10")]
    pub duration: f64,
    /// Stop after so many bytes of values
    #[arg(long, value_name = "BYTES")]
    pub bytes: Option<u64>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: ReportFormat,
}

/// Options of `esker bench consume`.
#[derive(Debug, Args)]
pub struct BenchConsumeArgs {
    /// The topic
    pub topic: String,
    /// Readers that each read everything
    #[arg(short, long, value_name = "COUNT", default_value = "1")]
    pub groups: usize,
    /// Connections of each reader to each broker; they share the partitions
    #[arg(short, long, value_name = "COUNT", default_value = "1")]
    pub connections: usize,
    /// Begin at the end
    #[arg(long)]
    pub from_end: bool,
    /// Go on at the end, until time is over
    #[arg(short, long)]
    pub follow: bool,
    /// How long to read at most
    #[arg(short, long, value_name = "SECONDS", default_value = "600")]
    pub duration: f64,
    /// `fetch.max.bytes`
    #[arg(long, value_name = "BYTES", default_value = "52428800")]
    pub fetch_bytes: i32,
    /// `max.partition.fetch.bytes`
    #[arg(long, value_name = "BYTES", default_value = "1048576")]
    pub partition_bytes: i32,
    /// `fetch.min.bytes`
    #[arg(long, value_name = "BYTES", default_value = "1")]
    pub min_bytes: i32,
    /// `fetch.max.wait.ms`
    #[arg(long, value_name = "MILLISECONDS", default_value = "500")]
    pub wait: i32,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: ReportFormat,
}

/// Options of `esker bench latency`.
#[derive(Debug, Args)]
pub struct BenchLatencyArgs {
    /// The topic; it has to exist
    pub topic: String,
    /// Bytes of a record's value
    #[arg(short, long, value_name = "BYTES", default_value = "1024")]
    pub size: usize,
    /// Records a second
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    pub rate: f64,
    /// How long to send
    #[arg(short, long, value_name = "SECONDS", default_value = "10")]
    pub duration: f64,
    /// Time at the beginning that is not reported
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub warm_up: f64,
    /// Requests that may wait for their answers; what is due meanwhile goes together with the next
    #[arg(long, value_name = "COUNT", default_value = "5")]
    pub in_flight: usize,
    /// How long a record that is due waits for others
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    pub linger: f64,
    /// Who must have a record: -1 or all, 1 the leader
    #[arg(long, default_value = "all", allow_hyphen_values = true)]
    pub acks: String,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: ReportFormat,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Explain every setting
    Docs {
        /// Only settings whose names contain this
        filter: Option<String>,
        /// As JSON instead of Markdown
        #[arg(long)]
        json: bool,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
