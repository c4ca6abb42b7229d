//! The log from outside: what it reports, what it keeps, what it refuses.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "helpers of tests panic as tests do; their numbers are small"
)]
mod behaviour;
mod create;
mod damage;
mod lives;
#[path = "../support/mod.rs"]
mod support;
mod world;
