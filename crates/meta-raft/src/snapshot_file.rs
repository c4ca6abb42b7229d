//! The newest snapshot on disk: Raft's part (log id and membership), then the state.

use crate::entry::{Reader, Writer};
use crate::types::{LogId, SnapshotMeta, StoredMembership};
use esker_env::Disk;
use esker_meta::{SNAPSHOT_LEN_MAX, SnapshotError, State};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ESKSNAP\x01";

/// Why the snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// The disk failed.
    #[error("read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Not what was written.
    #[error(
        "{}: {what}. The log before this snapshot is gone, so it is not skipped: restore this file from a copy, or \
         start with an empty data directory", path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

fn path_of(dir: &Path) -> PathBuf {
    dir.join("snapshot")
}

fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).expect("a 32-bit checksum has 32 bits")
}

/// A snapshot as bytes, in the file and on the way to other voters.
pub(crate) fn encode(meta: &SnapshotMeta, state: &State) -> io::Result<Vec<u8>> {
    let mut raft = Writer::default();
    raft.maybe_log_id(meta.last_log_id.as_ref());
    raft.maybe_log_id(meta.last_membership.log_id().as_ref());
    raft.membership(meta.last_membership.membership());
    let mut bytes = MAGIC.to_vec();
    let len = u32::try_from(raft.0.len()).map_err(io::Error::other)?;
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&crc32c(&raft.0).to_le_bytes());
    bytes.extend_from_slice(&raft.0);
    bytes.extend_from_slice(&state.encode_snapshot());
    Ok(bytes)
}

/// Writes the snapshot in place of the one before. Blocks.
pub(crate) fn save(
    disk: &dyn Disk,
    dir: &Path,
    meta: &SnapshotMeta,
    state: &State,
) -> io::Result<()> {
    let bytes = encode(meta, state)?;
    let path = path_of(dir);
    disk.replace(&path, &bytes).map_err(|error| {
        io::Error::new(error.kind(), format!("replace {}: {error}", path.display()))
    })
}

/// Reads the snapshot; `None` when there was none yet. Blocks.
pub(crate) fn load(
    disk: &dyn Disk,
    dir: &Path,
) -> Result<Option<(Option<LogId>, StoredMembership, State)>, SnapshotFileError> {
    let path = path_of(dir);
    let bytes = match disk.read(&path, SNAPSHOT_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SnapshotFileError::Io { path, source }),
    };
    parse(&bytes).map(Some).map_err(|what| SnapshotFileError::Corrupt { path, what })
}

pub(crate) fn parse(bytes: &[u8]) -> Result<(Option<LogId>, StoredMembership, State), String> {
    let foreign = || "this is no metadata snapshot".to_owned();
    let head = bytes.first_chunk::<16>().filter(|h| &h[..8] == MAGIC).ok_or_else(foreign)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let len = usize::try_from(word(8)).map_err(|e| e.to_string())?;
    let (raft, state) = bytes[16..].split_at_checked(len).ok_or_else(|| "cut short".to_owned())?;
    if crc32c(raft) != word(12) {
        return Err("damaged in its first part".to_owned());
    }
    let mut reader = Reader(raft);
    let last = reader.maybe_log_id()?;
    let membership_log_id = reader.maybe_log_id()?;
    let membership = reader.membership()?;
    reader.end()?;
    let state = State::decode_snapshot(state).map_err(|e: SnapshotError| e.to_string())?;
    Ok((last, StoredMembership::new(membership_log_id, membership), state))
}
