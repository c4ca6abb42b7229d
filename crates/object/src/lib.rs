//! The formats of what lies in the bucket: data objects and manifest segments. Pure: bytes in, bytes out.
//!
//! A **data object** holds record batches of one or many partitions, verbatim, in blocks of about 256 KiB. All
//! it says about them is at its end (`meta_pos..len`), so one ranged read opens it. The end consists of typed
//! sections, each with its own checksum; a reader skips types that it does not know.
//!
//! A **manifest segment** lists data objects of one partition that the metadata no longer lists itself.
//!
//! `docs/formats/object.md` and `docs/formats/manifest.md` draw the bytes. Readers take bytes from anywhere: every
//! count and position is checked against the bytes that are there, and nothing is allocated by a count.

mod builder;
mod field;
mod key;
mod layout;
mod manifest;
mod meta;
mod props;

pub use builder::{BatchMeta, Encoded, ObjectBuilder, PartSummary};
pub use key::{data_key, manifest_key};
pub use layout::{
    BlockFlags, Corrupt, OBJECT_HEADER_BYTES, ObjectHeader, ObjectKind, PartFlags, SectionType,
};
pub use manifest::{Manifest, ManifestEntry, encode_manifest};
pub use meta::{Block, ObjectMeta, Part};
pub use props::{AbortedTxn, EpochStart, ProducerBatch, ProducerEntry, ProducerKind, TimeEntry};
