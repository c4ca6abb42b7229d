//! Randomness that a seed decides.

use esker_env::Entropy;
use parking_lot::Mutex;
use std::sync::Arc;

/// A seeded source of random numbers (`SplitMix64`).
#[derive(Debug)]
pub struct SimEntropy {
    seed: u64,
    state: Mutex<u64>,
}

/// The step of `SplitMix64`: 2⁶⁴ divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads every bit of `value` over the whole word.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl SimEntropy {
    /// The source of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = mix(seed.wrapping_add(STEP));
        Self { seed, state: Mutex::new(seed) }
    }

    /// The source that [`Entropy::fork`] gives, with its type.
    #[must_use]
    pub fn branch(&self, name: &str) -> Self {
        let seed = name.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Self::new(seed)
    }

    /// Whether an event of `percent` chance happens.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number in `low..high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).max(1))
    }
}

impl Entropy for SimEntropy {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(STEP);
        mix(*state)
    }

    fn fork(&self, name: &str) -> Arc<dyn Entropy> {
        Arc::new(self.branch(name))
    }
}
