//! A metadata snapshot: raw, and with sections of the input's own making behind right checksums.

#![no_main]

use std::sync::LazyLock;

use esker_fuzz::sections;
use esker_meta::State;
use libfuzzer_sys::fuzz_target;

/// What the sections of an empty state hold.
static EMPTY: LazyLock<Vec<(u16, Vec<u8>)>> =
    LazyLock::new(|| sections(&State::default().encode_snapshot()));

fuzz_target!(|data: &[u8]| {
    read(data);
    read(&made_of(data));
});

/// What decodes encodes, and decodes to the same; whether it holds together is asked without a panic.
fn read(data: &[u8]) {
    let Ok(state) = State::decode_snapshot(data) else { return };
    let encoded = state.encode_snapshot();
    let again = State::decode_snapshot(&encoded).expect("our own snapshot");
    assert_eq!(again.encode_snapshot(), encoded);
    let _contradiction = state.check();
}

/// A snapshot whose sections hold, one after the other, stretches of the input: two bytes say how long each is. One of
/// no length is as in an empty state.
fn made_of(mut data: &[u8]) -> Vec<u8> {
    let mut out = b"ESKMETA\x01".to_vec();
    out.extend_from_slice(&7_u64.to_le_bytes());
    let count = u32::try_from(EMPTY.len()).expect("some dozen");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&crc_fast::crc32_iscsi(&out).to_le_bytes());
    for (number, empty) in &*EMPTY {
        let (len, rest) = data
            .split_first_chunk()
            .map_or((0, data), |(len, rest)| (u16::from_le_bytes(*len), rest));
        let (content, rest) = rest.split_at(rest.len().min(usize::from(len)));
        data = rest;
        let body = stored(if content.is_empty() { empty } else { content });
        let start = out.len();
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&crc_fast::crc32_iscsi(&body).to_le_bytes());
        out.extend_from_slice(&crc_fast::crc32_iscsi(&out[start..]).to_le_bytes());
        out.extend_from_slice(&body);
    }
    out
}

/// A zstd frame that holds content of at most 64 KiB as it is, which costs less than compressing it.
fn stored(content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("two bytes told the length");
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd];
    // One segment, the length of the content in four bytes, no checksum; then the last block, raw.
    out.push(0xa0);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
    out.extend_from_slice(content);
    out
}
