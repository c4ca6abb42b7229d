//! Where messages are written: first measured, then into one buffer of that size.

use bytes::Bytes;
use uuid::Uuid;

use crate::array::Array;
use crate::error::EncodeError;
use crate::frame::Frame;
use crate::message::{Element, Encoding};
use crate::records::Records;

/// A shared piece up to this size is copied: cheaper than an entry of its own in a vectored write.
const COPIED_LEN_MAX: usize = 256;

/// Takes the bytes of messages.
///
/// Starts out measuring: it counts and keeps nothing. [`writing`](Self::writing) turns the measure
/// into a buffer, and the same calls are made a second time. The first failure sticks and
/// [`check`](Self::check) tells it.
#[derive(Debug)]
pub struct Sink {
    writing: bool,
    /// Bytes put so far.
    len: usize,
    /// Bytes of `len` that were put by reference, and in how many pieces.
    shared_len: usize,
    shared_count: usize,
    /// Bytes that were copied. A vector of just the right size: a number costs a comparison and a store.
    buffer: Vec<u8>,
    /// Pieces that were put by reference, each with its place in the buffer.
    shared: Vec<(usize, Bytes)>,
    failure: Option<EncodeError>,
}

macro_rules! put_number {
    ($($(#[$doc:meta])* $put:ident: $ty:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $put(&mut self, value: $ty) {
            self.put_slice(&value.to_be_bytes());
        }
    )*};
}

impl Sink {
    /// A sink that only counts.
    #[must_use]
    pub fn measuring() -> Self {
        Self {
            writing: false,
            len: 0,
            shared_len: 0,
            shared_count: 0,
            buffer: Vec::new(),
            shared: Vec::new(),
            failure: None,
        }
    }

    /// A sink with a buffer for just what was measured.
    #[must_use]
    pub fn writing(self) -> Self {
        let buffer = Vec::with_capacity(self.len - self.shared_len);
        let shared = Vec::with_capacity(self.shared_count);
        Self { writing: true, buffer, shared, ..Self::measuring() }
    }

    /// Bytes put so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was put yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all went well so far.
    ///
    /// # Errors
    /// The first failure.
    pub fn check(&self) -> Result<(), EncodeError> {
        self.failure.map_or(Ok(()), Err)
    }

    /// What was written.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        let ours = Bytes::from(self.buffer);
        // Each shared piece has bytes of ours before it, the last also behind it.
        let mut segments = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut next = 0;
        for (place, piece) in self.shared {
            if place > next {
                segments.push(ours.slice(next..place));
                next = place;
            }
            segments.push(piece);
        }
        if next == 0 && !ours.is_empty() {
            segments.push(ours);
        } else if next < ours.len() {
            segments.push(ours.slice(next..));
        }
        Frame::new(segments, self.len)
    }

    #[cold]
    fn fail(&mut self, failure: EncodeError) {
        self.failure.get_or_insert(failure);
    }

    /// The value of `field` has no place in this version.
    #[cold]
    pub fn unsupported(&mut self, field: &'static str) {
        self.fail(EncodeError::UnsupportedField(field));
    }

    /// The value of `field` is null, which this version does not allow.
    #[cold]
    pub fn unexpected_null(&mut self, field: &'static str) {
        self.fail(EncodeError::UnexpectedNull(field));
    }

    /// Raw bytes.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if self.writing {
            self.buffer.extend_from_slice(bytes);
        }
    }

    put_number! {
        /// Signed byte.
        put_i8: i8;
        /// 16 bits.
        put_i16: i16;
        /// Unsigned 16 bits.
        put_u16: u16;
        /// 32 bits.
        put_i32: i32;
        /// Unsigned 32 bits.
        put_u32: u32;
        /// 64 bits.
        put_i64: i64;
        /// IEEE 754 double.
        put_f64: f64;
    }

    /// One byte.
    #[inline]
    pub fn put_bool(&mut self, value: bool) {
        self.put_i8(i8::from(value));
    }

    /// 16 bytes.
    #[inline]
    pub fn put_uuid(&mut self, value: Uuid) {
        self.put_slice(value.as_bytes());
    }

    /// Unsigned variable-length integer.
    #[inline]
    pub fn put_uvarint(&mut self, value: u32) {
        match u8::try_from(value) {
            Ok(byte) if byte < 0x80 => self.put_slice(&[byte]),
            _ => self.put_long_uvarint(value),
        }
    }

    fn put_long_uvarint(&mut self, mut value: u32) {
        let mut bytes = [0; 5];
        let mut len = 0;
        loop {
            let [.., low] = value.to_be_bytes();
            value >>= 7;
            bytes[len] = if value == 0 { low & 0x7f } else { low | 0x80 };
            len += 1;
            if value == 0 {
                return self.put_slice(&bytes[..len]);
            }
        }
    }

    /// Length of what follows, `None` for null.
    #[inline]
    fn put_length(&mut self, len: Option<usize>, flexible: bool, short: bool) {
        let max = if short { i16::MAX.into() } else { i32::MAX };
        let signed = match len {
            None => -1,
            Some(len) => i32::try_from(len).unwrap_or(i32::MAX),
        };
        if signed > max || len.is_some_and(|len| len >= i32::MAX as usize) {
            return self.fail(EncodeError::TooLong);
        }
        if flexible {
            self.put_uvarint((signed + 1).cast_unsigned());
        } else if short {
            self.put_i16(i16::try_from(signed).unwrap_or(i16::MAX));
        } else {
            self.put_i32(signed);
        }
    }

    /// String that is not null.
    pub fn put_string(&mut self, value: &str, encoding: Encoding) {
        self.put_string_nullable(Some(value), encoding);
    }

    /// String or null.
    pub fn put_string_nullable(&mut self, value: Option<&str>, encoding: Encoding) {
        self.put_length(value.map(str::len), encoding.flexible, true);
        self.put_slice(value.unwrap_or_default().as_bytes());
    }

    /// Bytes that are not null.
    pub fn put_bytes(&mut self, value: &[u8], encoding: Encoding) {
        self.put_bytes_nullable(Some(value), encoding);
    }

    /// Bytes or null.
    pub fn put_bytes_nullable(&mut self, value: Option<&[u8]>, encoding: Encoding) {
        self.put_length(value.map(<[u8]>::len), encoding.flexible, false);
        self.put_slice(value.unwrap_or_default());
    }

    /// Record batches that are not null.
    pub fn put_records(&mut self, value: &Records<'_>, encoding: Encoding) {
        self.put_records_nullable(Some(value), encoding);
    }

    /// Record batches or null. A rope is shared, not copied, but for its small pieces.
    pub fn put_records_nullable(&mut self, value: Option<&Records<'_>>, encoding: Encoding) {
        self.put_length(value.map(Records::len), encoding.flexible, false);
        match value {
            None => {}
            Some(Records::Slice(bytes)) => self.put_slice(bytes),
            Some(Records::Rope(pieces)) => pieces.iter().for_each(|piece| self.put_shared(piece)),
        }
    }

    fn put_shared(&mut self, piece: &Bytes) {
        if piece.len() <= COPIED_LEN_MAX {
            return self.put_slice(piece);
        }
        self.len += piece.len();
        self.shared_len += piece.len();
        self.shared_count += 1;
        if self.writing {
            self.shared.push((self.buffer.len(), Bytes::clone(piece)));
        }
    }

    /// Array that is not null.
    pub fn put_array<'a, T: Element<'a>>(&mut self, value: &Array<'a, T>, encoding: Encoding) {
        self.put_array_nullable(Some(value), encoding);
    }

    /// Array or null.
    pub fn put_array_nullable<'a, T: Element<'a>>(
        &mut self,
        value: Option<&Array<'a, T>>,
        encoding: Encoding,
    ) {
        self.put_length(value.map(Array::len), encoding.flexible, false);
        if let Some(array) = value {
            array.write_elements(self, encoding);
        }
    }

    /// Struct or null.
    pub fn put_struct_nullable<'a, T: Element<'a>>(
        &mut self,
        value: Option<&T>,
        encoding: Encoding,
    ) {
        self.put_i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            value.write(self, encoding);
        }
    }

    /// Number of the tagged fields that follow; nothing where the encoding has none.
    #[inline]
    pub fn put_tag_count(&mut self, count: u32, encoding: Encoding) {
        if encoding.flexible {
            self.put_uvarint(count);
        }
    }

    /// Head of a tagged field whose content was put on `measured`.
    pub fn put_tag(&mut self, tag: u32, measured: &Self) {
        self.put_uvarint(tag);
        match u32::try_from(measured.len) {
            Ok(len) => self.put_uvarint(len),
            Err(_) => self.fail(EncodeError::TooLong),
        }
    }
}
