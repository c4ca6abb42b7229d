//! A chunk cache in memory and on a local disk, over foyer.
//!
//! Nothing is opened before the first cold read: a server that serves only its tail has no cache files, threads
//! or buffers. While the disk's index is read the cache works from memory alone, so a restart waits for nothing.
//!
//! What the disk returns is not trusted: every chunk carries a CRC-32C of its bytes, checked before anybody sees
//! them, and the cluster's id is part of the key, so the directory of another cluster holds nothing for us. A
//! directory serves one process; a second one works from memory.
//!
//! The index of the disk and its writes are foyer's. Writing is never waited for: when the disk cannot keep up,
//! chunks stay out of it.

mod drops;
mod entry;

use crate::drops::Drops;
use crate::entry::{DiskKey, Entry};
use bytes::Bytes;
use esker_cache::{CHUNK_BYTES, CacheStats, ChunkCache, ChunkKey, MemoryCache};
use esker_env::watch;
use esker_env::{Blocking, BoxFuture, DiskLock, Env, TaskPlacement};
use esker_types::ClusterId;
use foyer::{
    BlockEngineConfig, Cache, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, LruConfig, PsyncIoEngineConfig, RecoverMode, Source,
};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Smallest unit that the disk's part forgets at once; a file each.
const BLOCK_BYTES: u64 = 64 << 20;
const BLOCK_BYTES_MIN: u64 = 16 << 20;

/// How much to cache, and where.
#[derive(Debug, Clone)]
pub struct FoyerOptions {
    /// The directory, for this cache alone.
    pub dir: PathBuf,
    /// Bytes of the disk to use, at least 64 MiB.
    pub disk_bytes: u64,
    /// Bytes of memory for chunks.
    pub memory_bytes: usize,
    /// Writers to the disk.
    pub flushers: usize,
    /// Memory for chunks on their way to the disk; more than twice as much waiting is dropped.
    pub write_buffer_bytes: usize,
    /// The cluster whose objects these are.
    pub cluster: ClusterId,
}

impl FoyerOptions {
    /// The usual writers and buffers for a cache of this size.
    #[must_use]
    pub const fn new(
        dir: PathBuf,
        disk_bytes: u64,
        memory_bytes: usize,
        cluster: ClusterId,
    ) -> Self {
        Self { dir, disk_bytes, memory_bytes, flushers: 2, write_buffer_bytes: 64 << 20, cluster }
    }
}

/// A chunk cache in memory and on a local disk.
pub struct FoyerCache {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    options: FoyerOptions,
    state: Mutex<CacheState>,
    /// Serves until the disk's part is open, and instead of it where it cannot be opened.
    memory: MemoryCache,
    counters: Counters,
}

enum CacheState {
    /// Nothing was asked for yet.
    Asleep,
    /// A task opens the disk's part; the receiver sees the end of it.
    Opening(watch::Receiver<()>),
    Open(Open),
    /// The disk's part could not be opened, or was closed.
    Without,
}

#[derive(Clone)]
struct Open {
    cache: HybridCache<DiskKey, Entry>,
    /// Held as long as anybody uses the directory.
    _lock: Arc<dyn DiskLock>,
}

#[derive(Default)]
struct Counters {
    hits_memory: AtomicU64,
    hits_disk: AtomicU64,
    misses: AtomicU64,
    inserted: AtomicU64,
    corrupt: AtomicU64,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the directory is in use by another process or cannot be used: {0}")]
    Directory(#[from] std::io::Error),
    #[error(transparent)]
    Cache(#[from] foyer::Error),
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl FoyerCache {
    /// A cache that opens its directory when it is first asked.
    #[must_use]
    pub fn new(env: &Env, options: FoyerOptions) -> Self {
        let shared = Shared {
            env: env.clone(),
            memory: MemoryCache::new(options.memory_bytes),
            options,
            state: Mutex::new(CacheState::Asleep),
            counters: Counters::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Waits until the disk's part is open, opening it if nobody has; says whether it is.
    pub async fn ready(&self) -> bool {
        if let Some(mut opening) = self.shared.wake() {
            // An error means that the task has ended, which is what is waited for.
            let _ended = opening.changed().await;
        }
        self.shared.open().is_some()
    }
}

impl std::fmt::Debug for FoyerCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoyerCache").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Shared {
    fn open(&self) -> Option<Open> {
        match &*self.state.lock() {
            CacheState::Open(open) => Some(open.clone()),
            CacheState::Asleep | CacheState::Opening(_) | CacheState::Without => None,
        }
    }

    fn key(&self, key: ChunkKey) -> DiskKey {
        DiskKey { cluster: self.options.cluster.0.as_u128(), key }
    }

    /// Starts opening if nobody has; the receiver is there as long as that goes on.
    fn wake(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        match &*state {
            CacheState::Opening(opening) => return Some(opening.clone()),
            CacheState::Open(_) | CacheState::Without => return None,
            CacheState::Asleep => {}
        }
        let (ended, opening) = watch::channel(());
        *state = CacheState::Opening(opening.clone());
        drop(state);
        let shared = Arc::clone(self);
        let task = async move {
            // Past the page cache, which would hold what this cache holds; not every file system can.
            let opened = match shared.open_disk(true).await {
                Err(_) => shared.open_disk(false).await,
                opened => opened,
            };
            let mut state = shared.state.lock();
            // Closed meanwhile: the directory is left to the next start.
            if matches!(&*state, CacheState::Opening(_)) {
                *state = match opened {
                    Ok(open) => {
                        for (key, chunk) in shared.memory.drain() {
                            open.cache.insert(shared.key(key), Entry(chunk));
                        }
                        CacheState::Open(open)
                    }
                    Err(error) => {
                        let dir = shared.options.dir.display();
                        tracing::warn!(%dir, %error, "cold reads are cached in memory alone");
                        CacheState::Without
                    }
                };
            }
            drop(state);
            drop(ended);
        };
        self.env.spawner.spawn(TaskPlacement::Background, "open cache", Box::pin(task));
        Some(opening)
    }

    async fn open_disk(self: &Arc<Self>, direct: bool) -> Result<Open, OpenError> {
        let options = &self.options;
        let block_bytes = (options.disk_bytes / 8).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        let blocks = (options.disk_bytes / block_bytes).max(4);
        let shared = Arc::clone(self);
        let lock = self.env.spawner.blocking(move || shared.prepare(blocks)).await?;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let chunks = options.dir.join("chunks");
        let device = FsDeviceBuilder::new(chunks)
            .with_capacity(size(blocks * block_bytes))
            .with_direct(direct)
            .build()?;
        let engine = BlockEngineConfig::new(device)
            .with_block_size(size(block_bytes))
            .with_indexer_shards(16)
            .with_recover_concurrency(2)
            .with_flushers(options.flushers.max(1))
            .with_buffer_pool_size(options.write_buffer_bytes)
            .with_submit_queue_size_threshold(options.write_buffer_bytes * 2);
        let cache = HybridCacheBuilder::new()
            .with_name("chunks")
            .with_policy(HybridCachePolicy::WriteOnInsertion)
            // Everything that was taken in has been handed to the writers already.
            .with_flush_on_close(false)
            .with_metrics_registry(Box::new(Drops(Arc::clone(&self.counters.dropped))))
            .memory(options.memory_bytes)
            // Few shards: each must hold what is read ahead for a reader.
            .with_shards(4)
            // In order of use: a policy that waits for a second use throws out what was fetched ahead.
            .with_eviction_config(LruConfig::default())
            .with_weighter(|_: &DiskKey, entry: &Entry| entry.0.len())
            .storage()
            .with_io_engine_config(PsyncIoEngineConfig::new())
            .with_engine_config(engine)
            .with_recover_mode(RecoverMode::Quiet)
            .build()
            .await?;
        Ok(Open { cache, _lock: lock })
    }

    /// Takes the directory and removes the files of a larger cache that was there.
    fn prepare(&self, blocks: u64) -> std::io::Result<Arc<dyn DiskLock>> {
        let disk = &self.env.disk;
        let chunks = self.options.dir.join("chunks");
        disk.create_dir_all(&chunks)?;
        let lock = disk.lock(&self.options.dir.join("LOCK"))?;
        for name in disk.list(&chunks)? {
            let number = name.rsplit('-').next().and_then(|digits| digits.parse::<u64>().ok());
            if number.is_some_and(|number| number >= blocks) {
                disk.remove(&chunks.join(name))?;
            }
        }
        Ok(Arc::from(lock))
    }
}

/// What memory holds for `key`.
fn in_memory(
    memory: &Cache<DiskKey, Entry, foyer::DefaultHasher, foyer::HybridCacheProperties>,
    key: &DiskKey,
) -> Option<Bytes> {
    memory.get(key).map(|entry| entry.value().0.clone())
}

impl ChunkCache for FoyerCache {
    fn peek(&self, key: &ChunkKey) -> Option<Bytes> {
        let Some(open) = self.shared.open() else { return self.shared.memory.peek(key) };
        let found = in_memory(open.cache.memory(), &self.shared.key(*key));
        if found.is_some() {
            count(&self.shared.counters.hits_memory);
        }
        found
    }

    fn holds(&self, key: &ChunkKey) -> bool {
        match self.shared.open() {
            Some(open) => open.cache.memory().contains(&self.shared.key(*key)),
            None => self.shared.memory.holds(key),
        }
    }

    fn memory_bytes_max(&self) -> usize {
        self.shared.options.memory_bytes
    }

    fn get<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let shared = &self.shared;
            let opening = shared.wake();
            let Some(open) = shared.open() else {
                drop(opening);
                return shared.memory.get(key).await;
            };
            let (counters, disk_key) = (&shared.counters, shared.key(*key));
            let is_on_disk = || open.cache.storage().may_contains(&disk_key);
            let was_on_disk = is_on_disk();
            match open.cache.get(&disk_key).await {
                Ok(Some(entry)) => {
                    count(match entry.source() {
                        Source::Disk => &counters.hits_disk,
                        Source::Memory | Source::Outer => &counters.hits_memory,
                    });
                    Some(entry.value().0.clone())
                }
                Ok(None) => {
                    // Foyer throws a chunk that fails its checksum out of its index, and answers as if it had never
                    // been there. A chunk that gives way to others in this very moment looks the same.
                    let is_corrupt = was_on_disk && !is_on_disk();
                    count(if is_corrupt { &counters.corrupt } else { &counters.misses });
                    None
                }
                Err(error) => {
                    tracing::warn!(?key, %error, "a cached chunk does not read");
                    count(&counters.corrupt);
                    open.cache.remove(&disk_key);
                    None
                }
            }
        })
    }

    fn insert(&self, key: ChunkKey, chunk: Bytes) {
        debug_assert!(chunk.len() as u64 <= CHUNK_BYTES, "a chunk is no longer than a chunk");
        let state = self.shared.state.lock();
        if let CacheState::Open(open) = &*state {
            let open = open.clone();
            drop(state);
            count(&self.shared.counters.inserted);
            open.cache.insert(self.shared.key(key), Entry(chunk));
        } else {
            // Under the lock: else a chunk could fall between two caches while the disk's part opens.
            self.shared.memory.insert(key, chunk);
        }
    }

    fn pass(&self, key: &ChunkKey) {
        // The other cache has no such order; what it throws out of memory is on its disk.
        self.shared.memory.pass(key);
    }

    fn forget(&self, key: &ChunkKey) {
        self.shared.memory.forget(key);
        if let Some(open) = self.shared.open() {
            open.cache.remove(&self.shared.key(*key));
        }
    }

    fn clear(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.memory.clear().await;
            if let Some(open) = self.shared.open()
                && let Err(error) = open.cache.clear().await
            {
                tracing::warn!(%error, "the cache on disk could not be cleared");
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let state = std::mem::replace(&mut *self.shared.state.lock(), CacheState::Without);
            self.shared.memory.close().await;
            if let CacheState::Open(open) = state
                && let Err(error) = open.cache.close().await
            {
                tracing::warn!(%error, "the cache on disk was not closed well");
            }
        })
    }

    fn stats(&self) -> CacheStats {
        let before = self.shared.memory.stats();
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let open = self.shared.open();
        let memory = open.as_ref().map_or(0, |open| open.cache.memory().usage() as u64);
        CacheStats {
            hits_memory: before.hits_memory + get(&counters.hits_memory),
            hits_disk: get(&counters.hits_disk),
            misses: before.misses + get(&counters.misses),
            inserted: before.inserted + get(&counters.inserted),
            dropped: before.dropped + get(&counters.dropped),
            corrupt: get(&counters.corrupt),
            memory_bytes: before.memory_bytes + memory,
            disk_bytes: open.map_or(0, |_| self.shared.options.disk_bytes),
        }
    }
}
