//! Compressed records: never more than the cap, in content or in memory, and all of it up to the cap; never more than they
//! announce; the same every time; and what comes out goes in again.

#![no_main]

use esker_fuzz::most_held;
use esker_record::{Codec, DecompressError, compress, decompress};
use libfuzzer_sys::fuzz_target;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const CAPS: [usize; 4] = [0, 100, 10_000, 1 << 20];

/// What decoders hold for themselves: two blocks of lz4, of which the largest are of 4 MiB, and small tables.
const DECODER_BYTES: usize = 9 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let cap = CAPS[usize::from(choice) / CODECS.len() % CAPS.len()];
    let (outcome, held) = most_held(|| decompress(codec, data, cap));
    // Growing doubles; the old and the new are held for a moment.
    let held_max = 3 * (cap + 1) + if codec == Codec::Lz4 { DECODER_BYTES } else { 1 << 17 };
    assert!(held <= held_max, "{held} bytes held for {} with a cap of {cap}", data.len());
    let Ok(content) = outcome else { return };
    assert!(content.len() <= cap, "{} bytes with a cap of {cap}", content.len());
    if let Some(announced) = announced(codec, data) {
        assert_eq!(content.len() as u64, announced);
    }
    // Another call finds other bytes in the memory that it is given: what was never written would differ. The cap is met to
    // the byte.
    let filler = vec![0xa5_u8; content.len() + 1];
    drop(filler);
    assert_eq!(decompress(codec, data, content.len()).as_deref(), Ok(&content[..]));
    if let Some(less) = content.len().checked_sub(1) {
        assert_eq!(decompress(codec, data, less), Err(DecompressError::TooLarge { cap: less }));
    }
    let again = compress(codec, None, &content);
    assert_eq!(decompress(codec, &again, content.len()).as_deref(), Ok(&content[..]));
});

/// What the beginning of a bare block of snappy says that comes out: a number in groups of seven bits.
fn announced(codec: Codec, data: &[u8]) -> Option<u64> {
    if codec != Codec::Snappy || data.starts_with(b"\x82SNAPPY\0") {
        return None;
    }
    let last = data.iter().position(|byte| *byte < 0x80)?;
    let groups = data[..=last].iter().rev();
    Some(groups.fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}
