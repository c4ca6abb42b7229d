//! Buffers for direct reads, used again when nobody needs their bytes any more: fresh memory has to be asked for and
//! cleared page by page, which costs as much as all else about a read.

use bytes::Bytes;
use esker_env::AlignedBuffer;
use parking_lot::Mutex;
use std::sync::Arc;

/// Buffers that are kept for the next reads.
const KEPT_MAX: usize = 16;

/// Buffers of one size.
pub(crate) struct Buffers {
    bytes: usize,
    kept: Mutex<Vec<AlignedBuffer>>,
}

/// Bytes in a buffer that goes back when they are dropped.
struct Lent {
    buffer: AlignedBuffer,
    len: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.bytes(self.len)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.keep(std::mem::take(&mut self.buffer));
    }
}

impl Buffers {
    /// Buffers of `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, kept: Mutex::default() }
    }

    /// A buffer with any content, of the usual size or larger.
    pub(crate) fn take(&self, bytes: usize) -> AlignedBuffer {
        let kept = if bytes <= self.bytes { self.kept.lock().pop() } else { None };
        kept.unwrap_or_else(|| AlignedBuffer::with_capacity(bytes.max(self.bytes)))
    }

    /// The first `len` bytes of a buffer, to be kept again after their use.
    pub(crate) fn lend(self: &Arc<Self>, buffer: AlignedBuffer, len: usize) -> Bytes {
        Bytes::from_owner(Lent { buffer, len, home: Arc::clone(self) })
    }

    fn keep(&self, buffer: AlignedBuffer) {
        let mut kept = self.kept.lock();
        if buffer.capacity() == self.bytes && kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_bytes_are_gone() {
        let buffers = Arc::new(Buffers::new(8192));
        let mut first = buffers.take(100);
        first.bytes_mut(3).copy_from_slice(b"abc");
        let place = first.bytes(1).as_ptr();
        let bytes = buffers.lend(first, 3);
        let part = bytes.slice(1..);
        assert_ne!(buffers.take(100).bytes(1).as_ptr(), place);
        drop(bytes);
        assert_eq!(&part[..], b"bc");
        drop(part);
        assert_eq!(buffers.take(8192).bytes(1).as_ptr(), place);
        // Another size is made for the purpose and not kept.
        drop(buffers.lend(buffers.take(8193), 1));
        assert!(buffers.kept.lock().is_empty());
        for buffer in (0..KEPT_MAX + 5).map(|_| buffers.take(1)).collect::<Vec<_>>() {
            buffers.keep(buffer);
        }
        assert_eq!(buffers.kept.lock().len(), KEPT_MAX);
    }
}
