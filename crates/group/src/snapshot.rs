//! The durable state of a shard in one piece, so that loading need not read the whole log.
//!
//! A snapshot holds the records that a compaction of the log would leave, and the offset up to which it stands for
//! the log. It therefore has no format of its own for groups and offsets, and loading it is a replay.

use esker_types::Offset;
use serde::{Deserialize, Serialize};

use crate::api::LogRecord;
use crate::load::ReplayError;
use crate::records::{group_key, offset_key, offset_value};
use crate::shard::GroupShard;

/// Version of the envelope; the records inside have their own.
const VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    /// Of the next record to replay.
    next_offset: i64,
    #[serde(borrow)]
    records: Vec<(&'a [u8], &'a [u8])>,
}

/// Why a snapshot does not load; the log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Of a later version.
    #[error("snapshot version {0} is not known")]
    Version(u16),
    /// Cut off or overwritten.
    #[error("the snapshot is damaged")]
    Damaged,
    /// A record in it cannot be read.
    #[error(transparent)]
    Record(#[from] ReplayError),
}

impl GroupShard {
    /// Encodes the durable state. `next_offset` is the offset after the last committed append that the shard has
    /// been told of: replay continues there.
    ///
    /// # Panics
    /// While loading, when the state is not yet that of any offset.
    #[must_use]
    pub fn snapshot(&self, next_offset: Offset) -> Vec<u8> {
        assert!(self.check_active().is_ok(), "only a serving shard has a state to keep");
        self.encode_snapshot(next_offset)
    }

    /// The records that a compaction of the log would leave: what replaying its committed part makes of it.
    pub fn durable_records(&self) -> impl Iterator<Item = LogRecord> {
        let groups = self.durable_groups.iter().map(|(id, value)| (group_key(id), value.clone()));
        let offsets = self.offsets.groups().flat_map(|id| {
            self.offsets.committed(id.as_str()).map(move |(topic, partition, value)| {
                (offset_key(id, topic, partition), offset_value(value))
            })
        });
        let opaque = self.opaque.iter().map(|(key, value)| (key.clone(), value.clone()));
        let all = groups.chain(offsets).chain(opaque);
        all.map(|(key, value)| LogRecord { key, value: Some(value) })
    }

    pub(crate) fn encode_snapshot(&self, next_offset: Offset) -> Vec<u8> {
        let owned: Vec<_> = self.durable_records().collect();
        let records = owned
            .iter()
            .map(|record| (record.key.as_ref(), record.value.as_deref().unwrap_or_default()))
            .collect();
        let envelope = Envelope { next_offset: next_offset.get(), records };
        postcard::to_extend(&envelope, VERSION.to_be_bytes().to_vec())
            .expect("writing to memory does not fail")
    }

    /// Loads a snapshot into a new shard; returns the offset at which replay continues.
    ///
    /// # Errors
    /// [`SnapshotError`]; the shard is then of no use, and a new one replays the whole log.
    pub fn load_snapshot(&mut self, bytes: &[u8]) -> Result<Offset, SnapshotError> {
        let (version, body) = bytes.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let (envelope, rest) =
            postcard::take_from_bytes::<Envelope<'_>>(body).map_err(|_| SnapshotError::Damaged)?;
        if !rest.is_empty() {
            return Err(SnapshotError::Damaged);
        }
        let next_offset = Offset(envelope.next_offset);
        for (key, value) in envelope.records {
            self.replay(key, Some(value), next_offset)?;
        }
        Ok(next_offset)
    }
}
