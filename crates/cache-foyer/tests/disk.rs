//! The cache on a real disk: what stays, what is refused, what is another's.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use esker_cache::{ChunkCache, ChunkKey};
use esker_cache_foyer::{FoyerCache, FoyerOptions};
use esker_env::real::{FileSystem, Runtimes};
use esker_env::{Disk, Env, ObjectKey, Open};
use esker_types::{ClusterId, ObjectId};
use std::path::Path;

const CHUNKS: u32 = 24;

fn key(chunk: u32) -> ChunkKey {
    ChunkKey::first(ObjectId(1), &ObjectKey::new("d/1-1")).at(chunk)
}

fn chunk(number: u32) -> Bytes {
    let words = (0..1 << 18).map(|word: u32| word.wrapping_mul(2_654_435_761) ^ number);
    words.flat_map(u32::to_le_bytes).collect()
}

fn cache(env: &Env, dir: &Path, cluster: ClusterId) -> FoyerCache {
    // Memory for no more than four chunks: the others come from the disk.
    FoyerCache::new(env, FoyerOptions::new(dir.to_owned(), 256 << 20, 4 << 20, cluster))
}

fn other_cluster() -> ClusterId {
    let mut cluster = ClusterId::ZERO;
    cluster.0 = uuid::Uuid::from_u128(5);
    cluster
}

fn run<T>(body: impl AsyncFnOnce(Env) -> T) -> T {
    let runtimes = Runtimes::start(1, 2).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(body(env))
}

async fn fill(env: &Env, dir: &Path) {
    let cache = cache(env, dir, ClusterId::ZERO);
    assert!(cache.ready().await);
    for number in 0..CHUNKS {
        cache.insert(key(number), chunk(number));
    }
    cache.close().await;
    cache.insert(key(0), chunk(0));
    assert_eq!(cache.stats().dropped, 1);
}

/// Chunks that come back, each of them checked against what was written.
async fn found(cache: &FoyerCache) -> u32 {
    let mut found = 0;
    for number in 0..CHUNKS {
        if let Some(bytes) = cache.get(&key(number)).await {
            assert!(bytes == chunk(number), "chunk {number} is not what was written");
            found += 1;
        }
    }
    found
}

#[test]
fn chunks_survive_a_restart_and_a_clear_forgets_them() {
    let dir = tempfile::tempdir().unwrap();
    run(async |env| fill(&env, dir.path()).await);
    run(async |env| {
        let cache = cache(&env, dir.path(), ClusterId::ZERO);
        assert!(cache.ready().await);
        assert_eq!(found(&cache).await, CHUNKS);
        assert_eq!(cache.stats().hits_disk, u64::from(CHUNKS));
        assert!(cache.stats().memory_bytes <= 4 << 20);
        cache.clear().await;
        assert_eq!(found(&cache).await, 0);
        cache.close().await;
    });
}

#[test]
fn damaged_chunks_are_not_returned() {
    let dir = tempfile::tempdir().unwrap();
    run(async |env| fill(&env, dir.path()).await);
    let files = dir.path().join("chunks");
    let mut flipped = 0;
    for name in FileSystem.list(&files).unwrap() {
        let file = FileSystem.open(&files.join(name), Open::Write).unwrap();
        // One byte in every other megabyte.
        for position in (700_000..file.len().unwrap()).step_by(2 << 20) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, position).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped >= CHUNKS);
    run(async |env| {
        let cache = cache(&env, dir.path(), ClusterId::ZERO);
        assert!(cache.ready().await);
        let found = found(&cache).await;
        assert!(found > 0 && found < CHUNKS, "{found} of {CHUNKS} came back");
        let stats = cache.stats();
        assert!(stats.corrupt > 0, "damage is counted: {stats:?}");
        assert_eq!(stats.corrupt + stats.misses, u64::from(CHUNKS - found), "{stats:?}");
        cache.close().await;
    });
}

#[test]
fn another_cluster_finds_nothing_and_a_second_process_works_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    run(async |env| fill(&env, dir.path()).await);
    run(async |env| {
        let foreign = cache(&env, dir.path(), other_cluster());
        assert!(foreign.ready().await);
        assert_eq!(found(&foreign).await, 0);
        let second = cache(&env, dir.path(), ClusterId::ZERO);
        assert!(!second.ready().await);
        second.insert(key(1), chunk(1));
        assert!(second.peek(&key(1)).is_some_and(|bytes| bytes == chunk(1)));
        assert_eq!(second.stats().disk_bytes, 0);
        foreign.close().await;
    });
}

#[test]
fn nothing_is_opened_before_it_is_needed_and_nothing_is_lost_while_it_opens() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("cache");
    run(async |env| {
        let cache = cache(&env, &files, ClusterId::ZERO);
        assert!(cache.peek(&key(1)).is_none());
        cache.insert(key(1), chunk(1));
        assert_eq!(FileSystem.list(dir.path()).unwrap(), [""; 0]);
        assert!(cache.get(&key(1)).await.is_some(), "from memory, while the disk's part opens");
        assert!(cache.ready().await);
        assert!(cache.peek(&key(1)).is_some_and(|bytes| bytes == chunk(1)));
        cache.close().await;
    });
    // A smaller cache leaves no files of the larger one.
    let count = || FileSystem.list(&files.join("chunks")).unwrap().len();
    let larger = count();
    run(async |env| {
        let options = FoyerOptions::new(files.clone(), 64 << 20, 4 << 20, ClusterId::ZERO);
        let cache = FoyerCache::new(&env, options);
        assert!(cache.ready().await);
        cache.close().await;
    });
    assert!(count() < larger, "{} files of {larger}", count());
}

#[test]
fn what_the_disk_cannot_take_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    run(async |env| {
        let mut options =
            FoyerOptions::new(dir.path().to_owned(), 256 << 20, 4 << 20, ClusterId::ZERO);
        options.flushers = 1;
        options.write_buffer_bytes = 2 << 20;
        let cache = FoyerCache::new(&env, options);
        assert!(cache.ready().await);
        // Faster than anything is written: the task that writes runs beside this one.
        let chunks: Vec<_> = (0..CHUNKS).map(chunk).collect();
        for (number, chunk) in (0..).zip(chunks) {
            cache.insert(key(number), chunk);
        }
        cache.close().await;
        let dropped = cache.stats().dropped;
        assert!(dropped > 0 && dropped < u64::from(CHUNKS), "{dropped} of {CHUNKS} dropped");
    });
    run(async |env| {
        let cache = cache(&env, dir.path(), ClusterId::ZERO);
        assert!(cache.ready().await);
        let found = found(&cache).await;
        assert!(found > 0 && found < CHUNKS, "{found} of {CHUNKS} came back");
        let stats = cache.stats();
        let counted = (stats.corrupt, stats.misses);
        assert_eq!(counted, (0, u64::from(CHUNKS - found)), "they never were there: {stats:?}");
        cache.close().await;
    });
}
