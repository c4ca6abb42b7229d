//! Reading a segment from its beginning, commit by commit, and telling a torn end from damage.
//!
//! A commit is written by one write and synced before the next one starts, so:
//! - a record that was written by a later commit proves that everything before that commit had been synced. Bad
//!   bytes before it are **damage**;
//! - bad bytes with no later commit after them are a write that never finished: a **torn** commit, dropped whole.
//!   None of it was acknowledged.
//!
//! In a segment that is not the last one the end is known (a later checkpoint names it) and everything before it
//! had been synced. So had the first commit of each segment, the checkpoint, before the segment had its name.

use crate::format::{CommitSpan, PAGE, RECORD_ALIGN, RECORD_HEADER_BYTES};
use crate::format::{RecordHeader, RecordKind, SegmentLife};
use crate::num::{align_down, align_up, to_u64, to_usize};
use bytes::Bytes;
use esker_env::AlignedBuffer;
use esker_env::DiskFile;
use esker_types::{Bug, planted};
use std::io;
use std::sync::Arc;

/// Bytes read at once, at first: what a log that is nearly empty costs.
const BLOCK_BYTES: u64 = 1 << 20;
/// Bytes read at once while a file is read through: the device gets enough to work on several pieces at a time.
const BLOCK_BYTES_MAX: u64 = 4 << 20;

/// A window that slides over a file in page-aligned blocks.
pub(crate) struct Window {
    file: Arc<dyn DiskFile>,
    len: u64,
    buffer: AlignedBuffer,
    start: u64,
    filled: u64,
    /// Bytes to be read at once.
    block: u64,
    /// Bytes fetched from the file so far.
    pub(crate) fetched: u64,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        // A tail that is no whole page was never written by a commit.
        let len = align_down(file.len()?, PAGE);
        let buffer = AlignedBuffer::default();
        Ok(Self { file, len, buffer, start: 0, filled: 0, block: BLOCK_BYTES, fetched: 0 })
    }

    /// Length of the file in whole pages.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes `position..position + len`, or `None` where the file is shorter.
    pub(crate) fn bytes(&mut self, position: u64, len: u64) -> io::Result<Option<&[u8]>> {
        let Some(end) = position.checked_add(len).filter(|&end| end <= self.len) else {
            return Ok(None);
        };
        if position < self.start || end > self.start + self.filled {
            self.fill(position, end)?;
        }
        let from = to_usize(position - self.start);
        Ok(Some(&self.buffer.bytes(to_usize(self.filled))[from..from + to_usize(len)]))
    }

    /// Slides the window to where `position..end` is inside. What it has of that already is moved, not read again.
    fn fill(&mut self, position: u64, end: u64) -> io::Result<()> {
        let start = align_down(position, PAGE);
        let filled_end = self.start + self.filled;
        let goes_on = (self.start..=filled_end).contains(&start) && self.filled > 0;
        self.block = if goes_on { (self.block * 2).min(BLOCK_BYTES_MAX) } else { BLOCK_BYTES };
        let wanted = align_up(end, PAGE).max(start + self.block).min(self.len) - start;
        let there =
            if goes_on { to_usize(start - self.start)..to_usize(self.filled) } else { 0..0 };
        let kept = there.len();
        if to_u64(self.buffer.capacity()) < wanted {
            // Room for the largest blocks at once: what is not read into stays untouched.
            let capacity = wanted.max(BLOCK_BYTES_MAX.min(self.len));
            let mut larger = AlignedBuffer::with_capacity(to_usize(capacity));
            larger.bytes_mut(kept).copy_from_slice(&self.buffer.bytes(there.end)[there]);
            self.buffer = larger;
        } else {
            self.buffer.bytes_mut(there.end).copy_within(there, 0);
        }
        // Until the read has succeeded nothing counts as there.
        self.filled = 0;
        let added = &mut self.buffer.bytes_mut(to_usize(wanted))[kept..];
        self.file.read_exact_at(added, start + to_u64(kept))?;
        self.start = start;
        self.filled = wanted;
        self.fetched += wanted - to_u64(kept);
        Ok(())
    }
}

/// Something found in a segment, in the order of positions.
#[derive(Debug)]
pub(crate) enum Found {
    /// An intact record; the payload is kept for control records only.
    Record { header: RecordHeader, position: u64, payload: Bytes },
    /// A record whose header is intact and whose payload is not.
    BadPayload { header: RecordHeader, position: u64 },
    /// Bytes that had been synced and hold no readable record; any records may have been there.
    Unreadable { from: u64, to: u64 },
}

/// How a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Where the last commit begins; 0 where there is none, and only the segment's beginning was written.
    pub(crate) last: u64,
    /// Where the next commit goes.
    pub(crate) end: u64,
    /// An unfinished commit begins at `end`.
    pub(crate) torn: bool,
}

pub(crate) struct Scanner<'a> {
    window: &'a mut Window,
    life: SegmentLife,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(window: &'a mut Window, life: SegmentLife) -> Self {
        Self { window, life }
    }

    /// Reads from the first commit on. `known_end` is the end that a later checkpoint names, `None` for the last
    /// segment.
    pub(crate) fn scan(
        &mut self,
        known_end: Option<u64>,
        visit: &mut dyn FnMut(Found),
    ) -> io::Result<SegmentEnd> {
        let (mut last, mut position) = (0, PAGE);
        let mut found = Vec::new();
        loop {
            if known_end.is_some_and(|end| position >= end) || position >= self.window.len() {
                if let Some(end) = known_end.filter(|&end| end > position) {
                    visit(Found::Unreadable { from: position, to: end });
                }
                return Ok(SegmentEnd { last, end: position, torn: false });
            }
            found.clear();
            if let Some(end) = self.commit(position, &mut found)? {
                found.drain(..).for_each(&mut *visit);
                (last, position) = (position, end);
                continue;
            }
            let damage_end = match known_end {
                Some(end) => Some(end),
                None => self.later_commit(position)?.or(self.beginning(position)?),
            };
            let Some(damage_end) = damage_end else {
                let torn = self.header(position)?.is_some_and(|h| h.commit.start == position);
                return Ok(SegmentEnd { last, end: position, torn });
            };
            (last, position) = (position, self.salvage(position, damage_end, visit)?);
        }
    }

    /// Reads the commit that starts at `start` into `found`; its end if all of it is intact.
    fn commit(&mut self, start: u64, found: &mut Vec<Found>) -> io::Result<Option<u64>> {
        let mut position = start;
        let mut span: Option<CommitSpan> = None;
        while span.is_none_or(|span| position + RECORD_HEADER_BYTES <= span.end) {
            let Some(header) = self.header(position)? else { return Ok(None) };
            if header.commit.start != start || span.is_some_and(|span| span != header.commit) {
                return Ok(None);
            }
            span = Some(header.commit);
            match self.record(header, position)? {
                record @ Found::Record { .. } => found.push(record),
                _ => return Ok(None),
            }
            position += header.stride();
        }
        Ok(span.map(|span| span.end))
    }

    /// What can be read between `from` and `to`, where everything had been synced. Returns where the next commit
    /// starts: the first one after the damage, or `to`.
    fn salvage(&mut self, from: u64, to: u64, visit: &mut dyn FnMut(Found)) -> io::Result<u64> {
        let mut position = from;
        let mut unreadable_from = None;
        let mut next = to;
        while position < to {
            let header = self.header(position)?.filter(|header| header.commit.start >= from);
            let Some(header) = header else {
                unreadable_from.get_or_insert(position);
                position += RECORD_ALIGN;
                continue;
            };
            if header.commit.start > from {
                // A later commit: it is read as one, unless its first record is unreadable too.
                if header.commit.start == position {
                    next = position;
                    break;
                }
                unreadable_from.get_or_insert(position);
            }
            if let Some(from) = unreadable_from.take() {
                visit(Found::Unreadable { from, to: position });
            }
            let record = self.record(header, position)?;
            visit(record);
            position += header.stride();
            if position + RECORD_HEADER_BYTES > header.commit.end {
                // Too little is left of this commit for another record: it ends in padding.
                position = header.commit.end;
            }
        }
        if let Some(from) = unreadable_from {
            visit(Found::Unreadable { from, to: next });
        }
        Ok(next)
    }

    /// First commit that starts after `start`, if any of its records is readable.
    fn later_commit(&mut self, start: u64) -> io::Result<Option<u64>> {
        let mut position = start + RECORD_ALIGN;
        while position + RECORD_HEADER_BYTES <= self.window.len() {
            if let Some(header) = self.header(position)?
                && header.commit.start > start
            {
                return Ok(Some(header.commit.start));
            }
            position += RECORD_ALIGN;
        }
        Ok(None)
    }

    /// Where the segment's beginning ends, if it is what lies at `position`: nothing needs to come after it to show that
    /// it had been synced.
    fn beginning(&mut self, position: u64) -> io::Result<Option<u64>> {
        let header = if position == PAGE { self.header(PAGE)? } else { None };
        Ok(header.map(|header| header.commit.end))
    }

    fn header(&mut self, position: u64) -> io::Result<Option<RecordHeader>> {
        let life = self.life;
        let len = self.window.len();
        let bytes = self.window.bytes(position, RECORD_HEADER_BYTES)?;
        Ok(bytes
            .and_then(|bytes| RecordHeader::decode(bytes, life, position))
            .filter(|header| header.commit.end <= len))
    }

    fn record(&mut self, header: RecordHeader, position: u64) -> io::Result<Found> {
        let payload = self.window.bytes(position + RECORD_HEADER_BYTES, u64::from(header.len))?;
        let fits = |payload: &&[u8]| header.matches(payload) || planted(Bug::WalChecksumSkipped);
        let Some(payload) = payload.filter(fits) else {
            return Ok(Found::BadPayload { header, position });
        };
        let kept = match header.kind {
            RecordKind::Bundle | RecordKind::Pad => Bytes::new(),
            _ => Bytes::copy_from_slice(payload),
        };
        Ok(Found::Record { header, position, payload: kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A file that can be read, and how much was asked for at once.
    struct Pages(Vec<u8>, Mutex<Vec<usize>>);

    impl DiskFile for Pages {
        fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
            assert!(position.is_multiple_of(PAGE) && to_u64(buffer.len()).is_multiple_of(PAGE));
            assert_eq!(buffer.as_ptr().align_offset(to_usize(PAGE)), 0);
            let there = &self.0[to_usize(position)..];
            let count = buffer.len().min(there.len());
            buffer[..count].copy_from_slice(&there[..count]);
            self.1.lock().unwrap().push(count);
            Ok(count)
        }

        fn len(&self) -> io::Result<u64> {
            Ok(to_u64(self.0.len()))
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("a window only reads")
        }

        fn sync_data(&self) -> io::Result<()> {
            unreachable!("a window only reads")
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("a window only reads")
        }
    }

    fn pages(len: usize) -> (Arc<Pages>, Window) {
        let content = (0u32..).flat_map(u32::to_le_bytes).take(len).collect();
        let file = Arc::new(Pages(content, Mutex::default()));
        let window = Window::new(Arc::<Pages>::clone(&file)).unwrap();
        (file, window)
    }

    #[test]
    fn reading_through_reads_every_byte_once_in_growing_blocks() {
        let len = 24 << 20;
        let (file, mut window) = pages(len);
        // Pieces that end nowhere near a block's end, with a look at each one's beginning first.
        let mut position = 0;
        for piece in (1u64..).map(|turn| turn * 300_007 % 1_500_000 + 64) {
            let piece = piece.min(to_u64(len) - position);
            if piece < 64 {
                break;
            }
            for wanted in [64, piece] {
                let found = window.bytes(position, wanted).unwrap().unwrap();
                let from = to_usize(position);
                assert!(
                    found == &file.0[from..from + to_usize(wanted)],
                    "{wanted} bytes at {position}"
                );
            }
            position += piece;
        }
        assert_eq!(window.fetched, to_u64(len));
        let reads = file.1.lock().unwrap().clone();
        assert_eq!(reads.iter().sum::<usize>(), len);
        assert_eq!(reads[0], 1 << 20);
        assert!(reads.len() <= 10, "{reads:?}");
    }

    #[test]
    fn what_lies_elsewhere_is_read_in_small_blocks() {
        let (file, mut window) = pages(24 << 20);
        for position in [0, 20 << 20, 10 << 20, (10 << 20) - 4, 100] {
            let from = to_usize(position);
            assert!(window.bytes(position, 8).unwrap().unwrap() == &file.0[from..from + 8]);
        }
        assert_eq!(*file.1.lock().unwrap(), [1 << 20; 5]);
    }

    #[test]
    fn nothing_lies_beyond_the_last_whole_page() {
        let (file, mut window) = pages(3 * 4096 + 100);
        assert_eq!(window.len(), 3 * 4096);
        assert!(window.bytes(3 * 4096 - 8, 8).unwrap().unwrap() == &file.0[3 * 4096 - 8..3 * 4096]);
        assert!(window.bytes(3 * 4096 - 8, 9).unwrap().is_none());
        assert!(window.bytes(u64::MAX, 9).unwrap().is_none());
    }
}
