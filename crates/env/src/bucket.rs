//! The bucket: where everything lives in the end.
//!
//! Keys are never written twice, so there is no conditional put here and no meaning in an overwrite. Safety never
//! rests on a LIST: it serves people and the scrubber.

use crate::BoxFuture;
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Name of an object, relative to the prefix that Esker owns: `[0-9a-z/.-]`, no leading slash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Wraps a key made by our own code.
    ///
    /// # Panics
    /// On a character outside the alphabet: keys are built from ids, never from names.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let legal =
            |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'/' | b'.' | b'-');
        assert!(!key.starts_with('/') && key.bytes().all(legal), "illegal object key `{key}`");
        Self(key.into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// What a failed bucket request means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketErrorKind {
    /// No such object.
    NotFound,
    /// The store asks for fewer requests, or is out of reach, or timed out: try again later. A put that failed so
    /// may have been applied.
    Retry,
    /// Credentials or rights are missing: a person must act.
    Denied,
    /// The request can never succeed as it is (no such bucket, malformed).
    Invalid,
}

/// A failed bucket request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} `{key}`: {message}")]
pub struct BucketError {
    /// What to do about it.
    pub kind: BucketErrorKind,
    /// `get`, `put`, …
    pub operation: &'static str,
    /// The key or prefix concerned.
    pub key: String,
    /// The store's words.
    pub message: String,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// Keys and lengths in bytes, ascending by key.
    pub objects: Vec<(ObjectKey, u64)>,
    /// Whether keys after the last one remain.
    pub more: bool,
}

/// Takes the pieces of an object, one after the other.
pub type PieceSink = Box<dyn FnMut(Bytes) + Send>;

/// An object store, seen through the prefix that Esker owns in it.
pub trait Bucket: Send + Sync {
    /// Stores `body` (its parts one after the other) as `key`, whole or not at all.
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>>;

    /// Bytes `range` of an object; fewer are an error.
    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>>;

    /// Bytes `range` of an object by one request, handed to `sink` in pieces of `piece` bytes (the last may be shorter),
    /// each as soon as it is there and in memory of its own. After an error some have been handed over.
    fn get_pieces<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
        piece: usize,
        mut sink: PieceSink,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let bytes = self.get_range(key, range).await?;
            bytes.chunks(piece).for_each(|piece| sink(Bytes::copy_from_slice(piece)));
            Ok(())
        })
    }

    /// Length of an object.
    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>>;

    /// Deletes objects and answers for each, in order; an absent object counts as deleted.
    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>>;

    /// Keys below `prefix` after `after`, at most about a thousand.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>>;
}
