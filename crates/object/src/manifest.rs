//! Manifest segments: the data objects of one partition that the metadata has handed over to the bucket.

use crate::field::{self, crc32c, to_u32, to_u64, to_usize};
use crate::layout::{Corrupt, PartFlags};
use bytes::Bytes;
use esker_types::{Incarnation, ObjectId, Offset, PartitionId, Timestamp};

const MAGIC: [u8; 8] = *b"ESKERMAN";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 64;
const TRAILER_BYTES: usize = 8;

/// A data object that holds a range of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// First offset.
    pub base: Offset,
    /// Offset after the last one; the next entry begins here.
    pub end: Offset,
    /// The object.
    pub object: ObjectId,
    /// Who wrote it; part of its key.
    pub incarnation: Incarnation,
    /// Its length in bytes.
    pub len: u64,
    /// Where its end begins.
    pub meta_pos: u64,
    /// Bytes of the partition's record batches in it.
    pub bytes: u64,
    /// Largest record timestamp.
    pub max_timestamp: Timestamp,
    /// Properties.
    pub flags: PartFlags,
}

/// Encodes a manifest segment; `object` and `incarnation` name it itself.
///
/// # Panics
/// When there are no entries, or they do not join.
#[must_use]
pub fn encode_manifest(
    partition: PartitionId,
    object: ObjectId,
    incarnation: Incarnation,
    entries: &[ManifestEntry],
) -> Bytes {
    let (first, last) = match entries {
        [] => panic!("a manifest segment has entries"),
        [first, .., last] => (first, last),
        [only] => (only, only),
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES + TRAILER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&to_u32(entries.len()).to_le_bytes());
    for number in [partition.get(), object.get(), incarnation.get()] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&first.base.get().to_le_bytes());
    bytes.extend_from_slice(&last.end.get().to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    let mut next = first.base;
    for entry in entries {
        assert!(entry.base == next && entry.end > entry.base, "{entry:?} after {next}");
        next = entry.end;
        let meta_len = u32::try_from(entry.len - entry.meta_pos).expect("an object's end is short");
        bytes.extend_from_slice(&entry.base.get().to_le_bytes());
        bytes.extend_from_slice(&entry.end.get().to_le_bytes());
        bytes.extend_from_slice(&entry.object.get().to_le_bytes());
        bytes.extend_from_slice(&entry.incarnation.get().to_le_bytes());
        bytes.extend_from_slice(&entry.len.to_le_bytes());
        bytes.extend_from_slice(&entry.bytes.to_le_bytes());
        bytes.extend_from_slice(&entry.max_timestamp.get().to_le_bytes());
        bytes.extend_from_slice(&meta_len.to_le_bytes());
        bytes.extend_from_slice(&entry.flags.0.to_le_bytes());
    }
    let crc = crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.into()
}

/// A manifest segment, read in place.
#[derive(Debug, Clone)]
pub struct Manifest {
    bytes: Bytes,
}

impl Manifest {
    /// Reads a whole manifest segment and checks all of it.
    ///
    /// # Errors
    /// [`Corrupt`] when anything is not as a writer would have written it; the bytes may come from anyone.
    pub fn parse(bytes: Bytes) -> Result<Self, Corrupt> {
        if bytes.len() < HEADER_BYTES + ENTRY_BYTES + TRAILER_BYTES || bytes[..8] != MAGIC {
            return Err(Corrupt("no manifest"));
        }
        if field::u16(&bytes, 8) != VERSION {
            return Err(Corrupt("unknown version"));
        }
        let entries_len = bytes.len() - HEADER_BYTES - TRAILER_BYTES;
        let count = u64::from(field::u32(&bytes, 12));
        if count * to_u64(ENTRY_BYTES) != to_u64(entries_len) {
            return Err(Corrupt("entry count"));
        }
        let trailer = HEADER_BYTES + entries_len;
        if field::u32(&bytes, trailer) != crc32c(&bytes[..trailer]) {
            return Err(Corrupt("manifest checksum"));
        }
        let reserved =
            [field::u32(&bytes, trailer + 4), field::u32(&bytes, 56), field::u32(&bytes, 60)];
        if reserved != [0; 3] || field::u16(&bytes, 10) != 0 {
            return Err(Corrupt("reserved bits in the manifest"));
        }
        let manifest = Self { bytes };
        let (base, end) = manifest.range();
        let mut next = base;
        for index in 0..manifest.len() {
            let raw = manifest.raw(index);
            let (entry_base, entry_end) = (field::i64(raw, 0), field::i64(raw, 8));
            let meta_fits = u64::from(field::u32(raw, 56)) <= field::u64(raw, 32);
            if Offset(entry_base) != next || entry_end <= entry_base || entry_base < 0 || !meta_fits
            {
                return Err(Corrupt("manifest entry"));
            }
            next = Offset(entry_end);
        }
        if next == end { Ok(manifest) } else { Err(Corrupt("range of the manifest")) }
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        PartitionId(field::u64(&self.bytes, 16))
    }

    /// The object that it says it is.
    #[must_use]
    pub fn object(&self) -> ObjectId {
        ObjectId(field::u64(&self.bytes, 24))
    }

    /// Who wrote it.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(field::u64(&self.bytes, 32))
    }

    /// First offset, and the offset after the last one.
    #[must_use]
    pub fn range(&self) -> (Offset, Offset) {
        (Offset(field::i64(&self.bytes, 40)), Offset(field::i64(&self.bytes, 48)))
    }

    /// Number of entries, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a manifest is never empty")]
    pub fn len(&self) -> usize {
        to_usize(u64::from(field::u32(&self.bytes, 12)))
    }

    /// All entries, in the order of offsets.
    pub fn entries(&self) -> impl Iterator<Item = ManifestEntry> + '_ {
        (0..self.len()).map(|index| self.entry(index))
    }

    /// The entry that holds `offset`.
    #[must_use]
    pub fn find(&self, offset: Offset) -> Option<ManifestEntry> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if Offset(field::i64(self.raw(middle), 8)) <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < self.len()).then(|| self.entry(low)).filter(|entry| entry.base <= offset)
    }

    fn raw(&self, index: usize) -> &[u8] {
        let start = HEADER_BYTES + index * ENTRY_BYTES;
        &self.bytes[start..start + ENTRY_BYTES]
    }

    fn entry(&self, index: usize) -> ManifestEntry {
        let raw = self.raw(index);
        let len = field::u64(raw, 32);
        ManifestEntry {
            base: Offset(field::i64(raw, 0)),
            end: Offset(field::i64(raw, 8)),
            object: ObjectId(field::u64(raw, 16)),
            incarnation: Incarnation(field::u64(raw, 24)),
            len,
            meta_pos: len - u64::from(field::u32(raw, 56)),
            bytes: field::u64(raw, 40),
            max_timestamp: Timestamp(field::i64(raw, 48)),
            flags: PartFlags(field::u32(raw, 60)),
        }
    }
}
