//! Counts of values in buckets whose width doubles: the part of `base2histogram` that openraft uses, for statistics
//! that nothing of Esker reads.

use std::fmt;
use std::marker::PhantomData;

/// One bucket for zero, and one for each number of significant bits.
const BUCKETS: usize = 65;

/// Values, counted by their size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    kind: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// Without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], kind: PhantomData }
    }

    /// Counts a value.
    pub const fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `count` times.
    pub const fn record_n(&mut self, value: u64, count: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[bits] = self.counts[bits].saturating_add(count);
    }

    /// The smallest value that a bucket stands for.
    const fn floor(bits: usize) -> u64 {
        if bits == 0 { 0 } else { 1 << (bits - 1) }
    }

    /// At least this many of a thousand values are not below the answer's bucket.
    fn permille(&self, samples: u64, permille: u64) -> u64 {
        let wanted = (u128::from(samples) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u128::from(*count);
            seen >= wanted
        });
        found.map_or(0, Self::floor)
    }

    /// The usual percentiles, each as the lower bound of its bucket.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        let samples = self.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let at = |permille| self.permille(samples, permille);
        PercentileStats {
            samples,
            p0_1: at(1),
            p1: at(10),
            p5: at(50),
            p10: at(100),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
        }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Percentiles of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p99, p99_9, .. } = self;
        write!(f, "{samples} samples, p50 {p50}, p99 {p99}, p99.9 {p99_9}")
    }
}

/// Histograms with names, one line each.
#[derive(Debug, Default)]
pub struct AsciiChart {
    lines: Vec<(&'static str, Histogram)>,
}

impl AsciiChart {
    /// Without lines.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// With one line more.
    #[must_use]
    pub fn add(mut self, name: &'static str, histogram: Histogram) -> Self {
        self.lines.push((name, histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.lines {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_lower_bounds_of_buckets() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        histogram.record_n(100, 98);
        histogram.record(0);
        histogram.record(u64::MAX);
        let stats = histogram.percentile_stats();
        let (p1, p50, p99, p99_9) = (stats.p1, stats.p50, stats.p99, stats.p99_9);
        assert_eq!((stats.samples, p1, p50, p99, p99_9), (100, 0, 64, 64, 1 << 63));
        let chart = AsciiChart::new().add("stage", histogram).to_string();
        assert_eq!(chart, format!("stage: {stats}\n"));
    }
}
