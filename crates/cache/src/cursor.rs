//! A reader's place in a stream of objects, and what to fetch before it asks.
//!
//! Whoever reads will read on, so the window opens with the first read. It grows by doubling as long as the reader has
//! to wait, and stays where it no longer has to. It reaches over the end of the reader's part of an object into the
//! objects that follow. When chunks that were fetched ahead are gone before they were read, the cache is too small for
//! all who read ahead: the window closes for a while, because fetching twice is dearer than waiting once.

use crate::chunk::CHUNK_BYTES;
use crate::prefetch_ledger::ReaderId;
use esker_types::{MonoTime, ObjectId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
#[derive(Debug)]
pub struct Cursor {
    id: ReaderId,
    track: Mutex<Track>,
}

#[derive(Debug, Default)]
struct Track {
    object: Option<ObjectId>,
    /// The last read.
    last: Range<u64>,
    /// Where the reader's part of the object ends.
    until: u64,
    window: u64,
    /// Everything before this has been read or asked for.
    ahead: u64,
    /// So many bytes of what follows the reader's part have been asked for.
    beyond: u64,
    cool_until: Option<MonoTime>,
}

/// A read, as its cursor sees it.
#[derive(Debug)]
pub(crate) struct CursorRead<'a> {
    pub(crate) object: ObjectId,
    /// Length of the object.
    pub(crate) len: u64,
    pub(crate) range: &'a Range<u64>,
    /// The reader's part of the object.
    pub(crate) part: &'a Range<u64>,
    /// Whether anything of the range is not in memory.
    pub(crate) waits: bool,
    pub(crate) now: MonoTime,
}

/// What is to be fetched ahead for a reader now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefetch {
    /// Of this object, to be fetched ahead now; ends at a chunk or at the end of the reader's part.
    pub(crate) fetch: Range<u64>,
    /// Of what follows the reader's part, counted from its end, to be fetched ahead now.
    pub(crate) beyond: Range<u64>,
}

impl Default for Cursor {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ReaderId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, track: Mutex::default() }
    }
}

impl Cursor {
    /// A cursor that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn id(&self) -> ReaderId {
        self.id
    }

    /// Notes a read.
    pub(crate) fn on_read(&self, read: &CursorRead<'_>, bounds: &Window) -> Prefetch {
        let CursorRead { object, len, range, part, waits, now } = *read;
        let mut track = self.track.lock();
        let until = part.end.clamp(range.end, len);
        let same = track.object == Some(object);
        let goes_on = if same {
            // A reader takes whole batches: it may begin again within what it read last.
            track.last.start < range.start && range.start <= track.last.end
        } else {
            // The next object of the same stream.
            track.object.is_some() && track.last.end >= track.until
        };
        if !goes_on {
            track.window = 0;
            track.ahead = 0;
            track.beyond = 0;
        } else if !same {
            // What was beyond the part before is in this one.
            let asked = part.start.saturating_add(track.beyond).min(until);
            track.beyond -= asked.saturating_sub(part.start).min(track.beyond);
            track.ahead = align_up(asked, len);
        }
        track.object = Some(object);
        track.last = range.clone();
        track.until = until;
        let begin = align_up(range.end, len).max(track.ahead);
        let nothing = Prefetch { fetch: begin..begin, beyond: track.beyond..track.beyond };
        if track.cool_until.is_some_and(|end| now < end) {
            return nothing;
        }
        if track.window == 0 {
            track.window = bounds.min;
        } else if waits {
            track.window = (track.window * 2).min(bounds.max);
        }
        // Requests end at multiples of their length, so that each step of the window is one of full length.
        let step = (track.window / 2).clamp(bounds.min.min(bounds.step), bounds.step);
        let want = range.end.saturating_add(track.window);
        let mut taken = nothing;
        // A remainder that is less than a step is not worth a request of its own.
        if want.saturating_add(step) < until {
            taken.fetch.end = (want - want % step).max(begin);
        } else {
            taken.fetch.end = until.max(begin);
            let beyond = want.saturating_sub(until);
            taken.beyond.end = (beyond - beyond % step).max(track.beyond);
            track.beyond = taken.beyond.end;
        }
        taken.fetch.end = align_up(taken.fetch.end, len);
        track.ahead = taken.fetch.end;
        taken
    }

    /// Chunks that had been fetched ahead were gone before they were read.
    pub(crate) fn on_lost(&self, now: MonoTime, bounds: &Window) {
        let mut track = self.track.lock();
        track.window = 0;
        track.ahead = 0;
        track.beyond = 0;
        track.cool_until = Some(now.plus(bounds.cool_down));
    }

    /// What a step asked for from `position` on was not fetched, and nothing of what follows.
    pub(crate) fn on_skipped(&self, position: u64, beyond: u64) {
        let mut track = self.track.lock();
        track.ahead = position;
        track.beyond = beyond;
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
    places: BTreeMap<K, Reader>,
    order: BTreeMap<u64, K>,
    turn: u64,
}

#[derive(Debug)]
struct Reader {
    turn: u64,
    used: MonoTime,
    cursor: Arc<Cursor>,
}

impl<K: Clone + Ord> Cursors<K> {
    /// Room for `max` cursors; the one longest unused goes first.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let parked = Parked { places: BTreeMap::new(), order: BTreeMap::new(), turn: 0 };
        Self { max, state: Mutex::new(parked) }
    }

    /// The cursor of the reader who is at `place`, or a new one. Of two readers at one place both have the same:
    /// what is fetched ahead serves both.
    #[must_use]
    pub fn resume(&self, place: &K, now: MonoTime) -> Arc<Cursor> {
        let mut state = self.state.lock();
        let Some(reader) = state.places.get_mut(place) else { return Arc::new(Cursor::new()) };
        reader.used = now;
        Arc::clone(&reader.cursor)
    }

    /// The reader has come from one place to another.
    pub fn advance(&self, from: &K, to: K, cursor: Arc<Cursor>, now: MonoTime) {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        if state.places.get(from).is_some_and(|reader| Arc::ptr_eq(&reader.cursor, &cursor)) {
            state.remove(from);
        }
        state.remove(&to);
        state.order.insert(turn, to.clone());
        state.places.insert(to, Reader { turn, used: now, cursor });
        while state.places.len() > self.max {
            let (_, oldest) = state.order.pop_first().expect("a cursor has a turn");
            state.places.remove(&oldest);
        }
    }

    /// Whether a reader asked at one of these places `within` so much time before `now`.
    #[must_use]
    pub fn any(&self, places: RangeInclusive<K>, now: MonoTime, within: Duration) -> bool {
        let state = self.state.lock();
        let mut used = state.places.range(places).map(|(_, reader)| reader.used);
        used.any(|used| now.since(used) <= within)
    }
}

impl<K: Clone + Ord> Parked<K> {
    fn remove(&mut self, place: &K) {
        if let Some(reader) = self.places.remove(place) {
            self.order.remove(&reader.turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const BOUNDS: Window =
        Window { min: 4 * MIB, max: 32 * MIB, step: 8 * MIB, cool_down: Duration::from_secs(60) };

    fn step(
        cursor: &Cursor,
        object: u64,
        range: Range<u64>,
        part: Range<u64>,
        waits: bool,
        seconds: u64,
    ) -> Prefetch {
        let now = MonoTime::default().plus(Duration::from_secs(seconds));
        let object = ObjectId(object);
        let read = CursorRead { object, len: 100 * MIB, range: &range, part: &part, waits, now };
        cursor.on_read(&read, &BOUNDS)
    }

    fn read(cursor: &Cursor, range: Range<u64>, until: u64, waits: bool) -> Range<u64> {
        step(cursor, 1, range, 0..until, waits, 0).fetch
    }

    #[test]
    fn the_window_opens_with_the_first_read_and_grows_while_the_reader_waits() {
        let cursor = Cursor::new();
        assert_eq!(read(&cursor, 0..MIB, 100 * MIB, true), MIB..4 * MIB);
        assert_eq!(read(&cursor, MIB..2 * MIB, 100 * MIB, true), 4 * MIB..8 * MIB);
        assert_eq!(read(&cursor, 2 * MIB..3 * MIB, 100 * MIB, true), 8 * MIB..16 * MIB);
        // No wait, no growth; and no request before there is room for a step.
        assert!(read(&cursor, 3 * MIB..4 * MIB, 100 * MIB, false).is_empty());
        assert!(read(&cursor, 4 * MIB..5 * MIB, 100 * MIB, false).is_empty());
        let mut next = 5 * MIB;
        let mut longest = 0;
        while next < 90 * MIB {
            let fetch = read(&cursor, next..next + MIB, 90 * MIB, true);
            // A step more at the end of the part, so that no remainder is left.
            assert!(fetch.end <= 90 * MIB && fetch.end <= next + 42 * MIB, "{fetch:?}");
            assert!(fetch.is_empty() || fetch.end.is_multiple_of(8 * MIB) || fetch.end == 90 * MIB);
            longest = longest.max(fetch.end.saturating_sub(next));
            next += MIB;
        }
        assert!(longest >= 24 * MIB, "{longest}");
    }

    #[test]
    fn a_seek_closes_the_window_and_an_object_boundary_does_not() {
        let cursor = Cursor::new();
        let mut beyond = 0..0;
        for start in 0..3 {
            let range = start * MIB..(start + 1) * MIB;
            let step = step(&cursor, 1, range, 0..3 * MIB, true, 0);
            // What follows the part is asked for without gaps, and not twice.
            assert_eq!(step.beyond.start, beyond.end);
            beyond = step.beyond;
        }
        assert_eq!(beyond.end, 16 * MIB);
        // The stream goes on in the middle of another object, where 16 MiB have been asked for.
        let part = 50 * MIB..90 * MIB;
        let next = step(&cursor, 2, 50 * MIB..51 * MIB, part.clone(), false, 0);
        assert_eq!(next, Prefetch { fetch: 66 * MIB..66 * MIB, beyond: 0..0 });
        let next = step(&cursor, 2, 51 * MIB..52 * MIB, part.clone(), true, 0);
        assert_eq!(next.fetch, 66 * MIB..90 * MIB);
        let sought = step(&cursor, 2, 10 * MIB..11 * MIB, part.clone(), true, 0);
        assert_eq!(sought.fetch, 11 * MIB..12 * MIB);
        // Another object before the part was read to its end is a seek too.
        step(&cursor, 2, 11 * MIB..12 * MIB, part.clone(), true, 0);
        assert_eq!(step(&cursor, 3, 0..MIB, part, true, 0).fetch, MIB..4 * MIB);
    }

    #[test]
    fn parts_smaller_than_what_was_asked_for_are_passed_one_by_one() {
        let cursor = Cursor::new();
        step(&cursor, 1, 0..MIB, 0..2 * MIB, true, 0);
        let first = step(&cursor, 1, MIB..2 * MIB, 0..2 * MIB, true, 0);
        assert_eq!(first.beyond, 0..8 * MIB);
        // Parts of 2 MiB follow: each takes its share of what was asked for.
        let second = step(&cursor, 2, 0..2 * MIB, 0..2 * MIB, true, 0);
        assert_eq!((second.fetch, second.beyond), (2 * MIB..2 * MIB, 6 * MIB..16 * MIB));
        let third = step(&cursor, 3, 0..2 * MIB, 0..2 * MIB, false, 0);
        assert_eq!((third.fetch, third.beyond), (2 * MIB..2 * MIB, 14 * MIB..16 * MIB));
    }

    #[test]
    fn what_was_not_fetched_is_asked_for_again() {
        let cursor = Cursor::new();
        let asked = step(&cursor, 1, 0..MIB, 0..3 * MIB, true, 0);
        assert_eq!((asked.fetch.clone(), asked.beyond), (MIB..3 * MIB, 0..0));
        cursor.on_skipped(asked.fetch.start, 0);
        let again = step(&cursor, 1, MIB..2 * MIB, 0..3 * MIB, true, 0);
        assert_eq!((again.fetch, again.beyond.clone()), (2 * MIB..3 * MIB, 0..4 * MIB));
        cursor.on_skipped(3 * MIB, again.beyond.start);
        let last = step(&cursor, 1, 2 * MIB..3 * MIB, 0..3 * MIB, false, 0);
        assert_eq!((last.fetch, last.beyond), (3 * MIB..3 * MIB, 0..8 * MIB));
    }

    #[test]
    fn lost_chunks_close_the_window_for_a_while() {
        let cursor = Cursor::new();
        let part = 0..100 * MIB;
        step(&cursor, 1, 0..MIB, part.clone(), true, 0);
        assert!(!step(&cursor, 1, MIB..2 * MIB, part.clone(), true, 0).fetch.is_empty());
        cursor.on_lost(MonoTime::default(), &BOUNDS);
        assert!(step(&cursor, 1, 2 * MIB..3 * MIB, part.clone(), true, 59).fetch.is_empty());
        let fetch = step(&cursor, 1, 3 * MIB..4 * MIB, part, true, 60).fetch;
        assert_eq!(fetch, 4 * MIB..8 * MIB);
    }

    #[test]
    fn readers_are_found_by_place_and_the_oldest_is_forgotten() {
        let at = |seconds| MonoTime::default().plus(Duration::from_secs(seconds));
        let cursors = Cursors::new(2);
        let mut all = Vec::new();
        for place in 0..3_u64 {
            let cursor = cursors.resume(&place, at(place));
            cursors.advance(&place, 10 + place, Arc::clone(&cursor), at(place));
            all.push(cursor);
        }
        let is = |place, number: usize| Arc::ptr_eq(&cursors.resume(&place, at(5)), &all[number]);
        assert!(!is(10, 0) && is(11, 1) && is(12, 2));
        // A reader is where it was until it has come to where it goes.
        assert!(cursors.any(11..=11, at(6), Duration::from_secs(1)));
        assert!(!cursors.any(11..=12, at(7), Duration::from_secs(1)));
        cursors.advance(&11, 20, Arc::clone(&all[1]), at(7));
        assert!(!cursors.any(11..=11, at(7), Duration::MAX) && is(20, 1));
        // Somebody else has come to the same place meanwhile.
        cursors.advance(&12, 20, Arc::clone(&all[2]), at(8));
        cursors.advance(&20, 30, Arc::clone(&all[1]), at(9));
        assert!(is(20, 2) && is(30, 1));
    }
}
