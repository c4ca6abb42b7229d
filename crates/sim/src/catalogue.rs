//! Bugs that can be put in, by name: each must be found.

use crate::bucket::BucketLie;
use crate::drive::Lie;
use crate::model::Oracle::{
    self, Admin, Bucket, Cache, Changed, Determinism, Doubled, Edge, Epoch, Gap, Group, Lost,
    Metadata, Order, Panic, Poison, Producer, Progress, Session, Start, Time,
};
use crate::plan::Feature;
use esker_types::Bug;
use std::time::Duration;

/// A bug that is put in on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// What it is called.
    pub name: &'static str,
    /// Where it is put in.
    pub at: At,
    /// What it contradicts first; more than one where the seed decides which.
    pub found_as: &'static [Oracle],
    /// A fault without which it does no harm, and that comes more often for its sake.
    pub needs: Option<Feature>,
}

/// Where a bug is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The disk lies.
    Disk(Lie),
    /// The bucket lies.
    Bucket(BucketLie),
    /// The cache mixes objects up.
    Cache,
    /// Something other than the seed decides what a node rolls.
    Seed,
    /// The broker's own code is wrong.
    Code(Bug),
}

const fn planted(at: At, name: &'static str, found_as: &'static [Oracle]) -> Planted {
    Planted { name, at, found_as, needs: None }
}

const fn disk(name: &'static str, lie: Lie, found_as: &'static [Oracle]) -> Planted {
    planted(At::Disk(lie), name, found_as)
}

const fn bucket(name: &'static str, lie: BucketLie, found_as: &'static [Oracle]) -> Planted {
    planted(At::Bucket(lie), name, found_as)
}

const fn code(name: &'static str, bug: Bug, found_as: &'static [Oracle]) -> Planted {
    planted(At::Code(bug), name, found_as)
}

/// All of them.
pub const CATALOGUE: &[Planted] = &[
    disk("disk-syncs-nothing", Lie::SyncNothing, &[Start, Lost, Edge]),
    disk("disk-syncs-late", Lie::SyncLate, &[Start]),
    disk("disk-forgets-names", Lie::ForgetNames, &[Start, Lost, Edge, Producer]),
    disk("disk-loses-write", Lie::LoseWrite, &[Start, Progress]),
    disk("disk-hides-failed-sync", Lie::HideFailure, &[Start, Lost, Edge])
        .under(Feature::SyncError),
    bucket("bucket-loses-put", BucketLie::LosePut(4), &[Bucket]),
    bucket("bucket-cuts-put", BucketLie::CutPut(4), &[Bucket]),
    bucket(
        "bucket-expires-objects",
        BucketLie::Expire(Duration::from_secs(45)),
        &[Bucket, Progress],
    ),
    planted(At::Cache, "cache-mixes-objects", &[Cache, Progress]),
    planted(At::Seed, "seed-does-not-decide", &[Determinism]),
    code("wal-sync-missing", Bug::WalSyncMissing, &[Start, Lost]),
    code("wal-ack-before-sync", Bug::WalAckBeforeSync, &[Start, Lost]),
    code("wal-sync-retried", Bug::WalSyncRetried, &[Start]).under(Feature::SyncError),
    code("failed-sync-not-shared", Bug::FailedSyncNotShared, &[Start, Lost, Edge])
        .under(Feature::SyncError),
    code("wal-not-written-again", Bug::WalNotWrittenAgain, &[Start, Lost])
        .under(Feature::SyncError),
    code("wal-name-not-synced", Bug::WalNameNotSynced, &[Start, Lost, Edge]),
    code("wal-checksum-skipped", Bug::WalChecksumSkipped, &[Start, Progress, Panic])
        .under(Feature::Rot),
    code("wal-damage-ignored", Bug::WalDamageIgnored, &[Start, Lost]).under(Feature::Rot),
    code("wal-refusal-not-awaited", Bug::WalRefusalNotAwaited, &[Panic]).under(Feature::Full),
    code("wal-trimmed-early", Bug::WalTrimmedEarly, &[Start]),
    code("meta-sync-missing", Bug::MetaSyncMissing, &[Start, Lost, Edge, Producer]),
    code("meta-damage-cut", Bug::MetaDamageCut, &[Start, Edge]).under(Feature::Rot),
    code("flush-committed-before-put", Bug::FlushCommittedBeforePut, &[Bucket, Progress]),
    code("flush-committed-twice", Bug::FlushCommittedTwice, &[Panic, Producer, Time]),
    code("reference-dropped", Bug::ReferenceDropped, &[Metadata, Panic]),
    code("deleted-by-clock", Bug::DeletedByClock, &[Bucket]),
    code("object-ids-reused", Bug::ObjectIdsReused, &[Bucket]),
    code("journal-id-reused", Bug::JournalIdReused, &[Start]),
    code("tail-fixed-short", Bug::TailFixedShort, &[Lost, Edge, Group]),
    code("sequence-gap-taken", Bug::SequenceGapTaken, &[Producer, Order]).under(Feature::Full),
    code("refusal-forgotten", Bug::RefusalForgotten, &[Producer, Order]).under(Feature::Full),
    code("rest-not-cut-off", Bug::RestNotCutOff, &[Start, Panic, Progress, Cache]),
    code("visible-before-durable", Bug::VisibleBeforeDurable, &[Lost, Edge, Session]),
    code("offset-skipped", Bug::OffsetSkipped, &[Panic]),
    code("trim-forgotten", Bug::TrimForgotten, &[Edge]),
    code("merge-loses-batch", Bug::MergeLosesBatch, &[Bucket]),
    code("block-checksum-skipped", Bug::BlockChecksumSkipped, &[Progress, Time, Gap, Changed])
        .under(Feature::Bodies),
    code("large-batch-passed-over", Bug::LargeBatchPassedOver, &[Gap, Edge, Session]),
    code("group-acknowledged-early", Bug::GroupAckEarly, &[Group]),
    code("retention-takes-more", Bug::RetentionTakesMore, &[Lost]),
    code("claimed-times-believed", Bug::ClaimedTimesBelieved, &[Lost, Edge, Gap, Time]),
    code("timeless-expires", Bug::TimelessExpires, &[Lost, Edge, Gap]),
    code("records-not-walked", Bug::RecordsNotWalked, &[Poison, Time]),
    code("producers-forgotten", Bug::ProducersForgotten, &[Doubled]),
    code("deletion-forgotten", Bug::DeletionForgotten, &[Admin, Session]),
    code("lookup-finds-batch", Bug::LookupFindsBatch, &[Time]),
    code("lookup-by-create-time", Bug::LookupByCreateTime, &[Time]),
    code("lookup-below-start", Bug::LookupBelowStart, &[Time]),
    code("lookup-uncommitted", Bug::LookupUncommitted, &[Time]),
    code("latest-is-newest", Bug::LatestIsNewest, &[Time]),
    code("merge-forgets-times", Bug::MergeForgetsTimes, &[Time]),
    code("epoch-ends-late", Bug::EpochEndsLate, &[Epoch]),
    code("epoch-before-first-at-zero", Bug::EpochBeforeFirstAtZero, &[Epoch]),
    code("session-leaves-out", Bug::SessionLeavesOut, &[Session]),
    code("session-forgets-nothing", Bug::SessionForgetsNothing, &[Session]),
    code("session-silent-about-gone", Bug::SessionSilentAboutGone, &[Session]),
    code("session-without-turns", Bug::SessionWithoutTurns, &[Session]),
    code("fetch-waits-for-first", Bug::FetchWaitsForFirst, &[Session]),
    code("duplicate-window-short", Bug::DuplicateWindowShort, &[Producer, Doubled]),
    code("producer-ids-reused", Bug::ProducerIdsReused, &[Producer]),
];

impl Planted {
    const fn under(self, needs: Feature) -> Self {
        Self { needs: Some(needs), ..self }
    }

    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CATALOGUE.iter().find(|planted| planted.name == name).copied()
    }
}
