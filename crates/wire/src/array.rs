//! Arrays that stay on the wire until somebody looks at them.

use std::fmt::{self, Debug, Formatter};
use std::slice;

use uuid::Uuid;

use crate::message::{Element, Encoding};
use crate::reader::Reader;
use crate::sink::Sink;

/// A sequence of elements: either still encoded, or built by us.
///
/// A decoded array borrows its bytes from the frame. They were walked when the message was decoded,
/// so that iterating cannot fail; it parses each element anew, at no allocation.
#[derive(Clone)]
pub struct Array<'a, T>(Repr<'a, T>);

#[derive(Clone)]
enum Repr<'a, T> {
    /// `body` holds just `count` well-formed elements.
    Wire {
        body: &'a [u8],
        count: usize,
        encoding: Encoding,
    },
    Owned(Vec<T>),
    Slice(&'a [T]),
}

impl<'a, T> Array<'a, T> {
    /// No elements.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Owned(Vec::new()))
    }

    /// `body` must have been walked with [`Element::read`] at this encoding.
    pub(crate) fn wire(body: &'a [u8], count: usize, encoding: Encoding) -> Self {
        Self(Repr::Wire { body, count, encoding })
    }

    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Wire { count, .. } => *count,
            Repr::Owned(items) => items.len(),
            Repr::Slice(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Element<'a>> Array<'a, T> {
    /// The elements by value: parsed from the wire, or cloned if they are ours.
    #[must_use]
    pub fn iter(&self) -> ArrayIter<'_, 'a, T> {
        ArrayIter(match &self.0 {
            Repr::Wire { body, count, encoding } => {
                IterRepr::Wire { reader: Reader::new(body), left: *count, encoding: *encoding }
            }
            Repr::Owned(items) => IterRepr::Items(items.iter()),
            Repr::Slice(items) => IterRepr::Items(items.iter()),
        })
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// The elements in a vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }

    /// Elements without the length in front.
    pub(crate) fn write_elements(&self, s: &mut Sink, encoding: Encoding) {
        let items = match &self.0 {
            Repr::Wire { .. } => return self.iter().for_each(|item| item.write(s, encoding)),
            Repr::Owned(items) => items,
            Repr::Slice(items) => *items,
        };
        for item in items {
            item.write(s, encoding);
        }
    }
}

impl<T> Default for Array<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, T: Element<'a>> Debug for Array<'a, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The same elements, wherever they are.
impl<'a, T: Element<'a>> PartialEq for Array<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T> From<Vec<T>> for Array<'_, T> {
    fn from(items: Vec<T>) -> Self {
        Self(Repr::Owned(items))
    }
}

impl<'a, T> From<&'a [T]> for Array<'a, T> {
    fn from(items: &'a [T]) -> Self {
        Self(Repr::Slice(items))
    }
}

impl<T> FromIterator<T> for Array<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Repr::Owned(items.into_iter().collect()))
    }
}

impl<'s, 'a, T: Element<'a>> IntoIterator for &'s Array<'a, T> {
    type Item = T;
    type IntoIter = ArrayIter<'s, 'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Elements of an [`Array`].
#[derive(Debug, Clone)]
pub struct ArrayIter<'s, 'a, T>(IterRepr<'s, 'a, T>);

#[derive(Debug, Clone)]
enum IterRepr<'s, 'a, T> {
    Wire { reader: Reader<'a>, left: usize, encoding: Encoding },
    Items(slice::Iter<'s, T>),
}

impl<'a, T: Element<'a>> Iterator for ArrayIter<'_, 'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            IterRepr::Items(items) => items.next().cloned(),
            IterRepr::Wire { left: 0, .. } => None,
            IterRepr::Wire { reader, left, encoding } => {
                *left -= 1;
                let item = T::read(reader, *encoding);
                debug_assert!(reader.check().is_ok(), "array was walked when it was decoded");
                Some(item)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            IterRepr::Wire { left, .. } => *left,
            IterRepr::Items(items) => items.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for ArrayIter<'_, 'a, T> {}

macro_rules! fixed_element {
    ($($ty:ty: $len:literal, $read:ident, $put:ident;)*) => {$(
        impl<'a> Element<'a> for $ty {
            const FIXED_LEN: Option<usize> = Some($len);

            fn min_len(_: Encoding) -> usize {
                $len
            }

            fn read(r: &mut Reader<'a>, _: Encoding) -> Self {
                r.$read()
            }

            fn write(&self, s: &mut Sink, _: Encoding) {
                s.$put(*self);
            }
        }
    )*};
}

fixed_element! {
    i8: 1, i8, put_i8;
    i16: 2, i16, put_i16;
    i32: 4, i32, put_i32;
    i64: 8, i64, put_i64;
    Uuid: 16, uuid, put_uuid;
}

impl<'a> Element<'a> for &'a str {
    fn min_len(encoding: Encoding) -> usize {
        if encoding.flexible { 1 } else { 2 }
    }

    fn read(r: &mut Reader<'a>, encoding: Encoding) -> Self {
        r.string(encoding)
    }

    fn write(&self, s: &mut Sink, encoding: Encoding) {
        s.put_string(self, encoding);
    }
}
