//! A network in memory: bytes take their time, in order; connections break, and ways between hosts close for a while.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::power::Power;
use crate::time::pass;
use crate::trace::Trace;
use esker_env::{BoxFuture, ByteStream, Clock, Entropy, Incoming, Listener, Net};
use esker_types::MonoTime;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// Bytes on their way in one direction; a writer waits when there are more.
const WINDOW: usize = 256 << 10;

#[derive(Debug, Default)]
struct Pipe {
    /// When each piece arrives, and how much of it was read.
    pieces: VecDeque<(MonoTime, Vec<u8>, usize)>,
    under_way: usize,
    closed: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

type Shared = Arc<Mutex<Pipe>>;
/// Who knocks, from which host, and both directions.
type Knocking = (SocketAddr, Arc<str>, Shared, Shared);

/// The network as one host sees it. Clones for other hosts come from [`SimNet::at`].
#[derive(Clone)]
pub struct SimNet {
    host: Arc<str>,
    power: Arc<Power>,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    entropy: Arc<SimEntropy>,
    shared: Arc<Mutex<Places>>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Places {
    listeners: BTreeMap<(String, u16), mpsc::UnboundedSender<Knocking>>,
    next_port: u16,
    /// Both directions of every connection.
    connections: Vec<(Shared, Shared)>,
    /// Ways, from host to host, on which nothing moves until a moment.
    closed: BTreeMap<(Arc<str>, Arc<str>), MonoTime>,
    /// What a piece takes at most, in milliseconds.
    latency_max: u64,
}

impl SimNet {
    /// A network without anybody on it, as `host` sees it.
    #[must_use]
    pub fn new(
        host: &str,
        power: Arc<Power>,
        trace: Arc<Trace>,
        clock: Arc<dyn Clock>,
        entropy: &SimEntropy,
    ) -> Self {
        let entropy = Arc::new(entropy.branch("net"));
        let places = Places { next_port: 40_000, latency_max: 6, ..Places::default() };
        Self {
            host: host.into(),
            power,
            trace,
            clock,
            entropy,
            shared: Arc::new(Mutex::new(places)),
            runtime: Handle::current(),
        }
    }

    /// The same network as another host sees it.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        Self { host: host.into(), ..self.clone() }
    }

    /// Closes the way from one host to another for a while. What is sent meanwhile arrives afterwards.
    pub fn close_way(&self, from: &str, to: &str, wait: Duration) {
        let now = self.clock.now();
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.trace.note(now.0, "way closed", from, nanos);
        self.shared.lock().closed.insert((from.into(), to.into()), now.plus(wait));
    }

    /// Sets what a piece takes at most.
    pub fn set_latency(&self, milliseconds: u64) {
        self.shared.lock().latency_max = milliseconds;
    }

    /// Opens all ways.
    pub fn calm(&self) {
        let mut places = self.shared.lock();
        places.closed.clear();
        places.latency_max = 6;
    }

    /// When something sent now arrives.
    fn arrival(&self, from: &Arc<str>, to: &Arc<str>) -> MonoTime {
        let now = self.clock.now();
        let places = self.shared.lock();
        let open = places.closed.get(&(Arc::clone(from), Arc::clone(to))).copied();
        let latency = Duration::from_millis(self.entropy.between(1, places.latency_max));
        if open.is_some_and(|open| open > now) {
            self.trace.count(Effect::WayClosed);
        }
        open.unwrap_or(now).max(now).plus(latency)
    }

    /// Breaks one of the connections.
    pub fn break_one(&self) {
        let mut places = self.shared.lock();
        places.connections.retain(|(there, _)| !there.lock().broken);
        let count = places.connections.len() as u64;
        if count == 0 {
            return;
        }
        let victim = usize::try_from(self.entropy.below(count)).expect("below a length");
        let (there, back) = places.connections.swap_remove(victim);
        drop(places);
        self.trace.note(self.clock.now().0, "break", "connection", victim as u64);
        self.trace.count(Effect::Broken);
        for pipe in [there, back] {
            let mut pipe = pipe.lock();
            pipe.broken = true;
            pipe.wake();
        }
    }

    fn wake_at_arrival(&self, pipe: &Shared, wait: Duration) {
        let pipe = Arc::clone(pipe);
        drop(self.runtime.spawn(async move {
            pass(wait).await;
            let reader = pipe.lock().reader.take();
            reader.into_iter().for_each(Waker::wake);
        }));
    }

    fn stream(&self, peer: &Arc<str>, incoming: Shared, outgoing: Shared) -> Box<dyn ByteStream> {
        Box::new(SimStream { net: self.clone(), peer: Arc::clone(peer), incoming, outgoing })
    }
}

fn place_of(address: &str) -> io::Result<(String, u16)> {
    let place = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = place.ok_or(io::ErrorKind::InvalidInput)?;
    Ok((host.to_owned(), port))
}

impl Net for SimNet {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (host, port) = place_of(address)?;
            let (knock, incoming) = mpsc::unbounded_channel();
            self.shared.lock().listeners.insert((host, port), knock);
            let incoming = AsyncMutex::new(incoming);
            let listener = SimListener { net: self.clone(), port, incoming };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let (host, port) = place_of(address)?;
            let to: Arc<str> = host.as_str().into();
            let open = self.arrival(&self.host, &to).max(self.arrival(&to, &self.host));
            pass(open.since(self.clock.now())).await;
            let (there, back) = (Shared::default(), Shared::default());
            let mut places = self.shared.lock();
            places.next_port += 1;
            let peer = SocketAddr::from(([10, 0, 0, 1], places.next_port));
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let knock = places.listeners.get(&(host, port)).ok_or_else(refused)?;
            let knocking = (peer, Arc::clone(&self.host), Arc::clone(&there), Arc::clone(&back));
            knock.send(knocking).map_err(|_| refused())?;
            places.connections.push((Arc::clone(&there), Arc::clone(&back)));
            drop(places);
            Ok(self.stream(&to, back, there))
        })
    }
}

struct SimListener {
    net: SimNet,
    port: u16,
    incoming: AsyncMutex<mpsc::UnboundedReceiver<Knocking>>,
}

impl Listener for SimListener {
    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], self.port))
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let arrived = self.incoming.lock().await.recv().await;
            let (peer, host, there, back) = arrived.ok_or(io::ErrorKind::BrokenPipe)?;
            let net = self.net.clone();
            Ok(Incoming::new(peer, Box::new(move || Ok(net.stream(&host, there, back)))))
        })
    }
}

struct SimStream {
    net: SimNet,
    peer: Arc<str>,
    incoming: Shared,
    outgoing: Shared,
}

impl ByteStream for SimStream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.net.clock.now();
        let mut pipe = self.incoming.lock();
        if pipe.broken || pipe.pieces.front().is_some_and(|(at, ..)| *at <= now) {
            return Poll::Ready(Ok(()));
        }
        if pipe.closed && pipe.pieces.is_empty() {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn is_closed(&self) -> bool {
        let pipe = self.incoming.lock();
        pipe.broken || pipe.closed
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        {
            let now = this.net.clock.now();
            let mut pipe = this.incoming.lock();
            if pipe.broken {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let Some((at, piece, read)) = pipe.pieces.front_mut() else {
                if pipe.closed {
                    return Poll::Ready(Ok(()));
                }
                pipe.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            if *at <= now {
                let count = buffer.remaining().min(piece.len() - *read);
                buffer.put_slice(&piece[*read..*read + count]);
                *read += count;
                if *read == piece.len() {
                    pipe.pieces.pop_front();
                }
                pipe.under_way -= count;
                pipe.writer.take().into_iter().for_each(Waker::wake);
                return Poll::Ready(Ok(()));
            }
            // The writer wakes whoever waits when the piece arrives.
            pipe.reader = Some(context.waker().clone());
            Poll::Pending
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let net = &self.net;
        if !net.power.is_on() {
            // Swallowed: nobody hears a machine without power.
            return Poll::Ready(Ok(data.len()));
        }
        let soonest = net.arrival(&net.host, &self.peer);
        let mut pipe = self.outgoing.lock();
        if pipe.broken || pipe.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW.saturating_sub(pipe.under_way);
        if room == 0 {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = data.len().min(room);
        let now = net.clock.now();
        let at = pipe.pieces.back().map_or(soonest, |(last, ..)| (*last).max(soonest));
        pipe.pieces.push_back((at, data[..count].to_vec(), 0));
        pipe.under_way += count;
        net.trace.note_bytes(now.0, "send", &self.peer, &data[..count]);
        drop(pipe);
        net.wake_at_arrival(&self.outgoing, at.since(now));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.outgoing.lock();
        pipe.closed = true;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        // Whoever hangs up takes back what a closed way still holds: a request that nobody waits for any more does not
        // overtake later ones.
        let soon = self.net.clock.now().plus(Duration::from_millis(50));
        self.outgoing.lock().pieces.retain(|(at, ..)| *at <= soon);
        for pipe in [&self.incoming, &self.outgoing] {
            let mut pipe = pipe.lock();
            pipe.closed = true;
            pipe.wake();
        }
    }
}

impl std::fmt::Debug for SimNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimNet").finish_non_exhaustive()
    }
}
