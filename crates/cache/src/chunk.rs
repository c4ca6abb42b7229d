//! The cache's side: aligned pieces of objects by number.

use bytes::Bytes;
use esker_env::{BoxFuture, ObjectKey};
use esker_types::ObjectId;

/// Length of every chunk but the last of an object.
pub const CHUNK_BYTES: u64 = 1 << 20;

/// One chunk of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkKey {
    /// The object.
    pub object: ObjectId,
    /// Tells objects apart that differ in their key alone: made from the key's text.
    pub variant: u32,
    /// Position in the object, in chunks.
    pub chunk: u32,
}

impl ChunkKey {
    /// Chunk 0 of the object stored as `key`.
    #[must_use]
    pub fn first(object: ObjectId, key: &ObjectKey) -> Self {
        // FNV-1a: the number is kept on disks and has to be the same in every build.
        let variant = key.as_str().bytes().fold(0x811c_9dc5, |hash: u32, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Self { object, variant, chunk: 0 }
    }

    /// Another chunk of the same object.
    #[must_use]
    pub const fn at(self, chunk: u32) -> Self {
        Self { chunk, ..self }
    }
}

/// What a cache has seen, counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Chunks found in memory.
    pub hits_memory: u64,
    /// Chunks found on the disk.
    pub hits_disk: u64,
    /// Chunks not found.
    pub misses: u64,
    /// Chunks taken in.
    pub inserted: u64,
    /// Chunks not taken in, or not written to the disk, because the cache was busy or not open.
    pub dropped: u64,
    /// Chunks on the disk that were not what was written.
    pub corrupt: u64,
    /// Bytes held in memory.
    pub memory_bytes: u64,
    /// Bytes of the disk that the cache may use.
    pub disk_bytes: u64,
}

/// A store of chunks that may forget.
pub trait ChunkCache: Send + Sync {
    /// The chunk, if it is in memory.
    fn peek(&self, key: &ChunkKey) -> Option<Bytes>;

    /// Whether the chunk is in memory. This is no use of it.
    fn holds(&self, key: &ChunkKey) -> bool;

    /// Bytes of memory for chunks.
    fn memory_bytes_max(&self) -> usize;

    /// The chunk, from wherever it is; verified if it comes from a disk.
    fn get<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Bytes>>;

    /// Takes in a chunk. Does not wait; may drop it.
    fn insert(&self, key: ChunkKey, chunk: Bytes);

    /// A reader has gone past the chunk: what has not been read yet is worth more.
    fn pass(&self, _key: &ChunkKey) {}

    /// Forgets one chunk: it was found not to be what the bucket holds.
    fn forget(&self, key: &ChunkKey);

    /// Forgets everything.
    fn clear(&self) -> BoxFuture<'_, ()>;

    /// Brings what is in memory to the disk where there is one, for the next start. Nothing is taken in after.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Counts so far.
    fn stats(&self) -> CacheStats;
}
