//! What a simulation is made of, and what can be left out of it.

use crate::catalogue::{At, Planted};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A fault or a kind of work.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature { $($(#[$doc])* $name,)* }

        impl Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is written.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

features! {
    /// The power fails between two operations of the disk.
    PowerCut = "power-cut",
    /// The process is killed: what it wrote and did not sync is still there.
    Kill = "kill",
    /// The nth sync fails, of a file or of a directory.
    SyncError = "sync-error",
    /// The nth write fails.
    WriteError = "write-error",
    /// Reads fail now and then.
    ReadError = "read-error",
    /// Bits flip in what was durable, at rest and while the node runs.
    Rot = "rot",
    /// A write went elsewhere.
    Misdirect = "misdirect",
    /// The disk is full for a while.
    Full = "full",
    /// Some operations of the disk are slow.
    SlowDisk = "slow-disk",
    /// Requests to the bucket fail, before or after their effect.
    Bucket = "bucket",
    /// Requests to the bucket take seconds.
    SlowBucket = "slow-bucket",
    /// Bodies arrive cut short or with flipped bits.
    Bodies = "bodies",
    /// The bucket is out of reach, or denies, for a while.
    Outage = "outage",
    /// Connections break.
    Break = "break",
    /// Ways between hosts close for a while, one direction or both.
    Partition = "partition",
    /// The wall is off by minutes, drifts and jumps.
    Clock = "clock",
    /// The whole machine stands still for a while.
    Pause = "pause",
    /// Awkward waits and crashes between two steps.
    Points = "points",
    /// The cache forgets.
    Cache = "cache",
    /// Producers without sequence numbers.
    Plain = "plain",
    /// Producers with sequence numbers.
    Idempotent = "idempotent",
    /// Producers with sequence numbers and several batches on their way.
    Ahead = "ahead",
    /// Moments at which all producers send as fast as they can.
    Rush = "rush",
    /// Consumers.
    Consumers = "consumers",
    /// A group with members.
    Members = "members",
    /// Offsets committed from outside a group.
    Commits = "commits",
    /// Questions by time.
    Times = "times",
    /// Questions by leader epoch.
    Epochs = "epochs",
    /// Readers with fetch sessions.
    Sessions = "sessions",
    /// Batches that say what is not so.
    Liars = "liars",
    /// Trims.
    Trims = "trims",
    /// Topics that are made, grown and deleted.
    Churn = "churn",
    /// A topic that is deleted and made again.
    Again = "again",
    /// Settings that change.
    Settings = "settings",
    /// Flushes that somebody asks for, and cleared caches.
    Flushes = "flushes",
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|feature| feature.name() == text);
        known.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|feature| feature.name()).collect();
            format!("`{text}` is none of {}", names.join(", "))
        })
    }
}

/// One simulation.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Decides everything that is not left out.
    pub seed: u64,
    /// A bug that is put in.
    pub planted: Option<Planted>,
    /// It is run twice, and both have to agree.
    pub twice: bool,
    /// What is left out.
    pub without: BTreeSet<Feature>,
    /// Lives of the node at most, the one in which everything heals included.
    pub lives_max: Option<u64>,
    /// How long each of them works at most.
    pub life_max: Option<Duration>,
    /// Keep the events.
    pub keep_trace: bool,
    /// Keep what clients did and saw.
    pub keep_history: bool,
}

impl Plan {
    /// The whole simulation of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// With a bug.
    #[must_use]
    pub fn planted(self, planted: Planted) -> Self {
        let twice = self.twice || planted.at == At::Seed;
        Self { planted: Some(planted), twice, ..self }
    }

    /// Whether `feature` is part of it.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        !self.without.contains(&feature)
    }

    /// Percent of the lives that have `feature`: `usual`, unless a bug needs it.
    #[must_use]
    pub fn percent(&self, feature: Feature, usual: u64) -> u64 {
        if self.planted.is_some_and(|bug| bug.needs == Some(feature)) { 90 } else { usual }
    }

    /// The words that make the runner do the same.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("--seeds {}", self.seed);
        if let Some(lives) = self.lives_max {
            words += &format!(" --lives {lives}");
        }
        if let Some(life) = self.life_max {
            words += &format!(" --life-ms {}", life.as_millis());
        }
        if !self.without.is_empty() {
            let names: Vec<_> = self.without.iter().map(|feature| feature.name()).collect();
            words += &format!(" --without {}", names.join(","));
        }
        if let Some(planted) = self.planted {
            words += &format!(" --planted {}", planted.name);
        }
        if self.twice {
            words += " --twice";
        }
        words
    }
}
