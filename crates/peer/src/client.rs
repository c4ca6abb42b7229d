//! The asking side: a connection for each peer, made when it is needed.

use crate::error::CallError;
use crate::frame::{FRAME_LEN_MAX, Frame, Kind, ServiceId};
use crate::greeting::Greeting;
use crate::security::{PeerSecurity, Stream};
use bytes::Bytes;
use esker_env::{Env, TaskPlacement, timeout};
use esker_types::BrokerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Calls that wait for their turn at one connection.
const QUEUE: usize = 64;

/// How to reach peers.
#[derive(Debug, Clone)]
pub struct PeersOptions {
    /// For how long a connection and its greeting may take.
    pub connect_timeout: Duration,
    /// What nodes prove to each other.
    pub security: PeerSecurity,
}

impl PeersOptions {
    /// The usual, with this security.
    #[must_use]
    pub const fn new(security: PeerSecurity) -> Self {
        Self { connect_timeout: Duration::from_secs(1), security }
    }
}

/// Connections to other nodes. Clones share them.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    env: Env,
    options: PeersOptions,
    greeting: Arc<Mutex<Greeting>>,
    links: Mutex<BTreeMap<(BrokerId, String), LinkHandle>>,
}

/// A connection, or one that is being made.
#[derive(Clone)]
struct LinkHandle {
    calls: mpsc::Sender<Call>,
    /// Why it has ended: for calls that come when it has.
    ended: Arc<OnceLock<CallError>>,
}

/// The answer to a call that was sent.
#[derive(Debug)]
pub struct PendingAnswer {
    answered: oneshot::Receiver<Result<Bytes, CallError>>,
    ended: Arc<OnceLock<CallError>>,
    address: String,
}

impl PendingAnswer {
    /// Waits for it.
    ///
    /// # Errors
    /// See [`CallError`]. There is no time limit here.
    pub async fn answer(mut self) -> Result<Bytes, CallError> {
        (&mut self.answered).await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn gone(&self) -> CallError {
        let why = self.ended.get().cloned();
        why.unwrap_or_else(|| unreachable(&self.address, "the connection has ended"))
    }
}

struct Call {
    service: ServiceId,
    body: Bytes,
    answer: oneshot::Sender<Result<Bytes, CallError>>,
}

type Waiting = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>>>;

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").field("greeting", &*self.0.greeting.lock()).finish_non_exhaustive()
    }
}

impl Peers {
    /// No connection yet. `greeting` is looked at for each new one.
    #[must_use]
    pub fn new(env: Env, greeting: Arc<Mutex<Greeting>>, options: PeersOptions) -> Self {
        let links = Mutex::default();
        Self(Arc::new(Inner { env, options, greeting, links }))
    }

    /// Others to the same peers, with connections of their own.
    #[must_use]
    pub fn apart(&self) -> Self {
        let Inner { env, options, greeting, .. } = &*self.0;
        Self::new(env.clone(), Arc::clone(greeting), options.clone())
    }

    /// What this node says of itself.
    #[must_use]
    pub fn greeting(&self) -> Greeting {
        *self.0.greeting.lock()
    }

    /// Says on connections from now on which directory this node is.
    pub fn is_directory(&self, directory: uuid::Uuid) {
        self.0.greeting.lock().directory = directory;
    }

    /// Says on connections from now on which cluster this node belongs to.
    pub fn belongs_to(&self, cluster: esker_types::ClusterId) {
        self.0.greeting.lock().cluster = cluster;
    }

    /// Has node `node` at `address` (`host:port`) do something. Calls to one peer reach its service in order.
    ///
    /// # Errors
    /// See [`CallError`]. There is no time limit here.
    pub async fn call(
        &self,
        node: BrokerId,
        address: &str,
        service: ServiceId,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        self.begin(node, address, service, body).await?.answer().await
    }

    /// Sends what [`Peers::call`] sends, and does not wait for the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn begin(
        &self,
        node: BrokerId,
        address: &str,
        service: ServiceId,
        body: Bytes,
    ) -> Result<PendingAnswer, CallError> {
        if body.len() > FRAME_LEN_MAX {
            return Err(CallError::TooLong(body.len()));
        }
        let (answer, answered) = oneshot::channel();
        let LinkHandle { calls, ended } = self.link(node, address);
        let pending = PendingAnswer { answered, ended, address: address.to_owned() };
        match calls.send(Call { service, body, answer }).await {
            Ok(()) => Ok(pending),
            Err(_) => Err(pending.gone()),
        }
    }

    /// The connection to a peer; a task of its own makes it when there is none.
    fn link(&self, node: BrokerId, address: &str) -> LinkHandle {
        let mut links = self.0.links.lock();
        let key = (node, address.to_owned());
        if let Some(link) = links.get(&key).filter(|link| !link.calls.is_closed()) {
            return link.clone();
        }
        let (sender, calls) = mpsc::channel(QUEUE);
        let handle = LinkHandle { calls: sender, ended: Arc::default() };
        links.insert(key, handle.clone());
        let (inner, address) = (Arc::clone(&self.0), address.to_owned());
        let link = Link { inner, node, address, ended: Arc::clone(&handle.ended) };
        self.0.env.spawner.spawn(TaskPlacement::Meta, "peer", Box::pin(link.run(calls)));
        handle
    }
}

fn unreachable(address: &str, reason: impl std::fmt::Display) -> CallError {
    CallError::Unreachable { address: address.to_owned(), reason: reason.to_string() }
}

/// One connection, from its making to its end.
struct Link {
    inner: Arc<Inner>,
    node: BrokerId,
    address: String,
    ended: Arc<OnceLock<CallError>>,
}

impl Link {
    async fn run(self, mut calls: mpsc::Receiver<Call>) {
        let waiting = Waiting::default();
        let failure = match self.connect().await {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                // Whichever ends first ends the other.
                tokio::select! {
                    ended = send(writer, &mut calls, &waiting) => self.broken(ended),
                    ended = self.receive(reader, &waiting) => self.broken(ended),
                }
            }
            Err(failure) => failure,
        };
        let _once = self.ended.set(failure.clone());
        calls.close();
        for (_, answer) in std::mem::take(&mut *waiting.lock()) {
            let _caller_gone = answer.send(Err(failure.clone()));
        }
        while let Some(call) = calls.recv().await {
            let _caller_gone = call.answer.send(Err(failure.clone()));
        }
    }

    fn broken(&self, ended: io::Result<()>) -> CallError {
        let reason = ended.err().map_or_else(|| "it has closed".to_owned(), |e| e.to_string());
        unreachable(&self.address, reason)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, CallError> {
        let mine = *self.inner.greeting.lock();
        let limit = self.inner.options.connect_timeout;
        let greeted = async {
            let stream = self.inner.env.net.connect(&self.address).await?;
            let mut stream = self.inner.options.security.connected(stream).await?;
            mine.write(&mut stream).await?;
            let theirs = Greeting::read(&mut stream).await?;
            Ok::<_, io::Error>((stream, theirs))
        };
        let greeted = timeout(&*self.inner.env.clock, limit, greeted).await;
        let (stream, theirs) = greeted
            .map_err(|_| unreachable(&self.address, "it did not greet in time"))?
            .map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    CallError::NobodyListens { address: self.address.clone() }
                }
                _ => unreachable(&self.address, error),
            })?;
        let objection = mine
            .objection(&theirs)
            .or_else(|| (theirs.node != self.node).then(|| format!("it is node {}", theirs.node)));
        match objection {
            Some(reason) => Err(CallError::Stranger { address: self.address.clone(), reason }),
            None => Ok(stream),
        }
    }

    async fn receive(
        &self,
        reader: ReadHalf<Box<dyn Stream>>,
        waiting: &Waiting,
    ) -> io::Result<()> {
        let mut reader = BufReader::new(reader);
        while let Some(frame) = Frame::read(&mut reader).await? {
            let answer = waiting.lock().remove(&frame.id);
            let Some(answer) = answer else {
                return Err(io::Error::other("it answered what was not asked"));
            };
            let _caller_gone = answer.send(match frame.kind {
                Kind::Response => Ok(frame.body),
                Kind::Refusal => Err(CallError::Refused {
                    address: self.address.clone(),
                    reason: String::from_utf8_lossy(&frame.body).into_owned(),
                }),
                Kind::Request => return Err(io::Error::other("it asked on our connection")),
            });
        }
        Ok(())
    }
}

async fn send(
    mut writer: WriteHalf<Box<dyn Stream>>,
    calls: &mut mpsc::Receiver<Call>,
    waiting: &Waiting,
) -> io::Result<()> {
    let mut id = 0;
    while let Some(call) = calls.recv().await {
        id += 1;
        waiting.lock().insert(id, call.answer);
        let frame = Frame { kind: Kind::Request, service: call.service, id, body: call.body };
        frame.write(&mut writer).await?;
        writer.flush().await?;
    }
    Ok(())
}
