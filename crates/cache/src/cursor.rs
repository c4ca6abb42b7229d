//! A reader's place in a stream of objects, and what to fetch before it asks.
//!
//! The window grows by doubling as long as the reader has to wait, and stays where it no longer has to. When
//! chunks that were fetched ahead are gone before they were read, the cache is too small for all who read ahead:
//! the window closes for a while, because fetching twice is dearer than waiting once.

use crate::chunk::CHUNK_BYTES;
use esker_types::{MonoTime, ObjectId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Range;
use std::time::Duration;

/// Bounds of the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// Most bytes of one request; ahead is fetched in steps no longer than this.
    pub(crate) step: u64,
    pub(crate) cool_down: Duration,
}

/// A reader's place. One for each reader of a partition; it goes from object to object with it.
#[derive(Debug, Default)]
pub struct Cursor(Mutex<Track>);

#[derive(Debug, Default)]
struct Track {
    object: Option<ObjectId>,
    /// The last read.
    last: Range<u64>,
    /// Where the reader's part of the object ends.
    until: u64,
    /// Reads in a row that each began where the one before ended.
    sequential: u32,
    window: u64,
    /// Everything before this has been read or asked for.
    ahead: u64,
    cool_until: Option<MonoTime>,
}

/// What a read is to its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Fetched ahead before this read, in the same object.
    pub(crate) ahead_before: u64,
    /// To be fetched ahead now; ends at a chunk or at the end of the object.
    pub(crate) fetch: Range<u64>,
}

impl Cursor {
    /// A cursor that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a read of `range`; `until` is where the reader's part of the object ends, `waits` whether anything
    /// of the range is not in memory.
    #[expect(clippy::too_many_arguments, reason = "facts about one read, passed once")]
    pub(crate) fn on_read(
        &self,
        object: ObjectId,
        len: u64,
        range: &Range<u64>,
        until: u64,
        waits: bool,
        now: MonoTime,
        bounds: &Window,
    ) -> Step {
        let mut track = self.0.lock();
        let until = until.clamp(range.end, len);
        let same = track.object == Some(object);
        let goes_on = if same {
            // A reader takes whole batches: it may begin again within what it read last.
            track.last.start < range.start && range.start <= track.last.end
        } else {
            // The next object of the same stream.
            track.object.is_some() && track.last.end >= track.until
        };
        track.sequential = if goes_on { track.sequential + 1 } else { 0 };
        if !goes_on {
            track.window = 0;
        }
        if !(same && goes_on) {
            track.ahead = 0;
        }
        let ahead_before = track.ahead;
        track.object = Some(object);
        track.last = range.clone();
        track.until = until;
        let begin = align_up(range.end, len).max(track.ahead);
        let nothing = Step { ahead_before, fetch: begin..begin };
        if track.cool_until.is_some_and(|end| now < end) || track.sequential == 0 {
            return nothing;
        }
        if track.window == 0 {
            track.window = bounds.min;
        } else if waits {
            track.window = (track.window * 2).min(bounds.max);
        }
        // Requests end at multiples of their length, so that each step of the window is one of full length.
        let step = (track.window / 4).clamp(bounds.min.min(bounds.step), bounds.step);
        let want = range.end.saturating_add(track.window);
        let want = if want < until { want - want % step } else { until };
        if want <= begin {
            return nothing;
        }
        track.ahead = align_up(want, len);
        Step { ahead_before, fetch: begin..track.ahead }
    }

    /// Chunks that had been fetched ahead were gone before they were read.
    pub(crate) fn on_lost(&self, now: MonoTime, bounds: &Window) {
        let mut track = self.0.lock();
        track.window = 0;
        track.ahead = 0;
        track.cool_until = Some(now.plus(bounds.cool_down));
    }

    /// What a step asked for from `position` on was not fetched.
    pub(crate) fn on_skipped(&self, position: u64) {
        self.0.lock().ahead = position;
    }
}

fn align_up(position: u64, len: u64) -> u64 {
    position.next_multiple_of(CHUNK_BYTES).min(len)
}

/// Cursors of readers that come and go, found by the place where the reader will ask next: a partition and an
/// offset, for example. No session is needed to know a reader again.
#[derive(Debug)]
pub struct Cursors<K> {
    max: usize,
    state: Mutex<Parked<K>>,
}

#[derive(Debug)]
struct Parked<K> {
    cursors: HashMap<K, (u64, Cursor)>,
    order: BTreeMap<u64, K>,
    turn: u64,
}

impl<K: Clone + Eq + Hash> Cursors<K> {
    /// Room for `max` cursors; the longest parked goes first.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let parked = Parked { cursors: HashMap::new(), order: BTreeMap::new(), turn: 0 };
        Self { max, state: Mutex::new(parked) }
    }

    /// The cursor that was parked at `place`, or a new one.
    #[must_use]
    pub fn resume(&self, place: &K) -> Cursor {
        let mut state = self.state.lock();
        let Some((turn, cursor)) = state.cursors.remove(place) else { return Cursor::new() };
        state.order.remove(&turn);
        cursor
    }

    /// Leaves a cursor at `place`. Of two readers at one place one cursor is kept: what it fetches ahead serves
    /// both.
    pub fn park(&self, place: K, cursor: Cursor) {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        state.order.insert(turn, place.clone());
        if let Some((old, _)) = state.cursors.insert(place, (turn, cursor)) {
            state.order.remove(&old);
        }
        while state.cursors.len() > self.max {
            let (_, oldest) = state.order.pop_first().expect("a parked cursor has a turn");
            state.cursors.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const BOUNDS: Window =
        Window { min: 4 * MIB, max: 32 * MIB, step: 8 * MIB, cool_down: Duration::from_secs(60) };

    fn read(
        cursor: &Cursor,
        object: u64,
        range: Range<u64>,
        until: u64,
        waits: bool,
        seconds: u64,
    ) -> Range<u64> {
        let now = MonoTime::default().plus(Duration::from_secs(seconds));
        let object = ObjectId(object);
        cursor.on_read(object, 100 * MIB, &range, until, waits, now, &BOUNDS).fetch
    }

    #[test]
    fn the_window_opens_with_the_second_read_and_grows_while_the_reader_waits() {
        let cursor = Cursor::new();
        assert!(read(&cursor, 1, 0..MIB, 100 * MIB, true, 0).is_empty());
        assert_eq!(read(&cursor, 1, MIB..2 * MIB, 100 * MIB, true, 0), 2 * MIB..4 * MIB);
        assert_eq!(read(&cursor, 1, 2 * MIB..3 * MIB, 100 * MIB, true, 0), 4 * MIB..8 * MIB);
        // No wait, no growth; and then no request before there is room for a step.
        assert_eq!(read(&cursor, 1, 3 * MIB..4 * MIB, 100 * MIB, false, 0), 8 * MIB..12 * MIB);
        assert!(read(&cursor, 1, 4 * MIB..5 * MIB, 100 * MIB, false, 0).is_empty());
        let mut next = 5 * MIB;
        let mut longest = 0;
        while next < 90 * MIB {
            let fetch = read(&cursor, 1, next..next + MIB, 90 * MIB, true, 0);
            assert!(fetch.end <= 90 * MIB && fetch.end <= next + 34 * MIB, "{fetch:?}");
            assert!(fetch.is_empty() || fetch.end.is_multiple_of(4 * MIB) || fetch.end == 90 * MIB);
            longest = longest.max(fetch.end.saturating_sub(next));
            next += MIB;
        }
        assert!(longest >= 24 * MIB, "{longest}");
    }

    #[test]
    fn a_seek_closes_the_window_and_an_object_boundary_does_not() {
        let cursor = Cursor::new();
        for start in 0..3 {
            read(&cursor, 1, start * MIB..(start + 1) * MIB, 3 * MIB, true, 0);
        }
        // The part ended at 3 MiB; the stream goes on in the middle of another object.
        let fetch = read(&cursor, 2, 50 * MIB..51 * MIB, 90 * MIB, true, 0);
        assert_eq!(fetch, 51 * MIB..64 * MIB);
        assert!(read(&cursor, 2, 10 * MIB..11 * MIB, 90 * MIB, true, 0).is_empty());
        // Another object before the part was read to its end is a seek too.
        read(&cursor, 2, 11 * MIB..12 * MIB, 90 * MIB, true, 0);
        assert!(read(&cursor, 3, 0..MIB, 90 * MIB, true, 0).is_empty());
    }

    #[test]
    fn lost_chunks_close_the_window_for_a_while() {
        let cursor = Cursor::new();
        read(&cursor, 1, 0..MIB, 100 * MIB, true, 0);
        assert!(!read(&cursor, 1, MIB..2 * MIB, 100 * MIB, true, 0).is_empty());
        cursor.on_lost(MonoTime::default(), &BOUNDS);
        assert!(read(&cursor, 1, 2 * MIB..3 * MIB, 100 * MIB, true, 59).is_empty());
        let fetch = read(&cursor, 1, 3 * MIB..4 * MIB, 100 * MIB, true, 60);
        assert_eq!(fetch, 4 * MIB..8 * MIB);
    }

    #[test]
    fn cursors_are_found_by_place_and_the_oldest_is_forgotten() {
        let cursors = Cursors::new(2);
        for place in 0..3_u64 {
            let cursor = Cursor::new();
            read(&cursor, place, 0..MIB, 100 * MIB, true, 0);
            cursors.park(place, cursor);
        }
        let object = |place| cursors.resume(&place).0.lock().object;
        assert_eq!([object(0), object(1), object(1)], [None, Some(ObjectId(1)), None]);
        assert_eq!(object(2), Some(ObjectId(2)));
    }
}
