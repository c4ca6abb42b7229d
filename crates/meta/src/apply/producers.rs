//! What is said of producers when the extents that said it go.

use super::Outcome;
use crate::command::FlushedObject;
use crate::reply::{Rejected, Reply};
use crate::state::{ExtentFlags, Partition, ProducerSnapshotRef, State};
use esker_types::{BrokerId, Bug, Incarnation, Offset, PartitionId, TopicId, planted};
use std::sync::Arc;

impl State {
    pub(super) fn keep_producers(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        objects: &[FlushedObject],
        partitions: &[(PartitionId, ProducerSnapshotRef)],
    ) -> Outcome {
        if !objects.is_empty() && objects.iter().all(|new| self.object_known(new.object)) {
            return Ok(Reply::Done);
        }
        self.check_new_objects(broker, incarnation, objects)?;
        for (pid, snapshot) in partitions {
            if let Some(object) = snapshot.object
                && !objects.iter().any(|new| new.object == object)
            {
                return Err(Rejected::ForeignObject(object));
            }
            if let Some(row) = self.partitions.get(pid)
                && snapshot.upto > row.tiered_end
            {
                return Err(Rejected::NotContiguous(*pid, row.tiered_end));
            }
        }
        for new in objects {
            self.insert_object(incarnation, new);
        }
        // All references before any release: a partition that needs none must not bury what another needs.
        let mut taken = Vec::with_capacity(partitions.len());
        for (pid, snapshot) in partitions {
            let Some(row) = self.partitions.get(pid) else { continue };
            let topic = row.topic;
            if let Some(object) = snapshot.object {
                self.reference(topic, object, 0);
            }
            taken.push((*pid, topic, *snapshot));
        }
        for (pid, topic, snapshot) in taken {
            if self.producers.get(&pid).is_some_and(|known| known.upto >= snapshot.upto) {
                self.release_snapshot(topic, snapshot);
                continue;
            }
            self.release_producers(pid, topic);
            self.producers.insert(pid, snapshot);
            let mut partition = Partition::clone(&self.partitions[&pid]);
            self.drop_below_log_start(pid, &mut partition);
            self.partitions.insert(pid, Arc::new(partition));
        }
        for new in objects {
            self.bury_if_unreferenced(new.object);
        }
        Ok(Reply::Done)
    }

    /// Forgets where the producers of a partition are told beside its extents.
    pub(super) fn release_producers(&mut self, pid: PartitionId, topic: TopicId) {
        if let Some(snapshot) = self.producers.remove(&pid) {
            self.release_snapshot(topic, snapshot);
        }
    }

    fn release_snapshot(&mut self, topic: TopicId, snapshot: ProducerSnapshotRef) {
        if let Some(object) = snapshot.object {
            self.release_object(topic, object, 0);
        }
    }

    /// As [`State::release_producers`] where an extent says everything.
    pub(super) fn drop_superseded_snapshot(&mut self, pid: PartitionId, partition: &Partition) {
        let has_snapshot = self.producers.contains_key(&pid);
        if has_snapshot && self.producer_sources(pid, partition).snapshot.is_none() {
            self.release_producers(pid, partition.topic);
        }
    }

    /// From where on extents are needed for what they say of producers.
    pub(super) fn producers_needed_from(&self, pid: PartitionId, partition: &Partition) -> Offset {
        if planted(Bug::ProducersForgotten) {
            return partition.tiered_end;
        }
        let sources = self.producer_sources(pid, partition);
        let first = sources.extents.iter().find(|e| e.flags.has(ExtentFlags::HAS_PRODUCERS));
        first.map_or(partition.tiered_end, |extent| extent.base)
    }
}
