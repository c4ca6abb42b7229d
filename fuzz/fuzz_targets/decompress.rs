//! Compressed records: never more than the cap, the same every time, and what comes out goes in again.

#![no_main]

use esker_record::{Codec, compress, decompress};
use libfuzzer_sys::fuzz_target;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const CAPS: [usize; 4] = [0, 100, 10_000, 1 << 20];

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let cap = CAPS[usize::from(choice) / CODECS.len() % CAPS.len()];
    let Ok(content) = decompress(codec, data, cap) else { return };
    assert!(content.len() <= cap, "{} bytes with a cap of {cap}", content.len());
    // Another call finds other bytes in the memory that it is given: what was never written would differ.
    let filler = vec![0xa5_u8; content.len() + 1];
    drop(filler);
    assert_eq!(decompress(codec, data, cap).as_deref(), Ok(&content[..]));
    let again = compress(codec, None, &content);
    assert_eq!(decompress(codec, &again, content.len()).as_deref(), Ok(&content[..]));
});
