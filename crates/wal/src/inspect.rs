//! Looking into a log without opening it: no lock is taken and nothing is changed.

use crate::error::WalError;
use crate::format::{RecordKind, StoreIdentity};
use crate::recover::{Reader, Recovered, read_marker};
use crate::scan::Found;
use esker_env::{Env, Open};
use esker_types::{JournalId, Seq, StoreId};
use std::path::Path;

/// A record as it lies in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedRecord<'a> {
    /// Name of the segment's file.
    pub file: &'a str,
    /// Byte position of the record's header.
    pub position: u64,
    /// What it says.
    pub kind: RecordKind,
    /// The journal it is about; 0 for checkpoints and padding.
    pub journal: JournalId,
    /// The entry it is about.
    pub seq: Seq,
    /// Bytes of payload.
    pub len: u32,
    /// Position of the first byte of the group commit that wrote it.
    pub commit: u64,
    /// Whether the payload matches its checksum.
    pub intact: bool,
}

/// What a look into a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The directory's marker.
    pub identity: StoreIdentity,
    /// What opening it would find.
    pub recovered: Recovered,
}

/// Reads the log in `dir` and hands every record to `visit`, in the order of segments and positions; segments that
/// were given up are left out. A log that is being written is seen up to some commit. Blocks.
///
/// # Errors
/// [`WalError`]; [`WalError::SegmentsMissing`] also where there is no log.
pub fn inspect(
    env: &Env,
    dir: &Path,
    visit: &mut dyn FnMut(InspectedRecord<'_>),
) -> Result<Inspection, WalError> {
    let identity =
        read_marker(env, dir)?.ok_or_else(|| WalError::SegmentsMissing(StoreId::default()))?;
    let mut observer = |file: &str, found: &Found| {
        let (header, position, intact) = match found {
            Found::Record { header, position, .. } => (header, *position, true),
            Found::BadPayload { header, position } => (header, *position, false),
            Found::Unreadable { .. } => return,
        };
        visit(InspectedRecord {
            file,
            position,
            kind: header.kind,
            journal: header.journal,
            seq: header.seq,
            len: header.len,
            commit: header.commit.start,
            intact,
        });
    };
    let mut reader = Reader::new(env, dir, identity.store, Open::Read);
    reader.observer = Some(&mut observer);
    reader.read()?;
    let Reader { recovered, .. } = reader;
    Ok(Inspection { identity, recovered })
}
