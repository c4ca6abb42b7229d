//! Places in a partition.

use crate::newtype::integer_newtype;

integer_newtype! {
    /// Place of a record in its partition. Ranges of offsets are half-open.
    Offset(i64)
}

impl Offset {
    /// The first offset of a new partition.
    pub const ZERO: Self = Self(0);
    /// "No offset" on Kafka's wire.
    pub const NONE: Self = Self(-1);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The offset `count` records further on.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }

    /// Number of offsets from `earlier` up to here; negative when `earlier` is later.
    #[must_use]
    pub const fn minus(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

integer_newtype! {
    /// Number of leaderships a partition has had; raised by every change of leader.
    LeaderEpoch(i32)
}

impl LeaderEpoch {
    /// "Unknown" on Kafka's wire.
    pub const NONE: Self = Self(-1);

    /// The epoch of the next leader.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

integer_newtype! {
    /// Number of a partition within its topic.
    PartitionIndex(i32)
}
