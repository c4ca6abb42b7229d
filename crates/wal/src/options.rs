//! Settings of a log.

use crate::error::WalError;
use crate::format::{
    CHECKPOINT_JOURNAL_BYTES, CHECKPOINT_SEGMENT_BYTES, JOURNAL_META_BYTES_MAX, PAGE,
};
use crate::num::{align_up, to_u64, to_usize};
use crate::state::State;

/// Settings of a log. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalOptions {
    /// Size of a new segment file; older ones keep theirs.
    pub segment_bytes: u64,
    /// What all segments together may take. A hard number: entries beyond it are refused, the file system is
    /// never filled up.
    pub capacity_bytes: u64,
    /// Fill segments with zeros ahead of use while the log is idle. Appends into written files are up to twice as
    /// fast on a device that journals file sizes; off, files grow a mebibyte at a time.
    pub prefill: bool,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, capacity_bytes: 2 << 30, prefill: true }
    }
}

/// Smallest segment: room for a checkpoint and a few records (tests use it).
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment, so that positions fit 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// One holds entries, one is kept for control records, one replaces either, one to spare.
const SEGMENTS_MIN: u64 = 4;
/// A start opens two journals of its own before it has drained any of those that it found.
const OWN_JOURNALS_BYTES: usize = 2 * (CHECKPOINT_JOURNAL_BYTES + JOURNAL_META_BYTES_MAX);

impl WalOptions {
    pub(crate) fn check(&self) -> Result<(), WalError> {
        let range = SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX;
        if !range.contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(PAGE) {
            return Err(WalError::Options(format!(
                "a segment of {} bytes is not a multiple of 4096 between 64 KiB and 1 GiB",
                self.segment_bytes
            )));
        }
        if self.capacity_bytes / self.segment_bytes < SEGMENTS_MIN {
            return Err(WalError::Options(format!(
                "a log needs room for {SEGMENTS_MIN} segments of {} bytes, not {} bytes",
                self.segment_bytes, self.capacity_bytes
            )));
        }
        let listed = self.capacity_bytes / self.segment_bytes * to_u64(CHECKPOINT_SEGMENT_BYTES);
        if listed > self.segment_bytes / 8 {
            return Err(WalError::Options(format!(
                "{} bytes of capacity are too many for segments of {} bytes",
                self.capacity_bytes, self.segment_bytes
            )));
        }
        Ok(())
    }

    /// Whether a segment of the size of now has room for what it must begin with, and for the journals of this start.
    pub(crate) fn check_against(&self, found: &State) -> Result<(), WalError> {
        let listed = to_u64(found.segments.len() * CHECKPOINT_SEGMENT_BYTES);
        let journals = found.checkpoint_bytes() + to_u64(OWN_JOURNALS_BYTES);
        let needed = align_up(listed.max(journals) * 8, PAGE);
        if needed > self.segment_bytes {
            return Err(WalError::Options(format!(
                "segments of {} bytes are too small for a log of {} segments and {} journals: it needs {needed} bytes",
                self.segment_bytes,
                found.segments.len(),
                found.journals.len()
            )));
        }
        Ok(())
    }

    /// Segments that may hold something, the one for control records included. One more file may exist for a
    /// moment: a segment of control records only is replaced by the next one before it is recycled.
    pub(crate) fn segments_max(&self) -> usize {
        to_usize(self.capacity_bytes / self.segment_bytes - 1)
    }

    /// Whether `more` segments may hold something beside those that take `bytes`.
    pub(crate) fn allows(&self, bytes: u64, more: u64) -> bool {
        bytes + (more + 1) * self.segment_bytes <= self.capacity_bytes
    }

    /// Bytes that the descriptions of all journals may take in a checkpoint.
    pub(crate) fn journals_bytes_max(&self) -> u64 {
        self.segment_bytes / 8
    }

    /// The same where seals may use it too: a seal must not fail because too many journals were opened.
    pub(crate) fn sealed_journals_bytes_max(&self) -> u64 {
        self.segment_bytes / 4
    }

    /// Longest record: it fits a segment beside the longest checkpoint.
    pub(crate) fn record_bytes_max(&self) -> u64 {
        self.segment_bytes / 2 - 2 * PAGE
    }
}
