//! Long work in small pieces, between which other threads may run.
//!
//! A kernel lets a thread that has begun run for some milliseconds, whoever wakes meanwhile. On a machine with as many
//! threads as processors a commit of a fraction of a millisecond would wait that long for a flush, again and again until it
//! is done. So flush and merge offer their processor whenever they have done a little; where nobody wants it that costs next to
//! nothing.

use std::thread;

/// Pieces of a microsecond or two between offers.
const PIECES: u32 = 32;

/// Counts pieces of work, and offers the processor from time to time.
pub(crate) struct Courtesy {
    /// Whether there is time: who has fallen behind keeps what the kernel gives.
    has_time: bool,
    pieces: u32,
}

impl Courtesy {
    pub(crate) fn new(has_time: bool) -> Self {
        Self { has_time, pieces: 0 }
    }

    /// A piece of work is done.
    pub(crate) fn piece_done(&mut self) {
        self.pieces += 1;
        if self.has_time && self.pieces.is_multiple_of(PIECES) {
            thread::yield_now();
        }
    }
}
