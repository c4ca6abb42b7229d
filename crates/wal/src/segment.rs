//! Segment files: names, handles, aligned reading.

use crate::num::{align_down, align_up, to_u64, to_usize};
use bytes::Bytes;
use esker_env::AlignedBuffer;
use esker_env::DiskFile;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("seg-{number:016x}.wal")
}

/// Name of a file that waits for its next life; `number` is any that no other spare has.
pub(crate) fn spare_name(number: u64) -> String {
    format!("spare-{number:016x}.wal")
}

/// Number in a name of the form `<prefix>-<16 hex digits>.wal`.
pub(crate) fn number_in(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_prefix('-')?.strip_suffix(".wal")?;
    let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (digits.len() == 16 && lower).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// An open segment file.
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl std::fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SegmentFile {
    /// Reads `len` bytes at `position` by whole pages, as direct I/O wants it.
    pub(crate) fn read(&self, position: u64, len: u64) -> io::Result<Bytes> {
        const PAGE: u64 = crate::format::PAGE;
        let start = align_down(position, PAGE);
        let span = align_up(position + len, PAGE) - start;
        let mut buffer = AlignedBuffer::with_capacity(to_usize(span));
        self.file.read_exact_at(buffer.bytes_mut(to_usize(span)), start)?;
        let from = to_usize(position - start);
        debug_assert!(to_u64(from) + len <= span);
        Ok(buffer.into_bytes(from, from + to_usize(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_others_do_not() {
        assert_eq!(number_in(&segment_name(0xAB), "seg"), Some(0xAB));
        assert_eq!(number_in(&spare_name(u64::MAX), "spare"), Some(u64::MAX));
        for name in ["seg-1.wal", "seg-00000000000000AB.wal", "seg-00000000000000ab.wal.tmp", ""] {
            assert_eq!(number_in(name, "seg"), None, "{name}");
        }
    }
}
