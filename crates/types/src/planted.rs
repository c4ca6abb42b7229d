//! Bugs that can be put in on purpose, to see that the tests find them.
//!
//! Only the simulator builds with the feature `planted` (`cargo xtask tidy` checks it). Without it [`planted`] is the
//! constant `false` and leaves no trace in a program. With it a bug is there only while [`plant`] says so, on the thread
//! that said so.

/// A bug that production code can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// The write-ahead log acknowledges a commit that it has not synced.
    WalSyncMissing,
    /// The write-ahead log reports a commit before it syncs it.
    WalAckBeforeSync,
    /// The write-ahead log tries a failed sync again and goes on.
    WalSyncRetried,
    /// A sync counts although one of another file of the same device has failed before.
    FailedSyncNotShared,
    /// A start builds upon the last commit of the write-ahead log without writing it again.
    WalNotWrittenAgain,
    /// A new segment's name is not made durable.
    WalNameNotSynced,
    /// Recovery takes records of the write-ahead log whose checksum does not fit.
    WalChecksumSkipped,
    /// Recovery serves a journal that it knows to be damaged.
    WalDamageIgnored,
    /// On a full disk a journal takes entries while its owner has yet to be told that earlier ones were refused.
    WalRefusalNotAwaited,
    /// The write-ahead log forgets entries before the metadata has the flush.
    WalTrimmedEarly,
    /// The metadata log answers before it syncs.
    MetaSyncMissing,
    /// The metadata log ends at the first unreadable record, whatever follows.
    MetaDamageCut,
    /// A flush is committed before its objects are stored.
    FlushCommittedBeforePut,
    /// A flush that was committed is committed again, under new offsets.
    FlushCommittedTwice,
    /// An object is garbage one reference too early.
    ReferenceDropped,
    /// Objects are deleted by their age.
    DeletedByClock,
    /// An id block is handed out twice.
    ObjectIdsReused,
    /// A journal gets the id of an earlier one.
    JournalIdReused,
    /// The tail of a sealed journal is fixed one entry short.
    TailFixedShort,
    /// A batch is taken though the one before it is missing.
    SequenceGapTaken,
    /// A producer whose first batch was refused may begin with its second.
    RefusalForgotten,
    /// What stands behind a batch and is none goes into the log with it.
    RestNotCutOff,
    /// Readers see batches before they are durable.
    VisibleBeforeDurable,
    /// A new leader begins one offset further on.
    OffsetSkipped,
    /// A new leader forgets where its log starts.
    TrimForgotten,
    /// A merge leaves its last batch out.
    MergeLosesBatch,
    /// Blocks of objects are served whatever their checksum says.
    BlockChecksumSkipped,
    /// A reader without room for the next batch is given a smaller one that comes after it.
    LargeBatchPassedOver,
    /// Group offsets are acknowledged before they are durable.
    GroupAckEarly,
    /// Retention takes an extent more than it may.
    RetentionTakesMore,
    /// The largest timestamp of a batch is the one that its producer claims.
    ClaimedTimesBelieved,
    /// Records without a timestamp age from before all time.
    TimelessExpires,
    /// A batch is stored without a look at its records.
    RecordsNotWalked,
    /// What an extent says of producers goes with it.
    ProducersForgotten,
    /// The deletion of a topic is acknowledged and not carried out.
    DeletionForgotten,
    /// A lookup by time answers the first record of the batch that holds the one it looks for.
    LookupFindsBatch,
    /// A lookup by time judges what the broker stamped by what its producer said.
    LookupByCreateTime,
    /// A lookup by time finds records below the log start.
    LookupBelowStart,
    /// A lookup by time finds records that are not committed.
    LookupUncommitted,
    /// The record with the largest timestamp is looked for in what comes last.
    LatestIsNewest,
    /// A merge promises no later times than its last extent.
    MergeForgetsTimes,
    /// An epoch ends one record after the next began.
    EpochEndsLate,
    /// An epoch before the first that is known ends at 0.
    EpochBeforeFirstAtZero,
    /// A round of a fetch session leaves out its last partition that has data.
    SessionLeavesOut,
    /// A fetch session goes on about what its client forgot.
    SessionForgetsNothing,
    /// A fetch session is silent about a topic that is gone.
    SessionSilentAboutGone,
    /// Every answer of a fetch session begins with the same partition.
    SessionWithoutTurns,
    /// A fetch of several partitions waits for data of the first.
    FetchWaitsForFirst,
    /// Of the batches of a producer one less is remembered than may be on their way.
    DuplicateWindowShort,
    /// A block of producer ids is handed out again by the next broker that asks.
    ProducerIdsReused,
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Puts `bug` in on this thread, in place of the one before.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether `bug` was put in on this thread.
#[cfg(feature = "planted")]
#[must_use]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether `bug` was put in: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn planted(_bug: Bug) -> bool {
    false
}
