//! Iterating the records of a decompressed payload.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varlong | offset delta varint
//! key length varint, key | value length varint, value      (length −1: null)
//! header count varint | { key length varint, key | value length varint, value } …
//! ```

use crate::varint::{BadVarint, split_i32, split_i64};

/// A header's smallest encoding: one byte for an empty key, one for a null value.
const HEADER_MIN: usize = 2;

/// Why a record does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A number runs over its width or over the end.
    #[error("a variable-length number is cut off or too long")]
    Varint,
    /// The length of a record, key, value or header exceeds what is there, or is negative where it must not be.
    #[error("{field} length {length} does not fit the {available} bytes that are there")]
    Length {
        /// Which length.
        field: &'static str,
        /// Its value.
        length: i32,
        /// Bytes that are there.
        available: usize,
    },
    /// A number of headers that the record cannot hold.
    #[error("{count} headers do not fit {available} bytes")]
    HeaderCount {
        /// The number.
        count: i32,
        /// Bytes that are there.
        available: usize,
    },
    /// The record is longer than its content.
    #[error("{0} bytes are left over after the content of the record")]
    Leftover(usize),
    /// The payload goes on after the last record.
    #[error("{0} bytes are left over after the last record")]
    Trailing(usize),
}

impl From<BadVarint> for RecordError {
    fn from(BadVarint: BadVarint) -> Self {
        Self::Varint
    }
}

/// One record; all slices point into the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Unused by Kafka so far.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offsets after the batch's base offset.
    pub offset_delta: i32,
    /// The key; compaction keeps the last record of each.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone on compacted topics.
    pub value: Option<&'a [u8]>,
    /// Headers in the order of the producer, duplicates kept.
    pub headers: Headers<'a>,
}

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name: UTF-8 by convention, not checked.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, checked when the record was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl Headers<'_> {
    /// Number of headers.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.count = self.count.checked_sub(1)?;
        Some(split_header(&mut self.bytes).expect("headers were checked with their record"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Headers<'_> {}

fn split_at_length<'a>(
    data: &mut &'a [u8],
    field: &'static str,
    length: i32,
) -> Result<&'a [u8], RecordError> {
    let (head, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| data.split_at_checked(length))
        .ok_or(RecordError::Length { field, length, available: data.len() })?;
    *data = rest;
    Ok(head)
}

/// A byte string whose negative length means null; Kafka writes −1 and reads every negative number so.
fn split_nullable<'a>(
    data: &mut &'a [u8],
    field: &'static str,
) -> Result<Option<&'a [u8]>, RecordError> {
    let length = split_i32(data)?;
    if length < 0 { Ok(None) } else { split_at_length(data, field, length).map(Some) }
}

fn split_header<'a>(data: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let length = split_i32(data)?;
    let key = split_at_length(data, "header key", length)?;
    let value = split_nullable(data, "header value")?;
    Ok(Header { key, value })
}

fn split_record<'a>(data: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let length = split_i32(data)?;
    let mut body = split_at_length(data, "record", length)?;
    let (&attributes, rest) = body.split_first().ok_or(RecordError::Varint)?;
    body = rest;
    let timestamp_delta = split_i64(&mut body)?;
    let offset_delta = split_i32(&mut body)?;
    let key = split_nullable(&mut body, "key")?;
    let value = split_nullable(&mut body, "value")?;
    let count = split_i32(&mut body)?;
    let header_count = usize::try_from(count)
        .ok()
        .filter(|&count| count <= body.len() / HEADER_MIN)
        .ok_or(RecordError::HeaderCount { count, available: body.len() })?;
    let headers = Headers { bytes: body, count: header_count };
    for _ in 0..header_count {
        split_header(&mut body)?;
    }
    if !body.is_empty() {
        return Err(RecordError::Leftover(body.len()));
    }
    let attributes = i8::from_be_bytes([attributes]);
    Ok(Record { attributes, timestamp_delta, offset_delta, key, value, headers })
}

/// Iterator over the records of a payload; ends after the first error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    remaining: i32,
}

impl<'a> Records<'a> {
    /// Expects exactly `count` records in `payload`.
    #[must_use]
    pub const fn new(payload: &'a [u8], count: i32) -> Self {
        Self { rest: payload, remaining: count }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining <= 0 {
            let trailing = std::mem::take(&mut self.rest).len();
            return (trailing > 0).then_some(Err(RecordError::Trailing(trailing)));
        }
        let record = split_record(&mut self.rest);
        if record.is_ok() {
            self.remaining -= 1;
        } else {
            self.remaining = 0;
            self.rest = &[];
        }
        Some(record)
    }
}
