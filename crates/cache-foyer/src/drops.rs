//! Foyer tells that it dropped an entry on its way to the disk by a metric alone: this is the registry that
//! listens for it and for nothing else.

use mixtrics::metrics::{
    BoxedCounter, BoxedCounterVec, BoxedGauge, BoxedGaugeVec, BoxedHistogram, BoxedHistogramVec,
    CounterOps, CounterVecOps, GaugeOps, GaugeVecOps, HistogramOps, HistogramVecOps, RegistryOps,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The metric, and the operations of it that count drops.
const METRIC: &str = "foyer_storage_inner_op_total";
const DROPS: [&str; 2] = ["buffer_overflow", "channel_overflow"];

/// Counts entries that did not reach the disk.
#[derive(Debug)]
pub(crate) struct Drops(pub(crate) Arc<AtomicU64>);

#[derive(Debug)]
struct Deaf;

impl RegistryOps for Drops {
    fn register_counter_vec(
        &self,
        name: Cow<'static, str>,
        _: Cow<'static, str>,
        _: &'static [&'static str],
    ) -> BoxedCounterVec {
        if name == METRIC { Box::new(Self(Arc::clone(&self.0))) } else { Box::new(Deaf) }
    }

    fn register_gauge_vec(
        &self,
        _: Cow<'static, str>,
        _: Cow<'static, str>,
        _: &'static [&'static str],
    ) -> BoxedGaugeVec {
        Box::new(Deaf)
    }

    fn register_histogram_vec(
        &self,
        _: Cow<'static, str>,
        _: Cow<'static, str>,
        _: &'static [&'static str],
    ) -> BoxedHistogramVec {
        Box::new(Deaf)
    }

    fn register_histogram_vec_with_buckets(
        &self,
        _: Cow<'static, str>,
        _: Cow<'static, str>,
        _: &'static [&'static str],
        _: Vec<f64>,
    ) -> BoxedHistogramVec {
        Box::new(Deaf)
    }
}

impl CounterVecOps for Drops {
    fn counter(&self, labels: &[Cow<'static, str>]) -> BoxedCounter {
        if labels.iter().any(|label| DROPS.contains(&&**label)) {
            Box::new(Self(Arc::clone(&self.0)))
        } else {
            Box::new(Deaf)
        }
    }
}

impl CounterOps for Drops {
    fn increase(&self, val: u64) {
        self.0.fetch_add(val, Ordering::Relaxed);
    }
}

impl CounterVecOps for Deaf {
    fn counter(&self, _: &[Cow<'static, str>]) -> BoxedCounter {
        Box::new(Self)
    }
}

impl CounterOps for Deaf {
    fn increase(&self, _: u64) {}
}

impl GaugeVecOps for Deaf {
    fn gauge(&self, _: &[Cow<'static, str>]) -> BoxedGauge {
        Box::new(Self)
    }
}

impl GaugeOps for Deaf {
    fn increase(&self, _: u64) {}
    fn decrease(&self, _: u64) {}
    fn absolute(&self, _: u64) {}
}

impl HistogramVecOps for Deaf {
    fn histogram(&self, _: &[Cow<'static, str>]) -> BoxedHistogram {
        Box::new(Self)
    }
}

impl HistogramOps for Deaf {
    fn record(&self, _: f64) {}
}
