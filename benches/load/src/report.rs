//! What a run found.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// What a run found. Times count from the first request to the last answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Length of the run.
    pub seconds: f64,
    /// Records that were acknowledged, or read.
    pub records: u64,
    /// Bytes of values where the generator wrote them, of whole batches where it only read.
    pub bytes: u64,
    /// Answered requests.
    pub requests: u64,
    /// Partitions in answers that were errors.
    pub errors: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// From the time at which a request was due to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_latency: Option<Percentiles>,
    /// From the time at which a record was due to its arrival at the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_to_end_latency: Option<Percentiles>,
}

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Percentiles {
    /// How many times there are.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are shorter.
    pub p50: f64,
    /// 90 of 100 are shorter.
    pub p90: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
    /// 999 of 1,000 are shorter.
    pub p99_9: f64,
    /// 9,999 of 10,000 are shorter.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

/// Times as they come in.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        // Up to an hour, to three digits.
        Self(Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("sound bounds"))
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// `None` when there are none.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes fit 53 bits")]
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Percentiles {
            count: self.0.len(),
            mean: self.0.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: micros(self.0.max()),
        })
    }
}

/// Counts of one connection, added up in the end.
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) requests_took: Times,
    pub(crate) records_took: Times,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            records: 0,
            bytes: 0,
            requests: 0,
            errors: 0,
            first_error: None,
            requests_took: Times::new(),
            records_took: Times::new(),
        }
    }

    pub(crate) fn error(&mut self, what: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(what);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.requests_took.merge(&other.requests_took);
        self.records_took.merge(&other.records_took);
    }

    pub(crate) fn report(self, took: Duration) -> Report {
        Report {
            seconds: took.as_secs_f64(),
            records: self.records,
            bytes: self.bytes,
            requests: self.requests,
            errors: self.errors,
            request_latency: self.requests_took.percentiles(),
            end_to_end_latency: self.records_took.percentiles(),
            first_error: self.first_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut times = Times::new();
        assert!(times.percentiles().is_none());
        for millis in 1..=1000 {
            times.add(Duration::from_millis(millis));
        }
        let found = times.percentiles().unwrap();
        assert_eq!(found.count, 1000);
        for (value, wanted) in [(found.p50, 500e3), (found.p99, 990e3), (found.max, 1000e3)] {
            assert!((value / wanted - 1.0).abs() < 0.002, "{value} is not about {wanted}");
        }
    }
}
