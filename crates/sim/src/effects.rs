//! What took effect, counted. A fault that is allowed and never comes proves nothing.

use crate::entropy::SimEntropy;
use crate::plan::Feature;
use esker_env::Entropy;
use std::collections::BTreeMap;

/// Places where the broker's code can be held up or end (`Env::point`), and how often each is chosen as the one where a
/// life ends: what is seldom reached more often.
pub const POINTS: [(&str, u64); 16] = [
    ("flush: committed", 3),
    ("flush: drained", 3),
    ("flush: stored", 3),
    ("garbage: chosen", 4),
    ("garbage: deleted", 4),
    ("ids: reserved", 2),
    ("image: changed", 2),
    ("lookup: objects searched", 2),
    ("merge: stored", 8),
    ("metadata: outgrown", 6),
    ("producers: stored", 8),
    ("read: planned", 2),
    ("recovery: sealed", 2),
    ("recovery: tail fixed", 2),
    (SPILL, 8),
    ("start: journals opened", 2),
];

/// Reached only where objects are not merged.
pub(crate) const SPILL: &str = "spill: stored";

/// One of [`POINTS`].
pub(crate) fn choose_point(entropy: &SimEntropy) -> &'static str {
    let mut left = entropy.below(POINTS.iter().map(|(_, weight)| weight).sum());
    let chosen = POINTS.iter().find(|(_, weight)| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    });
    chosen.expect("the number is below the sum of all weights").0
}

macro_rules! effects {
    ($($name:ident = $feature:ident $what:literal,)*) => {
        /// Something that happened because a feature was part of a simulation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Effect {
            $(#[doc = $what] $name,)*
            /// A wait at one of [`POINTS`].
            Wait(&'static str),
            /// An end of a life at one of [`POINTS`].
            End(&'static str),
        }

        impl Effect {
            const ANYWHERE: &[Self] = &[$(Self::$name,)*];

            /// Whose it is, and what it is.
            fn words(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => (Feature::$feature.name(), $what),)*
                    Self::Wait(point) => (point, "waits"),
                    Self::End(point) => (point, "ends"),
                }
            }
        }
    };
}

effects! {
    Cut = PowerCut "between operations of the disk",
    WritesLost = PowerCut "with writes lost",
    WritesTorn = PowerCut "with writes torn",
    NamesLost = PowerCut "with names lost",
    Killed = Kill "processes",
    KilledUnsynced = Kill "with writes not synced",
    KilledUnnamed = Kill "with names not synced",
    SyncFailed = SyncError "of files",
    DirSyncFailed = SyncError "of directories",
    OthersLost = SyncError "with writes to other files lost",
    WriteFailed = WriteError "writes",
    ReadFailed = ReadError "reads",
    RotAtRest = Rot "at rest",
    RotAwake = Rot "while a node ran",
    RotRead = Rot "damaged reads",
    RotRefused = Rot "starts refused",
    Misdirected = Misdirect "at rest",
    MisdirectedRead = Misdirect "damaged reads",
    MisdirectedRefused = Misdirect "starts refused",
    NoRoom = Full "writes refused",
    PutRefused = Full "puts refused",
    SlowWork = SlowDisk "slow operations",
    RequestFailed = Bucket "requests failed before their effect",
    AnswerLost = Bucket "requests failed after it",
    SlowRequest = SlowBucket "slow requests",
    BodyCut = Bodies "cut",
    BodyFlipped = Bodies "with flipped bits",
    OutOfReach = Outage "requests out of reach",
    Denied = Outage "requests denied",
    Broken = Break "connections",
    WayClosed = Partition "pieces held up",
    WallJumped = Clock "jumps",
    StoodStill = Pause "of the machine",
    Held = Points "waits",
    Ended = Points "ends",
    Forgotten = Cache "chunks forgotten",
    NotTaken = Cache "chunks not taken in",
    RottenChunk = Cache "damaged chunks given out",
    PlainAcked = Plain "batches acknowledged",
    PlainLost = Plain "batches of unknown fate",
    TimesLied = Plain "batches whose header lies about time",
    LieRefused = Liars "refused batches that said what is not so",
    CutBehind = Plain "beginnings of a batch behind another",
    IdempotentAcked = Idempotent "batches acknowledged",
    Rested = Idempotent "rests before a batch is sent again",
    SentAgain = Idempotent "batches sent again and acknowledged",
    BegunAnew = Idempotent "producers that begin anew",
    AckedAhead = Ahead "batches acknowledged behind others on their way",
    SentTogether = Ahead "batches in the request of another",
    OutOfOrder = Ahead "batches out of order behind refused ones",
    Rushed = Rush "rushes",
    StretchRead = Consumers "stretches read",
    Followed = Consumers "records followed",
    MemberRead = Members "records given out",
    MemberCommitted = Members "commits",
    MemberLeft = Members "leaves",
    GroupStable = Members "stable groups seen",
    Committed = Commits "commits",
    TimeFound = Times "records found",
    LatestFound = Times "latest records found",
    NothingAsLate = Times "times after the last record",
    EpochEnded = Epochs "ends told",
    EpochBefore = Epochs "ends of the epoch before told",
    NewestEpochAsked = Epochs "of the leader asked for",
    EpochToCome = Epochs "to come asked for",
    SessionFed = Sessions "rounds with records and everybody",
    SessionFedSome = Sessions "rounds with records that left somebody out",
    SessionIdle = Sessions "rounds without records",
    SessionForgot = Sessions "partitions forgotten",
    SessionWaited = Sessions "waits in vain",
    SessionWoken = Sessions "waits that news ended",
    SessionTopicGone = Sessions "topics deleted under a session",
    Trimmed = Trims "trims",
    TopicMade = Churn "topics made",
    PartitionsAdded = Churn "partitions added",
    TopicDeleted = Churn "topics deleted",
    DeletedToComeAgain = Again "topics deleted",
    ComeAgain = Again "topics made again and read",
    SettingRaised = Settings "settings raised",
    RetentionChanged = Settings "limits of retention changed",
    StampsChanged = Settings "changes of who stamps records",
    Retained = Settings "starts moved by retention",
    Flushed = Flushes "flushes",
}

type Words = (&'static str, &'static str);

/// How often each effect was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects(BTreeMap<Words, u64>);

impl Default for Effects {
    fn default() -> Self {
        let points = POINTS.iter().flat_map(|(name, _)| [Effect::Wait(name), Effect::End(name)]);
        let all = Effect::ANYWHERE.iter().copied().chain(points);
        Self(all.map(|effect| (effect.words(), 0)).collect())
    }
}

impl Effects {
    pub(crate) fn count(&mut self, effect: Effect) {
        let words = effect.words();
        let count = self.0.get_mut(&words);
        *count.unwrap_or_else(|| panic!("{words:?} is not listed in effects.rs")) += 1;
    }

    /// Takes over what another simulation saw.
    pub fn add(&mut self, other: &Self) {
        for (words, more) in &other.0 {
            *self.0.entry(*words).or_default() += more;
        }
    }

    /// All of them, by whose they are: those that were not seen with 0.
    #[must_use]
    pub fn table(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let mut table: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((whose, what), count) in &self.0 {
            table.entry(*whose).or_default().insert(*what, *count);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_an_effect_and_no_two_effects_the_same_words() {
        let effects = Effects::default();
        assert_eq!(effects.0.len(), Effect::ANYWHERE.len() + 2 * POINTS.len());
        let table = effects.table();
        let idle = Feature::ALL.iter().find(|feature| !table.contains_key(feature.name()));
        assert_eq!(idle, None, "nothing shows that it took effect");
    }
}
