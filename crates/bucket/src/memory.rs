//! A bucket in memory.

use bytes::Bytes;
use esker_env::{BoxFuture, Bucket, BucketError, BucketErrorKind, ListPage, ObjectKey};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use crate::error::{short_object, too_wide};

/// Most keys in one page of a listing.
pub(crate) const PAGE_KEYS_MAX: usize = 1000;

/// A bucket in the memory of this process.
#[derive(Debug, Default)]
pub struct MemoryBucket {
    objects: Mutex<BTreeMap<ObjectKey, Bytes>>,
}

impl MemoryBucket {
    /// An empty bucket.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, operation: &'static str, key: &ObjectKey) -> Result<Bytes, BucketError> {
        self.objects.lock().get(key).cloned().ok_or_else(|| BucketError {
            kind: BucketErrorKind::NotFound,
            operation,
            key: key.to_string(),
            message: "no such object".to_owned(),
        })
    }
}

impl Bucket for MemoryBucket {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            self.objects.lock().insert(key.clone(), Bytes::from(body.concat()));
            Ok(())
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(async move {
            let object = self.find("get", key)?;
            let end = usize::try_from(range.end).map_err(|_| too_wide("get", key, &range))?;
            let start = usize::try_from(range.start).map_err(|_| too_wide("get", key, &range))?;
            if start >= end {
                return Ok(Bytes::new());
            }
            if end > object.len() {
                return Err(short_object(key, &range, object.len() as u64));
            }
            Ok(object.slice(start..end))
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        Box::pin(async move { Ok(self.find("head", key)?.len() as u64) })
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        Box::pin(async move {
            let mut objects = self.objects.lock();
            let delete = |key| {
                objects.remove(&key);
                Ok(())
            };
            keys.into_iter().map(delete).collect()
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        Box::pin(async move {
            let objects = self.objects.lock();
            // The smallest key below the prefix may be the prefix itself, which need not be a legal key.
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut below = objects
                .range((start, Bound::Unbounded))
                .skip_while(|(key, _)| key.as_str() < prefix)
                .take_while(|(key, _)| key.as_str().starts_with(prefix))
                .map(|(key, body)| (key.clone(), body.len() as u64));
            let page = below.by_ref().take(PAGE_KEYS_MAX).collect();
            let more = below.next().is_some();
            Ok(ListPage { objects: page, more })
        })
    }
}
