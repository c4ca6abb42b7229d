//! The reader against a bucket that counts, waits and fails on request.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use esker_bucket::MemoryBucket;
use esker_cache::{
    CHUNK_BYTES, CachedObject, ChunkCache, ChunkKey, Cursor, MemoryCache, ObjectReader, ReadHint,
    ReaderOptions, Stream,
};
use esker_env::real::Runtimes;
use esker_env::{BoxFuture, Bucket, BucketError, BucketErrorKind, Env, ListPage, ObjectKey};
use esker_types::ObjectId;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, Semaphore};

const MIB: u64 = 1 << 20;

/// A bucket that notes each range request and lets through as many as it was told to.
struct Watched {
    inner: MemoryBucket,
    seen: Mutex<Vec<Range<u64>>>,
    gate: Semaphore,
    /// This many requests are answered by an error.
    failures: AtomicUsize,
    /// This many requests are never answered.
    stuck: AtomicUsize,
    /// This many requests are answered without their last byte.
    short: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_most: AtomicUsize,
}

fn take_one(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Bucket for Watched {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        self.inner.put(key, body)
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(async move {
            self.seen.lock().await.push(range.clone());
            if take_one(&self.stuck) {
                std::future::pending::<()>().await;
            }
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.in_flight_most.fetch_max(now, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            if take_one(&self.failures) {
                let (kind, key) = (BucketErrorKind::Retry, key.to_string());
                return Err(BucketError { kind, operation: "get", key, message: "no".to_owned() });
            }
            let bytes = self.inner.get_range(key, range).await?;
            Ok(if take_one(&self.short) { bytes.slice(..bytes.len() - 1) } else { bytes })
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        self.inner.head(key)
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        self.inner.delete(keys)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        self.inner.list(prefix, after)
    }
}

struct World {
    bucket: Arc<Watched>,
    cache: Arc<MemoryCache>,
    reader: ObjectReader,
    object: CachedObject,
    content: Bytes,
}

const OPEN: usize = 1 << 20;

/// A stream that is all in one object.
struct Lone(Range<u64>);

impl Stream for Lone {
    fn part(&self) -> Range<u64> {
        self.0.clone()
    }

    fn widen(&self, range: Range<u64>) -> Range<u64> {
        range
    }

    fn fetch_beyond(&self, range: Range<u64>) -> u64 {
        range.end
    }
}

/// A world with one object of `len` bytes and a gate that lets `permits` requests through.
async fn world(env: &Env, len: u64, cache_bytes: u64, permits: usize, o: &ReaderOptions) -> World {
    // No two places within a few chunks of each other look alike.
    let content: Bytes = (0..len.div_ceil(8)).flat_map(|at| (at * 8 + 1).to_le_bytes()).collect();
    let content = content.slice(..usize::try_from(len).unwrap());
    let key = ObjectKey::new("d/00/1-1");
    let bucket = Arc::new(Watched {
        inner: MemoryBucket::new(),
        seen: Mutex::default(),
        gate: Semaphore::new(permits),
        failures: AtomicUsize::new(0),
        stuck: AtomicUsize::new(0),
        short: AtomicUsize::new(0),
        in_flight: AtomicUsize::new(0),
        in_flight_most: AtomicUsize::new(0),
    });
    bucket.put(&key, vec![content.clone()]).await.unwrap();
    let cache = Arc::new(MemoryCache::new(usize::try_from(cache_bytes).unwrap()));
    let shared: Arc<dyn Bucket> = Arc::<Watched>::clone(&bucket);
    let reader = ObjectReader::new(env, shared, Arc::<MemoryCache>::clone(&cache) as _, o);
    World { bucket, cache, reader, object: CachedObject { id: ObjectId(1), key, len }, content }
}

impl World {
    async fn check(&self, range: Range<u64>, hint: ReadHint<'_>) {
        let got = self.reader.read(&self.object, range.clone(), hint).await.unwrap().concat();
        let index = |at: u64| usize::try_from(at).unwrap();
        assert!(got == self.content[index(range.start)..index(range.end)], "{range:?} differs");
    }

    async fn seen(&self) -> Vec<Range<u64>> {
        self.bucket.seen.lock().await.clone()
    }

    /// Waits until `count` requests have reached the bucket.
    async fn until_seen(&self, count: usize) {
        while self.seen().await.len() < count {
            tokio::task::yield_now().await;
        }
    }
}

fn run<T>(body: impl AsyncFnOnce(Env) -> T) -> T {
    let runtimes = Runtimes::start(1, 2).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(body(env))
}

#[test]
fn missing_neighbours_come_by_one_request_and_stay() {
    run(async |env| {
        let len = 20 * MIB + 12_345;
        let world = world(&env, len, 64 * MIB, OPEN, &ReaderOptions::default()).await;
        world.check(MIB + 5..4 * MIB + 7, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await, vec![MIB..5 * MIB; 1]);
        world.check(2 * MIB..3 * MIB, ReadHint::SINGLE).await;
        // What is there splits what is missing; no request is longer than the limit.
        world.check(0..len, ReadHint::SINGLE).await;
        let mut seen = world.seen().await;
        seen.sort_by_key(|range| range.start);
        assert_eq!(
            seen,
            [0..MIB, MIB..5 * MIB, 5 * MIB..8 * MIB, 8 * MIB..16 * MIB, 16 * MIB..len]
        );
        world.check(len - 1..len, ReadHint::SINGLE).await;
        world.check(7..7, ReadHint::SINGLE).await;
        let totals = world.reader.stats().totals();
        assert_eq!((totals.gets, totals.chunks_fetched), (5, 21));
        world.cache.clear().await;
        world.check(0..10, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await.len(), 6);
        let error = world.reader.read(&world.object, 0..len + 1, ReadHint::SINGLE).await;
        assert_eq!(error.unwrap_err().kind, BucketErrorKind::Invalid);
    });
}

#[test]
fn a_little_more_than_a_request_comes_with_it() {
    run(async |env| {
        // Length of an object, and where its requests end.
        for (len, ends) in [
            (16 * MIB, vec![16 * MIB]),
            (20 * MIB, vec![20 * MIB]),
            (20 * MIB + 1, vec![16 * MIB, 20 * MIB + 1]),
            (33 * MIB, vec![16 * MIB, 33 * MIB]),
        ] {
            let world = world(&env, len, 256 * MIB, OPEN, &ReaderOptions::default()).await;
            assert_eq!(world.reader.takes_one_request(len), ends.len() == 1);
            world.check(0..len, ReadHint::SINGLE).await;
            let mut seen: Vec<_> = world.seen().await.iter().map(|range| range.end).collect();
            seen.sort_unstable();
            assert_eq!(seen, ends);
        }
    });
}

#[test]
fn one_flight_serves_all_and_outlives_its_first_caller() {
    run(async |env| {
        let world = Arc::new(world(&env, 4 * MIB, 64 * MIB, 0, &ReaderOptions::default()).await);
        // The first caller asks and goes away while the request is on its way.
        let mut first = Box::pin(world.check(0..2 * MIB, ReadHint::SINGLE));
        assert!(futures_util::poll!(&mut first).is_pending());
        world.until_seen(1).await;
        drop(first);
        let others = (0..20).map(|_| world.check(10..2 * MIB - 10, ReadHint::SINGLE));
        let mut others = Box::pin(futures_util::future::join_all(others));
        assert!(futures_util::poll!(&mut others).is_pending());
        world.bucket.gate.add_permits(1);
        others.await;
        assert_eq!(world.seen().await, vec![0..2 * MIB; 1]);
        assert_eq!(world.reader.stats().totals().chunks_joined, 40);
    });
}

#[test]
fn a_failure_reaches_all_who_wait_and_the_next_read_asks_again() {
    run(async |env| {
        let world = world(&env, 4 * MIB, 64 * MIB, 0, &ReaderOptions::default()).await;
        world.bucket.failures.store(1, Ordering::SeqCst);
        let read = || world.reader.read(&world.object, 0..100, ReadHint::SINGLE);
        let mut both = Box::pin(futures_util::future::join(read(), read()));
        assert!(futures_util::poll!(&mut both).is_pending());
        world.bucket.gate.add_permits(2);
        let (one, two) = both.await;
        assert_eq!(one.unwrap_err().kind, BucketErrorKind::Retry);
        assert_eq!(two.unwrap_err().kind, BucketErrorKind::Retry);
        world.check(0..100, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await.len(), 2);
    });
}

#[test]
fn a_sequential_reader_finds_its_chunks_fetched_and_none_twice() {
    run(async |env| {
        let len = 100 * MIB;
        let world = world(&env, len, 128 * MIB, OPEN, &ReaderOptions::default()).await;
        let cursor = Cursor::new();
        // The reader's part ends in the middle of the object.
        let until = 70 * MIB + 1;
        let mut next = 0;
        while next < until {
            let end = (next + MIB + 4321).min(until);
            world.check(next..end, ReadHint::following(&cursor, &Lone(0..until))).await;
            next = end;
        }
        let seen = world.seen().await;
        let mut chunks: Vec<u64> = seen.iter().flat_map(|r| r.start / MIB..r.end / MIB).collect();
        chunks.sort_unstable();
        assert_eq!(chunks, (0..71).collect::<Vec<_>>(), "each chunk of the part once");
        assert!(seen.len() <= 12, "{} requests for 71 MiB", seen.len());
        assert_eq!(world.reader.stats().totals().ahead_lost, 0);
    });
}

#[test]
fn a_stream_is_followed_into_the_next_object_and_to_its_neighbours() {
    /// Two objects; in both the stream has 4 MiB from 2 MiB on, and its neighbours are read as well.
    struct Two<'a> {
        world: &'a World,
        cursor: &'a Cursor,
        second: CachedObject,
        at_second: bool,
    }
    impl Stream for Two<'_> {
        fn part(&self) -> Range<u64> {
            2 * MIB..6 * MIB
        }
        fn widen(&self, range: Range<u64>) -> Range<u64> {
            let step = self.world.reader.request_bytes_max();
            let start = if range.start == 2 * MIB { 0 } else { range.start };
            start..range.end.next_multiple_of(step)
        }
        fn fetch_beyond(&self, range: Range<u64>) -> u64 {
            // There is no third object.
            if self.at_second || range.start >= 4 * MIB {
                return range.start;
            }
            let wanted = 2 * MIB + range.start..(2 * MIB + range.end).min(6 * MIB);
            let wide = self.widen(wanted);
            let reader = &self.world.reader;
            let end = reader.prefetch(&self.second, wide.clone(), self.cursor).unwrap();
            if end == wide.end { range.end } else { range.start }
        }
    }
    run(async |env| {
        let world = world(&env, 64 * MIB, 128 * MIB, OPEN, &ReaderOptions::default()).await;
        let key = ObjectKey::new("d/00/2-1");
        world.bucket.put(&key, vec![world.content.clone()]).await.unwrap();
        let second = CachedObject { id: ObjectId(2), key, len: 64 * MIB };
        let cursor = Cursor::new();
        let mut two = Two { world: &world, cursor: &cursor, second, at_second: false };
        for start in 2..6 {
            let range = start * MIB..(start + 1) * MIB;
            world.check(range, ReadHint::following(&cursor, &two)).await;
        }
        // Its part and what stands behind it; then the next object, with what stands before.
        world.until_seen(2).await;
        assert_eq!(world.seen().await, [2 * MIB..16 * MIB, 0..16 * MIB]);
        two.at_second = true;
        let waited = world.reader.stats().totals();
        for start in 2..6 {
            let range = start * MIB..(start + 1) * MIB;
            let hint = ReadHint::following(&cursor, &two);
            let pieces = world.reader.read(&two.second, range, hint).await.unwrap();
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), 1 << 20);
        }
        let totals = world.reader.stats().totals();
        assert_eq!(totals.gets, waited.gets, "nothing was left to be fetched: {totals:?}");
        assert_eq!(totals.ahead_lost, 0);
    });
}

#[test]
fn what_is_fetched_ahead_keeps_to_what_the_cache_holds() {
    run(async |env| {
        let world = world(&env, 200 * MIB, 32 * MIB, OPEN, &ReaderOptions::default()).await;
        assert_eq!(world.reader.request_bytes_max(), 4 * MIB);
        // Eight readers in turns, each with a part of its own.
        let readers: Vec<_> = (0..8).map(|part| (Cursor::new(), part * 25 * MIB)).collect();
        for step in 0..25 {
            for (cursor, start) in &readers {
                let at = start + step * MIB;
                let part = Lone(*start..start + 25 * MIB);
                world.check(at..at + MIB, ReadHint::following(cursor, &part)).await;
            }
        }
        let totals = world.reader.stats().totals();
        assert_eq!((totals.ahead_lost, totals.chunks_fetched), (0, 200), "{totals:?}");
        assert!(totals.ahead_skipped > 0, "{totals:?}");
    });
}

#[test]
fn chunks_fetched_ahead_in_vain_stop_the_readahead() {
    run(async |env| {
        let world = world(&env, 100 * MIB, 16 * MIB, OPEN, &ReaderOptions::default()).await;
        let cursor = Cursor::new();
        for start in 0..100 {
            let hint = ReadHint::following(&cursor, &Lone(0..100 * MIB));
            world.check(start * MIB..(start + 1) * MIB, hint).await;
            // Let everything that was asked for ahead arrive, and push it out.
            while world.bucket.in_flight.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
            let nothing = Bytes::from(vec![0; 1 << 20]);
            for chunk in 0..16 {
                let key = ChunkKey::first(ObjectId(9), &world.object.key).at(chunk);
                world.cache.insert(key, nothing.clone());
            }
        }
        let totals = world.reader.stats().totals();
        assert!(totals.ahead_lost >= 1, "{totals:?}");
        let fetched = totals.get_bytes;
        assert!(fetched < 150 * MIB, "{fetched} bytes fetched for 100 MiB");
    });
}

#[test]
fn requests_in_flight_keep_to_their_budget() {
    run(async |env| {
        let options = ReaderOptions {
            in_flight_bytes: 4 << 20,
            get_bytes_max: 2 * MIB,
            ..ReaderOptions::default()
        };
        let world = world(&env, 64 * MIB, 128 * MIB, 0, &options).await;
        let mut read = Box::pin(world.check(0..64 * MIB, ReadHint::SINGLE));
        assert!(futures_util::poll!(&mut read).is_pending());
        world.until_seen(2).await;
        world.bucket.gate.add_permits(OPEN);
        read.await;
        assert_eq!(world.seen().await.len(), 32);
        assert!(world.bucket.in_flight_most.load(Ordering::SeqCst) <= 2);
        // Ahead of need nothing is fetched when there is no room.
        world.cache.clear().await;
        let small = ReaderOptions { in_flight_bytes: 1 << 20, ..options };
        let reader = ObjectReader::new(
            &env,
            Arc::<Watched>::clone(&world.bucket) as _,
            Arc::clone(world.reader.cache()),
            &small,
        );
        reader.prefetch(&world.object, 0..8 * MIB, &Cursor::new()).unwrap();
        assert_eq!(reader.stats().totals().ahead_skipped, 1);
    });
}

#[test]
fn a_stuck_request_is_asked_again_for_one_who_waits() {
    run(async |env| {
        let world = world(&env, 64 * MIB, 512 * MIB, OPEN, &ReaderOptions::default()).await;
        for _ in 0..3 {
            for chunk in 0..64 {
                world.check(chunk * MIB..(chunk + 1) * MIB, ReadHint::SINGLE).await;
            }
            world.cache.clear().await;
        }
        world.bucket.stuck.store(1, Ordering::SeqCst);
        world.check(0..MIB, ReadHint::SINGLE).await;
        // What was waited for comes before the end of its request.
        while world.reader.stats().totals().hedges_won == 0 {
            tokio::task::yield_now().await;
        }
        // A busy machine may have been slow enough for another one before.
        let totals = world.reader.stats().totals();
        assert_eq!(totals.gets, 64 * 3 + 1 + totals.hedges);
        assert!(totals.hedges * 20 <= totals.gets, "{totals:?}");
    });
}

#[test]
fn an_answer_that_ends_early_brings_its_whole_chunks_and_the_rest_is_asked_for_again() {
    run(async |env| {
        // The last chunk is a short one by itself.
        let len = 3 * MIB - 100;
        let world = world(&env, len, 64 * MIB, OPEN, &ReaderOptions::default()).await;
        world.bucket.short.store(1, Ordering::SeqCst);
        let read = world.reader.read(&world.object, 0..len, ReadHint::SINGLE).await;
        assert_eq!(read.unwrap_err().kind, BucketErrorKind::Retry);
        world.check(0..2 * MIB, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await, vec![0..len; 1], "two chunks came whole");
        world.check(0..len, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await, [0..len, 2 * MIB..len]);
        // The same for who reads past the cache.
        world.bucket.short.store(1, Ordering::SeqCst);
        let footer = world.reader.read_uncached(&world.object, len - 77..len, true).await;
        assert_eq!(footer.unwrap_err().kind, BucketErrorKind::Retry);
    });
}

#[test]
fn a_chunk_in_the_cache_that_is_not_as_long_as_its_place_is_fetched_anew() {
    run(async |env| {
        let len = 3 * MIB - 100;
        let world = world(&env, len, 64 * MIB, OPEN, &ReaderOptions::default()).await;
        let first = ChunkKey::first(world.object.id, &world.object.key);
        for wrong in [0, 100, (1 << 20) - 1] {
            world.cache.insert(first.at(1), Bytes::from(vec![7; wrong]));
            world.check(0..len, ReadHint::SINGLE).await;
            world.check(MIB + 3..2 * MIB, ReadHint::SINGLE).await;
        }
        // The last one is shorter than the others, and no longer.
        for wrong in [1 << 20, (1 << 20) - 101] {
            world.cache.insert(first.at(2), Bytes::from(vec![7; wrong]));
            world.check(0..len, ReadHint::SINGLE).await;
        }
    });
}

#[test]
fn one_damaged_chunk_of_several_is_forgotten_and_fetched_alone() {
    run(async |env| {
        let world = world(&env, 3 * MIB, 64 * MIB, OPEN, &ReaderOptions::default()).await;
        world.check(0..3 * MIB, ReadHint::SINGLE).await;
        let first = ChunkKey::first(world.object.id, &world.object.key);
        world.cache.insert(first.at(1), Bytes::from(vec![7; 1 << 20]));
        // Whoever finds that it is not what was put says so.
        world.reader.forget(&world.object, &(2 * MIB - 9..2 * MIB)).unwrap();
        world.check(0..3 * MIB, ReadHint::SINGLE).await;
        assert_eq!(world.seen().await, [0..3 * MIB, MIB..2 * MIB]);
        // Where it crosses a border both sides are.
        world.reader.forget(&world.object, &(2 * MIB - 9..2 * MIB + 1)).unwrap();
        world.check(0..3 * MIB, ReadHint::SINGLE).await;
        let asked = world.seen().await;
        assert_eq!((asked.len(), asked.last()), (3, Some(&(MIB..3 * MIB))));
    });
}

#[test]
fn pieces_are_cut_across_chunks() {
    run(async |env| {
        let world = world(&env, 5 * MIB, 64 * MIB, OPEN, &ReaderOptions::default()).await;
        let borders =
            [3..3, 10..20, MIB - 5..MIB, MIB..MIB + 1, MIB + 9..4 * MIB + 9, 4 * MIB + 9..5 * MIB];
        let pieces =
            world.reader.read_each(&world.object, &borders, ReadHint::SINGLE).await.unwrap();
        for (range, piece) in borders.iter().zip(&pieces) {
            let index = |at: u64| usize::try_from(at).unwrap();
            assert!(*piece == world.content[index(range.start)..index(range.end)], "{range:?}");
        }
        assert_eq!(pieces.len(), borders.len());
        assert_eq!(world.seen().await, vec![0..5 * MIB; 1]);
        let footer = world.reader.read_uncached(&world.object, 5 * MIB - 77..5 * MIB, true).await;
        assert!(footer.unwrap() == world.content[5 * (1 << 20) - 77..]);
        assert_eq!(world.seen().await[1], 5 * MIB - 77..5 * MIB);
        assert_eq!(CHUNK_BYTES, MIB);
    });
}
