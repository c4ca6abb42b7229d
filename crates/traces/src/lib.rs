//! Traces that applications send: taken by OTLP, kept in a topic, stored as Parquet in the bucket, found by id and by what they say.
//!
//! [`gateway`] takes OTLP and writes records into the topic [`SPANS_TOPIC`]; [`indexer`] makes files of what the topic holds;
//! [`catalogue`] is the list of the files, itself a topic; [`store`] answers questions from the files and from the end of the topic
//! that no file has yet. All of it goes by Kafka's protocol, so it does not matter who leads what.

pub mod catalogue;
pub mod file;
pub mod gateway;
pub mod indexer;
pub mod query;
pub mod reader;
pub mod store;
mod topics;

/// Where spans go: OTLP in the encoding of the OpenTelemetry Collector's Kafka exporter.
pub const SPANS_TOPIC: &str = "otlp_spans";
/// Where it is written which files hold what.
pub const CATALOGUE_TOPIC: &str = "__esker_trace_files";
