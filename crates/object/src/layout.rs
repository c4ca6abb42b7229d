//! Constants of the data object's format, and what its numbers mean.

use crate::field;
use esker_types::{Incarnation, ObjectId};

/// Bytes of the header; the first block begins after it.
pub const OBJECT_HEADER_BYTES: usize = 32;
pub(crate) const OBJECT_MAGIC: [u8; 8] = *b"ESKEROBJ";
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"ESKEREND";
pub(crate) const VERSION: u16 = 1;
pub(crate) const BLOCK_ENTRY_BYTES: usize = 56;
pub(crate) const PART_ENTRY_BYTES: usize = 96;
pub(crate) const SECTION_ENTRY_BYTES: usize = 32;
pub(crate) const TRAILER_BYTES: usize = 56;
/// A block is cut at the first batch boundary from here on.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;
/// The time index has an entry for each such stretch of a partition.
pub(crate) const TIME_INDEX_BYTES: usize = 64 << 10;

/// The bytes are not what was written, or not what the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corrupt object: {0}")]
pub struct Corrupt(pub &'static str);

/// What an object was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ObjectKind {
    /// A flush of a journal, many partitions.
    Flush = 0,
    /// One partition, by a flush or a merge.
    Segment = 1,
    /// Several partitions with little data, by a merge.
    Merged = 2,
    /// What producers have written to partitions, without records.
    Producers = 3,
}

impl ObjectKind {
    pub(crate) const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Flush,
            1 => Self::Segment,
            2 => Self::Merged,
            3 => Self::Producers,
            _ => return None,
        })
    }
}

/// What an object says about itself in its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectHeader {
    /// What it was written by.
    pub kind: ObjectKind,
    /// Its id.
    pub object: ObjectId,
    /// Who wrote it.
    pub incarnation: Incarnation,
}

impl ObjectHeader {
    pub(crate) fn encode(&self) -> [u8; OBJECT_HEADER_BYTES] {
        let mut bytes = [0; OBJECT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&OBJECT_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.kind as u8;
        bytes[16..24].copy_from_slice(&self.object.get().to_le_bytes());
        bytes[24..].copy_from_slice(&self.incarnation.get().to_le_bytes());
        bytes
    }

    /// Reads the first [`OBJECT_HEADER_BYTES`] of an object. Readers that have the object's end need not: the end
    /// repeats it.
    ///
    /// # Errors
    /// [`Corrupt`] when they are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Corrupt> {
        if bytes.len() < OBJECT_HEADER_BYTES || bytes[..8] != OBJECT_MAGIC {
            return Err(Corrupt("no object header"));
        }
        if field::u16(bytes, 8) != VERSION {
            return Err(Corrupt("unknown version"));
        }
        if bytes[11] != 0 || field::u32(bytes, 12) != 0 {
            return Err(Corrupt("reserved bits in the header"));
        }
        Ok(Self {
            kind: ObjectKind::from_u8(bytes[10]).ok_or(Corrupt("unknown kind"))?,
            object: ObjectId(field::u64(bytes, 16)),
            incarnation: Incarnation(field::u64(bytes, 24)),
        })
    }
}

/// Type of a section at an object's end. Readers skip types that they do not know; new ones need no new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectionType(pub u32);

impl SectionType {
    /// Blocks by partition and offset.
    pub const BLOCK_INDEX: Self = Self(1);
    /// Partitions by id.
    pub const PARTITION_TABLE: Self = Self(2);
    /// Details of partitions.
    pub const PROPS: Self = Self(3);
}

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $bit:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self(1 << $bit);)*

            /// Whether all of `other`'s flags are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Both sets of flags.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

flags! {
    /// Properties of a partition's part of an object.
    PartFlags {
        /// Transactions that ended in an abort here are listed.
        HAS_ABORTED = 0,
        /// There are transactional batches.
        HAS_TXN = 1,
        /// The producer section stands alone.
        PRODUCERS_FULL = 2,
        /// The producer section adds to those of earlier objects.
        PRODUCERS_DELTA = 3,
        /// Compaction has removed records: offsets may have gaps.
        COMPACTED = 4,
        /// The last offsets of the range have no records any more.
        EMPTY_TAIL = 5,
        /// The producer section names producers.
        HAS_PRODUCERS = 6,
        /// No record has a timestamp.
        NO_TIMES = 7,
    }
}

flags! {
    /// Properties of a block.
    BlockFlags {
        /// There are transactional batches.
        HAS_TXN = 0,
        /// There are transaction markers.
        HAS_CONTROL = 1,
    }
}
