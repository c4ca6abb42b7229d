//! Bytes of a message, taken from the front.

use std::str;

use uuid::Uuid;

use crate::array::Array;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::message::{Element, Encoding};
use crate::records::Records;

/// No array has more elements: Kafka's readers refuse them since 4.4.
const MAX_ELEMENTS: usize = 1_000_000;

/// Takes values off the front of a byte slice.
///
/// The first failure sticks: from then on nothing is left, every value is zero or empty, and
/// [`check`](Self::check) tells why. Who reads by hand asks it once at the end;
/// [`Message::decode`](crate::Message::decode) does so itself.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
    elements: usize,
    failure: Option<DecodeError>,
}

/// Tagged fields of a struct that are still to come.
#[derive(Debug)]
pub struct Tags {
    left: u32,
}

/// One tagged field, its content next on the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Its number.
    pub id: u32,
    /// How many bytes are left on the reader behind it.
    rest_len: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len(), elements: 0, failure: None }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were taken.
    #[must_use]
    pub fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Elements of all arrays so far, those within other arrays among them.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Whether all went well so far.
    ///
    /// # Errors
    /// The first failure.
    pub fn check(&self) -> Result<(), DecodeError> {
        self.failure.map_or(Ok(()), Err)
    }

    /// An error of this kind at the current position.
    pub(crate) fn error_here(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, position: self.position() }
    }

    #[cold]
    fn fail(&mut self, kind: DecodeErrorKind) {
        if self.failure.is_none() {
            self.failure = Some(self.error_here(kind));
        }
        // The position is lost from here on, which the failure has kept.
        self.rest = &[];
    }

    /// Takes `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                taken
            }
            None => {
                self.fail(DecodeErrorKind::Truncated);
                &[]
            }
        }
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                *taken
            }
            None => {
                self.fail(DecodeErrorKind::Truncated);
                [0; N]
            }
        }
    }

    /// One byte; anything but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> bool {
        self.i8() != 0
    }

    /// Signed byte.
    #[inline]
    pub fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.take_array())
    }

    /// 16 bits.
    #[inline]
    pub fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take_array())
    }

    /// Unsigned 16 bits.
    #[inline]
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take_array())
    }

    /// 32 bits.
    #[inline]
    pub fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take_array())
    }

    /// Unsigned 32 bits.
    #[inline]
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take_array())
    }

    /// 64 bits.
    #[inline]
    pub fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take_array())
    }

    /// IEEE 754 double.
    #[inline]
    pub fn f64(&mut self) -> f64 {
        f64::from_be_bytes(self.take_array())
    }

    /// 16 bytes.
    #[inline]
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes(self.take_array())
    }

    /// Unsigned variable-length integer of at most 32 bits in at most 5 bytes.
    #[inline]
    pub fn uvarint(&mut self) -> u32 {
        // Lengths of strings and tags have one byte, those of records two or three.
        let (value, rest) = match self.rest {
            [a, rest @ ..] if *a < 0x80 => (u32::from(*a), rest),
            [a, b, rest @ ..] if *b < 0x80 => (u32::from(*a & 0x7f) | u32::from(*b) << 7, rest),
            [a, b, c, rest @ ..] if *c < 0x80 => {
                (u32::from(*a & 0x7f) | u32::from(*b & 0x7f) << 7 | u32::from(*c) << 14, rest)
            }
            _ => return self.long_uvarint(),
        };
        self.rest = rest;
        value
    }

    fn long_uvarint(&mut self) -> u32 {
        let mut value = 0u32;
        for (index, &byte) in self.rest.iter().take(5).enumerate() {
            // The fifth byte has room for the upper four bits only, and nothing may follow it.
            if index == 4 && byte > 0x0f {
                self.fail(DecodeErrorKind::InvalidVarint);
                return 0;
            }
            value |= u32::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return value;
            }
        }
        self.fail(DecodeErrorKind::Truncated);
        0
    }

    /// Length as written for a nullable value, `None` for null. Not yet held against what is left.
    #[inline]
    fn length(&mut self, flexible: bool, short: bool) -> Option<usize> {
        // A compact string is not longer than any other, so that it fits in every version.
        if flexible {
            let len = self.uvarint().checked_sub(1)? as usize;
            if short && len > i16::MAX as usize {
                self.fail(DecodeErrorKind::InvalidLength);
            }
            return Some(len);
        }
        let signed = if short { self.i16().into() } else { self.i32() };
        if signed < -1 {
            self.fail(DecodeErrorKind::InvalidLength);
        }
        usize::try_from(signed).ok()
    }

    fn required<T: Default>(&mut self, value: Option<T>) -> T {
        value.unwrap_or_else(|| {
            self.fail(DecodeErrorKind::UnexpectedNull);
            T::default()
        })
    }

    /// String that is never null.
    pub fn string(&mut self, encoding: Encoding) -> &'a str {
        let value = self.string_nullable(encoding);
        self.required(value)
    }

    /// String or null.
    pub fn string_nullable(&mut self, encoding: Encoding) -> Option<&'a str> {
        let len = self.length(encoding.flexible, true)?;
        if let Ok(text) = str::from_utf8(self.take(len)) {
            return Some(text);
        }
        self.fail(DecodeErrorKind::InvalidUtf8);
        Some("")
    }

    /// Bytes that are never null.
    pub fn bytes(&mut self, encoding: Encoding) -> &'a [u8] {
        let value = self.bytes_nullable(encoding);
        self.required(value)
    }

    /// Bytes or null.
    #[inline]
    pub fn bytes_nullable(&mut self, encoding: Encoding) -> Option<&'a [u8]> {
        let len = self.length(encoding.flexible, false)?;
        Some(self.take(len))
    }

    /// Record batches that are never null.
    pub fn records(&mut self, encoding: Encoding) -> Records<'a> {
        Records::Slice(self.bytes(encoding))
    }

    /// Record batches or null.
    pub fn records_nullable(&mut self, encoding: Encoding) -> Option<Records<'a>> {
        self.bytes_nullable(encoding).map(Records::Slice)
    }

    /// Array that is never null.
    pub fn array<T: Element<'a>>(&mut self, encoding: Encoding) -> Array<'a, T> {
        let value = self.array_nullable(encoding);
        self.required(value)
    }

    /// Array or null. Its elements are walked, not kept.
    pub fn array_nullable<T: Element<'a>>(&mut self, encoding: Encoding) -> Option<Array<'a, T>> {
        let count = self.length(encoding.flexible, false)?;
        if count > self.rest.len() / T::min_len(encoding) {
            self.fail(DecodeErrorKind::Truncated);
            return Some(Array::new());
        }
        if count > MAX_ELEMENTS {
            self.fail(DecodeErrorKind::TooManyElements);
            return Some(Array::new());
        }
        self.elements += count;
        let start = self.rest;
        if let Some(len) = T::FIXED_LEN {
            self.take(count * len);
        } else {
            for _ in 0..count {
                T::read(self, encoding);
                if self.failure.is_some() {
                    return Some(Array::new());
                }
            }
        }
        let body = &start[..start.len() - self.rest.len()];
        Some(Array::wire(body, count, encoding))
    }

    /// Struct or null: a byte says which, negative is null.
    pub fn struct_nullable<T: Element<'a>>(&mut self, encoding: Encoding) -> Option<T> {
        (self.i8() >= 0).then(|| T::read(self, encoding))
    }

    /// Start of the tagged fields of a struct; none where the encoding has none.
    pub fn tags(&mut self, encoding: Encoding) -> Tags {
        let left = if encoding.flexible { self.uvarint() } else { 0 };
        // A tagged field takes two bytes at least.
        if left as usize > self.rest.len() / 2 {
            self.fail(DecodeErrorKind::Truncated);
        }
        Tags { left }
    }

    /// Next tagged field. Its content is to be taken before [`end_tag`](Self::end_tag).
    pub fn next_tag(&mut self, tags: &mut Tags) -> Option<Tag> {
        if tags.left == 0 || self.failure.is_some() {
            return None;
        }
        tags.left -= 1;
        let id = self.uvarint();
        let len = self.uvarint() as usize;
        let Some(rest_len) = self.rest.len().checked_sub(len) else {
            self.fail(DecodeErrorKind::Truncated);
            return None;
        };
        Some(Tag { id, rest_len })
    }

    /// Takes the content of a tagged field that nobody knows.
    pub fn skip_tag(&mut self, tag: Tag) {
        // Cannot be negative: nothing of this field was taken yet.
        self.take(self.rest.len().saturating_sub(tag.rest_len));
    }

    /// Verifies that just the content of the tagged field was taken.
    pub fn end_tag(&mut self, tag: Tag) {
        if self.rest.len() != tag.rest_len {
            self.fail(DecodeErrorKind::InvalidTag);
        }
    }

    /// Skips the tagged fields of a struct that has none of its own. Unknown ones are not kept.
    #[inline]
    pub fn skip_tags(&mut self, encoding: Encoding) {
        match self.rest {
            _ if !encoding.flexible => {}
            [0, rest @ ..] => self.rest = rest,
            _ => self.skip_some_tags(encoding),
        }
    }

    fn skip_some_tags(&mut self, encoding: Encoding) {
        let mut tags = self.tags(encoding);
        while let Some(tag) = self.next_tag(&mut tags) {
            self.skip_tag(tag);
        }
    }
}
