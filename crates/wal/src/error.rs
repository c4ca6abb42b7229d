//! What can go wrong, sorted by what the caller does about it.

use esker_types::{ClusterId, Seq, StoreId};
use std::io;
use std::path::PathBuf;

/// Why a log did not open.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// Another process, or another log of this one, has the directory.
    #[error("the log is in use by another process")]
    Locked,
    /// The directory belongs to another cluster.
    #[error("the log belongs to cluster `{found}`, not to `{expected}`")]
    WrongCluster {
        /// The cluster in the marker.
        found: ClusterId,
        /// The cluster that was asked for.
        expected: ClusterId,
    },
    /// A newer program wrote the directory.
    #[error("the log has format {found}; this program knows formats up to {supported}")]
    NewerFormat {
        /// Version found.
        found: u32,
        /// Newest version known.
        supported: u32,
    },
    /// The file `STORE` is not usable.
    #[error("the marker file `STORE` is not usable: {0}")]
    StoreMarker(&'static str),
    /// There are segments but no marker: the directory lost it, or is not a log's.
    #[error("there are log segments but no marker file `STORE`")]
    MarkerMissing,
    /// There is a marker but no segment: what the store had promised to keep is gone.
    #[error("the segments of store `{0}` are gone; empty the directory to begin as a new store")]
    SegmentsMissing(StoreId),
    /// A segment belongs to another store.
    #[error("segment `{file}` belongs to store `{found}`")]
    ForeignSegment {
        /// The file.
        file: String,
        /// The store in its header.
        found: StoreId,
    },
    /// No segment has a usable beginning, so nothing can be said about any journal.
    #[error(
        "no segment of store `{store}` is readable ({why}); empty the directory to begin as a new store"
    )]
    Unreadable {
        /// The store.
        store: StoreId,
        /// What is wrong with the newest.
        why: String,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// The error that ended a log. Final until the process restarts: after a failed write or sync the kernel may
/// have dropped what was written, so later successes prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {}: {message}", path.display())]
pub struct WalFailure {
    /// What the log did: "write", "sync", ….
    pub operation: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// Kind of the system's error.
    pub kind: io::ErrorKind,
    /// The system's words.
    pub message: String,
}

/// Why a record was not taken. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The capacity is used up, or the file system is full. Passes when journals are trimmed or space returns.
    #[error("the log is full")]
    Full,
    /// The record can never fit.
    #[error("a record of {len} bytes is longer than {max}")]
    TooLarge {
        /// Its length.
        len: u64,
        /// The longest that fits.
        max: u64,
    },
    /// The log knows no such journal (never opened here, or dropped).
    #[error("the log has no such journal")]
    UnknownJournal,
    /// The journal was opened before.
    #[error("the log has this journal already")]
    JournalExists,
    /// The journal takes no more entries.
    #[error("the journal is sealed")]
    Sealed,
    /// Entries are taken without gaps only.
    #[error("the journal's next entry is `{expected}`")]
    OutOfSequence {
        /// The entry that would be taken.
        expected: Seq,
    },
    /// The journal lost entries here; it can be read and dropped only.
    #[error("the journal is damaged from entry `{from}` on")]
    Damaged {
        /// First entry that may be missing.
        from: Seq,
    },
    /// The log failed.
    #[error("the write-ahead log failed: {0}")]
    Failed(WalFailure),
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is at the entry's place is not what was written there.
    #[error("entry `{seq}` is corrupt in segment {segment:#x} at {position}")]
    Corrupt {
        /// The entry.
        seq: Seq,
        /// The segment's number.
        segment: u64,
        /// Position of its record.
        position: u64,
    },
    /// The entry was damaged when the log was opened.
    #[error("entry `{seq}` was lost to damage")]
    Lost {
        /// The entry.
        seq: Seq,
    },
    /// The operating system refused.
    #[error("read the log")]
    Io(#[from] io::Error),
}
