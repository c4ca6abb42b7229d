//! The bucket behind the seam of [`esker_env::Bucket`]: S3 and its likes, a directory, memory.
//!
//! [`open`] makes no request and builds no client: a server that has not been asked for cold data has not paid
//! for TLS roots or connections. The first request builds the client.
//!
//! Contract, for every backend:
//!
//! * A `put` that returned is durable. One that failed with [`Retry`](esker_env::BucketErrorKind::Retry) may have
//!   been applied; the caller tries again with a new key, or with the same bytes under the same key.
//! * A dropped future stops the request at an unknown point. A large put dropped half way leaves parts that no
//!   listing shows; a lifecycle rule of the bucket removes them.
//! * Requests are sent again a few times within seconds ([`BucketConfig::retries`]); patience beyond that is the
//!   caller's, who knows what waits.

mod buffers;
mod config;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod file;
pub mod marker;
mod memory;
mod open;
mod remote;
mod url;

pub use config::{BucketConfig, Checksum, ConfigError};
pub use file::FileBucket;
pub use memory::MemoryBucket;
pub use open::{OpenError, open};
pub use url::{BucketUrl, UrlError};
