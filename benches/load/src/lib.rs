//! A load generator for anything that speaks Kafka's protocol.
//!
//! - [`produce`] sends batches that were encoded before the clock started, at a given rate or as fast as the broker
//!   takes them.
//! - [`consume`] reads topics as several independent groups would, and looks at batch headers only.
//! - [`latency`] sends single records on a timetable and reads them back: each carries the time at which it was due.
//!
//! *Honest latencies.* With a rate the load is open: a request is due at a time that does not depend on earlier
//! answers, and its latency counts from then. A stall of the broker therefore shows in every request that it delayed.
//!
//! *A cheap client.* The generator must not be what is measured: it encodes nothing while it runs, shares the bytes of
//! batches between requests, moves hundreds of kilobytes in a system call, and runs on one thread.
//!
//! [`null`] is a broker that does nothing: the ceiling of what generator and sockets allow.

mod consume;
mod content;
mod latency;
mod null;
mod pace;
mod pipe;
mod produce;
mod report;
mod target;

pub use consume::{ConsumeOptions, consume};
pub use latency::{LatencyOptions, latency};
pub use null::NullBroker;
pub use produce::{ProduceOptions, produce};
pub use report::{Percentiles, Report};
pub use target::{LoadError, Target};
