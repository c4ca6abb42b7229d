//! Kafka's encoding of structures, as far as records need it: big-endian numbers, strings and byte strings with a
//! length in front, in the old form (fixed-width lengths) and the compact one (varints, one more than the length).

use bytes::Bytes;

/// Bytes that end early or say impossible things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Reads a structure; every length is checked against what is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    compact: bool,
}

type Read<T> = Result<T, Damaged>;

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest, compact: false }
    }

    /// Reads lengths in the compact form from here on.
    pub(crate) const fn set_compact(&mut self) {
        self.compact = true;
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Damaged)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn i16(&mut self) -> Read<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Read<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Read<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> Read<usize> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(Damaged);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return usize::try_from(value).map_err(|_| Damaged);
            }
        }
        Err(Damaged)
    }

    /// A length as read in the old form, or a compact one; `None` is null.
    fn length(&mut self, wide: bool) -> Read<Option<usize>> {
        if self.compact {
            return Ok(self.varint()?.checked_sub(1));
        }
        let length = if wide { self.i32()? } else { i32::from(self.i16()?) };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Damaged),
        }
    }

    pub(crate) fn nullable_str(&mut self) -> Read<Option<&'a str>> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| Damaged)
    }

    pub(crate) fn str(&mut self) -> Read<&'a str> {
        self.nullable_str()?.ok_or(Damaged)
    }

    pub(crate) fn nullable_bytes(&mut self) -> Read<Option<&'a [u8]>> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    pub(crate) fn bytes(&mut self) -> Read<Bytes> {
        self.nullable_bytes()?.map(Bytes::copy_from_slice).ok_or(Damaged)
    }

    /// The number of elements of an array whose elements have at least `min` bytes.
    pub(crate) fn count(&mut self, min: usize) -> Read<usize> {
        let count = self.length(true)?.ok_or(Damaged)?;
        if count > self.rest.len() / min { Err(Damaged) } else { Ok(count) }
    }

    /// Calls `field` with each tagged field; does nothing in the old form.
    pub(crate) fn tagged(&mut self, mut field: impl FnMut(usize, &'a [u8])) -> Read<()> {
        if !self.compact {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()?;
            field(tag, self.take(length)?);
        }
        Ok(())
    }
}

/// Writes a structure.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    compact: bool,
}

impl Writer {
    /// Starts with the 16-bit number in front of every key (its type) and value (its version).
    pub(crate) fn new(number: i16) -> Self {
        Self { out: number.to_be_bytes().to_vec(), compact: false }
    }

    /// Writes lengths in the compact form from here on.
    pub(crate) const fn compact(mut self) -> Self {
        self.compact = true;
        self
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push(u8::try_from(value & 0x7f).expect("masked to 7 bits") | 0x80);
            value >>= 7;
        }
        self.out.push(u8::try_from(value).expect("below 128"));
    }

    pub(crate) fn nullable_str(&mut self, text: Option<&str>) {
        match (text, self.compact) {
            (None, true) => self.varint(0),
            (None, false) => self.out.extend_from_slice(&(-1i16).to_be_bytes()),
            (Some(text), true) => self.varint(text.len() + 1),
            (Some(text), false) => {
                // Strings came over the wire with 16-bit lengths, or were made of such by appending a uuid.
                let length = i16::try_from(text.len()).expect("names are shorter than 32 KiB");
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
        self.out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    pub(crate) fn str(&mut self, text: &str) {
        self.nullable_str(Some(text));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn count(&mut self, count: usize) {
        if self.compact {
            self.varint(count + 1);
        } else {
            self.i32(i32::try_from(count).expect("nothing in memory has 2^31 elements"));
        }
    }

    /// Writes the only tagged field, or none.
    pub(crate) fn tagged(&mut self, field: Option<(usize, &[u8])>) {
        assert!(self.compact, "tagged fields belong to the compact form");
        self.varint(usize::from(field.is_some()));
        if let Some((tag, bytes)) = field {
            self.varint(tag);
            self.varint(bytes.len());
            self.out.extend_from_slice(bytes);
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        self.out.into()
    }
}
