//! Who is there: the first bytes in either direction.

use esker_types::{BrokerId, ClusterId};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

const MAGIC: &[u8; 6] = b"ESKER\x01";
const LEN: usize = 6 + 16 + 4 + 16;

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Its cluster; zero while it does not know of one.
    pub cluster: ClusterId,
    /// Its `node.id`.
    pub node: BrokerId,
    /// Its metadata directory, by the id that was drawn when the directory was made: a disk that was wiped is not the one
    /// that voted before.
    pub directory: Uuid,
}

impl Greeting {
    pub(crate) async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut bytes = [0; LEN];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..22].copy_from_slice(self.cluster.0.as_bytes());
        bytes[22..26].copy_from_slice(&self.node.0.to_le_bytes());
        bytes[26..].copy_from_slice(self.directory.as_bytes());
        stream.write_all(&bytes).await?;
        stream.flush().await
    }

    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = [0; LEN];
        stream.read_exact(&mut bytes).await?;
        let (magic, rest) = bytes.split_at(6);
        if magic != MAGIC {
            let what = "it does not speak the protocol of Esker's nodes, or another version of it";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(io::Error::other);
        let node = rest[16..20].first_chunk().copied().map(i32::from_le_bytes);
        Ok(Self {
            cluster: ClusterId(uuid(&rest[..16])?),
            node: BrokerId(node.unwrap_or_default()),
            directory: uuid(&rest[20..])?,
        })
    }

    /// What speaks against talking to a node that says this.
    pub(crate) fn objection(&self, other: &Self) -> Option<String> {
        let either_unknown = self.cluster.0.is_nil() || other.cluster.0.is_nil();
        if !either_unknown && self.cluster != other.cluster {
            return Some(format!("it belongs to cluster {}", other.cluster));
        }
        None
    }
}
