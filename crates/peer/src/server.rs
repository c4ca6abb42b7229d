//! The answering side.

use crate::error::ServiceError;
use crate::frame::{Frame, Kind, ServiceId};
use crate::greeting::Greeting;
use crate::security::{PeerSecurity, Stream};
use bytes::Bytes;
use esker_env::{BoxFuture, ByteStream, Env, Incoming, Listener, TaskPlacement, timeout, watch};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};

/// A peer that does not greet in this time is none.
const GREETING_PATIENCE: Duration = Duration::from_secs(5);
/// Requests of a connection that are worked on at once; what comes after them is not read.
const IN_FLIGHT_MAX: usize = 64;
/// After an accept that failed, for example for lack of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Who asks.
pub type Caller = Greeting;

/// What a node does for others.
pub trait Service: Send + Sync {
    /// Begins with a request, and answers. What happens before the first wait happens in the order of the requests.
    fn serve(
        &self,
        caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>>;
}

/// Services by what they are asked for.
pub type Services = BTreeMap<ServiceId, Arc<dyn Service>>;

/// A socket on which peers are answered.
pub struct PeerListener {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for PeerListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerListener").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Shared {
    env: Env,
    greeting: Arc<Mutex<Greeting>>,
    security: PeerSecurity,
    services: Services,
    stopped: watch::Receiver<bool>,
}

impl PeerListener {
    /// Answers whoever connects to `listener` and belongs to this cluster, until dropped or stopped.
    #[must_use]
    pub fn start(
        env: &Env,
        listener: Box<dyn Listener>,
        greeting: Arc<Mutex<Greeting>>,
        security: PeerSecurity,
        services: Services,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let address = listener.local_addr();
        let shared = Shared { env: env.clone(), greeting, security, services, stopped };
        let accepting = accept(listener, Arc::new(shared));
        env.spawner.spawn(TaskPlacement::Meta, "peer listener", Box::pin(accepting));
        Self { address, stop }
    }

    /// Where peers connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers nobody any more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for PeerListener {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: Box<dyn Listener>, shared: Arc<Shared>) {
    let mut stopped = shared.stopped.clone();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(incoming) => {
                    let connection = answer_until_stopped(incoming, Arc::clone(&shared));
                    shared.env.spawner.spawn(TaskPlacement::Meta, "peer", Box::pin(connection));
                }
                Err(error) => {
                    tracing::warn!(%error, "a peer's connection was not accepted");
                    shared.env.clock.sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stop| stop.then_some(())) => {}
    }
}

async fn answer_until_stopped(incoming: Incoming, shared: Arc<Shared>) {
    let (peer, mut stopped) = (incoming.peer, shared.stopped.clone());
    let ended = tokio::select! {
        ended = answer(incoming, &shared) => ended,
        _ = stopped.wait_for(|stop| stop.then_some(())) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a peer's connection ended");
    }
}

async fn answer(incoming: Incoming, shared: &Shared) -> io::Result<()> {
    let stream = incoming.open()?;
    let greeted = timeout(&*shared.env.clock, GREETING_PATIENCE, greet(stream, shared)).await;
    let (stream, caller) = greeted.map_err(|_| io::Error::other("it did not greet"))??;
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let mut working = FuturesUnordered::new();
    loop {
        // A frame is read in pieces: the future that has begun with one is kept until it has it all.
        let mut next = std::pin::pin!(Frame::read(&mut reader));
        let frame = loop {
            tokio::select! {
                biased;
                Some(response) = working.next() => {
                    Frame::write(&response, &mut writer).await?;
                    writer.flush().await?;
                }
                frame = &mut next, if working.len() < IN_FLIGHT_MAX => break frame?,
            }
        };
        let Some(frame) = frame else { return Ok(()) };
        working.push(serve(caller, frame, shared)?);
    }
}

async fn greet(
    stream: Box<dyn ByteStream>,
    shared: &Shared,
) -> io::Result<(Box<dyn Stream>, Caller)> {
    let mut stream = shared.security.accepted(stream).await?;
    let theirs = Greeting::read(&mut stream).await?;
    let mine = *shared.greeting.lock();
    mine.write(&mut stream).await?;
    match mine.objection(&theirs) {
        Some(objection) => Err(io::Error::other(objection)),
        None => Ok((stream, theirs)),
    }
}

fn serve(caller: Caller, frame: Frame, shared: &Shared) -> io::Result<BoxFuture<'static, Frame>> {
    let Frame { kind: Kind::Request, service, id, body } = frame else {
        return Err(io::Error::other("it answers what nobody asked"));
    };
    let done = match shared.services.get(&service) {
        Some(service) => service.serve(caller, body),
        None => Box::pin(std::future::ready(Err(ServiceError::new("not served here")))),
    };
    Ok(Box::pin(async move {
        let (kind, body) = match done.await {
            Ok(body) if body.len() <= crate::frame::FRAME_LEN_MAX => (Kind::Response, body),
            Ok(_) => (Kind::Refusal, Bytes::from_static(b"the response is too long for a frame")),
            Err(refusal) => (Kind::Refusal, Bytes::from(refusal.0)),
        };
        Frame { kind, service, id, body }
    }))
}
