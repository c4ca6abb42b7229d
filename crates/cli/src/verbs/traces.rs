//! `esker traces`.

use crate::admin_http::call;
use crate::args::{AdminArgs, OutputFormat, TraceFormat, TracesListArgs, TracesVerb};
use crate::calendar::Moment;
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui};
use esker_env::Env;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Columns of a bar in a tree.
const BAR: usize = 32;

/// A trace in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trace {
    trace_id: String,
    service: String,
    operation: String,
    start_ns: i64,
    duration_ns: i64,
    spans: u64,
    errors: u64,
}

/// A span, as far as a tree shows it.
#[derive(Debug, Clone, Deserialize)]
struct Span {
    span_id: String,
    parent_span_id: String,
    name: String,
    service: String,
    start_ns: i64,
    duration_ns: i64,
    status: String,
    status_message: String,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
}

pub(super) async fn run(
    env: &Env,
    ui: Ui,
    admin: &AdminArgs,
    verb: TracesVerb,
) -> Result<(), Failure> {
    match verb {
        TracesVerb::List(args) => {
            let traces: Vec<Trace> =
                get(env, admin, &format!("/v1/traces?{}", query(&args))).await?;
            ui.rows(args.output.output, &traces)
        }
        TracesVerb::Get { id, output } => show(env, ui, admin, &id, output).await,
        TracesVerb::Services { since, output } => {
            let services = services(env, admin, since).await?;
            names(ui, output.output, services.into_keys())
        }
        TracesVerb::Operations { service, since, output } => {
            let mut services = services(env, admin, since).await?;
            let Some(operations) = services.remove(&service) else {
                let what = format!("service `{service}` has sent no spans in that time");
                return Err(Failure::new(Exit::NotFound, what));
            };
            names(ui, output.output, operations.into_iter())
        }
    }
}

async fn get<T: DeserializeOwned>(env: &Env, admin: &AdminArgs, path: &str) -> Result<T, Failure> {
    call(env, &admin.admin, Method::GET, path).await?.json().await
}

type Services = BTreeMap<String, BTreeSet<String>>;

async fn services(env: &Env, admin: &AdminArgs, since: u64) -> Result<Services, Failure> {
    get(env, admin, &format!("/v1/traces/services?since-s={since}")).await
}

fn names(ui: Ui, output: OutputFormat, names: impl Iterator<Item = String>) -> Result<(), Failure> {
    let rows: Vec<_> = names.map(|name| Named { name }).collect();
    ui.rows(output, &rows)
}

fn query(args: &TracesListArgs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("since-s", &args.since.to_string());
    query.append_pair("limit", &args.limit.to_string());
    for (key, value) in [("service", &args.service), ("operation", &args.operation)] {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    if let Some(millis) = args.min_duration {
        query.append_pair("min-duration-ms", &millis.to_string());
    }
    if args.error {
        query.append_pair("error", "true");
    }
    for (key, value) in &args.attributes {
        query.append_pair("attr", &format!("{key}={value}"));
    }
    query.finish()
}

async fn show(
    env: &Env,
    ui: Ui,
    admin: &AdminArgs,
    id: &str,
    output: TraceFormat,
) -> Result<(), Failure> {
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || id.is_empty() {
        return Err(Failure::usage(format!(
            "`{id}` is no trace id: write its digits of hexadecimal"
        )));
    }
    let path = match output {
        TraceFormat::Otlp => format!("/v1/traces/{id}?format=otlp"),
        TraceFormat::Json | TraceFormat::Tree => format!("/v1/traces/{id}"),
    };
    if output != TraceFormat::Tree {
        let document: serde_json::Value = get(env, admin, &path).await?;
        return ui.json(&document);
    }
    let spans: Vec<Span> = get(env, admin, &path).await?;
    ui.write(tree(&spans).as_bytes())
}

/// Spans below those that they are a part of, with bars on one axis of time.
fn tree(spans: &[Span]) -> String {
    let start = spans.iter().map(|span| span.start_ns).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.start_ns + span.duration_ns).max().unwrap_or_default();
    let known: BTreeSet<_> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        // A span whose parent is not there, or is itself, stands at the top.
        let parent = span.parent_span_id.as_str();
        let is_top = !known.contains(parent) || parent == span.span_id;
        children.entry(if is_top { "" } else { parent }).or_default().push(span);
    }
    let mut out = String::new();
    let mut shown = BTreeSet::new();
    let mut stack: Vec<(usize, &Span)> = Vec::new();
    let push = |stack: &mut Vec<(usize, _)>, depth, of: &str| {
        let below = children.get(of).map(Vec::as_slice).unwrap_or_default();
        stack.extend(below.iter().rev().map(|span| (depth, *span)));
    };
    push(&mut stack, 0, "");
    // Spans that are each other's parents are reached from nowhere: they come last.
    let mut rest = spans.iter();
    loop {
        let Some((depth, span)) = stack.pop() else {
            match rest.find(|span| !shown.contains(span.span_id.as_str())) {
                Some(span) => stack.push((0, span)),
                None => break,
            }
            continue;
        };
        if !shown.insert(span.span_id.as_str()) {
            continue;
        }
        line(&mut out, depth, span, start, (end - start).max(1));
        push(&mut stack, depth + 1, &span.span_id);
    }
    out
}

fn line(out: &mut String, depth: usize, span: &Span, start: i64, whole: i64) {
    let place = |ns: i64| {
        let column = i128::from(ns) * BAR as i128 / i128::from(whole);
        usize::try_from(column).unwrap_or_default().min(BAR)
    };
    let from = place(span.start_ns - start);
    let to = place(span.start_ns - start + span.duration_ns).max(from + 1);
    let bar = format!("{}{}", " ".repeat(from), "━".repeat(to - from));
    let name = format!("{}{} {}", "  ".repeat(depth), span.service, span.name);
    let mark = match span.status.as_str() {
        "error" => format!("  error {}", span.status_message),
        _ => String::new(),
    };
    let _infallible = writeln!(
        out,
        "{bar:<width$} {took:>10}  {name}{mark}",
        width = BAR + 1,
        took = took(span.duration_ns)
    );
}

/// A duration for people.
fn took(ns: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let ns = ns as f64;
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

impl Row for Trace {
    const COLUMNS: &'static [&'static str] =
        &["TRACE", "STARTED", "DURATION", "SERVICE", "OPERATION", "SPANS", "ERRORS"];
    const NARROW: usize = 7;

    fn cells(&self) -> Vec<String> {
        vec![
            self.trace_id.clone(),
            Moment::from_millis(self.start_ns / 1_000_000).rfc3339(),
            took(self.duration_ns),
            self.service.clone(),
            self.operation.clone(),
            self.spans.to_string(),
            self.errors.to_string(),
        ]
    }

    fn name(&self) -> &str {
        &self.trace_id
    }
}

impl Row for Named {
    const COLUMNS: &'static [&'static str] = &["NAME"];
    const NARROW: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: i64, duration: i64) -> Span {
        Span {
            span_id: id.to_owned(),
            parent_span_id: parent.to_owned(),
            name: format!("span {id}"),
            service: "shop".to_owned(),
            start_ns: start,
            duration_ns: duration,
            status: "unset".to_owned(),
            status_message: String::new(),
        }
    }

    fn names(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.rsplit_once("shop ")).map(|(_, name)| name).collect()
    }

    #[test]
    fn children_stand_below_their_parents_in_the_order_of_time() {
        let spans = [
            span("1", "", 0, 100),
            span("2", "1", 50, 50),
            span("3", "1", 10, 5),
            span("4", "3", 11, 1),
        ];
        let mut sorted = spans.to_vec();
        sorted.sort_by_key(|span| span.start_ns);
        let text = tree(&sorted);
        assert_eq!(names(&text), ["span 1", "span 3", "span 4", "span 2"]);
        assert!(text.lines().nth(2).unwrap().contains("    shop span 4"), "{text}");
        assert!(text.starts_with(&"━".repeat(32)));
    }

    #[test]
    fn loops_and_orphans_are_shown_once() {
        let spans = [
            span("1", "2", 0, 1),
            span("2", "1", 0, 1),
            span("3", "3", 0, 1),
            span("4", "9", 0, 1),
        ];
        let text = tree(&spans);
        let mut shown = names(&text);
        shown.sort_unstable();
        assert_eq!(shown, ["span 1", "span 2", "span 3", "span 4"]);
        assert_eq!(tree(&[]), "");
    }
}
