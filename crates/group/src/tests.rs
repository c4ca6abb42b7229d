//! Tests of the whole shard: scenarios with virtual time, Kafka's bytes, random histories.

mod formats;
mod membership;
mod offsets;
mod random;
mod statics;
mod world;
