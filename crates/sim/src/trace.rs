//! What happened, folded into one number: two runs of a seed must agree on it. And what of it a feature brought about.

use crate::effects::{Effect, Effects};
use crate::entropy::mix;
use parking_lot::Mutex;

/// The events of a run.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Folded>);

#[derive(Debug, Default)]
struct Folded {
    hash: u64,
    events: u64,
    effects: Effects,
    /// Kept only when someone wants to read it.
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace; with `keep` its events can be read later.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        let lines = keep.then(Vec::new);
        Self(Mutex::new(Folded { lines, ..Folded::default() }))
    }

    /// Notes that `what` happened at `nanos`, with a number that tells it from others of its kind.
    pub fn note(&self, nanos: u64, what: &str, subject: &str, number: u64) {
        let mut folded = self.0.lock();
        let words = what.bytes().chain(subject.bytes());
        let hash = words.fold(folded.hash ^ nanos, |hash, byte| mix(hash ^ u64::from(byte)));
        folded.hash = mix(hash ^ number);
        folded.events += 1;
        if let Some(lines) = &mut folded.lines {
            lines.push(format!("{:>13} {what} {subject} {number}", nanos / 1000));
        }
    }

    /// Notes what was written or sent as `what`: its length and its content.
    pub fn note_bytes(&self, nanos: u64, what: &str, subject: &str, bytes: &[u8]) {
        let checksum = u64::from(crc_fast::crc32_iscsi(bytes));
        self.note(nanos, what, subject, (bytes.len() as u64) << 32 | checksum);
    }

    /// Counts an effect.
    pub(crate) fn count(&self, effect: Effect) {
        self.0.lock().effects.count(effect);
    }

    /// The effects so far.
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.0.lock().effects.clone()
    }

    /// The hash of all events so far, and their number.
    #[must_use]
    pub fn hash(&self) -> (u64, u64) {
        let folded = self.0.lock();
        (folded.hash, folded.events)
    }

    /// The events, where they were kept: microseconds, event, subject, number.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone().unwrap_or_default()
    }
}
