//! The end of a data object, as it comes from a bucket: raw, and with its checksums mended so that what lies behind
//! them is reached.

#![no_main]

use bytes::Bytes;
use esker_object::ObjectMeta;
use libfuzzer_sys::fuzz_target;

const TRAILER_BYTES: usize = 56;
const SECTION_BYTES: usize = 32;

fuzz_target!(|data: &[u8]| {
    // Objects whose data is as long as the input says.
    let Some((&data_len, data)) = data.split_first() else { return };
    let meta_pos = 32 + u64::from(data_len);
    read(data, meta_pos);
    let mut mended = data.to_vec();
    if mend(&mut mended, meta_pos).is_some() {
        read(&mended, meta_pos);
    }
});

/// Everything that a reader asks, if the bytes are accepted.
fn read(data: &[u8], meta_pos: u64) {
    let Ok(meta) = ObjectMeta::parse(Bytes::copy_from_slice(data), meta_pos) else { return };
    assert!(meta.memory_bytes() <= data.len());
    for part in meta.parts() {
        assert_eq!(meta.find(part.partition), Some(part));
        let blocks: Vec<_> = meta.blocks(&part).collect();
        for block in &blocks {
            assert!(block.base_offset >= part.base && block.last_offset < part.end);
            assert!(block.position + u64::from(block.len) <= meta_pos);
            let found = meta.blocks_from(&part, block.last_offset).next();
            assert_eq!(found, Some(*block));
        }
        let details = meta.leader_epochs(&part).count()
            + meta.aborted(&part).count()
            + meta.times(&part).count()
            + meta.producers(&part).count();
        assert!(details <= data.len() / 16);
        let _latest = meta.offset_for_time(&part, part.max_timestamp);
    }
}

/// Makes magic, version, lengths and checksums fit.
fn mend(data: &mut [u8], meta_pos: u64) -> Option<()> {
    let len = data.len();
    let trailer = len.checked_sub(TRAILER_BYTES)?;
    data[len - 8..].copy_from_slice(b"ESKEREND");
    data[trailer + 36..trailer + 44].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    data[trailer..trailer + 8].copy_from_slice(&(meta_pos + len as u64).to_le_bytes());
    data[trailer + 8..trailer + 16].copy_from_slice(&meta_pos.to_le_bytes());
    let count = data[trailer + 32] as usize % 6;
    data[trailer + 32..trailer + 36].copy_from_slice(&(count as u32).to_le_bytes());
    let table = trailer.checked_sub(count * SECTION_BYTES)?;
    let mut at = 0;
    for index in 0..count {
        let entry = table + index * SECTION_BYTES;
        let wanted = u64::from_le_bytes(data[entry + 16..entry + 24].try_into().ok()?);
        let last = index + 1 == count;
        let room = table - at;
        let size = if last { room } else { usize::try_from(wanted).ok()?.min(room) };
        let crc = crc_fast::crc32_iscsi(&data[at..at + size]);
        data[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
        data[entry + 8..entry + 16].copy_from_slice(&(meta_pos + at as u64).to_le_bytes());
        data[entry + 16..entry + 24].copy_from_slice(&(size as u64).to_le_bytes());
        data[entry + 24..entry + 32].fill(0);
        at += size;
    }
    let crc = crc_fast::crc32_iscsi(&data[table..len - 12]);
    data[len - 12..len - 8].copy_from_slice(&crc.to_le_bytes());
    Some(())
}
