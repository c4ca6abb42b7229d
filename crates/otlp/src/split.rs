//! From a request to records: one a trace, or more where a trace is long.

use crate::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::collections::BTreeMap;

/// A record for the topic of spans, as the OpenTelemetry Collector's Kafka exporter makes it (`otlp_proto`, traces
/// partitioned by id).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRecord {
    /// The trace's id in hexadecimal.
    pub key: String,
    /// An `ExportTraceServiceRequest`, which has the same bytes as a `TracesData`.
    pub value: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// One record or more for each trace.
    pub records: Vec<TraceRecord>,
    /// Spans that are in no record.
    pub rejected: u64,
    /// Why the last of them is in none.
    pub why: String,
}

/// Bytes that a span's ids and lengths add to those of its record.
const SPAN_OVERHEAD: usize = 16;

/// Splits a request into records of at most `record_max` bytes each. Spans without ids are rejected, and those that alone are longer.
#[must_use]
pub fn split(request: ExportTraceServiceRequest, record_max: usize) -> Split {
    let mut traces: BTreeMap<Vec<u8>, Gathering> = BTreeMap::new();
    let mut split = Split::default();
    for (resource_index, mut resource) in request.resource_spans.into_iter().enumerate() {
        for (scope_index, mut scope) in
            std::mem::take(&mut resource.scope_spans).into_iter().enumerate()
        {
            let spans = std::mem::take(&mut scope.spans);
            let around = resource.encoded_len() + scope.encoded_len();
            let place = Place {
                index: (resource_index, scope_index),
                resource: &resource,
                scope: &scope,
                around,
            };
            for span in spans {
                if let Err(why) = check(&span) {
                    split.reject(why);
                    continue;
                }
                let gathering = traces.entry(span.trace_id.clone()).or_default();
                if let Err(why) = gathering.add(span, &place, record_max) {
                    split.reject(&why);
                }
            }
        }
    }
    for (id, gathering) in traces {
        let key = hex(&id);
        let finished = gathering.finish();
        split
            .records
            .extend(finished.into_iter().map(|value| TraceRecord { key: key.clone(), value }));
    }
    split
}

impl Split {
    fn reject(&mut self, why: &str) {
        self.rejected += 1;
        why.clone_into(&mut self.why);
    }
}

fn check(span: &Span) -> Result<(), &'static str> {
    let is_id = |id: &[u8], len| id.len() == len && id.iter().any(|byte| *byte != 0);
    if !is_id(&span.trace_id, 16) {
        return Err("a span's trace id is not 16 bytes, or zero");
    }
    if !is_id(&span.span_id, 8) {
        return Err("a span's id is not 8 bytes, or zero");
    }
    Ok(())
}

/// Whose a span is.
struct Place<'a> {
    /// Which resource of the request, and which scope of that.
    index: (usize, usize),
    resource: &'a ResourceSpans,
    scope: &'a ScopeSpans,
    /// Bytes of both, without spans.
    around: usize,
}

/// The spans of one trace.
#[derive(Default)]
struct Gathering {
    full: Vec<Vec<u8>>,
    spans: Vec<ResourceSpans>,
    /// Which resource and scope of the request the last span belongs to.
    last: Option<(usize, usize)>,
    bytes: usize,
}

impl Gathering {
    fn add(&mut self, span: Span, place: &Place<'_>, record_max: usize) -> Result<(), String> {
        let (here, around) = (place.index, place.around);
        let size = span.encoded_len() + SPAN_OVERHEAD;
        if around + size > record_max {
            return Err(format!("a span of {size} bytes is longer than a record may be"));
        }
        if self.bytes + around + size > record_max {
            self.seal();
        }
        if self.last != Some(here) {
            let scope = ScopeSpans { spans: Vec::new(), ..place.scope.clone() };
            let same_resource = self.last.is_some_and(|(resource, _)| resource == here.0);
            match self.spans.last_mut().filter(|_| same_resource) {
                Some(resource) => resource.scope_spans.push(scope),
                None => self
                    .spans
                    .push(ResourceSpans { scope_spans: vec![scope], ..place.resource.clone() }),
            }
            self.last = Some(here);
            self.bytes += around;
        }
        let scope = self.spans.last_mut().and_then(|resource| resource.scope_spans.last_mut());
        scope.expect("it was just put there").spans.push(span);
        self.bytes += size;
        Ok(())
    }

    fn seal(&mut self) {
        if !self.spans.is_empty() {
            let resource_spans = std::mem::take(&mut self.spans);
            self.full.push(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        }
        (self.last, self.bytes) = (None, 0);
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        self.seal();
        self.full
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u8, id: u8, name: &str) -> Span {
        Span {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            name: name.to_owned(),
            ..Span::default()
        }
    }

    fn request(scopes: Vec<Vec<Span>>) -> ExportTraceServiceRequest {
        let scope_spans =
            scopes.into_iter().map(|spans| ScopeSpans { spans, ..ScopeSpans::default() });
        let resource =
            ResourceSpans { scope_spans: scope_spans.collect(), ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![resource] }
    }

    fn names(record: &TraceRecord) -> Vec<String> {
        let request = ExportTraceServiceRequest::decode(&*record.value).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
    }

    #[test]
    fn each_trace_is_a_record_of_its_own() {
        let spans =
            vec![vec![span(1, 1, "a"), span(2, 1, "b"), span(1, 2, "c")], vec![span(1, 3, "d")]];
        let split = split(request(spans), 1 << 20);
        assert_eq!(split.rejected, 0);
        let keys: Vec<_> = split.records.iter().map(|record| record.key.as_str()).collect();
        assert_eq!(keys, ["01".repeat(16), "02".repeat(16)]);
        assert_eq!(names(&split.records[0]), ["a", "c", "d"]);
    }

    #[test]
    fn a_long_trace_is_several_records_and_a_span_too_long_is_none() {
        let mut spans: Vec<_> = (1..=20).map(|id| span(1, id, &"x".repeat(100))).collect();
        spans.push(span(1, 99, &"y".repeat(2000)));
        let split = split(request(vec![spans]), 1000);
        assert!(split.records.iter().all(|record| record.value.len() <= 1000));
        assert_eq!(split.records.iter().map(|record| names(record).len()).sum::<usize>(), 20);
        assert_eq!((split.rejected, split.why.contains("longer")), (1, true));
    }

    #[test]
    fn spans_without_ids_are_rejected() {
        let bad = [span(0, 1, ""), span(1, 0, ""), Span { trace_id: vec![1; 8], ..span(1, 1, "") }];
        let split = split(request(vec![bad.to_vec()]), 1 << 20);
        assert_eq!((split.records.len(), split.rejected), (0, 3));
    }
}
