//! Sockets.

use crate::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connected stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Completes when a read would not wait: bytes, the end, or an error are there. Lets an idle connection live
    /// without a read buffer.
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether the peer has closed its side or the connection broke, as far as this host knows. Consumes nothing.
    fn is_closed(&self) -> bool;
}

/// A connection that was accepted but belongs to no runtime yet.
pub struct Incoming {
    /// Who connected.
    pub peer: SocketAddr,
    open: Box<dyn FnOnce() -> io::Result<Box<dyn ByteStream>> + Send>,
}

impl Incoming {
    /// An accepted connection whose stream `open` builds.
    #[must_use]
    pub fn new(
        peer: SocketAddr,
        open: Box<dyn FnOnce() -> io::Result<Box<dyn ByteStream>> + Send>,
    ) -> Self {
        Self { peer, open }
    }

    /// Registers the connection with the runtime of the calling task; call it from the shard that will serve it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(self) -> io::Result<Box<dyn ByteStream>> {
        (self.open)()
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A listening socket.
pub trait Listener: Send + Sync {
    /// The bound address, with the real port where port 0 was asked for.
    fn local_addr(&self) -> SocketAddr;

    /// The next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// The network.
pub trait Net: Send + Sync {
    /// Listens on `address` (`host:port`).
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `address` (`host:port`), trying every address that the name resolves to.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;
}
