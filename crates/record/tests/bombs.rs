//! Decompression bombs and lying length fields, under an allocator that counts.
#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use esker_record::{
    Codec, DecompressError, RecordError, Records, compress, decompress, unreadable_in_java,
};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let live = LIVE.get() + bytes;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every call goes to the system allocator unchanged; counting touches only thread-local cells.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(isize::try_from(layout.size()).unwrap_or(isize::MAX));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-isize::try_from(layout.size()).unwrap_or(isize::MAX));
        // SAFETY: the pointer came from `System.alloc` with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and tells by how many bytes this thread's heap grew at most. The zstd library allocates through C
/// and is not seen; it reads into our own buffer, and needs no window beside it.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

const CAP: usize = 1 << 20;
/// Buffer of the output while it doubles, plus the codecs' own blocks.
const PEAK_MAX: usize = 3 * CAP + (10 << 20);

fn bomb(codec: Codec) -> Vec<u8> {
    compress(codec, None, &vec![0; 64 << 20])
}

#[test]
fn bombs_of_each_codec_stop_at_the_cap() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let data = bomb(codec);
        assert!(data.len() < 4 << 20, "{codec:?} is a bomb: {} bytes", data.len());
        let (result, peak) = peak_of(|| decompress(codec, &data, CAP));
        assert_eq!(result, Err(DecompressError::TooLarge { cap: CAP }), "{codec:?}");
        // Three times the input is reserved up front, never beyond the cap.
        assert!(peak <= PEAK_MAX, "{codec:?}: {peak}");
    }
}

#[test]
fn many_members_count_together() {
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Snappy] {
        let part = compress(codec, None, &vec![7; CAP / 2]);
        assert_eq!(decompress(codec, &part.repeat(2), CAP).map(|out| out.len()), Ok(CAP));
        let (result, peak) = peak_of(|| decompress(codec, &part.repeat(40), CAP));
        assert_eq!(result, Err(DecompressError::TooLarge { cap: CAP }), "{codec:?}");
        assert!(peak <= PEAK_MAX, "{codec:?}: {peak}");
    }
    // Kafka's reader of lz4 ends with the first frame, and so do we.
    let part = compress(Codec::Lz4, None, &vec![7; CAP / 2]);
    assert_eq!(decompress(Codec::Lz4, &part.repeat(2), CAP).map(|out| out.len()), Ok(CAP / 2));
}

#[test]
fn announced_sizes_allocate_nothing() {
    // Bare snappy that announces 2³²−1 bytes, and one just inside the cap but without the data for it.
    for head in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x40][..]] {
        let (result, peak) = peak_of(|| decompress(Codec::Snappy, head, 16 << 20));
        assert!(result.is_err());
        assert!(peak < 4096, "{peak}");
    }
    // Framed snappy with a block length of 2³¹−1 and of −1.
    for length in [i32::MAX, -1] {
        let mut data = compress(Codec::Snappy, None, b"");
        data.extend_from_slice(&length.to_be_bytes());
        let (result, peak) = peak_of(|| decompress(Codec::Snappy, &data, 16 << 20));
        assert_eq!(result, Err(DecompressError::Damaged("snappy")));
        assert!(peak < 4096, "{peak}");
    }
    // lz4 that announces 4 GiB of content.
    let lz4 = [0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    let (result, peak) = peak_of(|| decompress(Codec::Lz4, &lz4, CAP));
    assert!(result.is_err());
    assert!(peak < PEAK_MAX, "{peak}");
    // The legacy lz4 frame is none of Kafka's.
    let legacy = [0x02, 0x21, 0x4c, 0x18, 2, 0, 0, 0, 0x10, b'a'];
    assert_eq!(decompress(Codec::Lz4, &legacy, CAP), Err(DecompressError::Damaged("lz4")));
}

#[test]
fn a_zstd_window_takes_no_memory() {
    // Frame header: no single segment, window descriptor exponent e (window 2^(10+e)), one empty raw last block.
    let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3, 0x01, 0x00, 0x00];
    for exponent in [13, 14, 17, 21] {
        let (result, peak) = peak_of(|| decompress(Codec::Zstd, &frame(exponent), CAP));
        assert_eq!(result, Ok(vec![]), "2^{}", 10 + exponent);
        assert_eq!(peak, 0);
        let refused = unreadable_in_java(Codec::Zstd, &frame(exponent));
        assert_eq!(refused.is_some(), exponent > 17, "2^{}", 10 + exponent);
    }
}

#[test]
fn a_zstd_frame_that_lies_of_its_content_reserves_no_more_than_the_cap() {
    // A single segment that announces 2⁶² bytes; a block that repeats a byte 2²¹−1 times, more than a block may have; 1000
    // blocks that each repeat a byte 128 Ki times.
    let announced =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 62).to_le_bytes(), &[1, 0, 0]].concat();
    let repeated = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0xfb, 0xff, 0xff, b'a'];
    let mut many = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68];
    for last in (0..1000).map(|n| u32::from(n == 999)) {
        many.extend_from_slice(&((128 << 10) << 3 | 1 << 1 | last).to_le_bytes()[..3]);
        many.push(b'a');
    }
    for data in [announced, repeated.to_vec(), many] {
        let (result, peak) = peak_of(|| decompress(Codec::Zstd, &data, CAP));
        assert!(result.is_err());
        assert!(peak <= CAP, "{peak}");
    }
}

#[test]
fn hostile_record_lengths_allocate_nothing() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f]; // varint 2³¹−1
    let minus_two = [0x03];
    let mut hostile: Vec<Vec<u8>> = vec![vec![], vec![0x80; 6], huge.to_vec(), minus_two.to_vec()];
    // A record whose key, value, header count, header key or header value has such a length.
    for prefix in [
        &[0u8, 0, 0][..],
        &[0, 0, 0, 1],
        &[0, 0, 0, 1, 1],
        &[0, 0, 0, 1, 1, 2],
        &[0, 0, 0, 1, 1, 2, 0],
    ] {
        let body = [prefix, &huge, &[0, 0]].concat();
        let length = u8::try_from(body.len() * 2).unwrap();
        hostile.push([&[length][..], &body].concat());
    }
    // A header that has no room at all.
    let crowded = [12, 0, 0, 0, 1, 1, 2];
    let result = Records::new(&crowded, 1).next();
    assert_eq!(result, Some(Err(RecordError::HeaderCount { count: 1, available: 0 })));
    for bytes in hostile {
        let (result, peak) = peak_of(|| Records::new(&bytes, i32::MAX).next());
        assert!(matches!(result, Some(Err(_))), "{bytes:?}");
        assert_eq!(peak, 0);
    }
}
