//! OTLP: what applications send of their traces.
//!
//! [`body`] reads what came over HTTP, [`split`] makes one record for each trace of it, encoded and keyed as the OpenTelemetry
//! Collector's Kafka exporter does, and [`span`] takes a record apart into one row a span. No I/O, no clock.
//! Source of the formats: opentelemetry-proto, and `OTLP/HTTP` in OpenTelemetry's specification.

pub mod body;
pub mod span;
pub mod split;

pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
