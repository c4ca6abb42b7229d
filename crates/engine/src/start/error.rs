//! Why the engine does not start.

use esker_meta_client::MetaError;
use esker_types::{JournalId, Offset, PartitionId, Seq, StoreId};
use esker_wal::{WalError, WalFailure};
use std::path::PathBuf;

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The metadata.
    #[error("register with the metadata: {0}")]
    Meta(#[from] MetaError),
    /// The write-ahead log.
    #[error(
        "open the write-ahead log in {}: {source}. Nothing was changed; if files were damaged, put the directory back \
         from a copy", dir.display()
    )]
    Wal {
        /// Its directory.
        dir: PathBuf,
        /// What is wrong.
        source: WalError,
    },
    /// The write-ahead log is there but cannot prove what it promised.
    #[error(transparent)]
    Damaged(#[from] LogDamage),
    /// The write-ahead log refused a journal.
    #[error("open a journal: {0}")]
    Journal(#[from] esker_wal::AppendError),
    /// A journal could not be opened.
    #[error("open a journal: {0}")]
    Opening(#[from] crate::journal::opening::OpeningError),
    /// The write-ahead log could not be read.
    #[error("read the write-ahead log: {0}")]
    WalRead(#[from] esker_wal::ReadError),
    /// The write-ahead log failed during the start.
    #[error("the write-ahead log failed: {0}")]
    LogFailed(WalFailure),
}

/// Why a write-ahead log is not served: acknowledged records may be missing.
#[derive(Debug, thiserror::Error)]
pub enum LogDamage {
    /// A journal was written to another disk.
    #[error(
        "{}: journal {journal} holds acknowledged records that are not in the bucket, and was written to another disk \
         (store {store}): this data directory's log has been replaced. Put the old one back", dir.display()
    )]
    OtherDisk {
        /// Directory of the log.
        dir: PathBuf,
        /// The journal.
        journal: JournalId,
        /// Where it was written.
        store: StoreId,
    },
    /// Damaged bytes, or files that are gone.
    #[error(
        "{}: {what}. Acknowledged records of journal {journal} may be missing, and the bucket does not have them. \
         `esker wal inspect {}` shows everything. Put the log's directory back from a copy; it is not repaired by \
         guessing", file.display(), dir.display()
    )]
    RecordsLost {
        /// Directory of the log.
        dir: PathBuf,
        /// The file that is damaged, or the directory.
        file: PathBuf,
        /// The journal.
        journal: JournalId,
        /// What the log found, for people.
        what: String,
    },
    /// Another process writes the journal.
    #[error(
        "journal {journal} is open under a newer registration of this broker: another process runs with the same \
         broker id"
    )]
    OpenElsewhere {
        /// The journal.
        journal: JournalId,
    },
    /// Two journals do not join.
    #[error(
        "{}: partition {partition} goes on at offset {base} in journal {journal}, but what comes before it ends at \
         {end}: the log is not of one time. Put the whole data directory back from one copy", dir.display()
    )]
    Gap {
        /// Directory of the log.
        dir: PathBuf,
        /// The partition.
        partition: PartitionId,
        /// The journal that does not join.
        journal: JournalId,
        /// Where it goes on.
        base: Offset,
        /// Where what is before it ends.
        end: Offset,
    },
    /// The log does not join the objects.
    #[error(
        "{}: partition {partition} goes on at offset {base}, but the bucket has it up to {tiered_end} only: the \
         records in between are gone, or the metadata is older than the log. Put the whole data directory back from \
         one copy", dir.display()
    )]
    GapBehindObjects {
        /// Directory of the log.
        dir: PathBuf,
        /// The partition.
        partition: PartitionId,
        /// Where the log goes on.
        base: Offset,
        /// Where the objects end.
        tiered_end: Offset,
    },
    /// The log is from an earlier time than the metadata.
    #[error(
        "{}: the write-ahead log is older than the metadata: of journal {journal} it {how}. Records that were \
         acknowledged since may be in the newest log only. Put the newest data directory back, the whole of it from \
         one time", dir.display()
    )]
    LogOlder {
        /// Directory of the log.
        dir: PathBuf,
        /// The journal.
        journal: JournalId,
        /// How that shows.
        how: LogAge,
    },
    /// The metadata is from an earlier time than the log.
    #[error(
        "{}: the metadata is older than the write-ahead log: of journal {journal} the log has given up {trimmed} \
         entries, and the metadata knows of {drained} in the bucket. Where those records went is in the newest \
         metadata only. Put the newest data directory back, the whole of it from one time", dir.display()
    )]
    MetadataOlder {
        /// Directory of the log.
        dir: PathBuf,
        /// The journal.
        journal: JournalId,
        /// Entries that the log has given up.
        trimmed: Seq,
        /// Entries that are in the bucket as far as the metadata knows.
        drained: Seq,
    },
}

/// How a log shows that it is from an earlier time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogAge {
    /// The journal was written, and the log has nothing of it.
    #[error("holds nothing, although it was written")]
    Nothing,
    /// The journal ends too early.
    #[error("ends at its entry {last}, and {acknowledged} were acknowledged")]
    EndsEarly {
        /// Its last entry in the log.
        last: Seq,
        /// Its last entry that was acknowledged.
        acknowledged: Seq,
    },
}
