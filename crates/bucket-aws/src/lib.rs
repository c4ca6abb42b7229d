//! What only the S3 SDK can do for a bucket: making it, and finding out what it is capable of.
//!
//! This is for people at work (`esker doctor`), not for the data path, and it is a crate of its own because the
//! SDK is large: what builds without it builds quickly.

mod admin;
mod client;
pub mod probe;

pub use admin::{AdminError, create_bucket_if_missing};
pub use client::ClientError;
