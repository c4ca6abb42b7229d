//! Laying out a group commit, and the beginning of a segment.

use crate::crc::crc32c;
use crate::format::{
    Checkpoint, CommitSpan, PAGE, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SegmentHeader,
    SegmentLife, record_bytes,
};
use crate::num::{align_up, to_u32, to_u64, to_usize};
use crate::state::Pending;
use esker_env::AlignedBuffer;
use esker_types::{JournalId, Seq};

/// Writes the records of one commit into `buffer`, which stands for the file from `span.start` on.
pub(crate) struct CommitEncoder<'a> {
    bytes: &'a mut [u8],
    life: SegmentLife,
    span: CommitSpan,
    position: u64,
}

impl<'a> CommitEncoder<'a> {
    /// `bytes` has the commit's length.
    pub(crate) fn new(bytes: &'a mut [u8], life: SegmentLife, span: CommitSpan) -> Self {
        assert_eq!(to_u64(bytes.len()), span.end - span.start);
        Self { bytes, life, span, position: span.start }
    }

    /// Adds a record and returns its position in the file. `last` is the journal's last durable entry.
    pub(crate) fn push(&mut self, record: &Pending, last: Seq) -> u64 {
        let (kind, journal) = (record.kind(), record.journal());
        match record {
            Pending::Bundle(bundle) => {
                let pieces = bundle.pieces().map(AsRef::as_ref);
                self.put(kind, journal, bundle.seq(), bundle.crc(), to_u64(bundle.len()), pieces)
            }
            Pending::Open(_, meta) => self.control(kind, journal, Seq::NONE, meta),
            Pending::Trim(_, upto) => self.control(kind, journal, *upto, &[]),
            Pending::Seal(_) => self.control(kind, journal, last, &[]),
            Pending::Drop(_) | Pending::Close => self.control(kind, journal, Seq::NONE, &[]),
        }
    }

    pub(crate) fn control(
        &mut self,
        kind: RecordKind,
        journal: JournalId,
        seq: Seq,
        payload: &[u8],
    ) -> u64 {
        let crc = crc32c(payload);
        self.put(kind, journal, seq, crc, to_u64(payload.len()), std::iter::once(payload))
    }

    /// Fills the rest of the last page.
    pub(crate) fn finish(mut self) {
        let left = self.span.end - self.position;
        assert!(left < PAGE, "a commit is as long as its records, rounded up to a page");
        if left >= RECORD_HEADER_BYTES {
            let len = left - RECORD_HEADER_BYTES;
            let at = self.at();
            self.bytes[at..].fill(0);
            self.header(RecordKind::Pad, JournalId::default(), Seq::NONE, 0, len);
        } else {
            let at = self.at();
            self.bytes[at..].fill(0);
        }
    }

    fn put<'p>(
        &mut self,
        kind: RecordKind,
        journal: JournalId,
        seq: Seq,
        crc: u32,
        len: u64,
        pieces: impl Iterator<Item = &'p [u8]>,
    ) -> u64 {
        let position = self.position;
        self.header(kind, journal, seq, crc, len);
        let mut at = self.at() + to_usize(RECORD_HEADER_BYTES);
        for piece in pieces {
            self.bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        self.position += record_bytes(len);
        let end = self.at();
        self.bytes[at..end].fill(0);
        position
    }

    fn header(&mut self, kind: RecordKind, journal: JournalId, seq: Seq, crc: u32, len: u64) {
        let header = RecordHeader {
            kind,
            payload_crc: crc,
            len: to_u32(len),
            journal,
            seq,
            commit: self.span,
        };
        let at = self.at();
        let bytes = &mut self.bytes[at..at + to_usize(RECORD_HEADER_BYTES)];
        header.encode(bytes, self.life, self.position);
    }

    fn at(&self) -> usize {
        to_usize(self.position - self.span.start)
    }
}

/// The first bytes of a segment: its header and a commit with the checkpoint. Returns them with their length.
pub(crate) fn segment_beginning(
    header: &SegmentHeader,
    checkpoint: &Checkpoint,
    commit_id: u64,
) -> (AlignedBuffer, usize) {
    let payload = checkpoint.encode();
    let end = PAGE + align_up(record_bytes(to_u64(payload.len())), PAGE);
    let mut buffer = AlignedBuffer::with_capacity(to_usize(end));
    let bytes = buffer.bytes_mut(to_usize(end));
    let (page, commit) = bytes.split_at_mut(to_usize(PAGE));
    header.encode(page);
    let span = CommitSpan { id: commit_id, start: PAGE, end };
    let mut encoder = CommitEncoder::new(commit, header.life(), span);
    encoder.control(RecordKind::Checkpoint, JournalId::default(), Seq::NONE, &payload);
    encoder.finish();
    (buffer, to_usize(end))
}
