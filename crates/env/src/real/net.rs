//! TCP by tokio.

use crate::BoxFuture;
use crate::net::{ByteStream, Incoming, Listener, Net};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::task::{Context, Poll};

/// The machine's TCP.
#[derive(Debug, Clone, Copy)]
pub struct TcpNet;

/// Connections that the kernel holds for us between two accepts.
const BACKLOG: i32 = 4096;

#[expect(clippy::disallowed_types, reason = "this is the seam")]
impl Net for TcpNet {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let address = resolve(address)?.remove(0);
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A restart must not wait for connections of the previous process to time out.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let listener = tokio::net::TcpListener::from_std(socket.into())?;
            let local = listener.local_addr()?;
            Ok(Box::new(TcpAccept { listener, local }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let mut last = io::Error::other("the name resolves to no address");
            for address in resolve(address)? {
                match tokio::net::TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as Box<dyn ByteStream>);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

/// Names resolve by the blocking resolver: it runs when listeners and clients start, never per request.
fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = address.to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::other(format!("`{address}` resolves to no address")));
    }
    Ok(found)
}

#[expect(clippy::disallowed_types, reason = "this is the seam")]
struct TcpAccept {
    listener: tokio::net::TcpListener,
    local: SocketAddr,
}

impl Listener for TcpAccept {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            let stream = stream.into_std()?;
            Ok(Incoming::new(
                peer,
                Box::new(move || {
                    stream.set_nodelay(true)?;
                    let stream = tokio::net::TcpStream::from_std(stream)?;
                    Ok(Box::new(stream) as Box<dyn ByteStream>)
                }),
            ))
        })
    }
}

#[expect(clippy::disallowed_types, reason = "this is the seam")]
impl ByteStream for tokio::net::TcpStream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_read_ready(self, context)
    }

    fn is_closed(&self) -> bool {
        // A peek that finds nothing says whether nothing came yet or nothing will come.
        let socket = socket2::SockRef::from(self);
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match socket.peek(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
