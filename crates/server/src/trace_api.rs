//! Questions about traces over the admin interface.
//!
//! `GET /v1/traces/ID` answers a list of spans, or with `?format=otlp` OTLP's JSON; `GET /v1/traces` a list of summaries, chosen by
//! `service`, `operation`, `min-duration-ms`, `error`, `attr=K=V` (repeated), `since-s`, `limit`; `GET /v1/traces/services` the
//! services with their operations.

use esker_env::Env;
use esker_otlp::span::{Span, to_otlp};
use esker_traces::query::{Query, TraceSummary};
use esker_traces::store::{StoreError, TraceStore};
use std::collections::{BTreeMap, BTreeSet};

/// Traces in a list unless another number is asked for.
const LIMIT: usize = 20;
/// Traces in a list at most.
const LIMIT_MAX: usize = 1000;
/// How far back a list looks unless it is told, in seconds.
const SINCE_S: u64 = 3600;

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum TraceProblem {
    /// It makes no sense.
    Bad(String),
    /// There is no such trace.
    NotFound(String),
    /// It may be answered later.
    Failed(String),
}

impl From<StoreError> for TraceProblem {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The spans of a trace.
pub(crate) async fn trace(store: &TraceStore, id: &str) -> Result<Vec<Span>, TraceProblem> {
    let id = id.to_ascii_lowercase();
    if id.is_empty() || id.len() > 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let what = format!("`{id}` is no trace id: that has up to 32 digits of hexadecimal");
        return Err(TraceProblem::Bad(what));
    }
    // Some tools leave zeros in front out.
    let id = format!("{id:0>32}");
    let spans = store.trace(&id).await?;
    if spans.is_empty() {
        return Err(TraceProblem::NotFound(format!("no span of trace {id} is known")));
    }
    Ok(spans)
}

/// The same as OTLP's JSON.
pub(crate) fn as_otlp(spans: &[Span]) -> impl serde::Serialize {
    to_otlp(spans)
}

/// Traces that a query string asks for.
pub(crate) async fn search(
    env: &Env,
    store: &TraceStore,
    query: &str,
) -> Result<Vec<TraceSummary>, TraceProblem> {
    Ok(store.search(&parse(env, query)?).await?)
}

/// Services with their operations.
pub(crate) async fn services(
    env: &Env,
    store: &TraceStore,
    query: &str,
) -> Result<BTreeMap<String, BTreeSet<String>>, TraceProblem> {
    Ok(store.services(parse(env, query)?.since_ns).await?)
}

fn parse(env: &Env, query: &str) -> Result<Query, TraceProblem> {
    let mut parsed = Query { limit: LIMIT, ..Query::default() };
    let mut since_s = SINCE_S;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let number = || {
            let bad = |_| TraceProblem::Bad(format!("{key}={value}: write a number"));
            value.parse::<u64>().map_err(bad)
        };
        match &*key {
            "service" => parsed.service = Some(value.into_owned()),
            "operation" => parsed.operation = Some(value.into_owned()),
            "min-duration-ms" => {
                let nanos = number()?.saturating_mul(1_000_000);
                parsed.duration_min_ns = i64::try_from(nanos).unwrap_or(i64::MAX);
            }
            "error" => parsed.error = value != "false",
            "attr" => {
                let pair = value.split_once('=');
                let (name, wanted) = pair.ok_or_else(|| {
                    TraceProblem::Bad(format!("attr={value}: write attr=KEY=VALUE"))
                })?;
                parsed.attributes.push((name.to_owned(), wanted.to_owned()));
            }
            "since-s" => since_s = number()?,
            "limit" => {
                parsed.limit = usize::try_from(number()?).unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
            }
            other => {
                let what = format!(
                    "nothing is asked by `{other}`: there are service, operation, min-duration-ms, error, attr, since-s, limit"
                );
                return Err(TraceProblem::Bad(what));
            }
        }
    }
    let now_ns = env.clock.wall().get().saturating_mul(1_000_000);
    let since_ns = i64::try_from(since_s.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
    parsed.since_ns = now_ns.saturating_sub(since_ns);
    Ok(parsed)
}
