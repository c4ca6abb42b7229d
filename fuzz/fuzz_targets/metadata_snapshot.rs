//! A metadata snapshot: raw, and with sections of the input's own making behind right checksums.

#![no_main]

use esker_meta::State;
use libfuzzer_sys::fuzz_target;

const SECTIONS: u16 = 10;

fuzz_target!(|data: &[u8]| {
    read(data);
    read(&made_of(data));
});

/// What decodes encodes, and decodes to the same; whether it holds together is asked without a panic.
fn read(data: &[u8]) {
    let Ok(state) = State::decode_snapshot(data) else { return };
    let again = State::decode_snapshot(&state.encode_snapshot()).expect("our own snapshot");
    assert_eq!(again.encode_snapshot(), state.encode_snapshot());
    let _contradiction = state.check();
}

/// A snapshot whose sections hold, one after the other, stretches of the input: one byte says how long each is.
fn made_of(mut data: &[u8]) -> Vec<u8> {
    let mut out = b"ESKMETA\x01".to_vec();
    out.extend_from_slice(&7_u64.to_le_bytes());
    out.extend_from_slice(&u32::from(SECTIONS).to_le_bytes());
    out.extend_from_slice(&crc_fast::crc32_iscsi(&out).to_le_bytes());
    for number in 1..=SECTIONS {
        let (len, rest) = data.split_first().map_or((0, data), |(len, rest)| (*len, rest));
        let (content, rest) = rest.split_at(rest.len().min(usize::from(len)));
        data = rest;
        // An empty list is one zero; the counters are longer.
        let content = if content.is_empty() { &[0; 32][..if number == 1 { 32 } else { 1 }] } else { content };
        let body = zstd::bulk::compress(content, 1).expect("compression into memory succeeds");
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
