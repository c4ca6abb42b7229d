//! One pass over the records of a batch that finds out whether its header tells the truth.
//!
//! It is the cheap half of validation: every length, delta and count is read, nothing is kept, and no fault is
//! named. What it cannot vouch for is read again by [`crate::Records`], which says what is wrong.

use crate::varint::{split_i32, split_i64};

/// What all records of a well-formed payload have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The smallest timestamp delta.
    pub(crate) delta_min: i64,
    /// The largest timestamp delta.
    pub(crate) delta_max: i64,
    /// Whether every record has a key.
    pub(crate) keyed: bool,
}

/// Walks `count` records. `None` unless they fill the payload, each of them is well-formed, and their offset deltas
/// count up from 0.
pub(crate) fn walk(payload: &[u8], count: i32) -> Option<Walked> {
    let mut rest = payload;
    let mut walked = Walked { delta_min: i64::MAX, delta_max: i64::MIN, keyed: true };
    for index in 0..count {
        let length = usize::try_from(split_i32(&mut rest).ok()?).ok()?;
        let (record, others) = rest.split_at_checked(length)?;
        rest = others;
        let (_attributes, mut body) = record.split_first()?;
        let delta = split_i64(&mut body).ok()?;
        walked.delta_min = walked.delta_min.min(delta);
        walked.delta_max = walked.delta_max.max(delta);
        if split_i32(&mut body).ok()? != index {
            return None;
        }
        walked.keyed &= skip_nullable(&mut body)?;
        skip_nullable(&mut body)?;
        skip_headers(&mut body)?;
    }
    rest.is_empty().then_some(walked)
}

/// Skips a byte string; whether it is one and not null.
fn skip_nullable(body: &mut &[u8]) -> Option<bool> {
    match usize::try_from(split_i32(body).ok()?) {
        Ok(length) => {
            *body = body.get(length..)?;
            Some(true)
        }
        Err(_) => Some(false),
    }
}

/// Skips the headers, which have to be the rest of the record.
fn skip_headers(body: &mut &[u8]) -> Option<()> {
    // A record without headers ends in their count.
    if *body == [0] {
        return Some(());
    }
    let count = split_i32(body).ok()?;
    if count < 0 {
        return None;
    }
    for _ in 0..count {
        skip_nullable(body)?.then_some(())?;
        skip_nullable(body)?;
    }
    body.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, BatchView, Header};
    use esker_types::{Offset, Timestamp};

    fn payload(stamps: &[i64], headers: &[Header<'_>]) -> (Vec<u8>, i32) {
        let mut builder = BatchBuilder::new(Offset(0));
        for stamp in stamps {
            builder.append(Timestamp(*stamp), Some(b"key"), Some(&[7; 300]), headers);
        }
        let bytes = builder.build();
        let batch = BatchView::parse(&bytes).unwrap();
        (batch.payload().to_vec(), batch.record_count())
    }

    #[test]
    fn the_ends_of_the_timestamps_are_found() {
        let (bytes, count) = payload(
            &[1000, 400, 90_000, 7],
            &[Header { key: b"h", value: None }, Header { key: b"", value: Some(b"v") }],
        );
        let walked = walk(&bytes, count).unwrap();
        assert_eq!(walked, Walked { delta_min: -993, delta_max: 89_000, keyed: true });
    }

    #[test]
    fn a_null_key_is_noticed() {
        let mut builder = BatchBuilder::new(Offset(0));
        builder.append(Timestamp(1), Some(b""), None, &[]);
        builder.append(Timestamp(1), None, None, &[]);
        let bytes = builder.build();
        let payload = BatchView::parse(&bytes).unwrap().payload();
        assert!(!walk(payload, 2).unwrap().keyed);
    }

    /// Whatever the walk vouches for, the reader of records reads to its end, and the other way round.
    #[test]
    fn it_vouches_for_what_the_reader_of_records_reads() {
        let (bytes, count) = payload(&[5, 6, 7], &[Header { key: b"name", value: Some(b"value") }]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let read: Result<Vec<_>, _> = crate::Records::new(&damaged, count).collect();
                let dense = |records: &[crate::Record<'_>]| {
                    records.iter().zip(0..).all(|(record, index)| record.offset_delta == index)
                };
                let whole = read.is_ok_and(|records| dense(&records));
                assert_eq!(walk(&damaged, count).is_some(), whole, "byte {at}, bit {bit}");
            }
        }
        assert!(walk(&bytes, count - 1).is_none());
        assert!(walk(&bytes, count + 1).is_none());
        for end in 0..bytes.len() {
            assert!(walk(&bytes[..end], count).is_none(), "cut at {end}");
        }
    }
}
