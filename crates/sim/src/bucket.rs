//! A bucket in memory: linearizable, slow, and at times out of reach.

use crate::entropy::SimEntropy;
use crate::power::Power;
use crate::time::pass;
use crate::trace::Trace;
use bytes::Bytes;
use esker_env::{
    BoxFuture, Bucket, BucketError, BucketErrorKind, Clock, Entropy, ListPage, ObjectKey,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keys in a page of a listing.
const PAGE: usize = 1000;

/// What outlives the node: the objects, and what ever became of them.
#[derive(Debug, Default)]
pub struct Store {
    objects: Mutex<BTreeMap<ObjectKey, Bytes>>,
    /// Every content that was ever put under a key. Keys are never written twice with different contents.
    history: Mutex<BTreeMap<ObjectKey, Bytes>>,
    problems: Mutex<Vec<String>>,
    /// Planted: the put of this number succeeds and stores nothing.
    lost_put: Option<u64>,
    puts: Mutex<u64>,
}

impl Store {
    /// An empty store; with `lost_put` it loses that put, counted from 1.
    #[must_use]
    pub fn new(lost_put: Option<u64>) -> Self {
        Self { lost_put, ..Self::default() }
    }

    /// Names of the objects that are there.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().keys().map(|key| key.as_str().to_owned()).collect()
    }

    /// What was done that must not be done.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().clone()
    }

    fn put(&self, key: &ObjectKey, body: Bytes) {
        let number = {
            let mut puts = self.puts.lock();
            *puts += 1;
            *puts
        };
        if let Some(before) = self.history.lock().insert(key.clone(), body.clone())
            && before != body
        {
            self.problems.lock().push(format!("object {key} was written twice, differently"));
        }
        if self.lost_put != Some(number) {
            self.objects.lock().insert(key.clone(), body);
        }
    }
}

/// The store as one life sees it.
pub struct SimBucket {
    store: Arc<Store>,
    power: Arc<Power>,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    entropy: SimEntropy,
    /// Percent of requests that fail, one half before and one half after their effect.
    failing: u64,
    out_of_reach: AtomicBool,
}

impl SimBucket {
    /// A way to `store` on which `failing` percent of the requests fail.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        power: Arc<Power>,
        trace: Arc<Trace>,
        clock: Arc<dyn Clock>,
        entropy: &SimEntropy,
        failing: u64,
    ) -> Self {
        let entropy = entropy.branch("bucket");
        let out_of_reach = AtomicBool::new(false);
        Self { store, power, trace, clock, entropy, failing, out_of_reach }
    }

    /// Begins or ends an outage.
    pub fn set_out_of_reach(&self, out: bool) {
        self.out_of_reach.store(out, Ordering::Relaxed);
    }

    /// A request: its way there, its effect, its way back.
    async fn request<T>(
        &self,
        operation: &'static str,
        key: &str,
        effect: impl FnOnce(&Store) -> Result<T, BucketError>,
    ) -> Result<T, BucketError> {
        let failed = |message: &str| BucketError {
            kind: BucketErrorKind::Retry,
            operation,
            key: key.to_owned(),
            message: message.to_owned(),
        };
        let fate = self.entropy.below(100);
        let slow = if self.failing > 0 && self.entropy.chance(3) { 4000 } else { 1 };
        let way = || Duration::from_millis(self.entropy.between(2, 20) * slow / 2 + 1);
        let (there, back) = (way(), way());
        pass(there).await;
        if !self.power.is_on() {
            // The process is gone: it neither acts nor learns anything any more.
            std::future::pending::<()>().await;
        }
        self.trace.note(self.clock.now().0, operation, key, fate);
        if self.out_of_reach.load(Ordering::Relaxed) {
            return Err(failed("out of reach"));
        }
        if fate < self.failing / 2 {
            return Err(failed("slow down"));
        }
        let result = effect(&self.store);
        pass(back).await;
        if fate < self.failing {
            return Err(failed("the answer was lost"));
        }
        result
    }
}

fn absent(operation: &'static str, key: &ObjectKey) -> BucketError {
    BucketError {
        kind: BucketErrorKind::NotFound,
        operation,
        key: key.to_string(),
        message: "no such object".to_owned(),
    }
}

impl Bucket for SimBucket {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        let body = Bytes::from(body.concat());
        Box::pin(self.request("put", key.as_str(), move |store| {
            store.put(key, body);
            Ok(())
        }))
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(self.request("get", key.as_str(), move |store| {
            let body = store.objects.lock().get(key).cloned();
            let body = body.ok_or_else(|| absent("get", key))?;
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let (start, end) = (place(range.start), place(range.end));
            if start > end || end > body.len() {
                let mut error = absent("get", key);
                error.kind = BucketErrorKind::Invalid;
                error.message = format!("{range:?} is beyond {} bytes", body.len());
                return Err(error);
            }
            Ok(body.slice(start..end))
        }))
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        Box::pin(self.request("head", key.as_str(), move |store| {
            let objects = store.objects.lock();
            objects.get(key).map(|body| body.len() as u64).ok_or_else(|| absent("head", key))
        }))
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(keys.len());
            for key in &keys {
                let effect = |store: &Store| {
                    store.objects.lock().remove(key);
                    Ok(())
                };
                results.push(self.request("delete", key.as_str(), effect).await);
            }
            results
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        Box::pin(self.request("list", prefix, move |store| {
            let objects = store.objects.lock();
            let mut found = objects
                .iter()
                .filter(|(key, _)| key.as_str().starts_with(prefix))
                .filter(|(key, _)| after.is_none_or(|after| *key > after))
                .map(|(key, body)| (key.clone(), body.len() as u64));
            let objects = found.by_ref().take(PAGE).collect();
            Ok(ListPage { objects, more: found.next().is_some() })
        }))
    }
}

impl std::fmt::Debug for SimBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimBucket").field("failing", &self.failing).finish_non_exhaustive()
    }
}
