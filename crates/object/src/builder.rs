//! Writing a data object.

use crate::field::{crc32c, to_u32, to_u64};
use crate::layout::{
    BLOCK_BYTES, BlockFlags, OBJECT_HEADER_BYTES, ObjectHeader, ObjectKind, PartFlags, SectionType,
    TIME_INDEX_BYTES, TRAILER_MAGIC, VERSION,
};
use crate::props::{AbortedTxn, EpochStart, ProducerEntry, ProducerKind, PropsWriter, TimeEntry};
use bytes::Bytes;
use esker_types::{
    Crc32c, Incarnation, LeaderEpoch, ObjectId, Offset, PartitionId, PartitionIndex, Timestamp,
    TopicId,
};

/// What an object needs to know of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMeta {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record (inclusive, as in the batch).
    pub last_offset: Offset,
    /// Largest record timestamp.
    pub max_timestamp: Timestamp,
    /// Leader epoch under which it was appended; not negative.
    pub leader_epoch: LeaderEpoch,
    /// Properties.
    pub flags: BlockFlags,
}

/// A partition's part of a finished object, as the metadata wants to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSummary {
    /// The partition.
    pub partition: PartitionId,
    /// First offset of the part.
    pub base: Offset,
    /// Offset after the last one.
    pub end: Offset,
    /// Bytes of record batches.
    pub bytes: u64,
    /// From when it ages: at least the largest record timestamp.
    pub ages_from: Timestamp,
    /// Properties.
    pub flags: PartFlags,
}

/// A finished object.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The pieces whose concatenation is the object.
    pub parts: Vec<Bytes>,
    /// Length of the object.
    pub len: u64,
    /// Where its end (sections and trailer) begins.
    pub meta_pos: u64,
    /// CRC-32C of `meta_pos..len`.
    pub meta_crc: u32,
    /// Its partitions, by id.
    pub partitions: Vec<PartSummary>,
}

#[derive(Debug)]
struct OpenPart {
    partition: PartitionId,
    topic: TopicId,
    index: PartitionIndex,
    base: Option<Offset>,
    end: Offset,
    max_timestamp: Timestamp,
    ages_from: Timestamp,
    bytes: u64,
    flags: PartFlags,
    first_block: u32,
    props: PropsWriter,
    block: Option<OpenBlock>,
    /// Bytes since the last entry of the time index.
    stretch: usize,
}

#[derive(Debug)]
struct OpenBlock {
    meta: BatchMeta,
    len: usize,
    crc: Crc32c,
}

/// Builds a data object. Partitions come in the order of their ids, their batches in the order of offsets.
#[derive(Debug)]
pub struct ObjectBuilder {
    header: ObjectHeader,
    parts: Vec<Bytes>,
    position: u64,
    blocks: Vec<u8>,
    block_count: u32,
    table: Vec<u8>,
    props: Vec<u8>,
    summaries: Vec<PartSummary>,
    open: Option<OpenPart>,
}

impl ObjectBuilder {
    /// An empty object.
    #[must_use]
    pub fn new(object: ObjectId, incarnation: Incarnation, kind: ObjectKind) -> Self {
        let header = ObjectHeader { kind, object, incarnation };
        Self {
            header,
            parts: vec![Bytes::copy_from_slice(&header.encode())],
            position: to_u64(OBJECT_HEADER_BYTES),
            blocks: Vec::new(),
            block_count: 0,
            table: Vec::new(),
            props: Vec::new(),
            summaries: Vec::new(),
            open: None,
        }
    }

    /// Bytes of record batches so far.
    #[must_use]
    pub fn data_len(&self) -> u64 {
        self.position - to_u64(OBJECT_HEADER_BYTES)
    }

    /// Partitions so far.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.summaries.len() + usize::from(self.open.is_some())
    }

    /// Begins the part of a partition; the calls that follow are about it.
    ///
    /// # Panics
    /// When the partitions do not come in the order of their ids, or the previous part has no range.
    pub fn partition(
        &mut self,
        partition: PartitionId,
        topic: TopicId,
        index: PartitionIndex,
    ) -> &mut Self {
        self.close_part();
        let previous = self.summaries.last().map(|summary| summary.partition);
        assert!(previous < Some(partition), "{previous:?} comes before {partition:?}");
        self.open = Some(OpenPart {
            partition,
            topic,
            index,
            base: None,
            end: Offset::ZERO,
            max_timestamp: Timestamp::NONE,
            ages_from: Timestamp::NONE,
            bytes: 0,
            flags: PartFlags::default(),
            first_block: self.block_count,
            props: PropsWriter::default(),
            block: None,
            stretch: 0,
        });
        self
    }

    /// Adds the partition's next record batch, without copying it.
    ///
    /// # Panics
    /// When the batch does not follow the previous one, or has a negative epoch.
    pub fn push_batch(&mut self, meta: BatchMeta, batch: Bytes) -> &mut Self {
        let crc = crc32c(&batch);
        self.push_checked(meta, batch, Crc32c(crc))
    }

    /// As [`Self::push_batch`] for a batch whose CRC-32C is known to be `crc`: its bytes are not read.
    ///
    /// # Panics
    /// As [`Self::push_batch`]; in debug builds also when the checksum is another one.
    pub fn push_checked(&mut self, meta: BatchMeta, batch: Bytes, crc: Crc32c) -> &mut Self {
        debug_assert_eq!(crc.0, crc32c(&batch), "the checksum of {meta:?}");
        let part = self.open.as_mut().expect("a partition was begun");
        assert!(meta.last_offset >= meta.base_offset, "{meta:?}");
        assert!(part.base.is_none() || meta.base_offset >= part.end, "{meta:?} after {}", part.end);
        assert!(meta.leader_epoch.get() >= 0, "{meta:?}");
        part.base.get_or_insert(meta.base_offset);
        part.end = meta.last_offset.next();
        part.max_timestamp = part.max_timestamp.max(meta.max_timestamp);
        part.bytes += to_u64(batch.len());
        if meta.flags.contains(BlockFlags::HAS_TXN) {
            part.flags = part.flags.with(PartFlags::HAS_TXN);
        }
        if part.props.epochs.last().is_none_or(|last| last.epoch != meta.leader_epoch) {
            let start = EpochStart { epoch: meta.leader_epoch, start: meta.base_offset };
            part.props.epochs.push(start);
        }
        match part.props.times.last_mut().filter(|_| part.stretch < TIME_INDEX_BYTES) {
            Some(entry) => {
                entry.max_timestamp = entry.max_timestamp.max(meta.max_timestamp);
                part.stretch += batch.len();
            }
            None => {
                let (max_timestamp, offset) = (meta.max_timestamp, meta.base_offset);
                part.props.times.push(TimeEntry { max_timestamp, offset });
                part.stretch = batch.len();
            }
        }
        let block = part.block.get_or_insert(OpenBlock { meta, len: 0, crc: Crc32c::EMPTY });
        block.meta.last_offset = meta.last_offset;
        block.meta.max_timestamp = block.meta.max_timestamp.max(meta.max_timestamp);
        block.meta.flags = block.meta.flags.with(meta.flags);
        block.len += batch.len();
        block.crc = block.crc.then(crc, batch.len());
        let full = block.len >= BLOCK_BYTES;
        self.parts.push(batch);
        if full {
            self.close_block();
        }
        self
    }

    /// Widens the part's range beyond its batches: compaction has removed what was there.
    ///
    /// # Panics
    /// When a batch lies outside, or the range is empty.
    pub fn range(&mut self, base: Offset, end: Offset) -> &mut Self {
        let part = self.open.as_mut().expect("a partition was begun");
        let inside = part.base.is_none_or(|first| base <= first && part.end <= end);
        assert!(inside && Offset::ZERO <= base && base < end, "{base}..{end}");
        part.flags = part.flags.with(PartFlags::COMPACTED);
        if part.base.is_none() || part.end < end {
            part.flags = part.flags.with(PartFlags::EMPTY_TAIL);
        }
        (part.base, part.end) = (Some(base), end);
        self
    }

    /// Says that something in the part ages from this time on: the metadata is told the latest of all.
    pub fn ages_from(&mut self, time: Timestamp) -> &mut Self {
        let part = self.open.as_mut().expect("a partition was begun");
        part.ages_from = part.ages_from.max(time);
        self
    }

    /// Lists a transaction whose abort marker is in this part.
    pub fn aborted(&mut self, aborted: AbortedTxn) -> &mut Self {
        let part = self.open.as_mut().expect("a partition was begun");
        part.flags = part.flags.with(PartFlags::HAS_ABORTED);
        part.props.aborted.push(aborted);
        self
    }

    /// Adds what is known of producers at the part's end.
    ///
    /// # Panics
    /// When a producer has more than five batches.
    pub fn producers(&mut self, kind: ProducerKind, producers: Vec<ProducerEntry>) -> &mut Self {
        let part = self.open.as_mut().expect("a partition was begun");
        part.flags = part.flags.with(match kind {
            ProducerKind::Full => PartFlags::PRODUCERS_FULL,
            ProducerKind::Delta => PartFlags::PRODUCERS_DELTA,
        });
        if !producers.is_empty() {
            part.flags = part.flags.with(PartFlags::HAS_PRODUCERS);
        }
        part.props.producers = Some((kind, producers));
        self
    }

    /// Finishes the object.
    ///
    /// # Panics
    /// When the last part has no range.
    #[must_use]
    pub fn finish(mut self) -> Encoded {
        self.close_part();
        let meta_pos = self.position;
        let mut meta = Vec::new();
        let mut sections = Vec::new();
        for (kind, content) in [
            (SectionType::PROPS, &self.props),
            (SectionType::BLOCK_INDEX, &self.blocks),
            (SectionType::PARTITION_TABLE, &self.table),
        ] {
            sections.extend_from_slice(&kind.0.to_le_bytes());
            sections.extend_from_slice(&crc32c(content).to_le_bytes());
            sections.extend_from_slice(&(meta_pos + to_u64(meta.len())).to_le_bytes());
            sections.extend_from_slice(&to_u64(content.len()).to_le_bytes());
            sections.extend_from_slice(&[0; 8]);
            meta.extend_from_slice(content);
        }
        let trailer_at = meta.len();
        meta.extend_from_slice(&sections);
        let len = meta_pos + to_u64(meta.len()) + to_u64(crate::layout::TRAILER_BYTES);
        meta.extend_from_slice(&len.to_le_bytes());
        meta.extend_from_slice(&meta_pos.to_le_bytes());
        meta.extend_from_slice(&self.header.object.get().to_le_bytes());
        meta.extend_from_slice(&self.header.incarnation.get().to_le_bytes());
        meta.extend_from_slice(&3_u32.to_le_bytes());
        meta.extend_from_slice(&VERSION.to_le_bytes());
        meta.extend_from_slice(&[self.header.kind as u8, 0]);
        meta.extend_from_slice(&[0; 4]);
        let crc = crc32c(&meta[trailer_at..]);
        meta.extend_from_slice(&crc.to_le_bytes());
        meta.extend_from_slice(&TRAILER_MAGIC);
        let meta_crc = crc32c(&meta);
        self.parts.push(meta.into());
        Encoded { parts: self.parts, len, meta_pos, meta_crc, partitions: self.summaries }
    }

    fn close_block(&mut self) {
        let part = self.open.as_mut().expect("a block belongs to a part");
        let Some(block) = part.block.take() else { return };
        let len = to_u32(block.len);
        let out = &mut self.blocks;
        out.extend_from_slice(&part.partition.get().to_le_bytes());
        out.extend_from_slice(&block.meta.base_offset.get().to_le_bytes());
        out.extend_from_slice(&block.meta.last_offset.get().to_le_bytes());
        out.extend_from_slice(&block.meta.max_timestamp.get().to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&block.crc.0.to_le_bytes());
        out.extend_from_slice(&block.meta.leader_epoch.get().to_le_bytes());
        out.extend_from_slice(&block.meta.flags.0.to_le_bytes());
        self.position += u64::from(len);
        self.block_count += 1;
    }

    fn close_part(&mut self) {
        if self.open.is_none() {
            return;
        }
        self.close_block();
        let mut part = self.open.take().expect("looked at above");
        if part.bytes > 0 && part.max_timestamp <= Timestamp::NONE {
            part.flags = part.flags.with(PartFlags::NO_TIMES);
        }
        let base = part.base.expect("a part has batches or an explicit range");
        let props_at = self.props.len();
        part.props.encode(&mut self.props);
        let out = &mut self.table;
        out.extend_from_slice(&part.partition.get().to_le_bytes());
        out.extend_from_slice(part.topic.0.as_bytes());
        out.extend_from_slice(&part.index.get().to_le_bytes());
        out.extend_from_slice(&part.flags.0.to_le_bytes());
        out.extend_from_slice(&base.get().to_le_bytes());
        out.extend_from_slice(&part.end.get().to_le_bytes());
        out.extend_from_slice(&part.max_timestamp.get().to_le_bytes());
        out.extend_from_slice(&part.bytes.to_le_bytes());
        out.extend_from_slice(&part.first_block.to_le_bytes());
        out.extend_from_slice(&(self.block_count - part.first_block).to_le_bytes());
        out.extend_from_slice(&to_u64(props_at).to_le_bytes());
        out.extend_from_slice(&to_u32(self.props.len() - props_at).to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        self.summaries.push(PartSummary {
            partition: part.partition,
            base,
            end: part.end,
            bytes: part.bytes,
            ages_from: part.ages_from.max(part.max_timestamp),
            flags: part.flags,
        });
    }
}
