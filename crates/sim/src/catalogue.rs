//! Bugs that can be put in, by name: each must be found.

use crate::bucket::BucketLie;
use crate::drive::Lie;
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
    /// The broker's own code is wrong.
    Code(Bug),
}

const fn code(name: &'static str, bug: Bug) -> Planted {
    Planted { name, at: At::Code(bug), needs: None }
}

const fn code_under(needs: Feature, name: &'static str, bug: Bug) -> Planted {
    Planted { name, at: At::Code(bug), needs: Some(needs) }
}

const fn disk(name: &'static str, lie: Lie) -> Planted {
    Planted { name, at: At::Disk(lie), needs: None }
}

const fn bucket(name: &'static str, lie: BucketLie) -> Planted {
    Planted { name, at: At::Bucket(lie), needs: None }
}

/// All of them.
pub const CATALOGUE: &[Planted] = &[
    disk("disk-syncs-nothing", Lie::SyncNothing),
    disk("disk-syncs-late", Lie::SyncLate),
    disk("disk-forgets-names", Lie::ForgetNames),
    disk("disk-loses-write", Lie::LoseWrite),
    Planted {
        name: "disk-hides-failed-sync",
        at: At::Disk(Lie::HideFailure),
        needs: Some(Feature::SyncError),
    },
    bucket("bucket-loses-put", BucketLie::LosePut(4)),
    bucket("bucket-cuts-put", BucketLie::CutPut(4)),
    bucket("bucket-expires-objects", BucketLie::Expire(Duration::from_secs(45))),
    Planted { name: "cache-mixes-objects", at: At::Cache, needs: None },
    code("wal-sync-missing", Bug::WalSyncMissing),
    code("wal-ack-before-sync", Bug::WalAckBeforeSync),
    code_under(Feature::SyncError, "wal-sync-retried", Bug::WalSyncRetried),
    code("wal-name-not-synced", Bug::WalNameNotSynced),
    code_under(Feature::Rot, "wal-checksum-skipped", Bug::WalChecksumSkipped),
    code_under(Feature::Rot, "wal-damage-ignored", Bug::WalDamageIgnored),
    code_under(Feature::Full, "wal-refusal-not-awaited", Bug::WalRefusalNotAwaited),
    code("wal-trimmed-early", Bug::WalTrimmedEarly),
    code("meta-sync-missing", Bug::MetaSyncMissing),
    code_under(Feature::Rot, "meta-damage-cut", Bug::MetaDamageCut),
    code("flush-committed-before-put", Bug::FlushCommittedBeforePut),
    code("flush-committed-twice", Bug::FlushCommittedTwice),
    code("reference-dropped", Bug::ReferenceDropped),
    code("deleted-by-clock", Bug::DeletedByClock),
    code("object-ids-reused", Bug::ObjectIdsReused),
    code("journal-id-reused", Bug::JournalIdReused),
    code("tail-fixed-short", Bug::TailFixedShort),
    code("visible-before-durable", Bug::VisibleBeforeDurable),
    code("offset-skipped", Bug::OffsetSkipped),
    code("trim-forgotten", Bug::TrimForgotten),
    code("merge-loses-batch", Bug::MergeLosesBatch),
    code_under(Feature::Bodies, "block-checksum-skipped", Bug::BlockChecksumSkipped),
    code("large-batch-passed-over", Bug::LargeBatchPassedOver),
    code("group-acknowledged-early", Bug::GroupAckEarly),
    code("retention-takes-more", Bug::RetentionTakesMore),
    code("deletion-forgotten", Bug::DeletionForgotten),
];

impl Planted {
    /// The bug of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CATALOGUE.iter().find(|planted| planted.name == name).copied()
    }
}
