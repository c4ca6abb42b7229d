//! A bucket in memory: linearizable, slow, and at times out of reach.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::model::{Oracle, Problem};
use crate::power::Power;
use crate::time::pass;
use crate::trace::Trace;
use bytes::Bytes;
use esker_env::{
    BoxFuture, Bucket, BucketError, BucketErrorKind, Clock, Entropy, ListPage, ObjectKey,
};
use esker_object::{Manifest, data_key};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A lie that a bucket tells. Planted by tests: the oracles must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketLie {
    /// The put of this number, counted from 1, succeeds and stores nothing.
    LosePut(u64),
    /// The put of this number stores all but the end.
    CutPut(u64),
    /// Objects vanish so long after they were stored, as a lifecycle rule would have it.
    Expire(Duration),
}

/// What outlives the machines: the objects, and what ever became of them.
#[derive(Debug, Default)]
pub struct Store {
    objects: Mutex<BTreeMap<ObjectKey, Bytes>>,
    /// Every content that was ever put under a key. Keys are never written twice with different contents.
    history: Mutex<BTreeMap<ObjectKey, Bytes>>,
    /// When each was stored, in nanoseconds of the whole simulation.
    stored: Mutex<BTreeMap<ObjectKey, Duration>>,
    problems: Mutex<Vec<Problem>>,
    lie: Option<BucketLie>,
    puts: Mutex<u64>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(lie: Option<BucketLie>) -> Self {
        Self { lie, ..Self::default() }
    }

    /// Names and lengths of the objects that are there.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let objects = self.objects.lock();
        objects.iter().map(|(key, body)| (key.as_str().to_owned(), body.len() as u64)).collect()
    }

    /// The objects that those manifests list that `is_named` knows, with their lengths.
    ///
    /// # Errors
    /// What is wrong with which manifest.
    pub fn listed(&self, is_named: impl Fn(&str) -> bool) -> Result<BTreeMap<String, u64>, String> {
        let objects = self.objects.lock();
        let is_manifest =
            |key: &ObjectKey| key.as_str().starts_with("m/") && is_named(key.as_str());
        let mut listed = BTreeMap::new();
        for (key, body) in objects.iter().filter(|(key, _)| is_manifest(key)) {
            let manifest = Manifest::parse(body.clone())
                .map_err(|error| format!("manifest `{key}`: {error}"))?;
            let entries = manifest.entries();
            listed.extend(entries.map(|one| (data_key(one.object, one.incarnation), one.len)));
        }
        Ok(listed)
    }

    /// What was done that must not be done.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().clone()
    }

    fn put(&self, key: &ObjectKey, body: Bytes, now: Duration) {
        let number = {
            let mut puts = self.puts.lock();
            *puts += 1;
            *puts
        };
        if let Some(before) = self.history.lock().insert(key.clone(), body.clone())
            && before != body
        {
            let what = format!("object {key} was written twice, differently");
            self.problems.lock().push(Problem::new(Oracle::Rewritten, what));
        }
        let body = match self.lie {
            Some(BucketLie::LosePut(lost)) if number == lost => return,
            Some(BucketLie::CutPut(cut)) if number == cut => body.slice(..body.len() * 2 / 3),
            _ => body,
        };
        self.stored.lock().insert(key.clone(), now);
        self.objects.lock().insert(key.clone(), body);
    }

    fn expire(&self, now: Duration) {
        if let Some(BucketLie::Expire(age)) = self.lie {
            let stored = self.stored.lock();
            let old = |key: &ObjectKey| stored.get(key).is_some_and(|at| *at + age < now);
            self.objects.lock().retain(|key, _| !old(key));
        }
    }
}

/// How soon a slow request notices that nothing is slow any more.
const SLOW_STEP: Duration = Duration::from_millis(500);

/// What goes wrong with requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketFaults {
    /// Percent of requests that fail, one half before and one half after their effect.
    pub failing: u64,
    /// Percent of requests that take seconds.
    pub slow: u64,
    /// Bodies of a thousand that arrive cut short or with a bit flipped.
    pub damaged: u64,
    /// Nothing gets through.
    pub out_of_reach: bool,
    /// Nothing more fits.
    pub full: bool,
    /// Credentials are not accepted.
    pub denied: bool,
}

/// The store as one life sees it.
pub struct SimBucket {
    store: Arc<Store>,
    power: Arc<Power>,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    /// Virtual time of earlier lives.
    before: Duration,
    entropy: SimEntropy,
    faults: Mutex<BucketFaults>,
}

impl SimBucket {
    /// A way to `store` on which things go wrong.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        power: Arc<Power>,
        trace: Arc<Trace>,
        (clock, before): (Arc<dyn Clock>, Duration),
        entropy: &SimEntropy,
        faults: BucketFaults,
    ) -> Self {
        let entropy = entropy.branch("bucket");
        let faults = Mutex::new(faults);
        Self { store, power, trace, clock, before, entropy, faults }
    }

    /// Changes what goes wrong.
    pub fn set_faults(&self, change: impl FnOnce(&mut BucketFaults)) {
        change(&mut self.faults.lock());
    }

    fn now(&self) -> Duration {
        self.before + Duration::from_nanos(self.clock.now().0)
    }

    /// A way, which is short as soon as nothing is slow any more.
    async fn travel(&self, mut way: Duration) {
        while way > SLOW_STEP {
            pass(SLOW_STEP).await;
            way = if self.faults.lock().slow == 0 { Duration::ZERO } else { way - SLOW_STEP };
        }
        pass(way).await;
    }

    /// A request: its way there, its effect, its way back.
    async fn request<T>(
        &self,
        operation: &'static str,
        key: &str,
        effect: impl FnOnce(&Store) -> Result<T, BucketError>,
    ) -> Result<T, BucketError> {
        let error = |kind, message: &str| BucketError {
            kind,
            operation,
            key: key.to_owned(),
            message: message.to_owned(),
        };
        let failed = |message: &str| error(BucketErrorKind::Retry, message);
        let fate = self.entropy.below(100);
        let faults = *self.faults.lock();
        let slow = if self.entropy.chance(faults.slow) { 4000 } else { 1 };
        if slow > 1 {
            self.trace.count(Effect::SlowRequest);
        }
        let way = || Duration::from_millis(self.entropy.between(2, 20) * slow / 2 + 1);
        let (there, back) = (way(), way());
        self.travel(there).await;
        if !self.power.is_on() {
            // The process is gone: it neither acts nor learns anything any more.
            std::future::pending::<()>().await;
        }
        self.trace.note(self.clock.now().0, operation, key, fate);
        // An outage may have begun or ended on the way.
        let faults = *self.faults.lock();
        if faults.out_of_reach {
            self.trace.count(Effect::OutOfReach);
            return Err(failed("out of reach"));
        }
        if faults.denied {
            self.trace.count(Effect::Denied);
            return Err(error(BucketErrorKind::Denied, "the credentials have expired"));
        }
        if faults.full && operation == "put" {
            self.trace.count(Effect::PutRefused);
            return Err(failed("no space is left"));
        }
        if fate < faults.failing / 2 {
            self.trace.count(Effect::RequestFailed);
            return Err(failed("slow down"));
        }
        self.store.expire(self.now());
        let result = effect(&self.store);
        self.travel(back).await;
        if fate < faults.failing {
            self.trace.count(Effect::AnswerLost);
            return Err(failed("the answer was lost"));
        }
        result
    }

    /// A body as it arrives.
    fn arrives(&self, body: &Bytes) -> Bytes {
        let damaged = self.faults.lock().damaged;
        if damaged == 0 || body.is_empty() || self.entropy.below(1000) >= damaged {
            return body.clone();
        }
        let at = usize::try_from(self.entropy.below(body.len() as u64)).expect("below a length");
        self.trace.note(self.clock.now().0, "damage", "body", at as u64);
        if self.entropy.chance(50) {
            self.trace.count(Effect::BodyCut);
            return body.slice(..at);
        }
        self.trace.count(Effect::BodyFlipped);
        let mut flipped = body.to_vec();
        flipped[at] ^= 1 << self.entropy.below(8);
        flipped.into()
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
        self.trace.note_bytes(self.clock.now().0, "body of", key.as_str(), &body);
        Box::pin(self.request("put", key.as_str(), move |store| {
            store.put(key, body, self.now());
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
            Ok(self.arrives(&body.slice(start..end)))
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
        _after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        unreachable!("a broker lists nothing, here `{prefix}`: once it does, show it the past, too")
    }
}

impl std::fmt::Debug for SimBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimBucket").field("faults", &self.faults.lock()).finish_non_exhaustive()
    }
}
