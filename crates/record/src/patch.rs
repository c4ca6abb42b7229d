//! The fields of a batch that the broker owns, changed in place.

use esker_types::{LeaderEpoch, Offset, Timestamp};

use crate::error::BatchError;
use crate::header::{BatchView, at, attribute};

/// One whole batch that may be patched. Offset and epoch lie outside the checksum; the rest renews it.
#[derive(Debug)]
pub struct BatchMut<'a> {
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// Takes the batch at the start of `data`.
    ///
    /// # Errors
    /// As [`BatchView::parse`].
    pub fn parse(data: &'a mut [u8]) -> Result<Self, BatchError> {
        let len = BatchView::parse(data)?.len();
        Ok(Self { bytes: &mut data[..len] })
    }

    /// The batch as it is now.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        BatchView::parse(self.bytes).expect("no patch changes length or magic")
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    /// Assigns the offset of the first record.
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.put(at::BASE_OFFSET, &offset.get().to_be_bytes());
    }

    /// Names the leadership under which the batch is appended.
    pub fn set_partition_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.put(at::LEADER_EPOCH, &epoch.get().to_be_bytes());
    }

    /// Gives all records one timestamp, the broker's, and renews the checksum (one pass over the batch).
    pub fn set_log_append_time(&mut self, now: Timestamp) {
        let attributes = self.view().attributes() | attribute::LOG_APPEND_TIME;
        self.put(at::ATTRIBUTES, &attributes.to_be_bytes());
        self.put(at::MAX_TIMESTAMP, &now.get().to_be_bytes());
        self.renew_crc();
    }

    /// Says that records have the producer's timestamps, and that `largest` is the largest of them. Renews the checksum
    /// if anything changes (one pass over the batch).
    pub fn set_create_time(&mut self, largest: Timestamp) {
        let view = self.view();
        let attributes = view.attributes() & !attribute::LOG_APPEND_TIME;
        if (view.attributes(), view.max_timestamp()) == (attributes, largest) {
            return;
        }
        self.put(at::ATTRIBUTES, &attributes.to_be_bytes());
        self.put(at::MAX_TIMESTAMP, &largest.get().to_be_bytes());
        self.renew_crc();
    }

    fn renew_crc(&mut self) {
        let crc = self.view().compute_crc();
        self.put(at::CRC, &crc.to_be_bytes());
    }
}
