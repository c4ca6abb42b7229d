//! What records hold.

use bytes::Bytes;
use esker_record::{BatchBuilder, Codec};
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

/// Lines of a service's log in JSON, the same in every run: what codecs make a third to a quarter of.
pub(crate) fn log_lines(len: usize) -> Vec<u8> {
    const LEVELS: [&str; 4] = ["INFO", "WARN", "DEBUG", "ERROR"];
    const ACTIONS: [&str; 5] = ["order placed", "payment taken", "cart", "login", "stock checked"];
    let mut dice = filler(len + 1024).into_iter();
    let mut bytes = Vec::with_capacity(len + 256);
    let mut number = 0_u32;
    while bytes.len() < len {
        let [a, b, c, d] = std::array::from_fn(|_| dice.next().unwrap_or_default());
        let (level, action) = (LEVELS[usize::from(a) % 4], ACTIONS[usize::from(b) % 5]);
        let user = u32::from_le_bytes([a, b, c, d]);
        let line = format!(
            "{{\"n\":{number},\"level\":\"{level}\",\"event\":\"{action}\",\"user\":{user},\"ms\":{d}}}\n"
        );
        bytes.extend_from_slice(line.as_bytes());
        number += 1;
    }
    bytes.truncate(len);
    bytes
}

/// A batch of `count` records with values of `value_bytes` bytes: noise, or with a codec lines of a log.
pub(crate) fn batch(count: usize, value_bytes: usize, codec: Codec, now: Timestamp) -> Bytes {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec, None);
    // Noise is shared by records that begin a byte apart; a codec would find that out.
    let (content, step) = match codec {
        Codec::None => (filler(value_bytes + count), 1),
        _ => (log_lines(value_bytes * count), value_bytes),
    };
    for place in (0..count).map(|place| place * step) {
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
        let bytes = batch(16, 1024, Codec::None, Timestamp(1));
        let view = BatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        assert_eq!(view.record_count(), 16);
        let lens = view.records(view.payload()).map(|record| record.unwrap().value.unwrap().len());
        assert_eq!(lens.sum::<usize>(), 16 * 1024);
    }

    #[test]
    fn what_a_codec_gets_compresses_as_logs_do() {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let bytes = batch(100, 1024, codec, Timestamp(1));
            let view = BatchView::parse(&bytes).unwrap();
            assert_eq!((view.codec().unwrap(), view.record_count()), (codec, 100));
            assert!((2..10).contains(&(100 * 1024 / bytes.len())), "{codec:?}: {}", bytes.len());
        }
    }
}
