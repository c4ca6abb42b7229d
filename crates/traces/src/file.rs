//! A file of spans: Parquet, one row a span, the earliest first.
//!
//! Ids have Bloom filters, so that a trace is looked for in the files that may have it. What people search for has columns of its own,
//! under the names that OpenTelemetry gives the attribute today; all attributes are kept as OTLP's JSON.

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use esker_otlp::span::Span;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// Rows of a row group.
const GROUP_ROWS: usize = 64 << 10;
/// Wrong answers of a Bloom filter, of all.
const BLOOM_WRONG: f64 = 0.001;

/// Columns that hold one attribute each: their name, and the attribute's names, today's first.
pub const PROMOTED: [(&str, &[&str]); 12] = [
    ("http_request_method", &["http.request.method", "http.method"]),
    ("http_route", &["http.route"]),
    ("http_response_status_code", &["http.response.status_code", "http.status_code"]),
    ("url_path", &["url.path", "http.target"]),
    ("messaging_system", &["messaging.system"]),
    ("messaging_destination_name", &["messaging.destination.name", "messaging.destination"]),
    ("messaging_operation_name", &["messaging.operation.name", "messaging.operation"]),
    (
        "messaging_consumer_group_name",
        &["messaging.consumer.group.name", "messaging.kafka.consumer.group"],
    ),
    ("rpc_system", &["rpc.system"]),
    ("rpc_service", &["rpc.service"]),
    ("rpc_method", &["rpc.method"]),
    ("db_system_name", &["db.system.name", "db.system"]),
];

/// Text columns of a span and how a row has them.
type Text = (&'static str, fn(&Span) -> &str);

const TEXTS: [Text; 15] = [
    ("trace_id", |row| &row.trace_id),
    ("span_id", |row| &row.span_id),
    ("parent_span_id", |row| &row.parent_span_id),
    ("name", |row| &row.name),
    ("kind", |row| &row.kind),
    ("service_name", |row| &row.service),
    ("status", |row| &row.status),
    ("status_message", |row| &row.status_message),
    ("scope_name", |row| &row.scope),
    ("scope", |row| &row.scope_json),
    ("attributes", |row| &row.attributes_json),
    ("resource", |row| &row.resource_json),
    ("events", |row| &row.events_json),
    ("links", |row| &row.links_json),
    ("trace_state", |row| &row.trace_state),
];

/// Writes spans into a file.
///
/// # Errors
/// When the library refuses what we give it.
pub fn write(mut spans: Vec<Span>) -> Result<Vec<u8>, ParquetError> {
    spans.sort_by(|a, b| (a.start_ns, &a.trace_id).cmp(&(b.start_ns, &b.trace_id)));
    let batch = to_batch(&spans).map_err(|error| ParquetError::General(error.to_string()))?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for id in ["trace_id", "span_id"] {
        let column = ColumnPath::from(id);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_bloom_filter_fpp(column.clone(), BLOOM_WRONG)
            .set_column_bloom_filter_max_ndv(column, spans.len().clamp(1, GROUP_ROWS) as u64);
    }
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(file)
}

fn schema() -> Schema {
    let texts = TEXTS.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false));
    let numbers = ["start_ns", "duration_ns"].map(|name| Field::new(name, DataType::Int64, false));
    let flags = Field::new("flags", DataType::UInt32, false);
    let promoted = PROMOTED.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true));
    Schema::new(texts.chain(numbers).chain([flags]).chain(promoted).collect::<Vec<_>>())
}

fn to_batch(spans: &[Span]) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (_, of) in &TEXTS {
        columns.push(Arc::new(StringArray::from_iter_values(spans.iter().map(of))));
    }
    columns.push(Arc::new(Int64Array::from_iter_values(spans.iter().map(|row| row.start_ns))));
    columns.push(Arc::new(Int64Array::from_iter_values(spans.iter().map(|row| row.duration_ns))));
    columns.push(Arc::new(UInt32Array::from_iter_values(spans.iter().map(|row| row.flags))));
    let attributes: Vec<_> = spans.iter().map(Span::attributes).collect();
    for (_, names) in PROMOTED {
        let value = |row: &Vec<(String, String)>| {
            let by_name = |name: &&str| row.iter().find(|(key, _)| key == name);
            names.iter().find_map(by_name).map(|(_, value)| value.clone())
        };
        columns.push(Arc::new(attributes.iter().map(value).collect::<StringArray>()));
    }
    RecordBatch::try_new(Arc::new(schema()), columns)
}

/// Reads rows back, from a batch with all columns. What a file lacks, or has of another type, is empty: files of earlier
/// versions have fewer columns.
#[must_use]
pub fn from_batch(batch: &RecordBatch) -> Vec<Span> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).cloned();
        move |row: usize| {
            let strings = column.as_ref().and_then(|c| c.as_any().downcast_ref::<StringArray>());
            strings.map(|strings| strings.value(row).to_owned()).unwrap_or_default()
        }
    };
    let number = |name: &str| {
        let column = batch.column_by_name(name).cloned();
        move |row: usize| {
            let numbers = column.as_ref().and_then(|c| c.as_any().downcast_ref::<Int64Array>());
            numbers.map(|numbers| numbers.value(row)).unwrap_or_default()
        }
    };
    let flags = batch.column_by_name("flags");
    let flags = flags.and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
    let (trace_id, span_id, parent) = (text("trace_id"), text("span_id"), text("parent_span_id"));
    let (name, kind, service) = (text("name"), text("kind"), text("service_name"));
    let (status, status_message) = (text("status"), text("status_message"));
    let (scope, scope_json, trace_state) = (text("scope_name"), text("scope"), text("trace_state"));
    let (attributes, resource) = (text("attributes"), text("resource"));
    let (events, links) = (text("events"), text("links"));
    let (start, duration) = (number("start_ns"), number("duration_ns"));
    let row = |row: usize| Span {
        trace_id: trace_id(row),
        span_id: span_id(row),
        parent_span_id: parent(row),
        name: name(row),
        kind: kind(row),
        service: service(row),
        start_ns: start(row),
        duration_ns: duration(row),
        status: status(row),
        status_message: status_message(row),
        scope: scope(row),
        scope_json: scope_json(row),
        attributes_json: attributes(row),
        resource_json: resource(row),
        events_json: events(row),
        links_json: links(row),
        trace_state: trace_state(row),
        flags: flags.map(|flags| flags.value(row)).unwrap_or_default(),
    };
    (0..batch.num_rows()).map(row).collect()
}
