//! Reading objects from the bucket without reading them twice.
//!
//! [`ObjectReader`] cuts objects into aligned chunks of 1 MiB. A chunk is in the cache, or on its way, or
//! fetched together with its missing neighbours by one range request; whoever wants it meanwhile waits for the
//! same request. The fetch belongs to the reader, not to its first caller: a caller that goes away takes nothing
//! from the others. A [`Cursor`] that reads on is read ahead for, over the ends of objects, and together with what
//! other readers will ask for beside it ([`Stream`]); a request that takes much longer than its like is asked a
//! second time while somebody waits for it.
//!
//! A cache is advisory. It may forget any chunk at any time and it verifies what comes back from a disk; objects
//! never change, so what it does return is right.

mod chunk;
mod cursor;
mod hedge;
mod memory;
mod prefetch_ledger;
mod reader;
mod stats;

pub use chunk::{CHUNK_BYTES, CacheStats, ChunkCache, ChunkKey};
pub use cursor::{Cursor, Cursors};
pub use memory::MemoryCache;
pub use reader::{CachedObject, ObjectReader, ReadHint, ReaderOptions, Stream};
pub use stats::{ReaderStats, ReaderTotals};
