//! What a producer sends for a partition: raw, and with length, magic and checksum mended so that what lies behind them
//! is reached. A model of its own, written from the format, says which batches are accepted by their headers.

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

fn number<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

/// Length of the batch that the broker accepts by its header, or `None` where it refuses.
fn model(data: &[u8]) -> Option<usize> {
    let int = |at| number(data, at).map(i32::from_be_bytes);
    let long = |at| number(data, at).map(i64::from_be_bytes);
    let end = usize::try_from(int(8)?).ok()?.checked_add(12)?;
    let whole = end >= HEADER_BYTES && end <= data.len() && end <= 1_048_588;
    if !whole || data[16] != 2 || long(0)? != 0 {
        return None;
    }
    // Nothing follows that looks like another whole batch.
    let behind = &data[end..];
    let another = number(behind, 8).map(i32::from_be_bytes).map(usize::try_from);
    if matches!(another, Some(Ok(length)) if length <= behind.len() - 12) {
        return None;
    }
    let attributes = data[ATTRIBUTES + 1];
    let (is_control, codec) = (attributes & 0x20 != 0, attributes & 7);
    let (last_delta, count) = (int(23)?, int(57)?);
    let sequence_fits = long(43)? < 0 || int(53)? >= 0;
    let header_fits = count > 0 && i64::from(last_delta) == i64::from(count) - 1;
    let crc = u32::from_be_bytes(number(data, 17)?);
    let fits = header_fits && sequence_fits && !is_control && codec <= 4;
    (fits && crc32c(&data[ATTRIBUTES..end]) == crc).then_some(end)
}

/// CRC-32C bit by bit.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & !(crc & 1).wrapping_sub(1))
        })
    })
}

/// What the header decides is decided as by the model. An accepted batch reads whole, and stays right when a broker has
/// patched it.
fn judge(data: &[u8]) {
    let limits = ProduceLimits { decompressed_bytes_max: CAP, ..ProduceLimits::default() };
    let accepted = produced_batch(data, 9)
        .and_then(|batch| validate_produced(&batch, &limits).map(|()| batch))
        .ok();
    assert_eq!(accepted.map(|batch| batch.len()), model(data));
    let Some(batch) = accepted else { return };
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
