//! Randomness.

use std::sync::Arc;

/// A source of random numbers. Each component takes a fork of its own, so that one component's draws do not
/// shift another's in a replayed simulation.
pub trait Entropy: Send + Sync {
    /// 64 random bits.
    fn next_u64(&self) -> u64;

    /// An independent source, the same one for the same `name` and seed.
    fn fork(&self, name: &str) -> Arc<dyn Entropy>;

    /// 128 random bits, for ids.
    fn next_u128(&self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// A number in `0..bound`; `bound` is at least 1. The bias is below 2⁻³² for bounds below 2³².
    fn below(&self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound.max(1));
        u64::try_from(wide >> 64).expect("the upper half of a 128-bit product has 64 bits")
    }
}
