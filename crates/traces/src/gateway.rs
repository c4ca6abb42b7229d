//! OTLP over HTTP: `POST /v1/traces` writes what it takes into the topic of spans, and answers when it is acknowledged there.

use crate::SPANS_TOPIC;
use crate::topics::make_spans_topic;
use bytes::Bytes;
use esker_client::{Client, ClientError, ErrorKind, Outgoing, Producer, ProducerOptions};
use esker_env::{Budget, ByteStream, Env, Incoming, Listener, TaskPlacement};
use esker_otlp::body::{Encoding, answer, read_traces, refusal};
use esker_otlp::split::split;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as Body;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest body that is read.
const BODY_MAX: usize = 16 << 20;
/// Memory for bodies that are being worked on; who sends more waits.
const MEMORY: usize = 128 << 20;
/// Bytes of one record; topics take 1 MiB unless told otherwise.
const RECORD_MAX: usize = 900 << 10;
/// When one who was refused for a reason that passes may try again.
const RETRY_AFTER_S: &str = "1";

type Answer = Response<Full<Bytes>>;

/// Takes spans.
pub struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Shared {
    client: Client,
    memory: Budget,
}

impl Gateway {
    /// Serves whoever connects to `listener`; records go to the brokers of `client`.
    #[must_use]
    pub fn start(env: &Env, listener: Box<dyn Listener>, client: Client) -> Self {
        let gateway = Self {
            address: listener.local_addr(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let shared = Arc::new(Shared { client, memory: Budget::new(MEMORY) });
        let serve =
            accept(env.clone(), listener, shared, gateway.stop.clone(), gateway.tasks.clone());
        let task = gateway.tasks.track_future(serve);
        env.spawner.spawn(TaskPlacement::Background, "otlp", Box::pin(task));
        gateway
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops; who is waiting for an answer gets none, and sends again.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    env: Env,
    listener: Box<dyn Listener>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok(incoming) = accepted else {
            env.clock.sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = serve(incoming, Arc::clone(&shared), stop.clone());
        let task = Box::pin(tasks.track_future(connection));
        env.spawner.spawn(TaskPlacement::Background, "otlp connection", task);
    }
}

async fn serve(incoming: Incoming, shared: Arc<Shared>, stop: CancellationToken) {
    let Ok(stream) = incoming.open() else { return };
    let stream: Box<dyn ByteStream> = stream;
    let service = service_fn(|request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::debug!(%error, "OTLP connection");
    }
}

async fn respond(shared: &Shared, request: Request<Body>) -> Answer {
    let text = |name| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let (kind, compression) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
    let encoding = match Encoding::of_content_type(kind.as_deref().unwrap_or_default()) {
        Ok(encoding) => encoding,
        Err(error) => return refuse(Encoding::Json, error.status(), &error.to_string()),
    };
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/traces") => {}
        (_, "/v1/traces") => return refuse(encoding, 405, "send spans by POST"),
        (_, path) => {
            let what = format!("there is nothing at {path}: spans go to /v1/traces");
            return refuse(encoding, 404, &what);
        }
    }
    let _permit = shared.memory.acquire(BODY_MAX).await;
    let body = match Limited::new(request.into_body(), BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let status = if error.is::<http_body_util::LengthLimitError>() { 413 } else { 400 };
            return refuse(encoding, status, &format!("read the body: {error}"));
        }
    };
    let traces = match read_traces(&body, encoding, compression.as_deref()) {
        Ok(traces) => traces,
        Err(error) => return refuse(encoding, error.status(), &error.to_string()),
    };
    let split = split(traces, RECORD_MAX);
    let records = split.records.into_iter().map(|record| Outgoing {
        topic: SPANS_TOPIC.to_owned(),
        key: Some(record.key.into()),
        value: Some(record.value.into()),
        ..Outgoing::default()
    });
    match write(&shared.client, records).await {
        Ok(()) => with(200, encoding, answer(encoding, split.rejected, &split.why)),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::Final => 500,
                _ => 503,
            };
            refuse(encoding, status, &format!("write the spans: {error}"))
        }
    }
}

async fn write(
    client: &Client,
    records: impl Iterator<Item = Outgoing>,
) -> Result<(), ClientError> {
    let mut records = records.peekable();
    if records.peek().is_none() {
        return Ok(());
    }
    make_spans_topic(client).await?;
    let mut producer = Producer::new(client.clone(), ProducerOptions::default())?;
    for record in records {
        producer.send(&record).await?;
    }
    producer.flush().await?;
    Ok(())
}

fn refuse(encoding: Encoding, status: u16, why: &str) -> Answer {
    with(status, encoding, refusal(encoding, why))
}

fn with(status: u16, encoding: Encoding, body: Vec<u8>) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status that HTTP has");
    let mut response =
        Response::builder().status(status).header(header::CONTENT_TYPE, encoding.content_type());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    response.body(Full::new(Bytes::from(body))).expect("known headers and a body")
}
