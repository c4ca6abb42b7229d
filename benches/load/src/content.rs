//! What records hold.

use bytes::Bytes;
use esker_record::BatchBuilder;
use esker_types::{MonoTime, Offset, Timestamp};

/// Bytes of the clock at the front of a stamped value.
pub(crate) const STAMP_BYTES: usize = 8;

/// Bytes that look like nothing in particular, the same in every run.
pub(crate) fn filler(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A batch of `count` records with values of `value_bytes` bytes.
pub(crate) fn batch(count: usize, value_bytes: usize, now: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0));
    let content = filler(value_bytes + count);
    for place in 0..count {
        builder.append(now, None, Some(&content[place..place + value_bytes]), &[]);
    }
    builder.build().into()
}

/// A batch whose values begin with the times at which they were due.
pub(crate) fn stamped(due: &[MonoTime], value: &mut [u8], now: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0));
    for due in due {
        value[..STAMP_BYTES].copy_from_slice(&due.get().to_be_bytes());
        builder.append(now, None, Some(value), &[]);
    }
    builder.build().into()
}

/// The time in a stamped value.
pub(crate) fn stamp_of(value: &[u8]) -> Option<MonoTime> {
    value.first_chunk().map(|stamp| MonoTime(u64::from_be_bytes(*stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_record::BatchView;

    #[test]
    fn stamps_come_back() {
        let due = [MonoTime(5), MonoTime(1 << 60)];
        let bytes = stamped(&due, &mut filler(100), Timestamp(1));
        let view = BatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        let records = view.records(view.payload()).map(|record| record.unwrap());
        let stamps: Vec<_> = records.filter_map(|record| stamp_of(record.value?)).collect();
        assert_eq!(stamps, due);
    }

    #[test]
    fn batches_have_what_was_asked_for() {
        let bytes = batch(16, 1024, Timestamp(1));
        let view = BatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        assert_eq!(view.record_count(), 16);
        let lens = view.records(view.payload()).map(|record| record.unwrap().value.unwrap().len());
        assert_eq!(lens.sum::<usize>(), 16 * 1024);
    }
}
