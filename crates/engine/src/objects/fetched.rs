//! What a read hands back.

use bytes::Bytes;

/// Whole batches of one partition, in order; the first holds the offset asked for.
#[derive(Debug, Default, Clone)]
pub struct FetchedBatches {
    /// Their bytes. One element may hold several batches.
    pub batches: Vec<Bytes>,
    /// Bytes together.
    pub bytes: usize,
}

impl FetchedBatches {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.batches.push(bytes);
    }
}
