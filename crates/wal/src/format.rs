//! Bytes on the device: the store's marker, segment headers, record headers, checkpoints.
//!
//! `docs/formats/wal.md` draws them. All integers are little endian. Everything here is pure.

use crate::crc::crc32c;
use crate::error::WalError;
use crate::num::{align_up, field, to_u32, to_u64, to_usize};
use bytes::Bytes;
use esker_types::{ClusterId, JournalId, Seq, StoreId, Timestamp};
use uuid::Uuid;

/// Unit of direct writes; commits start and end at its multiples.
pub(crate) const PAGE: u64 = 4096;
/// Version of the directory's layout that this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Bytes of a record's header.
pub(crate) const RECORD_HEADER_BYTES: u64 = 48;
/// Records start at multiples of this.
pub(crate) const RECORD_ALIGN: u64 = 8;
/// Longest description of a journal that an OPEN record may carry.
pub const JOURNAL_META_BYTES_MAX: usize = 1024;

const STORE_MAGIC: [u8; 8] = *b"ESKSTORE";
const STORE_BYTES: usize = 64;
const SEGMENT_MAGIC: [u8; 8] = *b"ESKERWAL";
const SEGMENT_CRC_AT: usize = 4092;
const RECORD_VERSION: u8 = 1;

/// The marker file `STORE`: whose log this directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The device's log, random, chosen when the directory was made.
    pub store: StoreId,
    /// The cluster that made it.
    pub cluster: ClusterId,
    /// When, by the wall clock of then.
    pub created: Timestamp,
}

impl StoreIdentity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; STORE_BYTES];
        field::put(&mut bytes, 0, STORE_MAGIC);
        field::put(&mut bytes, 8, FORMAT_VERSION.to_le_bytes());
        field::put(&mut bytes, 16, *self.store.0.as_bytes());
        field::put(&mut bytes, 32, *self.cluster.0.as_bytes());
        field::put(&mut bytes, 48, self.created.get().to_le_bytes());
        let crc = crc32c(&bytes[..STORE_BYTES - 4]);
        field::put(&mut bytes, STORE_BYTES - 4, crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WalError> {
        let damaged = || WalError::StoreMarker("its content does not match its checksum");
        if bytes.len() < 12 || bytes[..8] != STORE_MAGIC {
            return Err(WalError::StoreMarker("it is no marker of a log"));
        }
        let version = field::u32(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(WalError::NewerFormat { found: version, supported: FORMAT_VERSION });
        }
        if bytes.len() != STORE_BYTES
            || field::u32(bytes, STORE_BYTES - 4) != crc32c(&bytes[..STORE_BYTES - 4])
        {
            return Err(damaged());
        }
        Ok(Self {
            store: StoreId(Uuid::from_bytes(field::array(bytes, 16))),
            cluster: ClusterId(Uuid::from_bytes(field::array(bytes, 32))),
            created: Timestamp(field::i64(bytes, 48)),
        })
    }
}

/// First page of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) store: StoreId,
    pub(crate) number: u64,
    /// Random for each life of the file: what an earlier life left behind never parses.
    pub(crate) nonce: u64,
    pub(crate) previous_nonce: u64,
    pub(crate) segment_bytes: u64,
}

/// Why a first page is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentHeaderError {
    Damaged,
    Newer(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self, page: &mut [u8]) {
        page.fill(0);
        field::put(page, 0, SEGMENT_MAGIC);
        field::put(page, 8, FORMAT_VERSION.to_le_bytes());
        field::put(page, 16, *self.store.0.as_bytes());
        field::put(page, 32, self.number.to_le_bytes());
        field::put(page, 40, self.nonce.to_le_bytes());
        field::put(page, 48, self.previous_nonce.to_le_bytes());
        field::put(page, 56, self.segment_bytes.to_le_bytes());
        let crc = crc32c(&page[..SEGMENT_CRC_AT]);
        field::put(page, SEGMENT_CRC_AT, crc.to_le_bytes());
    }

    /// Reads a first page of exactly [`PAGE`] bytes.
    pub(crate) fn decode(page: &[u8]) -> Result<Self, SegmentHeaderError> {
        let sound = page[..8] == SEGMENT_MAGIC
            && field::u32(page, SEGMENT_CRC_AT) == crc32c(&page[..SEGMENT_CRC_AT]);
        if !sound {
            return Err(SegmentHeaderError::Damaged);
        }
        let version = field::u32(page, 8);
        if version > FORMAT_VERSION {
            return Err(SegmentHeaderError::Newer(version));
        }
        Ok(Self {
            store: StoreId(Uuid::from_bytes(field::array(page, 16))),
            number: field::u64(page, 32),
            nonce: field::u64(page, 40),
            previous_nonce: field::u64(page, 48),
            segment_bytes: field::u64(page, 56),
        })
    }

    pub(crate) fn life(&self) -> SegmentLife {
        SegmentLife { number: self.number, nonce: self.nonce }
    }
}

/// What a record header is bound to besides its own fields: one life of one segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentLife {
    pub(crate) number: u64,
    pub(crate) nonce: u64,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// A journal begins; the payload describes it.
    Open = 1,
    /// One entry of a journal.
    Bundle = 2,
    /// A journal takes no more entries.
    Seal = 3,
    /// Entries up to a sequence number are no longer needed.
    Trim = 4,
    /// A journal is no longer needed.
    Drop = 5,
    /// Filling up to the end of a commit.
    Pad = 6,
    /// State of all journals when the segment began.
    Checkpoint = 7,
    /// The log was closed in good order: everything before is known to have been synced.
    Close = 8,
}

impl RecordKind {
    pub(crate) const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Open,
            2 => Self::Bundle,
            3 => Self::Seal,
            4 => Self::Trim,
            5 => Self::Drop,
            6 => Self::Pad,
            7 => Self::Checkpoint,
            8 => Self::Close,
            _ => return None,
        })
    }
}

/// The group commit that a record was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitSpan {
    /// Different for every commit ever attempted, so that halves of two attempts never pass for one.
    pub(crate) id: u64,
    /// Position of its first byte; a multiple of [`PAGE`].
    pub(crate) start: u64,
    /// Position after its last byte; a multiple of [`PAGE`].
    pub(crate) end: u64,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    pub(crate) payload_crc: u32,
    pub(crate) len: u32,
    pub(crate) journal: JournalId,
    pub(crate) seq: Seq,
    pub(crate) commit: CommitSpan,
}

impl RecordHeader {
    /// Bytes from this record's start to the next one's.
    pub(crate) fn stride(&self) -> u64 {
        record_bytes(u64::from(self.len))
    }

    pub(crate) fn encode(&self, bytes: &mut [u8], life: SegmentLife, position: u64) {
        field::put(bytes, 4, self.payload_crc.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = RECORD_VERSION;
        field::put(bytes, 10, [0; 2]);
        field::put(bytes, 12, self.len.to_le_bytes());
        field::put(bytes, 16, self.journal.get().to_le_bytes());
        field::put(bytes, 24, self.seq.get().to_le_bytes());
        field::put(bytes, 32, self.commit.id.to_le_bytes());
        field::put(bytes, 40, to_u32(self.commit.start / PAGE).to_le_bytes());
        field::put(bytes, 44, to_u32((self.commit.end - self.commit.start) / PAGE).to_le_bytes());
        let crc = Self::crc(bytes, life, position);
        field::put(bytes, 0, crc.to_le_bytes());
    }

    /// Reads the header at `position` of a segment, or finds that there is none of this life at this place.
    /// `bytes` has at least [`RECORD_HEADER_BYTES`].
    pub(crate) fn decode(bytes: &[u8], life: SegmentLife, position: u64) -> Option<Self> {
        // The cheap tests come first: the search for later commits tries every eighth byte.
        let kind = RecordKind::from_u8(bytes[8])?;
        if bytes[9] != RECORD_VERSION || field::u16(bytes, 10) != 0 {
            return None;
        }
        if field::u32(bytes, 0) != Self::crc(bytes, life, position) {
            return None;
        }
        let start = u64::from(field::u32(bytes, 40)) * PAGE;
        let header = Self {
            kind,
            payload_crc: field::u32(bytes, 4),
            len: field::u32(bytes, 12),
            journal: JournalId(field::u64(bytes, 16)),
            seq: Seq(field::u64(bytes, 24)),
            commit: CommitSpan {
                id: field::u64(bytes, 32),
                start,
                end: start + u64::from(field::u32(bytes, 44)) * PAGE,
            },
        };
        let inside = position >= start && position + header.stride() <= header.commit.end;
        inside.then_some(header)
    }

    fn crc(bytes: &[u8], life: SegmentLife, position: u64) -> u32 {
        let mut bound = [0; 68];
        bound[..44].copy_from_slice(&bytes[4..to_usize(RECORD_HEADER_BYTES)]);
        field::put(&mut bound, 44, life.nonce.to_le_bytes());
        field::put(&mut bound, 52, life.number.to_le_bytes());
        field::put(&mut bound, 60, position.to_le_bytes());
        crc32c(&bound)
    }

    /// Whether `payload` is what the header was written for.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        match self.kind {
            RecordKind::Pad => true,
            // A bundle's own checksum covers all but its first 8 bytes, which repeat length and checksum.
            RecordKind::Bundle => {
                payload.len() >= 8
                    && field::u32(payload, 0) == self.len
                    && field::u32(payload, 4) == self.payload_crc
                    && crc32c(&payload[8..]) == self.payload_crc
            }
            _ => crc32c(payload) == self.payload_crc,
        }
    }
}

/// Bytes that a record with a payload of `len` bytes takes.
pub(crate) const fn record_bytes(len: u64) -> u64 {
    align_up(RECORD_HEADER_BYTES + len, RECORD_ALIGN)
}

/// A segment that was in use when a checkpoint was taken, and where its valid content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointSegment {
    pub(crate) life: SegmentLife,
    pub(crate) end: u64,
}

/// A journal as a checkpoint keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointJournal {
    pub(crate) journal: JournalId,
    pub(crate) sealed: bool,
    pub(crate) last: Seq,
    pub(crate) trimmed: Seq,
    pub(crate) damaged_from: Option<Seq>,
    pub(crate) meta: Bytes,
}

/// Payload of a [`RecordKind::Checkpoint`]: everything that earlier segments say except the bundles themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Journals with smaller ids may have been lost with a damaged part of an earlier segment.
    pub(crate) lost_before: Option<JournalId>,
    pub(crate) segments: Vec<CheckpointSegment>,
    pub(crate) journals: Vec<CheckpointJournal>,
}

const CHECKPOINT_HEADER_BYTES: usize = 16;
pub(crate) const CHECKPOINT_SEGMENT_BYTES: usize = 24;
pub(crate) const CHECKPOINT_JOURNAL_BYTES: usize = 40;

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u32::from(self.lost_before.is_some()).to_le_bytes());
        bytes.extend_from_slice(&to_u32(to_u64(self.segments.len())).to_le_bytes());
        bytes.extend_from_slice(&to_u32(to_u64(self.journals.len())).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        if let Some(before) = self.lost_before {
            bytes.extend_from_slice(&before.get().to_le_bytes());
        }
        for segment in &self.segments {
            bytes.extend_from_slice(&segment.life.number.to_le_bytes());
            bytes.extend_from_slice(&segment.life.nonce.to_le_bytes());
            bytes.extend_from_slice(&segment.end.to_le_bytes());
        }
        for journal in &self.journals {
            bytes.extend_from_slice(&journal.journal.get().to_le_bytes());
            bytes.extend_from_slice(&journal.last.get().to_le_bytes());
            bytes.extend_from_slice(&journal.trimmed.get().to_le_bytes());
            let damaged_from = journal.damaged_from.unwrap_or(Seq::NONE);
            bytes.extend_from_slice(&damaged_from.get().to_le_bytes());
            bytes.extend_from_slice(&u32::from(journal.sealed).to_le_bytes());
            bytes.extend_from_slice(&to_u32(to_u64(journal.meta.len())).to_le_bytes());
            bytes.extend_from_slice(&journal.meta);
        }
        bytes
    }

    /// Reads a checkpoint; `None` when the bytes are none, whatever they are.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut take = |len: usize| -> Option<&[u8]> {
            let (head, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(head)
        };
        let header = take(CHECKPOINT_HEADER_BYTES)?;
        let flag = |value| match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        let lost_before = match flag(field::u32(header, 0))? {
            true => Some(JournalId(field::u64(take(8)?, 0))),
            false => None,
        };
        let mut checkpoint = Self { lost_before, ..Self::default() };
        // Nothing is reserved by these counts: the vectors grow with the bytes that are really there.
        for _ in 0..field::u32(header, 4) {
            let entry = take(CHECKPOINT_SEGMENT_BYTES)?;
            checkpoint.segments.push(CheckpointSegment {
                life: SegmentLife { number: field::u64(entry, 0), nonce: field::u64(entry, 8) },
                end: field::u64(entry, 16),
            });
        }
        for _ in 0..field::u32(header, 8) {
            let entry = take(CHECKPOINT_JOURNAL_BYTES)?;
            let damaged_from = Seq(field::u64(entry, 24));
            let (sealed, meta_len) = (flag(field::u32(entry, 32))?, field::u32(entry, 36));
            let journal = JournalId(field::u64(entry, 0));
            let (last, trimmed) = (Seq(field::u64(entry, 8)), Seq(field::u64(entry, 16)));
            let meta_len = usize::try_from(meta_len).ok()?;
            if trimmed > last || meta_len > JOURNAL_META_BYTES_MAX {
                return None;
            }
            checkpoint.journals.push(CheckpointJournal {
                journal,
                sealed,
                last,
                trimmed,
                damaged_from: (damaged_from != Seq::NONE).then_some(damaged_from),
                meta: Bytes::copy_from_slice(take(meta_len)?),
            });
        }
        rest.is_empty().then_some(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: SegmentLife = SegmentLife { number: 3, nonce: 0xABCD };

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind::Trim,
            payload_crc: 0,
            len: 0,
            journal: JournalId(77),
            seq: Seq(5),
            commit: CommitSpan { id: 9, start: 8192, end: 12288 },
        }
    }

    #[test]
    fn a_record_header_parses_only_where_and_when_it_was_written() {
        let mut bytes = [0; 48];
        header().encode(&mut bytes, LIFE, 8192);
        assert_eq!(RecordHeader::decode(&bytes, LIFE, 8192), Some(header()));
        assert_eq!(RecordHeader::decode(&bytes, LIFE, 8200), None);
        let other = SegmentLife { number: 4, ..LIFE };
        assert_eq!(RecordHeader::decode(&bytes, other, 8192), None);
        let recycled = SegmentLife { nonce: 1, ..LIFE };
        assert_eq!(RecordHeader::decode(&bytes, recycled, 8192), None);
        for bit in 0..48 * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, LIFE, 8192), None, "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_of_version_1() {
        let mut bytes = [0; 48];
        header().encode(&mut bytes, LIFE, 8192);
        let mut expected = [0; 48];
        expected[8..10].copy_from_slice(&[4, 1]);
        expected[16] = 77;
        expected[24] = 5;
        expected[32] = 9;
        expected[40] = 2;
        expected[44] = 1;
        assert_eq!(bytes[4..], expected[4..]);
        assert_eq!(field::u32(&bytes, 0), RecordHeader::crc(&expected, LIFE, 8192));
    }

    #[test]
    fn checkpoints_round_trip_and_refuse_everything_else() {
        let checkpoint = Checkpoint {
            lost_before: Some(JournalId(3)),
            segments: vec![CheckpointSegment { life: LIFE, end: 8192 }],
            journals: vec![CheckpointJournal {
                journal: JournalId(1),
                sealed: true,
                last: Seq(9),
                trimmed: Seq(4),
                damaged_from: Some(Seq(6)),
                meta: Bytes::from_static(b"meta"),
            }],
        };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        for len in 0..bytes.len() {
            assert_eq!(Checkpoint::decode(&bytes[..len]), None);
        }
        let mut hostile = bytes;
        hostile[4..8].fill(0xFF);
        assert_eq!(Checkpoint::decode(&hostile), None);
    }

    #[test]
    fn a_store_marker_tells_a_newer_format_from_damage() {
        let identity = StoreIdentity {
            store: StoreId(Uuid::from_u128(1)),
            cluster: ClusterId(Uuid::from_u128(2)),
            created: Timestamp(3),
        };
        let bytes = identity.encode();
        assert_eq!(StoreIdentity::decode(&bytes).unwrap(), identity);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(StoreIdentity::decode(&flipped).is_err(), "bit {bit}");
        }
        let mut newer = bytes;
        newer[8] = 2;
        assert!(matches!(
            StoreIdentity::decode(&newer),
            Err(WalError::NewerFormat { found: 2, supported: 1 })
        ));
    }

    #[test]
    fn a_segment_header_notices_every_flipped_bit() {
        let header = SegmentHeader {
            store: StoreId(Uuid::from_u128(1)),
            number: 2,
            nonce: 3,
            previous_nonce: 4,
            segment_bytes: 1 << 20,
        };
        let mut page = vec![0; to_usize(PAGE)];
        header.encode(&mut page);
        assert_eq!(SegmentHeader::decode(&page), Ok(header));
        for bit in (0..70 * 8).chain(4090 * 8..4096 * 8) {
            let mut flipped = page.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(SegmentHeaderError::Damaged));
        }
    }
}
