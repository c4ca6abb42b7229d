//! What is asked for, and whether a span is it.

use esker_otlp::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which traces are looked for: those with a span that has all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The service that did it.
    pub service: Option<String>,
    /// What was done.
    pub operation: Option<String>,
    /// It took at least so long, in nanoseconds.
    pub duration_min_ns: i64,
    /// It failed.
    pub error: bool,
    /// Attributes of the span or of what did it, with their values.
    pub attributes: Vec<(String, String)>,
    /// It ended after this, in nanoseconds since 1970.
    pub since_ns: i64,
    /// Traces that are told of at most, the newest first.
    pub limit: usize,
}

impl Query {
    /// Whether this span is what is looked for.
    #[must_use]
    pub fn matches(&self, span: &Span) -> bool {
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
        is(&self.service, &span.service)
            && is(&self.operation, &span.name)
            && span.duration_ns >= self.duration_min_ns
            && (!self.error || span.status == "error")
            && span.end_ns() >= self.since_ns
            && (self.attributes.is_empty() || self.has_attributes(span))
    }

    fn has_attributes(&self, span: &Span) -> bool {
        let mut known = span.attributes();
        known.extend(span.resource_attributes());
        self.attributes.iter().all(|wanted| known.contains(wanted))
    }
}

/// A trace as a list has it: what its spans that were found say together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: String,
    /// The service of its first span that was found, the root if it is among them.
    pub service: String,
    /// What that one did.
    pub operation: String,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: i64,
    /// From then to the end of the last, in nanoseconds.
    pub duration_ns: i64,
    /// Spans that were found.
    pub spans: u64,
    /// Of these, how many failed.
    pub errors: u64,
}

/// Traces of these spans, the newest first.
#[must_use]
pub fn summarize(spans: &[Span], limit: usize) -> Vec<TraceSummary> {
    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let mut summaries: Vec<_> =
        traces.into_values().filter_map(|spans| summary_of(&spans)).collect();
    summaries.sort_by_key(|summary| std::cmp::Reverse(summary.start_ns));
    summaries.truncate(limit);
    summaries
}

fn summary_of(spans: &[&Span]) -> Option<TraceSummary> {
    let first = spans.iter().min_by_key(|span| (!span.parent_span_id.is_empty(), span.start_ns))?;
    let start_ns = spans.iter().map(|span| span.start_ns).min()?;
    let end_ns = spans.iter().map(|span| span.end_ns()).max()?;
    Some(TraceSummary {
        trace_id: first.trace_id.clone(),
        service: first.service.clone(),
        operation: first.name.clone(),
        start_ns,
        duration_ns: end_ns - start_ns,
        spans: spans.len() as u64,
        errors: spans.iter().filter(|span| span.status == "error").count() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: &str, name: &str, start: i64, duration: i64) -> Span {
        Span {
            trace_id: trace.to_owned(),
            name: name.to_owned(),
            service: "shop".to_owned(),
            start_ns: start,
            duration_ns: duration,
            attributes_json: r#"[{"key":"a","value":{"intValue":"7"}}]"#.to_owned(),
            resource_json: r#"{"attributes":[{"key":"host","value":{"stringValue":"h"}}]}"#
                .to_owned(),
            ..Span::default()
        }
    }

    #[test]
    fn a_query_asks_for_all_that_it_names() {
        let found = span("t", "pay", 100, 50);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let all = Query {
            service: Some("shop".to_owned()),
            operation: Some("pay".to_owned()),
            duration_min_ns: 50,
            since_ns: 150,
            attributes: vec![pair("a", "7"), pair("host", "h")],
            ..Query::default()
        };
        assert!(all.matches(&found));
        for other in [
            Query { service: Some("bank".to_owned()), ..all.clone() },
            Query { operation: Some("buy".to_owned()), ..all.clone() },
            Query { duration_min_ns: 51, ..all.clone() },
            Query { since_ns: 151, ..all.clone() },
            Query { error: true, ..all.clone() },
            Query { attributes: vec![pair("a", "8")], ..all },
        ] {
            assert!(!other.matches(&found), "{other:?}");
        }
    }

    #[test]
    fn a_summary_is_of_the_root_and_as_long_as_all() {
        let mut child = span("t", "child", 90, 100);
        child.parent_span_id = "1".to_owned();
        child.status = "error".to_owned();
        let spans = [child, span("t", "root", 100, 50), span("u", "later", 500, 1)];
        let told = summarize(&spans, 10);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].operation, "later");
        let TraceSummary { operation, start_ns, duration_ns, spans, errors, .. } = &told[1];
        assert_eq!((operation.as_str(), *start_ns, *duration_ns), ("root", 90, 100));
        assert_eq!((*spans, *errors), (2, 1));
        assert_eq!(summarize(&[], 10), []);
    }
}
