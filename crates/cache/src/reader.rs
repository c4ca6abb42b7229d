//! The reader: who wants which chunk, and how it comes.
//!
//! Every chunk that is not in memory has at most one *flight*: an entry in a table that all who want the chunk
//! wait for. Whoever opens a flight hands it to a task of its own, which asks the cache's disk, then the bucket,
//! puts the chunk into the cache, takes the flight out of the table and tells those who wait, in this order: there is
//! no moment in which a chunk is neither cached nor in flight, and whoever is told of a failure and asks again does not
//! hear of the same one.

use crate::chunk::{CHUNK_BYTES, ChunkCache, ChunkKey};
use crate::cursor::{Cursor, CursorRead, Prefetch, Window};
use crate::hedge::Hedge;
use crate::prefetch_ledger::{PrefetchLedger, ReaderId};
use crate::stats::{ReaderStats, count};
use bytes::{Bytes, BytesMut};
use esker_env::watch;
use esker_env::{
    BoxFuture, Bucket, BucketError, BucketErrorKind, Budget, Env, ObjectKey, TaskPlacement,
};
use esker_types::ObjectId;
use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// An object to read. Its length is known from the metadata, so no request is needed to learn it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedObject {
    /// Its id.
    pub id: ObjectId,
    /// Where it is.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub len: u64,
}

/// What the owner of the objects knows about a stream that goes through them.
pub trait Stream: Sync {
    /// The reader's part of the object that is read.
    fn part(&self) -> Range<u64>;

    /// Widens what is fetched ahead of the object that is read, up to the borders of requests
    /// ([`ObjectReader::request_bytes_max`]): by what other readers will ask for soon.
    fn widen(&self, range: Range<u64>) -> Range<u64>;

    /// Starts fetching `range` of the bytes that follow the part, counted from its end. Answers up to where it did,
    /// at least `range.start`.
    fn fetch_beyond(&self, range: Range<u64>) -> u64;
}

/// What a read is for.
#[derive(Clone, Copy)]
pub struct ReadHint<'a> {
    /// The reader's place, if it may read on, and where.
    pub following: Option<(&'a Cursor, &'a dyn Stream)>,
    /// Whether a client waits. Only then is a slow request asked again.
    pub waiting: bool,
}

impl std::fmt::Debug for ReadHint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = self.following.map(|(cursor, stream)| (cursor, stream.part()));
        f.debug_struct("ReadHint").field("part", &part).field("waiting", &self.waiting).finish()
    }
}

impl<'a> ReadHint<'a> {
    /// A single read with somebody waiting.
    pub const SINGLE: ReadHint<'static> = ReadHint { following: None, waiting: true };

    /// The next read of a reader that somebody waits for.
    #[must_use]
    pub const fn following(cursor: &'a Cursor, stream: &'a dyn Stream) -> Self {
        Self { following: Some((cursor, stream)), waiting: true }
    }
}

/// How to read.
#[derive(Debug, Clone)]
pub struct ReaderOptions {
    /// Bytes that all requests together may have in flight. What waits for room is served in order of arrival.
    pub in_flight_bytes: usize,
    /// Most bytes of one request, but for the end of an object; less where the cache has little memory.
    pub get_bytes_max: u64,
    /// First width of a reader's window.
    pub readahead_bytes_min: u64,
    /// Greatest width of a reader's window.
    pub readahead_bytes_max: u64,
    /// How long a window stays closed after chunks were fetched ahead in vain.
    pub cool_down: Duration,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            in_flight_bytes: 256 << 20,
            get_bytes_max: 16 << 20,
            readahead_bytes_min: 8 << 20,
            readahead_bytes_max: 32 << 20,
            cool_down: Duration::from_secs(60),
        }
    }
}

/// Reads objects through a cache. Cloning it is cheap.
#[derive(Clone)]
pub struct ObjectReader {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    bucket: Arc<dyn Bucket>,
    cache: Arc<dyn ChunkCache>,
    window: Window,
    budget: Budget,
    prefetched: PrefetchLedger,
    flights: Mutex<HashMap<ChunkKey, Flight>>,
    hedge: Hedge,
    stats: ReaderStats,
}

type Flight = watch::Receiver<Option<Landing>>;
type Landing = Result<Bytes, BucketError>;

/// An open flight. Dropping it closes the flight, so that a task that dies leaves nobody waiting.
struct Claim {
    shared: Arc<Shared>,
    key: ChunkKey,
    sender: watch::Sender<Option<Landing>>,
    landing: Option<Landing>,
}

impl Claim {
    fn land(mut self, landing: Landing) {
        if landing.is_err() {
            self.shared.prefetched.take(&self.key);
        }
        self.landing = Some(landing);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.flights.lock().remove(&self.key);
        // Those who waited may all have gone.
        self.sender.send_replace(self.landing.take());
    }
}

/// The chunks of one request, of which each is taken out when it comes: of two equal requests by the first to bring it.
#[derive(Clone)]
struct Run(Arc<Mutex<Vec<Option<Claim>>>>);

/// A chunk as a reader finds it.
enum ChunkSource {
    Here(Bytes),
    Coming(Flight),
}

/// Chunks as a reader finds them.
struct Finding {
    found: Vec<ChunkSource>,
    /// Flights to be started.
    claims: Vec<Claim>,
    /// Whether one had been fetched ahead, and is no longer in memory.
    is_lost: bool,
}

impl ObjectReader {
    /// A reader of `bucket` through `cache`. Fetches run as background tasks of `env`.
    #[must_use]
    pub fn new(
        env: &Env,
        bucket: Arc<dyn Bucket>,
        cache: Arc<dyn ChunkCache>,
        options: &ReaderOptions,
    ) -> Self {
        // What was read last would push out what is still to be read: it needs as much room again.
        let ahead_bytes_max = cache.memory_bytes_max() as u64 / 2;
        let share = |bytes: u64, parts: u64| bytes.min(ahead_bytes_max / parts).max(CHUNK_BYTES);
        let step = share(options.get_bytes_max, 4);
        // The length of a window's steps divides it then.
        let step = 1 << step.ilog2();
        let max = share(options.readahead_bytes_max, 2);
        let shared = Shared {
            env: env.clone(),
            bucket,
            cache,
            window: Window {
                min: options.readahead_bytes_min.min(max),
                max,
                step,
                cool_down: options.cool_down,
            },
            budget: Budget::new(options.in_flight_bytes),
            prefetched: PrefetchLedger::new(ahead_bytes_max),
            flights: Mutex::default(),
            hedge: Hedge::default(),
            stats: ReaderStats::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Bytes `range` of an object, as slices of chunks one after the other.
    ///
    /// Dropping the future abandons the wait, not the fetch: others may wait for it too.
    ///
    /// # Errors
    /// The bucket's; `Invalid` for a range that is not in the object.
    pub async fn read(
        &self,
        object: &CachedObject,
        range: Range<u64>,
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, BucketError> {
        let shared = &self.shared;
        count(&shared.stats.reads, 1);
        if range.start > range.end || range.end > object.len {
            return Err(outside(object, &range));
        }
        if range.is_empty() {
            return Ok(Vec::new());
        }
        count(&shared.stats.read_bytes, range.end - range.start);
        let first = ChunkKey::first(object.id, &object.key);
        let wanted = chunks(object, &range)?;
        let Finding { found, mut claims, is_lost } = shared.find(object, &first, wanted);
        if let Some((cursor, stream)) = hint.following {
            let now = shared.env.clock.now();
            if is_lost {
                count(&shared.stats.ahead_lost, 1);
                cursor.on_lost(now, &shared.window);
            }
            let part = stream.part();
            let waits = found.iter().any(|found| matches!(found, ChunkSource::Coming(_)));
            let read = CursorRead {
                object: object.id,
                len: object.len,
                range: &range,
                part: &part,
                waits,
                now,
            };
            let Prefetch { fetch, beyond } = cursor.on_read(&read, &shared.window);
            let mut fetched = fetch.end;
            if !fetch.is_empty() {
                let wide = stream.widen(fetch.clone());
                let end = shared.claim_ahead(object, wide.clone(), cursor.id(), &mut claims)?;
                fetched =
                    if end == wide.end { fetch.end } else { end.clamp(fetch.start, fetch.end) };
            }
            let mut until = beyond.start;
            if fetched == fetch.end && !beyond.is_empty() {
                until = stream.fetch_beyond(beyond.clone());
            }
            if fetched < fetch.end || until < beyond.end {
                cursor.on_skipped(fetched, until);
            }
        }
        shared.start(object, claims, hint.waiting);
        let mut pieces = Vec::with_capacity(found.len());
        let mut position = range.start - range.start % CHUNK_BYTES;
        for found in found {
            let chunk = match found {
                ChunkSource::Here(chunk) => chunk,
                ChunkSource::Coming(flight) => landed(object, flight).await?,
            };
            let end = position + chunk.len() as u64;
            let slice = within(position, range.start.max(position)..range.end.min(end));
            pieces.push(chunk.slice(slice));
            if hint.following.is_some() && range.end >= end {
                let chunk = u32::try_from(position / CHUNK_BYTES).expect("chunks are numbered so");
                shared.cache.pass(&first.at(chunk));
            }
            position = end;
        }
        Ok(pieces)
    }

    /// Several ranges of an object that stand close together, ascending: one piece for each. All between the
    /// first and the last is read; a piece is copied only where it crosses the border of a chunk.
    ///
    /// # Errors
    /// As [`Self::read`].
    ///
    /// # Panics
    /// When the ranges do not ascend.
    pub async fn read_each(
        &self,
        object: &CachedObject,
        ranges: &[Range<u64>],
        hint: ReadHint<'_>,
    ) -> Result<Vec<Bytes>, BucketError> {
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "ranges ascend");
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Ok(Vec::new());
        };
        let pieces = self.read(object, first.start..last.end, hint).await?;
        let mut ends = Vec::with_capacity(pieces.len());
        let mut end = first.start;
        for piece in &pieces {
            end += piece.len() as u64;
            ends.push(end);
        }
        Ok(ranges.iter().map(|range| cut(&pieces, &ends, range)).collect())
    }

    /// Forgets the chunks that `range` of an object lies in: its bytes are not what was put. The next read fetches
    /// them anew.
    ///
    /// # Errors
    /// `Invalid` for a range that is not in the object.
    pub fn forget(&self, object: &CachedObject, range: &Range<u64>) -> Result<(), BucketError> {
        count(&self.shared.stats.damaged, 1);
        let first = ChunkKey::first(object.id, &object.key);
        for chunk in chunks(object, range)? {
            self.shared.cache.forget(&first.at(chunk));
        }
        Ok(())
    }

    /// Bytes `range` of an object by one request of exactly these bytes, past the cache: for footers, which are
    /// kept in parsed form.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_uncached(
        &self,
        object: &CachedObject,
        range: Range<u64>,
        waiting: bool,
    ) -> Result<Bytes, BucketError> {
        count(&self.shared.stats.reads, 1);
        if range.start > range.end || range.end > object.len {
            return Err(outside(object, &range));
        }
        count(&self.shared.stats.read_bytes, range.end - range.start);
        let len = usize::try_from(range.end - range.start).map_err(|_| outside(object, &range))?;
        let _permit = self.shared.budget.acquire(len).await;
        let bucket = &self.shared.bucket;
        let ask = || bucket.get_range(&object.key, range.clone());
        let bytes = self.shared.ask(&object.key, range.end - range.start, waiting, ask).await?;
        if bytes.len() != len {
            let message = format!("{} bytes instead of {len}", bytes.len());
            return Err(failure(BucketErrorKind::Retry, &object.key, message));
        }
        Ok(bytes)
    }

    /// Starts fetching what a reader will want soon, as much of it as there is memory for. Answers where it stopped.
    ///
    /// # Errors
    /// `Invalid` for a range that is not in the object.
    pub fn prefetch(
        &self,
        object: &CachedObject,
        range: Range<u64>,
        reader: &Cursor,
    ) -> Result<u64, BucketError> {
        if range.start > range.end || range.end > object.len {
            return Err(outside(object, &range));
        }
        let mut claims = Vec::new();
        let end = self.shared.claim_ahead(object, range, reader.id(), &mut claims)?;
        self.shared.start(object, claims, false);
        Ok(end)
    }

    /// Most bytes of one request, but for the end of an object. Requests begin and end at multiples of it where they can.
    #[must_use]
    pub fn request_bytes_max(&self) -> u64 {
        self.shared.window.step
    }

    /// Whether an object of `len` bytes comes by one request.
    #[must_use]
    pub fn takes_one_request(&self, len: u64) -> bool {
        last_request(len, self.shared.window.step) == 0
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> &ReaderStats {
        &self.shared.stats
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<dyn ChunkCache> {
        &self.shared.cache
    }
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader").field("stats", &self.shared.stats).finish_non_exhaustive()
    }
}

impl Shared {
    /// Looks for chunks in memory and in flight; opens flights for the rest.
    fn find(
        self: &Arc<Self>,
        object: &CachedObject,
        first: &ChunkKey,
        wanted: Range<u32>,
    ) -> Finding {
        let mut claims = Vec::new();
        let mut is_lost = false;
        let mut find = |chunk: u32| {
            let key = first.at(chunk);
            let fetched_ahead = self.prefetched.take(&key);
            let in_memory = || self.cache.peek(&key).filter(|bytes| fits(object, chunk, bytes));
            if let Some(bytes) = in_memory() {
                count(&self.stats.chunks_memory, 1);
                return ChunkSource::Here(bytes);
            }
            let mut flights = self.flights.lock();
            if let Some(flight) = flights.get(&key) {
                count(&self.stats.chunks_joined, 1);
                return ChunkSource::Coming(flight.clone());
            }
            // It may have landed since: then it is in the cache by now.
            if let Some(bytes) = in_memory() {
                count(&self.stats.chunks_memory, 1);
                return ChunkSource::Here(bytes);
            }
            is_lost |= fetched_ahead;
            ChunkSource::Coming(self.open(&mut flights, key, &mut claims))
        };
        let found = wanted.map(&mut find).collect();
        Finding { found, claims, is_lost }
    }

    fn open(
        self: &Arc<Self>,
        flights: &mut HashMap<ChunkKey, Flight>,
        key: ChunkKey,
        claims: &mut Vec<Claim>,
    ) -> Flight {
        let (sender, flight) = watch::channel(None);
        flights.insert(key, flight.clone());
        claims.push(Claim { shared: Arc::clone(self), key, sender, landing: None });
        flight
    }

    /// Opens flights for what nobody waits for yet, as far as there is memory for it. Answers where it stopped.
    fn claim_ahead(
        self: &Arc<Self>,
        object: &CachedObject,
        range: Range<u64>,
        reader: ReaderId,
        claims: &mut Vec<Claim>,
    ) -> Result<u64, BucketError> {
        if range.is_empty() {
            return Ok(range.end);
        }
        let first = ChunkKey::first(object.id, &object.key);
        let wanted = chunks(object, &range)?;
        let mut flights = self.flights.lock();
        let is_missing = |key: &ChunkKey| !flights.contains_key(key) && !self.cache.holds(key);
        let missing: Vec<_> = wanted.map(|chunk| first.at(chunk)).filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(range.end);
        }
        let now = self.env.clock.now();
        // A quarter of the room stays with those who wait.
        let room = self.budget.available().saturating_sub(self.budget.total() / 4);
        let room = room / usize::try_from(CHUNK_BYTES).expect("1 MiB");
        let granted = self.prefetched.grant(reader, missing.len().min(room), now);
        for key in &missing[..granted] {
            self.prefetched.add(reader, *key, now);
            self.open(&mut flights, *key, claims);
        }
        count(&self.stats.ahead_chunks, granted as u64);
        let Some(next) = missing.get(granted) else { return Ok(range.end) };
        count(&self.stats.ahead_skipped, 1);
        Ok((u64::from(next.chunk) * CHUNK_BYTES).max(range.start))
    }

    fn start(self: &Arc<Self>, object: &CachedObject, mut claims: Vec<Claim>, waiting: bool) {
        if claims.is_empty() {
            return;
        }
        claims.sort_unstable_by_key(|claim| claim.key.chunk);
        let shared = Arc::clone(self);
        let object = object.clone();
        self.env.spawner.spawn(
            TaskPlacement::Background,
            "cold read",
            Box::pin(async move { shared.load(object, claims, waiting).await }),
        );
    }

    /// Brings chunks from the cache's disk and, what is not there, from the bucket.
    async fn load(self: Arc<Self>, object: CachedObject, claims: Vec<Claim>, waiting: bool) {
        let found = join_all(claims.iter().map(|claim| self.cache.get(&claim.key))).await;
        let mut missing = Vec::new();
        for (claim, found) in claims.into_iter().zip(found) {
            match found.filter(|bytes| fits(&object, claim.key.chunk, bytes)) {
                Some(bytes) => {
                    count(&self.stats.chunks_disk, 1);
                    claim.land(Ok(bytes));
                }
                None => missing.push(claim),
            }
        }
        let mut runs = runs(missing, object.len, self.window.step);
        let Some(last) = runs.pop() else { return };
        for run in runs {
            let shared = Arc::clone(&self);
            let object = object.clone();
            self.env.spawner.spawn(
                TaskPlacement::Background,
                "cold read",
                Box::pin(async move { shared.fetch(&object, run, waiting).await }),
            );
        }
        self.fetch(&object, last, waiting).await;
    }

    /// Fetches adjacent chunks by one request.
    async fn fetch(&self, object: &CachedObject, run: Vec<Claim>, waiting: bool) {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let start = u64::from(first.key.chunk) * CHUNK_BYTES;
        let end = (u64::from(last.key.chunk) + 1) * CHUNK_BYTES;
        let range = start..end.min(object.len);
        let len = usize::try_from(range.end - range.start).expect("a request fits into memory");
        let _permit = self.budget.acquire(len).await;
        let run = Run(Arc::new(Mutex::new(run.into_iter().map(Some).collect())));
        let ask = || self.get_run(object, range.clone(), &run);
        let outcome = self.ask(&object.key, range.end - range.start, waiting, ask).await;
        let error = outcome.err().unwrap_or_else(|| {
            let message = "the answer is not as long as what was asked for".to_owned();
            failure(BucketErrorKind::Retry, &object.key, message)
        });
        let left: Vec<_> = run.0.lock().iter_mut().filter_map(Option::take).collect();
        for claim in left {
            claim.land(Err(error.clone()));
        }
    }

    /// Lands the chunks of a run as they come.
    fn get_run<'a>(
        &'a self,
        object: &'a CachedObject,
        range: Range<u64>,
        run: &Run,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        let run = run.clone();
        let len = object.len;
        let mut place = 0;
        let sink = move |bytes: Bytes| {
            let claim = run.0.lock().get_mut(place).and_then(|claim| {
                claim.take_if(|claim| chunk_len(len, claim.key.chunk) == bytes.len() as u64)
            });
            place += 1;
            let Some(claim) = claim else { return };
            count(&claim.shared.stats.chunks_fetched, 1);
            claim.shared.cache.insert(claim.key, bytes.clone());
            claim.land(Ok(bytes));
        };
        let piece = usize::try_from(CHUNK_BYTES).expect("1 MiB");
        self.bucket.get_pieces(&object.key, range, piece, Box::new(sink))
    }

    /// One range request, asked again where it is slow and somebody waits.
    async fn ask<'a, T>(
        &self,
        key: &ObjectKey,
        len: u64,
        waiting: bool,
        request: impl Fn() -> BoxFuture<'a, Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let ask = || {
            count(&self.stats.gets, 1);
            count(&self.stats.get_bytes, len);
            request()
        };
        let began = self.env.clock.now();
        let patience = self.hedge.on_request(len).filter(|_| waiting);
        let first = ask();
        let answer = match patience {
            None => first.await,
            Some(patience) => match select(first, self.env.clock.sleep(patience)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(((), first)) if self.hedge.take() => {
                    count(&self.stats.hedges, 1);
                    match select(first, ask()).await {
                        Either::Left((Ok(answer), _)) => Ok(answer),
                        Either::Right((Ok(answer), _)) => {
                            count(&self.stats.hedges_won, 1);
                            Ok(answer)
                        }
                        Either::Left((Err(_), other)) | Either::Right((Err(_), other)) => {
                            other.await
                        }
                    }
                }
                Either::Right(((), first)) => first.await,
            },
        };
        match &answer {
            Ok(_) => self.hedge.on_answer(len, self.env.clock.now().since(began)),
            Err(error) => {
                tracing::debug!(%key, %error, "a range was not read");
                count(&self.stats.get_errors, 1);
            }
        }
        answer
    }
}

/// Waits for a chunk that is on its way.
async fn landed(object: &CachedObject, mut flight: Flight) -> Result<Bytes, BucketError> {
    let landing = flight.wait_for(Option::clone).await;
    landing.unwrap_or_else(|_| {
        let message = "the read was given up".to_owned();
        Err(failure(BucketErrorKind::Retry, &object.key, message))
    })
}

/// Groups chunks that stand side by side into requests, which end at multiples of `bytes_max`, up to the last one of an
/// object of `len` bytes.
fn runs(claims: Vec<Claim>, len: u64, bytes_max: u64) -> Vec<Vec<Claim>> {
    let last = last_request(len, bytes_max);
    let number = |chunk: u32| (u64::from(chunk) * CHUNK_BYTES / bytes_max).min(last);
    let mut runs: Vec<Vec<Claim>> = Vec::new();
    for claim in claims {
        let here = claim.key.chunk;
        let goes_on =
            |last: &Claim| last.key.chunk + 1 == here && number(last.key.chunk) == number(here);
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(goes_on) => run.push(claim),
            _ => runs.push(vec![claim]),
        }
    }
    runs
}

/// Number of the last request of an object of `len` bytes. What is left behind a multiple of `bytes_max` is worth a request
/// of its own only from a quarter of that on: objects are often a little longer than what they were to hold.
fn last_request(len: u64, bytes_max: u64) -> u64 {
    len.saturating_sub(bytes_max / 4).saturating_sub(1) / bytes_max
}

/// The chunks that hold a range that is not empty.
fn chunks(object: &CachedObject, range: &Range<u64>) -> Result<Range<u32>, BucketError> {
    let number = |position: u64| u32::try_from(position / CHUNK_BYTES).ok();
    match (number(range.start), number(range.end - 1).and_then(|last| last.checked_add(1))) {
        (Some(first), Some(end)) => Ok(first..end),
        _ => Err(outside(object, range)),
    }
}

/// Whether a cached chunk has the length that it must have.
fn fits(object: &CachedObject, chunk: u32, bytes: &Bytes) -> bool {
    bytes.len() as u64 == chunk_len(object.len, chunk)
}

/// Length of a chunk of an object of `len` bytes.
fn chunk_len(len: u64, chunk: u32) -> u64 {
    len.saturating_sub(u64::from(chunk) * CHUNK_BYTES).min(CHUNK_BYTES)
}

/// A range of positions as indexes into what begins at `base`.
fn within(base: u64, range: Range<u64>) -> Range<usize> {
    let index = |position: u64| usize::try_from(position - base).expect("it is in memory");
    index(range.start)..index(range.end)
}

/// Cuts a range out of pieces that end at `ends`.
fn cut(pieces: &[Bytes], ends: &[u64], range: &Range<u64>) -> Bytes {
    if range.is_empty() {
        return Bytes::new();
    }
    let mut place = ends.partition_point(|&end| end <= range.start);
    let base = |place: usize| ends[place] - pieces[place].len() as u64;
    if range.end <= ends[place] {
        return pieces[place].slice(within(base(place), range.clone()));
    }
    let mut joined =
        BytesMut::with_capacity(usize::try_from(range.end - range.start).expect("it is in memory"));
    let mut position = range.start;
    while position < range.end {
        let slice = within(base(place), position..range.end.min(ends[place]));
        joined.extend_from_slice(&pieces[place][slice]);
        position = ends[place];
        place += 1;
    }
    joined.freeze()
}

fn outside(object: &CachedObject, range: &Range<u64>) -> BucketError {
    let message =
        format!("bytes {}..{} of an object of {} bytes", range.start, range.end, object.len);
    failure(BucketErrorKind::Invalid, &object.key, message)
}

fn failure(kind: BucketErrorKind, key: &ObjectKey, message: String) -> BucketError {
    BucketError { kind, operation: "get", key: key.to_string(), message }
}
