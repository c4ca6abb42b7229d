//! Record batches on their way through, never copied where it can be helped.

use bytes::Bytes;

/// Record batches as bytes.
#[derive(Debug, Clone)]
pub enum Records<'a> {
    /// Borrowed: as decoded from a frame. Encoding copies them.
    Slice(&'a [u8]),
    /// Pieces that follow one another. Encoding shares them.
    Rope(Vec<Bytes>),
}

impl<'a> Records<'a> {
    /// No records.
    pub const EMPTY: Self = Self::Slice(&[]);

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Slice(bytes) => bytes.len(),
            Self::Rope(pieces) => pieces.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes if they are in one piece; always the case for decoded records.
    #[must_use]
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Self::Slice(bytes) => Some(bytes),
            Self::Rope(pieces) => match &pieces[..] {
                [] => Some(&[]),
                [piece] => Some(piece),
                _ => None,
            },
        }
    }

    /// The bytes in one piece of their own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Slice(bytes) => bytes.to_vec(),
            Self::Rope(pieces) => pieces.concat(),
        }
    }

    /// The bytes in order, piece by piece.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (slice, rope): (&[u8], &[Bytes]) = match self {
            Self::Slice(bytes) => (bytes, &[]),
            Self::Rope(pieces) => (&[], pieces),
        };
        std::iter::once(slice).chain(rope.iter().map(|piece| &piece[..]))
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The same bytes, however they are cut into pieces.
impl PartialEq for Records<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl From<Bytes> for Records<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Rope(vec![bytes])
    }
}

impl From<Vec<Bytes>> for Records<'_> {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self::Rope(pieces)
    }
}

impl<'a> From<&'a [u8]> for Records<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Slice(bytes)
    }
}
