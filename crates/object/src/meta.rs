//! Reading a data object's end.

use crate::field::{self, crc32c, to_u64, to_usize};
use crate::layout::{
    BLOCK_ENTRY_BYTES, BlockFlags, Corrupt, OBJECT_HEADER_BYTES, ObjectHeader, ObjectKind,
    PART_ENTRY_BYTES, PartFlags, SECTION_ENTRY_BYTES, SectionType, TRAILER_BYTES, TRAILER_MAGIC,
    VERSION,
};
use crate::props::{AbortedTxn, EpochStart, ProducerEntry, ProducerKind, PropsView, TimeEntry};
use bytes::Bytes;
use esker_types::{
    Incarnation, LeaderEpoch, ObjectId, Offset, PartitionId, PartitionIndex, Timestamp, TopicId,
};
use std::ops::Range;
use uuid::Uuid;

/// What a data object says about itself. Holds the bytes of the object's end and reads them in place.
#[derive(Debug, Clone)]
pub struct ObjectMeta {
    header: ObjectHeader,
    object_len: u64,
    meta_pos: u64,
    blocks: Bytes,
    table: Bytes,
    props: Bytes,
}

/// A partition's part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The partition.
    pub partition: PartitionId,
    /// Its topic.
    pub topic: TopicId,
    /// Its number in the topic.
    pub index: PartitionIndex,
    /// Properties.
    pub flags: PartFlags,
    /// First offset of the part.
    pub base: Offset,
    /// Offset after the last one.
    pub end: Offset,
    /// Largest record timestamp; −1 without records.
    pub max_timestamp: Timestamp,
    /// Bytes of record batches.
    pub bytes: u64,
    first_block: usize,
    block_count: usize,
    props_at: usize,
    props_len: usize,
}

/// A run of record batches of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The partition.
    pub partition: PartitionId,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Largest record timestamp.
    pub max_timestamp: Timestamp,
    /// Byte position in the object.
    pub position: u64,
    /// Bytes.
    pub len: u32,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// Leader epoch of its first batch.
    pub leader_epoch: LeaderEpoch,
    /// Properties.
    pub flags: BlockFlags,
}

impl Block {
    /// Compares bytes read from the object with the checksum.
    ///
    /// # Errors
    /// [`Corrupt`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Corrupt> {
        match bytes.len() == to_usize(u64::from(self.len)) && crc32c(bytes) == self.crc {
            true => Ok(()),
            false => Err(Corrupt("block checksum")),
        }
    }
}

impl ObjectMeta {
    /// Reads bytes `meta_pos..` of an object and checks all of them.
    ///
    /// # Errors
    /// [`Corrupt`] when anything is not as a writer would have written it; the bytes may come from anyone.
    pub fn parse(bytes: Bytes, meta_pos: u64) -> Result<Self, Corrupt> {
        let trailer_at = bytes.len().checked_sub(TRAILER_BYTES).ok_or(Corrupt("cut short"))?;
        let trailer = &bytes[trailer_at..];
        if trailer[48..] != TRAILER_MAGIC {
            return Err(Corrupt("no trailer"));
        }
        if field::u16(trailer, 36) != VERSION {
            return Err(Corrupt("unknown version"));
        }
        let count = to_usize(u64::from(field::u32(trailer, 32)));
        let sections_at = count
            .checked_mul(SECTION_ENTRY_BYTES)
            .and_then(|len| trailer_at.checked_sub(len))
            .ok_or(Corrupt("section count"))?;
        if field::u32(trailer, 44) != crc32c(&bytes[sections_at..trailer_at + 44]) {
            return Err(Corrupt("trailer checksum"));
        }
        let object_len = field::u64(trailer, 0);
        let fits = meta_pos.checked_add(to_u64(bytes.len())) == Some(object_len);
        if !fits || field::u64(trailer, 8) != meta_pos {
            return Err(Corrupt("lengths"));
        }
        if trailer[39] != 0 || field::u32(trailer, 40) != 0 {
            return Err(Corrupt("reserved bits in the trailer"));
        }
        let header = ObjectHeader {
            kind: ObjectKind::from_u8(trailer[38]).ok_or(Corrupt("unknown kind"))?,
            object: ObjectId(field::u64(trailer, 16)),
            incarnation: Incarnation(field::u64(trailer, 24)),
        };
        let [mut blocks, mut table, mut props] = [None, None, None];
        let mut expected = 0usize;
        for entry in bytes[sections_at..trailer_at].chunks_exact(SECTION_ENTRY_BYTES) {
            let at = field::u64(entry, 8).checked_sub(meta_pos).map(to_usize);
            let len = to_usize(field::u64(entry, 16));
            let end = expected.checked_add(len).filter(|&end| end <= sections_at);
            let (Some(at), Some(end)) = (at, end) else { return Err(Corrupt("section bounds")) };
            // Sections lie side by side: no byte belongs to none.
            if at != expected || field::u64(entry, 24) != 0 {
                return Err(Corrupt("section bounds"));
            }
            expected = end;
            let content = bytes.slice(at..end);
            if field::u32(entry, 4) != crc32c(&content) {
                return Err(Corrupt("section checksum"));
            }
            let slot = match SectionType(field::u32(entry, 0)) {
                SectionType::BLOCK_INDEX => &mut blocks,
                SectionType::PARTITION_TABLE => &mut table,
                SectionType::PROPS => &mut props,
                _ => continue,
            };
            if slot.replace(content).is_some() {
                return Err(Corrupt("section twice"));
            }
        }
        if expected != sections_at {
            return Err(Corrupt("section bounds"));
        }
        let meta = Self {
            header,
            object_len,
            meta_pos,
            blocks: blocks.ok_or(Corrupt("no block index"))?,
            table: table.ok_or(Corrupt("no partition table"))?,
            props: props.ok_or(Corrupt("no props"))?,
        };
        meta.check()?;
        Ok(meta)
    }

    fn check(&self) -> Result<(), Corrupt> {
        if !self.blocks.len().is_multiple_of(BLOCK_ENTRY_BYTES)
            || !self.table.len().is_multiple_of(PART_ENTRY_BYTES)
        {
            return Err(Corrupt("entry width"));
        }
        let block_count = self.blocks.len() / BLOCK_ENTRY_BYTES;
        let (mut block, mut props, mut previous) = (0, 0, None);
        let mut position = to_u64(OBJECT_HEADER_BYTES);
        for index in 0..self.part_count() {
            let entry = self.part_bytes(index);
            let part = self.part(index);
            if previous.is_some_and(|previous| previous >= part.partition) {
                return Err(Corrupt("order of partitions"));
            }
            previous = Some(part.partition);
            if part.base.get() < 0 || part.end <= part.base || entry[84..].iter().any(|&b| b != 0) {
                return Err(Corrupt("partition entry"));
            }
            if part.first_block != block || part.block_count > block_count - block {
                return Err(Corrupt("blocks of a partition"));
            }
            block += part.block_count;
            position = self.check_blocks(&part, position)?;
            if part.props_at != props || part.props_len > self.props.len() - props {
                return Err(Corrupt("props of a partition"));
            }
            props += part.props_len;
            PropsView::parse(self.props_bytes(&part))?;
        }
        match block == block_count && props == self.props.len() && position == self.meta_pos {
            true => Ok(()),
            false => Err(Corrupt("something belongs to no partition")),
        }
    }

    fn check_blocks(&self, part: &Part, mut position: u64) -> Result<u64, Corrupt> {
        let (mut offset, mut bytes) = (part.base, 0);
        for block in self.blocks(part) {
            let inside = block.base_offset >= offset
                && block.last_offset >= block.base_offset
                && block.last_offset < part.end;
            if block.partition != part.partition || !inside || block.leader_epoch.get() < 0 {
                return Err(Corrupt("block entry"));
            }
            if block.position != position || block.len == 0 {
                return Err(Corrupt("block position"));
            }
            offset = block.last_offset.next();
            position = position.saturating_add(u64::from(block.len));
            bytes += u64::from(block.len);
        }
        if bytes != part.bytes { Err(Corrupt("bytes of a partition")) } else { Ok(position) }
    }

    /// What the object says it is; compare it with what was asked for.
    #[must_use]
    pub fn header(&self) -> ObjectHeader {
        self.header
    }

    /// Length of the whole object in bytes.
    #[must_use]
    pub fn object_len(&self) -> u64 {
        self.object_len
    }

    /// Bytes of memory that this holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.blocks.len() + self.table.len() + self.props.len()
    }

    /// Number of partitions.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.table.len() / PART_ENTRY_BYTES
    }

    /// All parts, by partition.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        (0..self.part_count()).map(|index| self.part(index))
    }

    /// The part of `partition`.
    #[must_use]
    pub fn find(&self, partition: PartitionId) -> Option<Part> {
        self.place(partition).ok().map(|index| self.part(index))
    }

    /// The parts before that of `partition`, the nearest first.
    pub fn parts_before(&self, partition: PartitionId) -> impl Iterator<Item = Part> + '_ {
        let (Ok(place) | Err(place)) = self.place(partition);
        (0..place).rev().map(|index| self.part(index))
    }

    /// The parts after that of `partition`, the nearest first.
    pub fn parts_after(&self, partition: PartitionId) -> impl Iterator<Item = Part> + '_ {
        let place = self.place(partition).map_or_else(|place| place, |place| place + 1);
        (place..self.part_count()).map(|index| self.part(index))
    }

    /// Where `partition` is in the table, or would be.
    fn place(&self, partition: PartitionId) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.part_count());
        while low < high {
            let middle = low.midpoint(high);
            let here = PartitionId(field::u64(self.part_bytes(middle), 0));
            match here.cmp(&partition) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The bytes of the object that a part's blocks are.
    #[must_use]
    pub fn range(&self, part: &Part) -> Range<u64> {
        let start = self.blocks(part).next().map_or(0, |block| block.position);
        start..start + part.bytes
    }

    /// A part's blocks in order.
    pub fn blocks(&self, part: &Part) -> impl Iterator<Item = Block> + '_ {
        (part.first_block..part.first_block + part.block_count).map(|index| self.block(index))
    }

    /// A part's blocks from the one that holds `offset` on, or from the first one after it where compaction has
    /// removed it.
    pub fn blocks_from(&self, part: &Part, offset: Offset) -> impl Iterator<Item = Block> + '_ {
        let end = part.first_block + part.block_count;
        let (mut low, mut high) = (part.first_block, end);
        while low < high {
            let middle = low.midpoint(high);
            if self.block(middle).last_offset < offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low..end).map(|index| self.block(index))
    }

    /// An offset at or before the first record whose timestamp is at least `timestamp`, at most 64 KiB of batches
    /// (or one batch) before it. `None` when no record of the part is that late.
    #[must_use]
    pub fn offset_for_time(&self, part: &Part, timestamp: Timestamp) -> Option<Offset> {
        let found = self.times(part).find(|entry| entry.max_timestamp >= timestamp);
        found.map(|entry| entry.offset)
    }

    /// Where the leader epochs of a part begin, in order.
    pub fn leader_epochs(&self, part: &Part) -> impl Iterator<Item = EpochStart> + '_ {
        self.props_of(part).epochs()
    }

    /// The sparse time index of a part.
    pub fn times(&self, part: &Part) -> impl Iterator<Item = TimeEntry> + '_ {
        self.props_of(part).times()
    }

    /// Aborted transactions whose markers are in a part.
    pub fn aborted(&self, part: &Part) -> impl Iterator<Item = AbortedTxn> + '_ {
        self.props_of(part).aborted()
    }

    /// Whether a part has a producer section, and which.
    #[must_use]
    pub fn producer_kind(&self, part: &Part) -> Option<ProducerKind> {
        self.props_of(part).producer_kind()
    }

    /// What is known of producers at a part's end.
    pub fn producers(&self, part: &Part) -> impl Iterator<Item = ProducerEntry> + '_ {
        self.props_of(part).producers()
    }

    fn props_of(&self, part: &Part) -> PropsView<'_> {
        PropsView::parse(self.props_bytes(part)).expect("checked when parsed")
    }

    fn props_bytes(&self, part: &Part) -> &[u8] {
        &self.props[part.props_at..part.props_at + part.props_len]
    }

    fn part_bytes(&self, index: usize) -> &[u8] {
        &self.table[index * PART_ENTRY_BYTES..(index + 1) * PART_ENTRY_BYTES]
    }

    fn part(&self, index: usize) -> Part {
        let entry = self.part_bytes(index);
        Part {
            partition: PartitionId(field::u64(entry, 0)),
            topic: TopicId(Uuid::from_bytes(field::array(entry, 8))),
            index: PartitionIndex(field::i32(entry, 24)),
            flags: PartFlags(field::u32(entry, 28)),
            base: Offset(field::i64(entry, 32)),
            end: Offset(field::i64(entry, 40)),
            max_timestamp: Timestamp(field::i64(entry, 48)),
            bytes: field::u64(entry, 56),
            first_block: to_usize(u64::from(field::u32(entry, 64))),
            block_count: to_usize(u64::from(field::u32(entry, 68))),
            props_at: to_usize(field::u64(entry, 72)),
            props_len: to_usize(u64::from(field::u32(entry, 80))),
        }
    }

    fn block(&self, index: usize) -> Block {
        let entry = &self.blocks[index * BLOCK_ENTRY_BYTES..(index + 1) * BLOCK_ENTRY_BYTES];
        Block {
            partition: PartitionId(field::u64(entry, 0)),
            base_offset: Offset(field::i64(entry, 8)),
            last_offset: Offset(field::i64(entry, 16)),
            max_timestamp: Timestamp(field::i64(entry, 24)),
            position: field::u64(entry, 32),
            len: field::u32(entry, 40),
            crc: field::u32(entry, 44),
            leader_epoch: LeaderEpoch(field::i32(entry, 48)),
            flags: BlockFlags(field::u32(entry, 52)),
        }
    }
}
