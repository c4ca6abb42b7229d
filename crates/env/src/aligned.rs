//! A byte buffer that starts at a multiple of 4096, as direct I/O wants it.

use bytes::Bytes;

const PAGE: usize = 4096;

/// Bytes whose address and capacity are multiples of 4096.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    /// Index of the first aligned byte of `memory`.
    start: usize,
    /// Bytes from `start` on that may be used.
    capacity: usize,
}

impl AlignedBuffer {
    /// A buffer of at least `capacity` zero bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.next_multiple_of(PAGE);
        let memory = vec![0; capacity + PAGE];
        // `align_offset` may give up by returning `usize::MAX`; an unaligned buffer costs speed only.
        let start = memory.as_ptr().align_offset(PAGE);
        Self { start: if start < PAGE { start } else { 0 }, memory, capacity }
    }

    /// Bytes that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The first `len` bytes for reading.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.capacity);
        &self.memory[self.start..self.start + len]
    }

    /// The first `len` bytes for writing.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.capacity);
        &mut self.memory[self.start..self.start + len]
    }

    /// Hands out bytes `from..to` without copying them.
    ///
    /// # Panics
    /// When they are not among those that fit.
    #[must_use]
    pub fn into_bytes(self, from: usize, to: usize) -> Bytes {
        assert!(from <= to && to <= self.capacity);
        let start = self.start;
        Bytes::from(self.memory).slice(start + from..start + to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_lengths_are_aligned() {
        for capacity in [0, 1, 4096, 4097, 1 << 20] {
            let mut buffer = AlignedBuffer::with_capacity(capacity);
            assert!(buffer.capacity() >= capacity && buffer.capacity().is_multiple_of(PAGE));
            assert_eq!(buffer.bytes(0).as_ptr().align_offset(PAGE), 0);
            let len = buffer.capacity();
            buffer.bytes_mut(len).fill(7);
            assert_eq!(buffer.into_bytes(len / 2, len), vec![7; len - len / 2]);
        }
    }
}
