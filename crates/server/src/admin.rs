//! Health, metrics and the tier commands over HTTP. Without a login, so on loopback by default.

use crate::metrics;
use bytes::Bytes;
use esker_env::{ByteStream, Env, Incoming, Listener, Place};
use esker_server::Node;
use http_body_util::Full;
use hyper::body::Incoming as Body;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Answer = Response<Full<Bytes>>;

/// The admin listener.
pub(crate) struct Admin {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Admin {
    pub(crate) fn start(env: &Env, listener: Box<dyn Listener>, node: Arc<Node>) -> Self {
        let admin = Self {
            address: listener.local_addr(),
            ready: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let serve = accept(
            env.clone(),
            listener,
            node,
            Arc::clone(&admin.ready),
            admin.stop.clone(),
            admin.tasks.clone(),
        );
        let task = admin.tasks.track_future(serve);
        env.spawner.spawn(Place::Background, "admin", Box::pin(task));
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

async fn accept(
    env: Env,
    listener: Box<dyn Listener>,
    node: Arc<Node>,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok(incoming) = accepted else {
            env.clock.sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let connection = serve(incoming, Arc::clone(&node), Arc::clone(&ready), stop.clone());
        let task = Box::pin(tasks.track_future(connection));
        env.spawner.spawn(Place::Background, "admin connection", task);
    }
}

async fn serve(
    incoming: Incoming,
    node: Arc<Node>,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    let Ok(stream) = incoming.open() else { return };
    let stream: Box<dyn ByteStream> = stream;
    let service = service_fn(|request: Request<Body>| {
        let (node, ready) = (Arc::clone(&node), Arc::clone(&ready));
        async move { Ok::<_, std::convert::Infallible>(answer(&node, &ready, &request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::debug!(%error, "admin connection");
    }
}

async fn answer(node: &Node, ready: &AtomicBool, request: &Request<Body>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/livez") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => readiness(node, ready),
        (&Method::GET, "/metrics") => {
            let body = metrics::render(node);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            with_type(StatusCode::OK, kind, body)
        }
        (&Method::GET, "/v1/tier/status") => json(&tier_status(node)),
        (&Method::POST, "/v1/tier/flush") => flush(node, request.uri().query()).await,
        (&Method::GET, "/v1/cache/stats") => json(&cache_stats(node)),
        (&Method::POST, "/v1/cache/clear") => {
            node.engine().clear_cache().await;
            json(&serde_json::json!({ "cleared": true }))
        }
        (_, path) => {
            let body =
                serde_json::json!({ "error": format!("nothing at {} {path}", request.method()) });
            with_type(StatusCode::NOT_FOUND, "application/json", body.to_string())
        }
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

/// What `esker tier status` shows.
#[derive(Serialize)]
struct TierStatus {
    unflushed_bytes: usize,
    oldest_unflushed_ms: Option<u128>,
    tail_memory_bytes: usize,
    wal_used_bytes: u64,
    wal_capacity_bytes: u64,
    objects: usize,
    garbage_objects: usize,
    tiered_bytes: u64,
    flush_failing: bool,
}

fn tier_status(node: &Node) -> TierStatus {
    let engine = node.engine();
    let flush = engine.flush_status();
    let space = engine.wal().space();
    let state = engine.meta().image();
    TierStatus {
        unflushed_bytes: flush.unflushed_bytes,
        oldest_unflushed_ms: flush.oldest.map(|age| age.as_millis()),
        tail_memory_bytes: flush.tail_memory_bytes,
        wal_used_bytes: space.used,
        wal_capacity_bytes: space.capacity,
        objects: state.objects.len(),
        garbage_objects: state.garbage.len(),
        tiered_bytes: state.partitions.values().map(|partition| partition.tiered_bytes()).sum(),
        flush_failing: flush.failing,
    }
}

/// What `esker cache stats` shows.
fn cache_stats(node: &Node) -> serde_json::Value {
    let reader = node.engine().objects();
    let (cache, totals) = (reader.cache().stats(), reader.stats().totals());
    serde_json::json!({
        "hits_memory": totals.chunks_memory,
        "hits_disk": totals.chunks_disk,
        "misses": totals.chunks_fetched,
        "joined": totals.chunks_joined,
        "inserted": cache.inserted,
        "dropped": cache.dropped,
        "corrupt": cache.corrupt,
        "memory_bytes": cache.memory_bytes,
        "disk_bytes": cache.disk_bytes,
        "gets": totals.gets,
        "get_bytes": totals.get_bytes,
        "get_errors": totals.get_errors,
        "hedges": totals.hedges,
    })
}

/// Answers when everything that was committed at the time of the request is in the bucket.
async fn flush(node: &Node, query: Option<&str>) -> Answer {
    let engine = node.engine();
    let wanted =
        query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("topic=")));
    let topic = match wanted {
        None => None,
        Some(name) => match engine.topics().by_name(name) {
            Some(topic) => Some(topic.id),
            None => {
                let body = serde_json::json!({ "error": format!("no topic `{name}`") });
                return with_type(StatusCode::NOT_FOUND, "application/json", body.to_string());
            }
        },
    };
    engine.flush_all(topic).await;
    json(&tier_status(node))
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
        .body(Full::new(Bytes::from(body)))
        .expect("a status, a known header and a body")
}
