//! What the fuzz targets share: an allocator that counts, and the choice of a message by a byte.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::LazyLock;

use esker_record::{Codec, decompress};
use esker_wire::testing::{Recoded, SCHEMA};
use esker_wire_schema::{Message, SchemaFile};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    /// What this thread has asked for and not given back; less than nothing where it gives back what is another's.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static HELD_MAX: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting the bytes that this thread ever asked for, and those that it holds.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        HELD.set(HELD.get() + layout.size().cast_signed());
        HELD_MAX.set(HELD_MAX.get().max(HELD.get()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every message, in the order by which seeds name them.
pub static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
    let files = SCHEMA.iter().map(|text| text.parse::<SchemaFile>());
    files.flat_map(|file| file.expect("the generator has read it").messages).collect()
});

/// Runs `decode` on a message of `len` bytes and checks what must hold of it and of its cost.
pub fn check(len: usize, decode: impl FnOnce() -> Recoded) {
    let before = ALLOCATED.get();
    let outcome = decode();
    let allocated = ALLOCATED.get() - before;
    match outcome {
        Err(_) => assert_eq!(allocated, 0, "refusing allocates"),
        Ok(done) => {
            assert!(allocated <= 8 * len + 65_536, "{allocated} bytes for {len}");
            assert!(done.encoded.is_ok_and(|bytes| bytes.len() <= done.consumed));
            // Not `equal`: a double may be NaN.
            assert!(done.stable);
        }
    }
}

/// Runs `work` and answers with it the most bytes that it held at once beyond what was held before. What C code asks for
/// itself is not among them: that is limited by the flags of a run.
pub fn most_held<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    HELD_MAX.set(before);
    let done = work();
    (done, usize::try_from(HELD_MAX.get() - before).expect("it never falls"))
}

/// The numbers of the sections of a whole metadata snapshot and what they hold, decompressed, as they stand there.
pub fn sections(snapshot: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut rest = &snapshot[24..];
    let mut sections = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<20>() {
        let number = u16::from_le_bytes([head[0], head[1]]);
        let len = head[4..].first_chunk().copied().map(u64::from_le_bytes);
        let len = len.and_then(|len| usize::try_from(len).ok()).expect("a small section");
        let (body, after) = after.split_at(len);
        let plain = decompress(Codec::Zstd, body, 1 << 20).expect("it was compressed");
        sections.push((number, plain));
        rest = after;
    }
    sections
}
