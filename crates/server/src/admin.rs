//! Health, metrics and the tier commands over HTTP. Without a login, so on loopback by default.

use crate::cluster::{self, Refusal};
use crate::metrics;
use crate::trace_api::{self, TraceProblem};
use crate::traces::Traces;
use bytes::Bytes;
use esker_cli::admin_api::cluster::Done;
use esker_cli::admin_api::{CacheCleared, CacheStats, FlushLine, Problem, TierStatus, VerifyLine};
use esker_engine::Verified;
use esker_env::{ByteStream, Env, Incoming, Listener, TaskPlacement};
use esker_node::Node;
use esker_types::BrokerId;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming as Body};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The admin listener.
pub(crate) struct Admin {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Admin {
    pub(crate) fn start(
        env: &Env,
        listener: Box<dyn Listener>,
        node: Arc<Node>,
        traces: Arc<Traces>,
    ) -> Self {
        let admin = Self {
            address: listener.local_addr(),
            ready: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let asked = Asked { env: env.clone(), node, traces, ready: Arc::clone(&admin.ready) };
        let serve = accept(listener, Arc::new(asked), admin.stop.clone(), admin.tasks.clone());
        let task = admin.tasks.track_future(serve);
        env.spawner.spawn(TaskPlacement::Background, "admin", Box::pin(task));
        admin
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Load balancers send nobody here from now on.
    pub(crate) fn not_ready(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What questions are answered from.
struct Asked {
    env: Env,
    node: Arc<Node>,
    traces: Arc<Traces>,
    ready: Arc<AtomicBool>,
}

async fn accept(
    listener: Box<dyn Listener>,
    asked: Arc<Asked>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok(incoming) = accepted else {
            asked.env.clock.sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = serve(incoming, Arc::clone(&asked), stop.clone());
        let task = Box::pin(tasks.track_future(connection));
        asked.env.spawner.spawn(TaskPlacement::Background, "admin connection", task);
    }
}

async fn serve(incoming: Incoming, asked: Arc<Asked>, stop: CancellationToken) {
    let Ok(stream) = incoming.open() else { return };
    let stream: Box<dyn ByteStream> = stream;
    let service = service_fn(|request: Request<Body>| {
        let asked = Arc::clone(&asked);
        async move { Ok::<_, Infallible>(answer(&asked, &request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::debug!(%error, "admin connection");
    }
}

async fn answer(asked: &Asked, request: &Request<Body>) -> Answer {
    let Asked { node, ready, .. } = asked;
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/livez") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => readiness(node, ready),
        (&Method::GET, "/metrics") => {
            let body = metrics::render(node);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            with_type(StatusCode::OK, kind, body)
        }
        (&Method::GET, "/v1/tier/status") => json(&tier_status(node)),
        (&Method::POST, "/v1/tier/flush") => flush(node, request.uri().query()),
        (&Method::POST, "/v1/tier/verify") => verify(node),
        (&Method::GET, "/v1/cluster") => json(&cluster::status(node).await),
        (&Method::GET, "/v1/journals") => json(&cluster::journals(&node.engine().meta().image())),
        (&Method::POST, "/v1/cluster/balance") => balance(node, request.uri().query()).await,
        (&Method::POST, path) if path.starts_with("/v1/brokers/") => {
            change_broker(node, path).await
        }
        (&Method::POST, path) if path.starts_with("/v1/topics/") => {
            move_topic(node, path, request.uri().query()).await
        }
        (&Method::GET, path) if path == "/v1/traces" || path.starts_with("/v1/traces/") => {
            traces(asked, path, request.uri().query().unwrap_or_default()).await
        }
        (&Method::GET, "/ui") => redirect("/ui/"),
        (&Method::GET, "/ui/") => {
            with_type(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned())
        }
        (&Method::GET, "/v1/cache/stats") => json(&cache_stats(node)),
        (&Method::POST, "/v1/cache/clear") => {
            node.engine().clear_cache().await;
            json(&CacheCleared { cleared: true })
        }
        (method, path) => {
            problem(StatusCode::NOT_FOUND, format!("there is nothing at {method} {path}"))
        }
    }
}

/// The page of traces, whole: it fetches nothing from elsewhere.
const PAGE: &str = include_str!("../ui/index.html");

fn redirect(to: &'static str) -> Answer {
    let mut response = text(StatusCode::FOUND, "");
    response.headers_mut().insert(header::LOCATION, header::HeaderValue::from_static(to));
    response
}

async fn traces(asked: &Asked, path: &str, query: &str) -> Answer {
    let (env, store) = (&asked.env, &*asked.traces.store);
    match path.trim_start_matches("/v1/traces").trim_start_matches('/') {
        "" => told(trace_api::search(env, store, query).await),
        "services" => told(trace_api::services(env, store, query).await),
        id => match trace_api::trace(store, id).await {
            Ok(spans) if query.split('&').any(|pair| pair == "format=otlp") => {
                json(&trace_api::as_otlp(&spans))
            }
            found => told(found),
        },
    }
}

fn told(answer: Result<impl Serialize, TraceProblem>) -> Answer {
    match answer {
        Ok(answer) => json(&answer),
        Err(TraceProblem::Bad(what)) => problem(StatusCode::BAD_REQUEST, what),
        Err(TraceProblem::NotFound(what)) => problem(StatusCode::NOT_FOUND, what),
        Err(TraceProblem::Failed(what)) => problem(StatusCode::SERVICE_UNAVAILABLE, what),
    }
}

fn nothing_at(path: &str) -> Answer {
    problem(StatusCode::NOT_FOUND, format!("there is nothing at POST {path}"))
}

/// `/v1/brokers/ID/VERB`.
async fn change_broker(node: &Node, path: &str) -> Answer {
    let mut parts = path.trim_start_matches("/v1/brokers/").splitn(2, '/');
    let id = parts.next().and_then(|id| id.parse().ok()).map(BrokerId);
    let command = id.zip(parts.next()).and_then(|(id, verb)| cluster::broker_command(id, verb));
    match command {
        Some(command) => done(cluster::order(node, command).await),
        None => nothing_at(path),
    }
}

/// `/v1/topics/TOPIC/move?to=ID[&partition=P]`.
async fn move_topic(node: &Node, path: &str, query: Option<&str>) -> Answer {
    let topic = path.trim_start_matches("/v1/topics/").strip_suffix("/move");
    let Some(topic) = topic else { return nothing_at(path) };
    let number = |name: &str| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse::<i32>().ok())
    };
    let Some(to) = number("to").map(BrokerId) else {
        let what = "say where to: ?to=ID, the number of a broker".to_owned();
        return problem(StatusCode::BAD_REQUEST, what);
    };
    let image = node.engine().meta().image();
    match cluster::topic_moves(&image, topic, number("partition"), to) {
        Ok(command) => done(cluster::order(node, command).await),
        Err(refusal) => refused(refusal),
    }
}

async fn balance(node: &Node, query: Option<&str>) -> Answer {
    let (plan, command) = cluster::balance(&node.engine().meta().image());
    let is_dry = query.is_some_and(|query| query.split('&').any(|word| word == "dry-run"));
    if !is_dry && let Err(refusal) = cluster::order(node, command).await {
        return refused(refusal);
    }
    json(&plan)
}

fn done(outcome: Result<(), Refusal>) -> Answer {
    match outcome {
        Ok(()) => json(&Done { done: true }),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::NotFound(what) => problem(StatusCode::NOT_FOUND, what),
        Refusal::Conflict(what) => problem(StatusCode::CONFLICT, what),
        Refusal::Unavailable(what) => problem(StatusCode::SERVICE_UNAVAILABLE, what),
    }
}

fn readiness(node: &Node, ready: &AtomicBool) -> Answer {
    if !ready.load(Ordering::Relaxed) {
        text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if node.engine().is_failed() {
        text(StatusCode::SERVICE_UNAVAILABLE, "the write-ahead log failed: restart this broker\n")
    } else {
        text(StatusCode::OK, "ok\n")
    }
}

fn tier_status(node: &Node) -> TierStatus {
    let engine = node.engine();
    let flush = engine.flush_status();
    let space = engine.wal().space();
    let state = engine.meta().image();
    TierStatus {
        unflushed_bytes: flush.unflushed_bytes as u64,
        oldest_unflushed_ms: flush.oldest.and_then(|age| u64::try_from(age.as_millis()).ok()),
        tail_memory_bytes: flush.tail_memory_bytes as u64,
        wal_used_bytes: space.used,
        wal_capacity_bytes: space.capacity,
        objects: state.objects.len() as u64,
        garbage_objects: state.garbage.len() as u64,
        tiered_bytes: state.partitions.values().map(|partition| partition.tiered_bytes()).sum(),
        flush_failing: flush.failing,
    }
}

fn cache_stats(node: &Node) -> CacheStats {
    let reader = node.engine().objects();
    let (cache, totals) = (reader.cache().stats(), reader.stats().totals());
    CacheStats {
        hits_memory: totals.chunks_memory,
        hits_disk: totals.chunks_disk,
        misses: totals.chunks_fetched,
        joined: totals.chunks_joined,
        inserted: cache.inserted,
        dropped: cache.dropped,
        corrupt: cache.corrupt,
        memory_bytes: cache.memory_bytes,
        disk_bytes: cache.disk_bytes,
        gets: totals.gets,
        get_bytes: totals.get_bytes,
        get_errors: totals.get_errors,
        hedges: totals.hedges,
    }
}

/// Ends when everything that was committed at the time of the request is in the bucket; says how far it is meanwhile.
fn flush(node: &Arc<Node>, query: Option<&str>) -> Answer {
    let wanted =
        query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("topic=")));
    let topic = match wanted {
        None => None,
        Some(name) => match node.engine().topics().by_name(name) {
            Some(topic) => Some(topic.id),
            None => return problem(StatusCode::NOT_FOUND, format!("no topic `{name}`")),
        },
    };
    let node = Arc::clone(node);
    stream(async move |lines: Lines| {
        let engine = node.engine();
        let total = engine.flush_status().unflushed_bytes as u64;
        let mut done = std::pin::pin!(engine.flush_all(topic));
        loop {
            let tick = engine.env().clock.sleep(PROGRESS_EVERY);
            match futures_util::future::select(done, tick).await {
                futures_util::future::Either::Left(_) => break,
                futures_util::future::Either::Right(((), rest)) => done = rest,
            }
            let left = (engine.flush_status().unflushed_bytes as u64).min(total);
            lines.send(&FlushLine::Progress { flushed_bytes: total - left, total_bytes: total });
        }
        lines.send(&FlushLine::Done(tier_status(&node)));
    })
}

/// Reads and checks everything in the bucket.
fn verify(node: &Arc<Node>) -> Answer {
    let node = Arc::clone(node);
    stream(async move |lines: Lines| {
        let tell = |verified: Verified| {
            lines.send(&match verified {
                Verified::Progress { read, total } => {
                    VerifyLine::Progress { read_bytes: read, total_bytes: total }
                }
                Verified::Damaged { object, problem } => VerifyLine::Damaged { object, problem },
                Verified::Done { objects, bytes, damaged } => {
                    VerifyLine::Done { objects, bytes, damaged }
                }
            });
        };
        node.engine().verify(tell).await;
    })
}

/// How often long work says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Where the lines of an answer go.
struct Lines(mpsc::UnboundedSender<Bytes>);

impl Lines {
    fn send(&self, line: &impl Serialize) {
        let text = serde_json::to_string(line).expect("plain data") + "\n";
        // Whoever asked may have gone; the work goes on.
        let _gone = self.0.send(Bytes::from(text));
    }
}

/// An answer whose lines come while `work` goes on; it goes on only while somebody reads.
fn stream<F: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Lines) -> F) -> Answer {
    let (lines, mut received) = mpsc::unbounded_channel();
    let mut work = Some(Box::pin(work(Lines(lines))));
    let body = futures_util::stream::poll_fn(move |context| {
        if let Some(running) = &mut work
            && running.as_mut().poll(context).is_ready()
        {
            work = None;
        }
        received.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(StreamBody::new(body).boxed_unsync())
        .expect("a known header and a body")
}

fn problem(status: StatusCode, error: String) -> Answer {
    let body = serde_json::to_string(&Problem { error }).expect("plain data");
    with_type(status, "application/json", body + "\n")
}

fn json(body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body).expect("plain data");
    with_type(StatusCode::OK, "application/json", text + "\n")
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", body.to_owned())
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> Answer {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .body(Full::new(Bytes::from(body)).boxed_unsync())
        .expect("a status, a known header and a body")
}
