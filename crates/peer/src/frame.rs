//! Frames: `docs/formats/peer-protocol.md`.
//!
//! ```text
//! length u32 | kind u8 | service u8 | id u64 | body
//! ```
//! The length counts what follows it. All numbers are little-endian. A response carries the id of its request.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame, its length field apart. What is longer is cut by the service.
pub const FRAME_LEN_MAX: usize = 64 << 20;
/// Kind, service and id.
const HEAD_LEN: usize = 10;
/// Memory grows with what has arrived, not with what a length claims.
const READ_STEP: usize = 256 << 10;

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ServiceId {
    /// Consensus among the voters of the metadata quorum, and proposals of brokers.
    Quorum = 1,
    /// Journals that other brokers write.
    Store = 2,
    /// Whether the node is there.
    Liveness = 3,
}

impl ServiceId {
    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Quorum),
            2 => Some(Self::Store),
            3 => Some(Self::Liveness),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    /// The body is text: why there is no response.
    Refusal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) service: ServiceId,
    pub(crate) id: u64,
    pub(crate) body: Bytes,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Frame {
    pub(crate) async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let len = u32::try_from(HEAD_LEN + self.body.len()).map_err(|_| damaged("too long"))?;
        let mut head = [0; 4 + HEAD_LEN];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4] = match self.kind {
            Kind::Request => 0,
            Kind::Response => 1,
            Kind::Refusal => 2,
        };
        head[5] = self.service as u8;
        head[6..].copy_from_slice(&self.id.to_le_bytes());
        stream.write_all(&head).await?;
        stream.write_all(&self.body).await
    }

    /// The next frame; nothing when the peer has closed between two of them.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut len = [0; 4];
        if stream.read(&mut len[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut len[1..]).await?;
        let len = u32::from_le_bytes(len) as usize;
        if !(HEAD_LEN..=HEAD_LEN + FRAME_LEN_MAX).contains(&len) {
            return Err(damaged("a frame of an impossible length"));
        }
        let mut head = [0; HEAD_LEN];
        stream.read_exact(&mut head).await?;
        let kind = match head[0] {
            0 => Kind::Request,
            1 => Kind::Response,
            2 => Kind::Refusal,
            _ => return Err(damaged("a frame of an unknown kind")),
        };
        let service = ServiceId::of(head[1]).ok_or_else(|| damaged("an unknown service"))?;
        let [.., a, b, c, d, e, f, g, h] = head;
        let id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let body = read_body(stream, len - HEAD_LEN).await?;
        Ok(Some(Self { kind, service, id, body }))
    }
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    while body.len() < len {
        let at = body.len();
        body.resize(len.min(at + READ_STEP), 0);
        stream.read_exact(&mut body[at..]).await?;
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &'static [u8]) -> Frame {
        let body = Bytes::from_static(body);
        Frame { kind: Kind::Request, service: ServiceId::Store, id: 1 << 40, body }
    }

    #[tokio::test]
    async fn frames_come_back() {
        let mut bytes = Vec::new();
        let frames = [frame(b""), frame(b"hello"), Frame { kind: Kind::Refusal, ..frame(b"no") }];
        for frame in &frames {
            frame.write(&mut bytes).await.unwrap();
        }
        let mut rest = &bytes[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
    }

    #[tokio::test]
    async fn foreign_bytes_are_errors_and_cost_what_has_arrived() {
        for bytes in [
            &b"\x09\0\0\0"[..],
            b"\xff\xff\xff\xff\0\x01",
            b"\x0a\0\0\0\x03\x01\0\0\0\0\0\0\0\0",
            b"\x0a\0\0\0\0\x09\0\0\0\0\0\0\0\0",
            b"\0\0\0\x04\0\x01\0\0\0\0\0\0\0\0 of many only these",
            b"\x0a\0",
        ] {
            assert!(Frame::read(&mut &bytes[..]).await.is_err(), "{bytes:?}");
        }
    }
}
