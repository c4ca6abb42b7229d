//! Arrays that stay on the wire until somebody looks at them.

use std::fmt::{self, Debug, Formatter};
use std::{option, slice, vec};

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
    /// An element of its own, without an allocation.
    One(T),
    Owned(Vec<T>),
    Slice(&'a [T]),
}

impl<'a, T> Array<'a, T> {
    /// No elements.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Owned(Vec::new()))
    }

    /// Just this element.
    #[must_use]
    pub const fn one(item: T) -> Self {
        Self(Repr::One(item))
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
            Repr::One(_) => 1,
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
                IterRepr::Wire(WireIter::new(body, *count, *encoding))
            }
            Repr::One(item) => IterRepr::Items(slice::from_ref(item).iter()),
            Repr::Owned(items) => IterRepr::Items(items.iter()),
            Repr::Slice(items) => IterRepr::Items(items.iter()),
        })
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// The elements in a vector. Mind that an element can be larger than its bytes were: what a
    /// frame of foreign bytes may cost is up to who calls this.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().collect()
    }

    /// Elements without the length in front.
    pub(crate) fn write_elements(&self, s: &mut Sink, encoding: Encoding) {
        let items = match &self.0 {
            Repr::Wire { .. } => return self.iter().for_each(|item| item.write(s, encoding)),
            Repr::One(item) => return item.write(s, encoding),
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

/// Turns an array into its elements, so that they can outlive it: `topics.flat_map(|t| t.partitions)`.
impl<'a, T: Element<'a>> IntoIterator for Array<'a, T> {
    type Item = T;
    type IntoIter = ArrayIntoIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        ArrayIntoIter(match self.0 {
            Repr::Wire { body, count, encoding } => {
                IntoIterRepr::Wire(WireIter::new(body, count, encoding))
            }
            Repr::One(item) => IntoIterRepr::One(Some(item).into_iter()),
            Repr::Owned(items) => IntoIterRepr::Owned(items.into_iter()),
            Repr::Slice(items) => IntoIterRepr::Slice(items.iter()),
        })
    }
}

/// Elements of an [`Array`] that is borrowed.
#[derive(Debug, Clone)]
pub struct ArrayIter<'s, 'a, T>(IterRepr<'s, 'a, T>);

#[derive(Debug, Clone)]
enum IterRepr<'s, 'a, T> {
    Wire(WireIter<'a>),
    Items(slice::Iter<'s, T>),
}

/// Elements of an [`Array`].
#[derive(Debug, Clone)]
pub struct ArrayIntoIter<'a, T>(IntoIterRepr<'a, T>);

#[derive(Debug, Clone)]
enum IntoIterRepr<'a, T> {
    Wire(WireIter<'a>),
    One(option::IntoIter<T>),
    Owned(vec::IntoIter<T>),
    Slice(slice::Iter<'a, T>),
}

/// Elements that are still encoded.
#[derive(Debug, Clone)]
struct WireIter<'a> {
    reader: Reader<'a>,
    left: usize,
    encoding: Encoding,
}

impl<'a> WireIter<'a> {
    fn new(body: &'a [u8], left: usize, encoding: Encoding) -> Self {
        Self { reader: Reader::new(body), left, encoding }
    }

    fn next<T: Element<'a>>(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let item = T::read(&mut self.reader, self.encoding);
        debug_assert!(self.reader.check().is_ok(), "array was walked when it was decoded");
        Some(item)
    }
}

impl<'a, T: Element<'a>> Iterator for ArrayIter<'_, 'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            IterRepr::Wire(items) => items.next(),
            IterRepr::Items(items) => items.next().cloned(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            IterRepr::Wire(items) => items.left,
            IterRepr::Items(items) => items.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> Iterator for ArrayIntoIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            IntoIterRepr::Wire(items) => items.next(),
            IntoIterRepr::One(item) => item.next(),
            IntoIterRepr::Owned(items) => items.next(),
            IntoIterRepr::Slice(items) => items.next().cloned(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            IntoIterRepr::Wire(items) => items.left,
            IntoIterRepr::One(item) => item.len(),
            IntoIterRepr::Owned(items) => items.len(),
            IntoIterRepr::Slice(items) => items.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for ArrayIter<'_, 'a, T> {}
impl<'a, T: Element<'a>> ExactSizeIterator for ArrayIntoIter<'a, T> {}

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
