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
#[inline(always)]
pub(crate) fn walk(payload: &[u8], count: i32) -> Option<Walked> {
    let mut walked = Walked { delta_min: i64::MAX, delta_max: i64::MIN, keyed: true };
    let mut rest = payload;
    for index in 0..count {
        let step = match plain_step(rest) {
            Some(step) => step,
            None => any_step(rest)?,
        };
        if step.offset_delta != index {
            return None;
        }
        walked.delta_min = walked.delta_min.min(step.timestamp_delta);
        walked.delta_max = walked.delta_max.max(step.timestamp_delta);
        walked.keyed &= step.keyed;
        rest = rest.get(step.len..)?;
    }
    rest.is_empty().then_some(walked)
}

/// Bytes of the longest of `count` records, without its length. `None` where they end before. It looks at lengths alone:
/// [`walk`] tells whether there are records.
#[cold]
#[inline(never)]
pub(crate) fn longest(payload: &[u8], count: i32) -> Option<usize> {
    let mut rest = payload;
    let mut longest = 0;
    for _ in 0..count {
        let length = usize::try_from(split_i32(&mut rest).ok()?).ok()?;
        rest = rest.get(length..)?;
        longest = longest.max(length);
    }
    Some(longest)
}

/// One record of the walk.
struct Step {
    timestamp_delta: i64,
    offset_delta: i32,
    keyed: bool,
    /// Bytes of the record.
    len: usize,
}

/// The record at the start of `rest`, where its numbers are short and it has no headers, as nearly all have. `None` says
/// nothing.
///
/// This is what a batch of small records spends its time on: two loads, and no loop.
#[inline]
fn plain_step(rest: &[u8]) -> Option<Step> {
    let mut numbers = Numbers::load(rest, 0)?;
    let length = numbers.length()?;
    let len = numbers.at() + length;
    numbers.skip_byte();
    let timestamp_delta = numbers.next()?;
    let offset_delta = numbers.next()?;
    // What was read beyond the word is not there.
    let mut numbers = Numbers::load(rest, numbers.end()?)?;
    let key = numbers.next()?;
    if key > 0 {
        numbers = Numbers::load(rest, numbers.end()? + usize::try_from(key).ok()?)?;
    }
    let value = usize::try_from(numbers.next()?.max(0)).ok()?;
    let at = numbers.end()? + value;
    // No headers, and nothing behind their count.
    let whole = at + 1 == len && *rest.get(at)? == 0;
    let timestamp_delta = i64::from(timestamp_delta);
    whole.then_some(Step { timestamp_delta, offset_delta, keyed: key >= 0, len })
}

/// Eight bytes, and the numbers that begin in them.
struct Numbers {
    word: u64,
    start: usize,
    bits: u32,
}

impl Numbers {
    #[inline]
    fn load(bytes: &[u8], start: usize) -> Option<Self> {
        let word = u64::from_le_bytes(*bytes.get(start..)?.first_chunk()?);
        Some(Self { word, start, bits: 0 })
    }

    /// The next number, if it has at most three bytes.
    #[inline]
    fn next(&mut self) -> Option<i32> {
        let raw = self.raw()?;
        Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// The next number, which is not negative.
    #[inline]
    fn length(&mut self) -> Option<usize> {
        let raw = self.raw()?;
        (raw & 1 == 0).then_some(())?;
        usize::try_from(raw >> 1).ok()
    }

    #[inline]
    fn raw(&mut self) -> Option<u32> {
        let word = self.word;
        let (raw, bits) = if word & 0x80 == 0 {
            (word & 0x7f, 8)
        } else if word & 0x8000 == 0 {
            (word & 0x7f | word >> 1 & 0x3f80, 16)
        } else if word & 0x80_0000 == 0 {
            (word & 0x7f | word >> 1 & 0x3f80 | word >> 2 & 0x1f_c000, 24)
        } else {
            return None;
        };
        self.word >>= bits;
        self.bits += bits;
        u32::try_from(raw).ok()
    }

    #[inline]
    fn skip_byte(&mut self) {
        self.word >>= 8;
        self.bits += 8;
    }

    /// Where the next number begins.
    #[inline]
    fn at(&self) -> usize {
        self.start + (self.bits / 8) as usize
    }

    /// The same, unless a number has begun behind the eight bytes.
    #[inline]
    fn end(&self) -> Option<usize> {
        (self.bits <= u64::BITS).then(|| self.at())
    }
}

/// Any record, at the start of `rest`.
fn any_step(mut rest: &[u8]) -> Option<Step> {
    let all = rest.len();
    let length = usize::try_from(split_i32(&mut rest).ok()?).ok()?;
    let (record, others) = rest.split_at_checked(length)?;
    let (_attributes, mut body) = record.split_first()?;
    let timestamp_delta = split_i64(&mut body).ok()?;
    let offset_delta = split_i32(&mut body).ok()?;
    let keyed = skip_nullable(&mut body)?;
    skip_nullable(&mut body)?;
    skip_headers(&mut body)?;
    Some(Step { timestamp_delta, offset_delta, keyed, len: all - others.len() })
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
        assert_eq!(longest(&bytes, count), Some(318));
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

    /// Whatever the walk vouches for, the reader of records reads to its end, and the other way round: with headers, which
    /// it reads slowly, and without, where numbers of one and of more bytes are read at once.
    #[test]
    fn it_vouches_for_what_the_reader_of_records_reads() {
        let header = [Header { key: b"name", value: Some(b"value") }];
        for (stamps, headers) in [
            (vec![5, 6, 7], &header[..]),
            (vec![5, 6, 7], &[]),
            (vec![5, 700, 70_000, 7_000_000, 700_000_000], &[]),
        ] {
            let (bytes, count) = payload(&stamps, headers);
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    judge(&damaged, count, &format!("byte {at}, bit {bit}"));
                }
            }
            for end in 0..bytes.len() {
                assert!(walk(&bytes[..end], count).is_none(), "cut at {end}");
            }
            assert!(walk(&bytes, count - 1).is_none());
            assert!(walk(&bytes, count + 1).is_none());
        }
    }

    fn judge(bytes: &[u8], count: i32, what: &str) {
        let read: Result<Vec<_>, _> = crate::Records::new(bytes, count).collect();
        let records = read.ok().filter(|records| {
            records.iter().zip(0..).all(|(record, index)| record.offset_delta == index)
        });
        let expected = records.map(|records| {
            let deltas = || records.iter().map(|record| record.timestamp_delta);
            let keyed = records.iter().all(|record| record.key.is_some());
            let ends = (deltas().min(), deltas().max());
            let (Some(delta_min), Some(delta_max)) = ends else { panic!("there are records") };
            Walked { delta_min, delta_max, keyed }
        });
        assert_eq!(walk(bytes, count), expected, "{what}");
    }

    #[test]
    fn many_records_with_and_without_keys_are_walked() {
        let mut builder = BatchBuilder::new(Offset(0));
        for number in 0..20_000_i64 {
            let key = (number % 3 == 0).then_some(&b"key"[..]);
            let value = vec![1; usize::try_from(number % 200).unwrap()];
            builder.append(Timestamp(number), key, Some(&value), &[]);
        }
        let bytes = builder.build();
        let batch = BatchView::parse(&bytes).unwrap();
        judge(batch.payload(), batch.record_count(), "20,000 records");
    }
}
