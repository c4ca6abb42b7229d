//! A codec that follows the schema at run time: what the generated one is held against.
//!
//! It shares with the generated code nothing but the schema files, and works the other way round:
//! values are made up for a version, and laid out byte by byte with a note of where lengths stand.
//! For tests: it does not read, and panics on values that do not fit their schema.

mod layout;
mod value;

pub use layout::{Layout, LengthForm, Noise, Unfit};
pub use value::{Fill, Value};

/// SplitMix64: the same values in every run.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Next number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = ((self.next_u64() >> 32) * u64::from(bound)) >> 32;
        u32::try_from(scaled).expect("less than a bound of 32 bits")
    }

    /// Whether one of `of` equally likely things happens.
    pub fn one_in(&mut self, of: u32) -> bool {
        self.below(of) == 0
    }
}
