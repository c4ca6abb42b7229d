//! Read-ahead for a reader that goes through a partition's objects: into the next objects, and for
//! those beside it.
//!
//! An object holds parts of many partitions, and a part may be small. A group reads all its
//! partitions at about the same pace, so what is fetched ahead for one reader goes on into the
//! parts of those who are about to come: one request brings what would else be several.

use crate::objects::stored::StoredExtent;
use crate::objects::tiered::TieredReader;
use esker_cache::{Cursor, Stream};
use esker_meta::State;
use esker_object::{ObjectMeta, Part};
use esker_types::{MonoTime, Offset};
use std::ops::Range;
use std::time::Duration;

/// A reader that has not asked for so long is not about to come.
const READER_IDLE_MAX: Duration = Duration::from_secs(10);
/// Extents before one from which a reader is about to come to it.
const EXTENTS_BEFORE: usize = 2;

/// A reader at its part of an object.
pub(crate) struct PartitionReadAhead<'a> {
    pub(crate) tiered: &'a TieredReader,
    pub(crate) state: &'a State,
    pub(crate) row: &'a esker_meta::Partition,
    pub(crate) stored: &'a StoredExtent,
    pub(crate) meta: &'a ObjectMeta,
    pub(crate) part: &'a Part,
    pub(crate) cursor: &'a Cursor,
    pub(crate) now: MonoTime,
}

impl Stream for PartitionReadAhead<'_> {
    fn part(&self) -> Range<u64> {
        self.meta.range(self.part)
    }

    fn widen(&self, range: Range<u64>) -> Range<u64> {
        self.widen_in(self.meta, self.part, range)
    }

    fn fetch_beyond(&self, range: Range<u64>) -> u64 {
        let tiered = self.tiered;
        // Where the next extent begins, counted from the end of the part.
        let mut at = 0;
        let mut from = self.stored.end;
        while at < range.end {
            let fetched = at.max(range.start);
            let Some(stored) = tiered.known_stored_at(self.state, self.row, from) else {
                // It ends here, or is listed where nobody has read yet.
                return fetched;
            };
            let Some(meta) = tiered.known_object(&stored) else {
                tiered.load_object(&stored, self.cursor);
                return fetched;
            };
            let Some(part) = meta.find(self.part.partition) else { return fetched };
            let bytes = meta.range(&part);
            let len = bytes.end - bytes.start;
            if at + len > range.start {
                let begin = bytes.start + range.start.saturating_sub(at);
                let mut end = bytes.start + (range.end - at).min(len);
                // A remainder is not worth a request of its own.
                if bytes.end - end < tiered.reader().request_bytes_max() / 4 * 3 {
                    end = bytes.end;
                }
                let wide = self.widen_in(&meta, &part, begin..end);
                let stopped = tiered.reader().prefetch(&stored.cached(), wide.clone(), self.cursor);
                let stopped = stopped.unwrap_or(wide.start);
                if stopped < wide.end {
                    return fetched + stopped.clamp(begin, end) - begin;
                }
            }
            at += len;
            from = stored.end;
        }
        range.end
    }
}

impl PartitionReadAhead<'_> {
    /// Widens a range of a part, up to the borders of requests, by the parts of those who are about
    /// to come to them.
    fn widen_in(&self, meta: &ObjectMeta, part: &Part, range: Range<u64>) -> Range<u64> {
        let request = self.tiered.reader().request_bytes_max();
        let own = meta.range(part);
        let Range { mut start, mut end } = range;
        if start <= own.start {
            let floor = start - start % request;
            for other in meta.parts_before(part.partition) {
                if start <= floor || !self.has_reader_before(meta, &other) {
                    break;
                }
                start = meta.range(&other).start.max(floor);
            }
        }
        if end >= own.end {
            let ceiling = end.next_multiple_of(request);
            for other in meta.parts_after(part.partition) {
                if end >= ceiling || !self.has_reader_before(meta, &other) {
                    break;
                }
                end = meta.range(&other).end.min(ceiling);
            }
        }
        start..end
    }

    /// Whether somebody is about to read the part from its beginning.
    fn has_reader_before(&self, meta: &ObjectMeta, part: &Part) -> bool {
        let Some(row) = self.state.partitions.get(&part.partition) else { return false };
        let index = row.extents.partition_point(|extent| extent.end <= part.base);
        let is_here =
            row.extents.get(index).is_some_and(|extent| extent.object == meta.header().object);
        let Some(first) = row.extents.get(index.saturating_sub(EXTENTS_BEFORE)) else {
            return false;
        };
        let readers = |base: Offset| (part.partition, base);
        let before = readers(first.base)..=readers(part.base);
        is_here && self.tiered.cursors.any(before, self.now, READER_IDLE_MAX)
    }
}
