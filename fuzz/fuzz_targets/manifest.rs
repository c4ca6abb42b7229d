//! A manifest segment, as it comes from a bucket: raw, and with count and checksum mended.

#![no_main]

use bytes::Bytes;
use esker_object::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read(data);
    let mut mended = data.to_vec();
    if let Some(entries) = data.len().checked_sub(64 + 64 + 8).map(|rest| rest / 64 + 1) {
        mended.truncate(64 + entries * 64 + 8);
        mended[..12].copy_from_slice(b"ESKERMAN\x01\0\0\0");
        mended[12..16].copy_from_slice(&(entries as u32).to_le_bytes());
        mended[56..64].fill(0);
        let trailer = mended.len() - 8;
        let crc = crc_fast::crc32_iscsi(&mended[..trailer]);
        mended[trailer..trailer + 4].copy_from_slice(&crc.to_le_bytes());
        mended[trailer + 4..].fill(0);
        read(&mended);
    }
});

fn read(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(data)) else { return };
    let (base, end) = manifest.range();
    let mut next = base;
    for entry in manifest.entries() {
        assert!(entry.base == next && entry.end > entry.base && entry.meta_pos <= entry.len);
        assert_eq!(manifest.find(entry.base), Some(entry));
        next = entry.end;
    }
    assert_eq!(next, end);
}
