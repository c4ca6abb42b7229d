//! Deadlines of a shard: one a key, the earliest known at any time.

use std::collections::{BTreeMap, BTreeSet};

use esker_types::{GroupId, MonoTime};

use crate::api::MemberId;

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A member has not been heard of; also a promised member id that nobody came back with.
    Session(GroupId, MemberId),
    /// The join phase of a rebalance ends.
    Join(GroupId),
    /// Members that got their generation have not asked for their assignment.
    Sync(GroupId),
    /// Expired offsets and empty groups are looked for.
    Expiry,
}

/// A set of deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_key: BTreeMap<TimerKey, MonoTime>,
    by_time: BTreeSet<(MonoTime, TimerKey)>,
}

impl Timers {
    /// Sets the deadline of `key`, in place of an earlier one.
    pub(crate) fn schedule(&mut self, key: TimerKey, at: MonoTime) {
        self.cancel(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Takes the deadline of `key` away.
    pub(crate) fn cancel(&mut self, key: &TimerKey) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<MonoTime> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that has passed.
    pub(crate) fn pop_due(&mut self, now: MonoTime) -> Option<TimerKey> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
