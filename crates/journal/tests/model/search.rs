//! Breadth-first search over all states, remembering 128-bit fingerprints only.

#![expect(clippy::cast_sign_loss, reason = "a fingerprint takes bits, not numbers")]

use crate::world::{Action, Event, World};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// Fingerprints are random already: they are their own hash.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("fingerprints are hashed as numbers")
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = (value >> 64) as u64;
    }
}

/// 128 bits over whatever is hashed into it (two multiply-xorshift lanes).
pub(crate) struct Fingerprint(u64, u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344)
    }

    pub(crate) fn value(&self) -> u128 {
        let mix = |mut x: u64| {
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^ (x >> 31)
        };
        (u128::from(mix(self.0)) << 64) | u128::from(mix(self.1 ^ self.0.rotate_left(32)))
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        (self.value() >> 64) as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        self.1 = (self.1.rotate_left(17) ^ value).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        self.1 ^= self.1 >> 32;
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

/// How a state was reached.
struct Path {
    action: Action,
    before: Option<Rc<Self>>,
}

fn describe(path: Option<&Rc<Path>>, last: Action, violation: &str) -> String {
    let mut actions = vec![last];
    let mut here = path;
    while let Some(step) = here {
        actions.push(step.action);
        here = step.before.as_ref();
    }
    let mut text = format!("{violation}, after {} steps:", actions.len());
    for action in actions.iter().rev() {
        write!(text, "\n    {action:?}").expect("a text takes any text");
    }
    text
}

/// What a search without a violation has seen.
pub(crate) struct Searched {
    pub(crate) states: usize,
    /// How often each kind of thing has happened.
    pub(crate) events: BTreeMap<Event, u64>,
}

/// Searches all states reachable from `start`, or finds the shortest way to a violation.
pub(crate) fn search(start: World) -> Result<Searched, String> {
    let mut events = BTreeMap::new();
    let mut seen: HashSet<u128, BuildHasherDefault<Identity>> = HashSet::default();
    seen.insert(start.fingerprint());
    let mut frontier: Vec<(World, Option<Rc<Path>>)> = vec![(start, None)];
    let mut actions = Vec::new();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (world, path) in frontier {
            actions.clear();
            world.actions(&mut actions);
            for &action in &actions {
                let mut after = world.clone();
                let outcome = after.act(action).and_then(|()| after.check());
                if let Err(violation) = outcome {
                    return Err(describe(path.as_ref(), action, violation));
                }
                *events.entry(after.event()).or_default() += 1;
                if seen.insert(after.fingerprint()) {
                    next.push((after, Some(Rc::new(Path { action, before: path.clone() }))));
                }
            }
        }
        frontier = next;
    }
    Ok(Searched { states: seen.len(), events })
}
