//! A bucket that counts what is asked of it: requests are what a bucket costs.

use bytes::Bytes;
use esker_env::{BoxFuture, Bucket, BucketError, ListPage, ObjectKey, PieceSink};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked of a bucket since the start, whether it succeeded or not. A store may see more: a request that is sent again, and
/// the parts of an object too large for one.
#[derive(Debug, Default)]
pub struct BucketRequests {
    puts: AtomicU64,
    put_bytes: AtomicU64,
    gets: AtomicU64,
    heads: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

impl BucketRequests {
    /// Objects put.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// Bytes in them.
    #[must_use]
    pub fn put_bytes(&self) -> u64 {
        self.put_bytes.load(Ordering::Relaxed)
    }

    /// Reads of a range.
    #[must_use]
    pub fn gets(&self) -> u64 {
        self.gets.load(Ordering::Relaxed)
    }

    /// Questions for the length of an object.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Pages of listings.
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Objects deleted. A store takes several by one request.
    #[must_use]
    pub fn deletes(&self) -> u64 {
        self.deletes.load(Ordering::Relaxed)
    }
}

/// Counts, and passes on.
pub(crate) struct CountedBucket {
    inner: Arc<dyn Bucket>,
    requests: Arc<BucketRequests>,
}

impl CountedBucket {
    pub(crate) fn new(inner: Arc<dyn Bucket>, requests: Arc<BucketRequests>) -> Self {
        Self { inner, requests }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Bucket for CountedBucket {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        add(&self.requests.puts, 1);
        add(&self.requests.put_bytes, body.iter().map(Bytes::len).sum());
        self.inner.put(key, body)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        add(&self.requests.gets, 1);
        self.inner.get_range(key, range)
    }

    fn get_pieces<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
        piece: usize,
        sink: PieceSink,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        add(&self.requests.gets, 1);
        self.inner.get_pieces(key, range, piece, sink)
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        add(&self.requests.heads, 1);
        self.inner.head(key)
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        add(&self.requests.deletes, keys.len());
        self.inner.delete(keys)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        add(&self.requests.lists, 1);
        self.inner.list(prefix, after)
    }
}
