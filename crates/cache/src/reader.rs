//! The reader: who wants which chunk, and how it comes.
//!
//! Every chunk that is not in memory has at most one *flight*: an entry in a table that all who want the chunk
//! wait for. Whoever opens a flight hands it to a task of its own, which asks the cache's disk, then the bucket,
//! puts the chunk into the cache, tells those who wait and takes the flight out of the table, in this order, so
//! that there is no moment in which a chunk is neither cached nor in flight.

use crate::chunk::{CHUNK_BYTES, ChunkCache, ChunkKey};
use crate::cursor::{Cursor, Window};
use crate::hedge::Hedge;
use crate::stats::{ReaderStats, count};
use bytes::{Bytes, BytesMut};
use esker_env::watch;
use esker_env::{Bucket, BucketError, BucketErrorKind, Budget, Env, ObjectKey, Place};
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

/// What a read is for.
#[derive(Debug, Clone, Copy)]
pub struct ReadHint<'a> {
    /// The reader's place, if it may read on.
    pub cursor: Option<&'a Cursor>,
    /// Where the reader's part of this object ends: nothing is fetched ahead beyond it.
    pub until: u64,
    /// Whether a client waits. Only then is a slow request asked again.
    pub waiting: bool,
}

impl<'a> ReadHint<'a> {
    /// A single read with somebody waiting.
    pub const SINGLE: ReadHint<'static> = ReadHint { cursor: None, until: 0, waiting: true };

    /// The next read of a reader that somebody waits for.
    #[must_use]
    pub const fn following(cursor: &'a Cursor, until: u64) -> Self {
        Self { cursor: Some(cursor), until, waiting: true }
    }
}

/// How to read.
#[derive(Debug, Clone)]
pub struct ReaderOptions {
    /// Bytes that all requests together may have in flight. What waits for room is served in order of arrival.
    pub in_flight_bytes: usize,
    /// Most bytes of one request.
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
            get_bytes_max: 8 << 20,
            readahead_bytes_min: 4 << 20,
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
    get_bytes_max: u64,
    window: Window,
    budget: Budget,
    flights: Mutex<HashMap<ChunkKey, Flight>>,
    hedge: Hedge,
    stats: ReaderStats,
}

type Flight = watch::Receiver<Option<Landing>>;
type Landing = Result<(Bytes, Source), BucketError>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Disk,
    Bucket,
}

/// An open flight. Dropping it closes the flight, so that a task that dies leaves nobody waiting.
struct Claim {
    shared: Arc<Shared>,
    key: ChunkKey,
    sender: watch::Sender<Option<Landing>>,
}

impl Claim {
    fn land(self, landing: Landing) {
        // Those who waited may all have gone.
        self.sender.send_replace(Some(landing));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.flights.lock().remove(&self.key);
    }
}

/// A chunk as a reader finds it.
enum Found {
    Here(Bytes),
    Coming { flight: Flight, chunk: u32, own: bool },
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
        let get_bytes_max = options.get_bytes_max.max(CHUNK_BYTES);
        let shared = Shared {
            env: env.clone(),
            bucket,
            cache,
            get_bytes_max,
            window: Window {
                min: options.readahead_bytes_min,
                max: options.readahead_bytes_max.max(options.readahead_bytes_min),
                step: get_bytes_max,
                cool_down: options.cool_down,
            },
            budget: Budget::new(options.in_flight_bytes),
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
        let (found, claims) = shared.find(object, chunks(object, &range)?);
        let waits = found.iter().any(|found| matches!(found, Found::Coming { .. }));
        shared.start(object, claims, hint.waiting);
        let mut ahead_before = 0;
        if let Some(cursor) = hint.cursor {
            let now = shared.env.clock.now();
            let step = cursor.on_read(
                object.id,
                object.len,
                &range,
                hint.until,
                waits,
                now,
                &shared.window,
            );
            ahead_before = step.ahead_before;
            if !step.fetch.is_empty() && !shared.fetch_ahead(object, &step.fetch)? {
                cursor.on_skipped(step.fetch.start);
            }
        }
        let mut pieces = Vec::with_capacity(found.len());
        let mut is_lost = false;
        let mut position = range.start - range.start % CHUNK_BYTES;
        for found in found {
            let chunk = match found {
                Found::Here(chunk) => chunk,
                Found::Coming { flight, chunk, own } => {
                    let (bytes, source) = landed(object, flight).await?;
                    let fetched_ahead = u64::from(chunk) * CHUNK_BYTES < ahead_before;
                    is_lost |= own && fetched_ahead && source == Source::Bucket;
                    bytes
                }
            };
            let end = position + chunk.len() as u64;
            let slice = within(position, range.start.max(position)..range.end.min(end));
            pieces.push(chunk.slice(slice));
            position = end;
        }
        if let (true, Some(cursor)) = (is_lost, hint.cursor) {
            count(&shared.stats.ahead_lost, 1);
            cursor.on_lost(shared.env.clock.now(), &shared.window);
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
        self.shared.get(&object.key, &range, waiting).await
    }

    /// Starts fetching what will be read soon: the beginning of the next object of a stream, for example. Does
    /// nothing when memory is short.
    ///
    /// # Errors
    /// `Invalid` for a range that is not in the object.
    pub fn prefetch(&self, object: &CachedObject, range: Range<u64>) -> Result<(), BucketError> {
        if range.start > range.end || range.end > object.len {
            return Err(outside(object, &range));
        }
        if !range.is_empty() {
            self.shared.fetch_ahead(object, &range)?;
        }
        Ok(())
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
        wanted: Range<u32>,
    ) -> (Vec<Found>, Vec<Claim>) {
        let first = ChunkKey::first(object.id, &object.key);
        let mut claims = Vec::new();
        let mut find = |chunk: u32| {
            let key = first.at(chunk);
            if let Some(bytes) = self.cache.peek(&key).filter(|bytes| fits(object, chunk, bytes)) {
                count(&self.stats.chunks_memory, 1);
                return Found::Here(bytes);
            }
            let mut flights = self.flights.lock();
            if let Some(flight) = flights.get(&key) {
                count(&self.stats.chunks_joined, 1);
                return Found::Coming { flight: flight.clone(), chunk, own: false };
            }
            let flight = self.open(&mut flights, key, &mut claims);
            Found::Coming { flight, chunk, own: true }
        };
        let found = wanted.map(&mut find).collect();
        (found, claims)
    }

    fn open(
        self: &Arc<Self>,
        flights: &mut HashMap<ChunkKey, Flight>,
        key: ChunkKey,
        claims: &mut Vec<Claim>,
    ) -> Flight {
        let (sender, flight) = watch::channel(None);
        flights.insert(key, flight.clone());
        claims.push(Claim { shared: Arc::clone(self), key, sender });
        flight
    }

    /// Fetches what nobody waits for yet, unless memory is short; says whether it does.
    fn fetch_ahead(
        self: &Arc<Self>,
        object: &CachedObject,
        range: &Range<u64>,
    ) -> Result<bool, BucketError> {
        // A quarter of the room stays with those who wait.
        let reserve = self.budget.total() / 4;
        let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if self.budget.available() < bytes.saturating_add(reserve) {
            count(&self.stats.ahead_skipped, 1);
            return Ok(false);
        }
        let first = ChunkKey::first(object.id, &object.key);
        let mut claims = Vec::new();
        for chunk in chunks(object, range)? {
            let key = first.at(chunk);
            let mut flights = self.flights.lock();
            if !flights.contains_key(&key) {
                self.open(&mut flights, key, &mut claims);
            }
        }
        count(&self.stats.ahead_chunks, claims.len() as u64);
        self.start(object, claims, false);
        Ok(true)
    }

    fn start(self: &Arc<Self>, object: &CachedObject, claims: Vec<Claim>, waiting: bool) {
        if claims.is_empty() {
            return;
        }
        let shared = Arc::clone(self);
        let object = object.clone();
        self.env.spawner.spawn(
            Place::Background,
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
                    claim.land(Ok((bytes, Source::Disk)));
                }
                None => missing.push(claim),
            }
        }
        let mut runs = runs(missing, self.get_bytes_max);
        let Some(last) = runs.pop() else { return };
        for run in runs {
            let shared = Arc::clone(&self);
            let object = object.clone();
            self.env.spawner.spawn(
                Place::Background,
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
        let bytes = match self.get(&object.key, &range, waiting).await {
            Ok(bytes) => bytes,
            Err(error) => {
                for claim in run {
                    claim.land(Err(error.clone()));
                }
                return;
            }
        };
        count(&self.stats.chunks_fetched, run.len() as u64);
        let is_single = run.len() == 1;
        for (place, claim) in (0..).zip(run) {
            let at = place * CHUNK_BYTES;
            let slice = within(0, at..(at + CHUNK_BYTES).min(bytes.len() as u64));
            // A slice would hold the memory of all its neighbours for as long as the cache keeps it.
            let chunk =
                if is_single { bytes.slice(slice) } else { Bytes::copy_from_slice(&bytes[slice]) };
            self.cache.insert(claim.key, chunk.clone());
            claim.land(Ok((chunk, Source::Bucket)));
        }
    }

    /// One range request, asked again where it is slow and somebody waits.
    async fn get(
        &self,
        key: &ObjectKey,
        range: &Range<u64>,
        waiting: bool,
    ) -> Result<Bytes, BucketError> {
        let len = range.end - range.start;
        let ask = || {
            count(&self.stats.gets, 1);
            count(&self.stats.get_bytes, len);
            self.bucket.get_range(key, range.clone())
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
                        Either::Left((Ok(bytes), _)) => Ok(bytes),
                        Either::Right((Ok(bytes), _)) => {
                            count(&self.stats.hedges_won, 1);
                            Ok(bytes)
                        }
                        Either::Left((Err(_), other)) | Either::Right((Err(_), other)) => {
                            other.await
                        }
                    }
                }
                Either::Right(((), first)) => first.await,
            },
        };
        match answer {
            Ok(bytes) if bytes.len() as u64 == len => {
                self.hedge.on_answer(len, self.env.clock.now().since(began));
                Ok(bytes)
            }
            Ok(bytes) => {
                count(&self.stats.get_errors, 1);
                let message = format!("{} bytes instead of {len}", bytes.len());
                Err(failure(BucketErrorKind::Retry, key, message))
            }
            Err(error) => {
                count(&self.stats.get_errors, 1);
                Err(error)
            }
        }
    }
}

/// Waits for a chunk that is on its way.
async fn landed(object: &CachedObject, mut flight: Flight) -> Result<(Bytes, Source), BucketError> {
    let landing = flight.wait_for(Option::clone).await;
    landing.unwrap_or_else(|_| {
        let message = "the read was given up".to_owned();
        Err(failure(BucketErrorKind::Retry, &object.key, message))
    })
}

/// Groups chunks that stand side by side into requests.
fn runs(claims: Vec<Claim>, bytes_max: u64) -> Vec<Vec<Claim>> {
    let chunks_max = usize::try_from(bytes_max / CHUNK_BYTES).unwrap_or(usize::MAX);
    let mut runs: Vec<Vec<Claim>> = Vec::new();
    for claim in claims {
        match runs.last_mut() {
            Some(run)
                if run.len() < chunks_max
                    && run.last().is_some_and(|last| last.key.chunk + 1 == claim.key.chunk) =>
            {
                run.push(claim);
            }
            _ => runs.push(vec![claim]),
        }
    }
    runs
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
    let start = u64::from(chunk) * CHUNK_BYTES;
    bytes.len() as u64 == object.len.saturating_sub(start).min(CHUNK_BYTES)
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
