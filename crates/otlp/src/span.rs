//! One row a span: what is searched for in fields of its own, all else as OTLP's JSON, so that nothing is lost.

use crate::ExportTraceServiceRequest;
use crate::split::hex;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Wire, Status};
use prost::Message;
use serde::{Deserialize, Serialize};

/// A span as it is stored, found and shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    /// Of its trace, 32 digits of hexadecimal.
    pub trace_id: String,
    /// Its own, 16 digits.
    pub span_id: String,
    /// Of the span that it is a part of; empty for the first.
    pub parent_span_id: String,
    /// What was done.
    pub name: String,
    /// `internal`, `server`, `client`, `producer`, `consumer`, or `unspecified`.
    pub kind: String,
    /// `service.name` of what did it; empty where nobody said.
    pub service: String,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: i64,
    /// How long it took, in nanoseconds; 0 where it ended before it began.
    pub duration_ns: i64,
    /// `unset`, `ok`, `error`.
    pub status: String,
    /// What the status says.
    pub status_message: String,
    /// The library that made it.
    pub scope: String,
    /// OTLP's JSON of the library: an `InstrumentationScope`.
    pub scope_json: String,
    /// OTLP's JSON of the attributes: a list of `KeyValue`.
    pub attributes_json: String,
    /// OTLP's JSON of what did it: a `Resource`.
    pub resource_json: String,
    /// OTLP's JSON: a list of `Event`.
    pub events_json: String,
    /// OTLP's JSON: a list of `Link`.
    pub links_json: String,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// W3C flags, and OTLP's.
    pub flags: u32,
}

/// Kinds by OTLP's number.
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
/// Statuses by OTLP's number.
const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// Takes a record of the topic of spans apart. Spans without ids are left out.
///
/// # Errors
/// When it is no `TracesData`: some producer wrote something else.
pub fn spans_of_record(value: &[u8]) -> Result<Vec<Span>, prost::DecodeError> {
    let request = ExportTraceServiceRequest::decode(value)?;
    let mut rows = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.unwrap_or_default();
        let service = text_of(&resource.attributes, "service.name").unwrap_or_default();
        let resource_json = json(&resource);
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.unwrap_or_default();
            let scope_json = json(&scope);
            let spans = scope_spans.spans.into_iter();
            let spans = spans.filter(|span| span.trace_id.len() == 16 && span.span_id.len() == 8);
            rows.extend(spans.map(|span| Span {
                service: service.clone(),
                resource_json: resource_json.clone(),
                scope: scope.name.clone(),
                scope_json: scope_json.clone(),
                ..row_of(span)
            }));
        }
    }
    Ok(rows)
}

fn row_of(span: Wire) -> Span {
    let status = span.status.unwrap_or_default();
    let named = |names: &[&str], number: i32| {
        let index = usize::try_from(number).ok();
        index.and_then(|index| names.get(index)).unwrap_or(&names[0]).to_string()
    };
    let start = i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX);
    let end = i64::try_from(span.end_time_unix_nano).unwrap_or(i64::MAX);
    Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: if span.parent_span_id.iter().all(|byte| *byte == 0) {
            String::new()
        } else {
            hex(&span.parent_span_id)
        },
        name: span.name,
        kind: named(&KINDS, span.kind),
        start_ns: start,
        duration_ns: end.saturating_sub(start).max(0),
        status: named(&STATUSES, status.code),
        status_message: status.message,
        attributes_json: json(&span.attributes),
        events_json: json(&span.events),
        links_json: json(&span.links),
        trace_state: span.trace_state,
        flags: span.flags,
        ..Span::default()
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// A text attribute.
fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

impl Span {
    /// When it ended, in nanoseconds since 1970.
    #[must_use]
    pub const fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Its attributes and those of its resource, as people write them.
    #[must_use]
    pub fn attributes(&self) -> Vec<(String, String)> {
        let own: Vec<KeyValue> = serde_json::from_str(&self.attributes_json).unwrap_or_default();
        own.into_iter().map(plain).collect()
    }

    /// The attributes of what did it, as people write them.
    #[must_use]
    pub fn resource_attributes(&self) -> Vec<(String, String)> {
        let resource: Resource = serde_json::from_str(&self.resource_json).unwrap_or_default();
        resource.attributes.into_iter().map(plain).collect()
    }
}

fn plain(attribute: KeyValue) -> (String, String) {
    (attribute.key, attribute.value.map(plain_value).unwrap_or_default())
}

fn plain_value(value: AnyValue) -> String {
    match value.value {
        None => String::new(),
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BytesValue(bytes)) => hex(&bytes),
        Some(other) => json(&AnyValue { value: Some(other) }),
    }
}

/// Spans as OTLP again.
#[must_use]
pub fn to_otlp(rows: &[Span]) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<ResourceSpans> = Vec::new();
    let mut last: Option<(&str, &str)> = None;
    for row in rows {
        let here = (row.resource_json.as_str(), row.scope_json.as_str());
        if last != Some(here) {
            let scope: Option<InstrumentationScope> = serde_json::from_str(&row.scope_json).ok();
            let resource: Option<Resource> = serde_json::from_str(&row.resource_json).ok();
            let scope_spans = vec![ScopeSpans { scope, ..ScopeSpans::default() }];
            resource_spans.push(ResourceSpans {
                resource,
                scope_spans,
                ..ResourceSpans::default()
            });
            last = Some(here);
        }
        let scope = resource_spans.last_mut().and_then(|spans| spans.scope_spans.last_mut());
        scope.expect("it was just put there").spans.push(wire_of(row));
    }
    ExportTraceServiceRequest { resource_spans }
}

fn wire_of(row: &Span) -> Wire {
    let number = |names: &[&str], name: &str| {
        let index = names.iter().position(|known| *known == name).unwrap_or_default();
        i32::try_from(index).unwrap_or_default()
    };
    let events: Vec<Event> = serde_json::from_str(&row.events_json).unwrap_or_default();
    let links: Vec<Link> = serde_json::from_str(&row.links_json).unwrap_or_default();
    Wire {
        trace_id: unhex(&row.trace_id).unwrap_or_default(),
        span_id: unhex(&row.span_id).unwrap_or_default(),
        parent_span_id: unhex(&row.parent_span_id).unwrap_or_default(),
        name: row.name.clone(),
        kind: number(&KINDS, &row.kind),
        start_time_unix_nano: row.start_ns.cast_unsigned(),
        end_time_unix_nano: row.end_ns().cast_unsigned(),
        attributes: serde_json::from_str(&row.attributes_json).unwrap_or_default(),
        events,
        links,
        status: Some(Status {
            message: row.status_message.clone(),
            code: number(&STATUSES, &row.status),
        }),
        trace_state: row.trace_state.clone(),
        flags: row.flags,
        ..Wire::default()
    }
}

/// Bytes from hexadecimal.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Encoding, read_traces};
    use crate::split::split;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"shop"}},{"key":"host.cpus","value":{"intValue":"4"}}]},"scopeSpans":[{"scope":{"name":"lib","version":"2"},
        "spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
        "parentSpanId":"eee19b7ec3c1b173","name":"pay","kind":2,"startTimeUnixNano":"1544712660000000000",
        "endTimeUnixNano":"1544712661000000001","attributes":[{"key":"a","value":{"boolValue":true}},
        {"key":"list","value":{"arrayValue":{"values":[{"stringValue":"x"},{"doubleValue":1.5}]}}}],
        "events":[{"timeUnixNano":"1544712660500000000","name":"e"}],"status":{"code":2,"message":"no"}}]}]}]}"#;

    #[test]
    fn a_span_becomes_a_row_and_a_span_again() {
        let request = read_traces(JSON.as_bytes(), Encoding::Json, None).unwrap();
        let records = split(request.clone(), 1 << 20).records;
        let rows = spans_of_record(&records[0].value).unwrap();
        let row = &rows[0];
        assert_eq!(row.service, "shop");
        assert_eq!(
            (row.kind.as_str(), row.status.as_str(), row.scope.as_str()),
            ("server", "error", "lib")
        );
        assert_eq!(
            (row.duration_ns, row.parent_span_id.as_str()),
            (1_000_000_001, "eee19b7ec3c1b173")
        );
        assert_eq!(row.attributes()[0], ("a".to_owned(), "true".to_owned()));
        assert_eq!(row.resource_attributes()[1], ("host.cpus".to_owned(), "4".to_owned()));
        assert_eq!(to_otlp(&rows), request);
    }

    #[test]
    fn times_that_cannot_be_make_no_trouble() {
        let mut wire = Wire { trace_id: vec![1; 16], span_id: vec![1; 8], ..Wire::default() };
        (wire.start_time_unix_nano, wire.end_time_unix_nano, wire.kind) = (u64::MAX, 5, 77);
        let row = row_of(wire);
        assert_eq!(
            (row.start_ns, row.duration_ns, row.kind.as_str()),
            (i64::MAX, 0, "unspecified")
        );
        assert_eq!(row.end_ns(), i64::MAX);
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((unhex("0"), unhex("zz"), unhex("")), (None, None, Some(vec![])));
    }
}
