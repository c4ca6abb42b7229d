//! Bugs that can be put in, by name: each must be found.

use crate::bucket::BucketLie;
use crate::drive::Lie;
use crate::model::Oracle;
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
    disk("disk-syncs-nothing", Lie::SyncNothing, &[Oracle::Start]),
    disk("disk-syncs-late", Lie::SyncLate, &[Oracle::Start]),
    disk("disk-forgets-names", Lie::ForgetNames, &[Oracle::Start]),
    disk("disk-loses-write", Lie::LoseWrite, &[Oracle::Start]),
    disk("disk-hides-failed-sync", Lie::HideFailure, &[Oracle::Start]).under(Feature::SyncError),
    bucket("bucket-loses-put", BucketLie::LosePut(4), &[Oracle::Bucket]),
    bucket("bucket-cuts-put", BucketLie::CutPut(4), &[Oracle::Bucket]),
    bucket("bucket-expires-objects", BucketLie::Expire(Duration::from_secs(45)), &[Oracle::Bucket]),
    planted(At::Cache, "cache-mixes-objects", &[Oracle::Cache]),
    planted(At::Seed, "seed-does-not-decide", &[Oracle::Determinism]),
    code("wal-sync-missing", Bug::WalSyncMissing, &[Oracle::Start]),
    code("wal-ack-before-sync", Bug::WalAckBeforeSync, &[Oracle::Lost]),
    code("wal-sync-retried", Bug::WalSyncRetried, &[Oracle::Start]).under(Feature::SyncError),
    code("wal-name-not-synced", Bug::WalNameNotSynced, &[Oracle::Start]),
    code("wal-checksum-skipped", Bug::WalChecksumSkipped, &[Oracle::Progress]).under(Feature::Rot),
    code("wal-damage-ignored", Bug::WalDamageIgnored, &[Oracle::Start]).under(Feature::Rot),
    code("wal-refusal-not-awaited", Bug::WalRefusalNotAwaited, &[Oracle::Panic])
        .under(Feature::Full),
    code("wal-trimmed-early", Bug::WalTrimmedEarly, &[Oracle::Start]),
    code("meta-sync-missing", Bug::MetaSyncMissing, &[Oracle::Start]),
    code("meta-damage-cut", Bug::MetaDamageCut, &[Oracle::Edge]).under(Feature::Rot),
    code("flush-committed-before-put", Bug::FlushCommittedBeforePut, &[Oracle::Bucket]),
    code("flush-committed-twice", Bug::FlushCommittedTwice, &[Oracle::Panic]),
    code("reference-dropped", Bug::ReferenceDropped, &[Oracle::Metadata]),
    code("deleted-by-clock", Bug::DeletedByClock, &[Oracle::Bucket]),
    code("object-ids-reused", Bug::ObjectIdsReused, &[Oracle::Bucket]),
    code("journal-id-reused", Bug::JournalIdReused, &[Oracle::Start]),
    code("tail-fixed-short", Bug::TailFixedShort, &[Oracle::Lost]),
    code("visible-before-durable", Bug::VisibleBeforeDurable, &[Oracle::Lost]),
    code("offset-skipped", Bug::OffsetSkipped, &[Oracle::Panic]),
    code("trim-forgotten", Bug::TrimForgotten, &[Oracle::Edge]),
    code("merge-loses-batch", Bug::MergeLosesBatch, &[Oracle::Bucket]),
    code("block-checksum-skipped", Bug::BlockChecksumSkipped, &[Oracle::Progress])
        .under(Feature::Bodies),
    code("large-batch-passed-over", Bug::LargeBatchPassedOver, &[Oracle::Gap]),
    code("group-acknowledged-early", Bug::GroupAckEarly, &[Oracle::Group]),
    code("retention-takes-more", Bug::RetentionTakesMore, &[Oracle::Lost]),
    code("deletion-forgotten", Bug::DeletionForgotten, &[Oracle::Admin]),
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
