//! How fast cold data is read: a directory bucket raw, then through the reader with each cache.
//!
//! `cargo run --release -p esker-cache-foyer --example cold_read -- DIR [MIB]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "prints its measurements")]

use bytes::Bytes;
use esker_bucket::FileBucket;
use esker_cache::{
    CachedObject, ChunkCache, Cursor, MemoryCache, ObjectReader, ReadHint, ReaderOptions, Stream,
};
use esker_cache_foyer::{FoyerCache, FoyerOptions};
use esker_env::real::Runtimes;
use esker_env::{Bucket, Env, ObjectKey};
use esker_types::{ClusterId, ObjectId};
use futures_util::{StreamExt, stream};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

const MIB: u64 = 1 << 20;
const OBJECT: u64 = 64 * MIB;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().expect("the first argument is a directory"));
    let mib: u64 = args.next().map_or(1024, |mib| mib.parse().unwrap());
    let runtimes = Runtimes::start(1, 2).unwrap();
    runtimes.block_on(run(&Env::real(&runtimes), dir, mib * MIB / OBJECT));
}

fn object(number: u64) -> CachedObject {
    let key = ObjectKey::new(&format!("d/{:02x}/{number:x}-1", number % 256));
    CachedObject { id: ObjectId(number), key, len: OBJECT }
}

async fn run(env: &Env, dir: PathBuf, count: u64) {
    let bucket: Arc<dyn Bucket> = Arc::new(FileBucket::new(env, dir.join("bucket")));
    let body: Bytes = (0..OBJECT / 8).flat_map(|at| (at * 0x9e37_79b9).to_le_bytes()).collect();
    for number in 0..count {
        bucket.put(&object(number).key, vec![body.clone()]).await.unwrap();
    }
    let total = count * OBJECT;
    let clock = &env.clock;
    let report = |what: &str, began| {
        let took = clock.now().since(began).as_secs_f64();
        let speed = (total / MIB) as f64 / took;
        println!("{what:<52} {speed:>7.0} MiB/s");
    };

    for round in ["first", "second"] {
        let began = clock.now();
        let ranges = (0..count).flat_map(|number| {
            (0..OBJECT / (8 * MIB)).map(move |part| (object(number).key, part * 8 * MIB))
        });
        let reads = ranges.map(|(key, start)| {
            let bucket = Arc::clone(&bucket);
            async move { bucket.get_range(&key, start..start + 8 * MIB).await.unwrap().len() }
        });
        let mut reads = stream::iter(reads).buffered(4);
        while reads.next().await.is_some() {}
        report(&format!("bucket, 8 MiB ranges, 4 at a time, {round} time"), began);
    }

    let memory = Arc::new(MemoryCache::new(128 << 20));
    scan(env, &bucket, memory, count, "reader, cache of 128 MiB in memory", &report).await;

    let foyer = |memory| {
        let mut options = FoyerOptions::new(dir.join("cache"), 2 * total, memory, ClusterId::ZERO);
        // The bucket is the page cache here and faster than any disk: let everything wait for its turn.
        options.write_buffer_bytes = usize::try_from(total).unwrap();
        Arc::new(FoyerCache::new(env, options))
    };
    let cache = foyer(128 << 20);
    assert!(cache.ready().await);
    scan(env, &bucket, Arc::clone(&cache) as _, count, "reader, cache on disk, empty", &report)
        .await;
    cache.close().await;
    println!("   after it: {:?}", cache.stats());
    drop(cache);

    let began = clock.now();
    let cache = foyer(128 << 20);
    assert!(cache.ready().await);
    println!("opening the cache on disk took {:?}", clock.now().since(began));
    let before = cache.stats();
    assert_eq!(before.hits_disk, 0);
    scan(env, &bucket, Arc::clone(&cache) as _, count, "reader, cache on disk, filled", &report)
        .await;
    println!("   after it: {:?}", cache.stats());
    cache.close().await;

    let cache = Arc::new(MemoryCache::new(usize::try_from(2 * total).unwrap()));
    for what in ["reader, all fits into memory, first time", "reader, all in memory"] {
        scan(env, &bucket, Arc::clone(&cache) as _, count, what, &report).await;
    }
}

/// A reader of whole objects, one after the other.
struct Whole<'a> {
    reader: &'a ObjectReader,
    cursor: &'a Cursor,
    number: u64,
    count: u64,
}

impl Stream for Whole<'_> {
    fn part(&self) -> Range<u64> {
        0..OBJECT
    }

    fn widen(&self, range: Range<u64>) -> Range<u64> {
        range
    }

    fn fetch_beyond(&self, range: Range<u64>) -> u64 {
        let next = self.number + 1;
        if next == self.count {
            return range.end;
        }
        let wanted = range.start.min(OBJECT)..range.end.min(OBJECT);
        self.reader.prefetch(&object(next), wanted, self.cursor).unwrap()
    }
}

/// One reader, 1 MiB at a time, object after object.
async fn scan(
    env: &Env,
    bucket: &Arc<dyn Bucket>,
    cache: Arc<dyn ChunkCache>,
    count: u64,
    what: &str,
    report: &impl Fn(&str, esker_types::MonoTime),
) {
    let reader = ObjectReader::new(env, Arc::clone(bucket), cache, &ReaderOptions::default());
    let cursor = Cursor::new();
    let began = env.clock.now();
    for number in 0..count {
        let object = object(number);
        for start in (0..OBJECT).step_by(1 << 20) {
            let stream = Whole { reader: &reader, cursor: &cursor, number, count };
            let hint = ReadHint::following(&cursor, &stream);
            let pieces = reader.read(&object, start..start + MIB, hint).await.unwrap();
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), 1 << 20);
        }
    }
    report(what, began);
    let totals = reader.stats().totals();
    let per_gb = totals.gets as f64 * 1e9 / (count * OBJECT) as f64;
    println!(
        "   {per_gb:.0} GET/GB, {} MiB fetched, {} of {} reads waited, {} windows lost",
        totals.get_bytes / MIB,
        totals.reads - totals.chunks_memory,
        totals.reads,
        totals.ahead_lost
    );
}
