//! Objects in which housekeeping found damage.
//!
//! What is damaged stays where it is: whoever puts the object back heals it. Nothing else may wait
//! for it, though. Merges go round it and try it again after a while; and where it keeps a
//! partition's extents from becoming fewer, that partition takes no more records before the
//! metadata would refuse the flush of all partitions.

use crate::partition::led::Partition;
use esker_meta::State;
use esker_types::{MonoTime, ObjectId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// A damaged object is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// With so many extents a partition with damage takes no more: some fewer than the metadata takes,
/// for what the log has already is still to be flushed.
const EXTENTS_LIMIT: usize = 2 * esker_meta::Partition::EXTENTS_MAX - 16;

/// The objects, and when each one was last tried.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<BTreeMap<ObjectId, MonoTime>>);

impl Quarantine {
    /// Damage was found.
    pub(crate) fn found(&self, object: ObjectId, now: MonoTime) {
        self.0.lock().insert(object, now);
    }

    /// The object was read, or nothing needs it any more.
    pub(crate) fn forget(&self, objects: impl Iterator<Item = ObjectId>) {
        let mut known = self.0.lock();
        if !known.is_empty() {
            objects.for_each(|object| {
                known.remove(&object);
            });
        }
    }

    /// Forgets what the metadata does not name any more.
    pub(crate) fn forget_deleted(&self, state: &State) {
        self.0.lock().retain(|object, _| state.objects.contains_key(object));
    }

    /// Whether it is too early to try the object again.
    pub(crate) fn rests(&self, object: ObjectId, now: MonoTime) -> bool {
        self.0.lock().get(&object).is_some_and(|tried| now.since(*tried) < AGAIN_AFTER)
    }

    /// Whether the object is damaged as far as is known.
    fn contains(&self, object: ObjectId) -> bool {
        self.0.lock().contains_key(&object)
    }

    /// Has a partition take records or not, by the extents that it has.
    pub(crate) fn check_extent_limit(&self, state: &State, partition: &Partition) {
        let Some(row) = state.partitions.get(&partition.id) else { return };
        let is_reached = row.extents.len() >= EXTENTS_LIMIT
            && row.extents.iter().any(|extent| self.contains(extent.object));
        if partition.set_extent_limit(is_reached) == is_reached {
            return;
        }
        let (topic, index) = (&partition.name, partition.index);
        if is_reached {
            tracing::error!(
                %topic, partition = %index,
                "the partition takes no more records: a damaged object keeps its extents from being merged; \
                 put the object back, or delete the records up to the end of the damage"
            );
        } else {
            tracing::info!(%topic, partition = %index, "the partition takes records again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_tried_again_after_a_while_and_known_until_it_was_read() {
        let (damaged, object) = (Quarantine::default(), ObjectId(7));
        let at = |minutes| MonoTime::default().plus(Duration::from_mins(minutes));
        assert!(!damaged.rests(object, at(0)));
        damaged.found(object, at(0));
        assert!(damaged.rests(object, at(9)) && damaged.contains(object));
        assert!(!damaged.rests(object, at(10)), "tried again");
        assert!(damaged.contains(object), "not healed by that");
        damaged.forget([object].into_iter());
        assert!(!damaged.contains(object));
    }
}
