//! What a producer sends for a partition: raw, and with length, magic and checksum mended so that what lies behind them
//! is reached.

#![no_main]

use esker_record::{
    BatchMut, BatchView, ProduceLimits, produced_batch, validate_produced, validate_records,
};
use esker_types::{LeaderEpoch, Offset, Timestamp};
use libfuzzer_sys::fuzz_target;

/// Most bytes that records may decompress to here.
const CAP: usize = 1 << 20;
const HEADER_BYTES: usize = 61;
/// Where the bytes begin that the checksum covers.
const ATTRIBUTES: usize = 21;

fuzz_target!(|data: &[u8]| {
    judge(data);
    if data.len() >= HEADER_BYTES {
        let mut mended = data.to_vec();
        let length = i32::try_from(data.len() - 12).expect("inputs are short");
        mended[..8].fill(0);
        mended[8..12].copy_from_slice(&length.to_be_bytes());
        mended[16] = 2;
        let crc = crc_fast::crc32_iscsi(&mended[ATTRIBUTES..]);
        mended[17..21].copy_from_slice(&crc.to_be_bytes());
        judge(&mended);
    }
});

/// An accepted batch reads whole, and stays right when a broker has patched it.
fn judge(data: &[u8]) {
    let Ok(batch) = produced_batch(data, 9) else { return };
    let limits = ProduceLimits { decompressed_bytes_max: CAP, ..ProduceLimits::default() };
    if validate_produced(&batch, &limits).is_err() {
        return;
    }
    batch.verify_crc().expect("the checksum was judged");
    assert!(batch.base_offset() == Offset(0) && batch.last_offset() >= batch.base_offset());
    if validate_records(&batch, &limits, Timestamp(1_767_225_600_000)).is_err() {
        return;
    }
    let payload = batch.decompressed(CAP).expect("the records were looked at");
    assert!(payload.len() <= CAP);
    let mut count = 0;
    for record in batch.records(&payload) {
        let record = record.expect("the records were judged");
        assert_eq!(record.offset_delta, count);
        count += 1;
        record.headers.for_each(drop);
    }
    assert_eq!(count, batch.record_count());

    let mut patched = data[..batch.len()].to_vec();
    let mut patch = BatchMut::parse(&mut patched).expect("it parsed before");
    patch.set_base_offset(Offset(77));
    patch.set_partition_leader_epoch(LeaderEpoch(3));
    patch.set_log_append_time(Timestamp(5));
    let view = BatchView::parse(&patched).expect("a patched batch parses");
    view.verify_crc().expect("a patched batch has its checksum");
    assert_eq!(view.next_offset(), Offset(77 + i64::from(count)));
}
