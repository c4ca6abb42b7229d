//! Topics, partitions, leadership, log start.

use super::Outcome;
use crate::command::{LeaderTransfer, NewPartition, PartitionElection};
use crate::reply::{Rejected, Reply};
use crate::state::{BrokerState, EpochStart, Partition, State, Topic};
use esker_types::{
    BrokerId, Bug, Incarnation, LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicId,
    TopicName, planted,
};
use std::sync::Arc;

impl State {
    pub(super) fn create_topic(
        &mut self,
        id: TopicId,
        name: &TopicName,
        partitions: &[NewPartition],
        replication_factor: i16,
        configs: &[(String, String)],
    ) -> Outcome {
        if let Some(known) = self.topic_names.get(name) {
            let same = *known == id;
            return if same {
                Ok(Reply::Done)
            } else {
                Err(Rejected::TopicExists(name.to_string()))
            };
        }
        if let Some(other) = self.colliding_topic(name) {
            return Err(Rejected::TopicCollides(other.to_string()));
        }
        self.check_leaders(partitions)?;
        let ids = self.add_partitions(id, 0, partitions);
        let topic = Topic {
            name: name.clone(),
            partitions: ids,
            replication_factor,
            configs: configs.iter().cloned().collect(),
            created: self.clock,
        };
        self.topics.insert(id, Arc::new(topic));
        self.topic_names.insert(name.clone(), id);
        Ok(Reply::Done)
    }

    /// The topic whose name this one collides with: they differ only in `.` against `_`, so only names with either can.
    #[must_use]
    pub fn colliding_topic(&self, name: &TopicName) -> Option<TopicName> {
        if !name.as_str().contains(['.', '_']) {
            return None;
        }
        self.topic_names.keys().find(|other| other.collides_with(name)).cloned()
    }

    pub(super) fn delete_topic(&mut self, id: TopicId) -> Outcome {
        if planted(Bug::DeletionForgotten) {
            return Ok(Reply::Done);
        }
        let Some(topic) = self.topics.remove(&id) else {
            return Err(Rejected::UnknownTopic(id));
        };
        self.topic_names.remove(&topic.name);
        for pid in &topic.partitions {
            self.moves.remove(pid);
            if let Some(partition) = self.partitions.remove(pid) {
                self.release_extents(id, &partition.extents);
                for manifest in &partition.manifests {
                    self.release_object(id, manifest.object, manifest.bytes);
                }
                self.release_producers(*pid, id);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn create_partitions(
        &mut self,
        id: TopicId,
        expect: u32,
        partitions: &[NewPartition],
    ) -> Outcome {
        let topic = self.topics.get(&id).ok_or(Rejected::UnknownTopic(id))?;
        let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        if count != expect {
            return Err(Rejected::PartitionCount(count));
        }
        self.check_leaders(partitions)?;
        let ids = self.add_partitions(id, count, partitions);
        if let Some(topic) = self.topics.get_mut(&id) {
            Arc::make_mut(topic).partitions.extend(ids);
        }
        Ok(Reply::Done)
    }

    fn check_leaders(&self, partitions: &[NewPartition]) -> Result<(), Rejected> {
        partitions.iter().try_for_each(|new| {
            let known = self.brokers.contains_key(&new.leader);
            if known { Ok(()) } else { Err(Rejected::UnknownBroker(new.leader)) }
        })
    }

    fn add_partitions(
        &mut self,
        topic: TopicId,
        first_index: u32,
        partitions: &[NewPartition],
    ) -> Vec<PartitionId> {
        let mut ids = Vec::with_capacity(partitions.len());
        for (index, new) in (first_index..).zip(partitions) {
            let id = self.next_partition;
            self.next_partition = PartitionId(id.0 + 1);
            let partition = Partition {
                topic,
                index: PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX)),
                leader: new.leader,
                leader_incarnation: self.current_incarnation(new.leader).unwrap_or_default(),
                leader_epoch: LeaderEpoch(0),
                log_start: Offset::ZERO,
                tiered_end: Offset::ZERO,
                epochs: vec![EpochStart { epoch: LeaderEpoch(0), start: Offset::ZERO }],
                manifests: Vec::new(),
                extents: Vec::new(),
            };
            self.partitions.insert(id, Arc::new(partition));
            ids.push(id);
        }
        ids
    }

    pub(super) fn elect_leaders(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        elections: &[PartitionElection],
    ) -> Reply {
        let mut elected = Vec::new();
        for election in elections {
            let Some(row) = self.partitions.get(&election.partition) else { continue };
            if row.leader == broker && row.leader_incarnation == incarnation {
                // A repeat after a lost reply.
                elected.push(election.partition);
                continue;
            }
            // The old leader may still be appending while one of its journals has no fixed tail.
            let old_leader_stopped = !self.has_leader(row)
                && !self.journals.values().any(|journal| {
                    journal.owner == row.leader
                        && journal.incarnation == row.leader_incarnation
                        && journal.row().last().is_none()
                });
            if row.leader_epoch != election.expect
                || election.start < row.tiered_end
                || !old_leader_stopped
            {
                continue;
            }
            let row = led_by(row, broker, incarnation, election.start);
            self.set_leader(election.partition, row);
            elected.push(election.partition);
        }
        Reply::Elected(elected)
    }

    /// A transfer that does not fit is skipped: the partition is led by whom it was.
    pub(super) fn transfer_leaders(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        transfers: &[LeaderTransfer],
    ) -> Reply {
        let mut transferred = Vec::new();
        for transfer in transfers {
            let Some(row) = self.partitions.get(&transfer.partition) else { continue };
            let next = self.brokers.get(&transfer.to);
            let Some(next) = next.filter(|next| next.state == BrokerState::Active) else {
                continue;
            };
            if row.leader == transfer.to && row.leader_epoch == transfer.expect.next() {
                // A repeat after a lost reply.
                transferred.push(transfer.partition);
                continue;
            }
            let is_leader = (row.leader, row.leader_incarnation) == (broker, incarnation);
            let is_tiered = row.tiered_end == transfer.start;
            if !is_leader || row.leader_epoch != transfer.expect || !is_tiered {
                continue;
            }
            let row = led_by(row, transfer.to, next.incarnation, transfer.start);
            self.set_leader(transfer.partition, row);
            transferred.push(transfer.partition);
        }
        Reply::Elected(transferred)
    }

    /// Takes over a row with a new leader; a move there is done.
    fn set_leader(&mut self, id: PartitionId, row: Partition) {
        if self.moves.get(&id) == Some(&row.leader) {
            self.moves.remove(&id);
        }
        self.partitions.insert(id, Arc::new(row));
    }

    pub(super) fn move_leaders(&mut self, moves: &[(PartitionId, Option<BrokerId>)]) -> Outcome {
        for (id, to) in moves {
            if !self.partitions.contains_key(id) {
                return Err(Rejected::UnknownPartition(*id));
            }
            let unknown = to.filter(|to| !self.brokers.contains_key(to));
            if let Some(unknown) = unknown {
                return Err(Rejected::UnknownBroker(unknown));
            }
        }
        for (id, to) in moves {
            let leader = self.partitions.get(id).map(|row| row.leader);
            match to {
                Some(to) if leader != Some(*to) => self.moves.insert(*id, *to),
                _ => self.moves.remove(id),
            };
        }
        Ok(Reply::Done)
    }

    pub(super) fn set_log_start(&mut self, changes: &[(PartitionId, Offset)]) {
        for (pid, start) in changes {
            let Some(row) = self.partitions.get(pid) else { continue };
            if *start <= row.log_start {
                continue;
            }
            let mut partition = Partition::clone(row);
            partition.log_start = *start;
            self.drop_below_log_start(*pid, &mut partition);
            self.partitions.insert(*pid, Arc::new(partition));
        }
    }

    /// Lets go of extents and manifests that end at or before the log start. One that is cut through stays, and so do
    /// those that nothing else has for what they say of producers.
    pub(super) fn drop_below_log_start(&mut self, pid: PartitionId, partition: &mut Partition) {
        self.drop_superseded_snapshot(pid, partition);
        let start = partition.log_start;
        let gone = partition.manifests.iter().take_while(|m| m.end <= start).count();
        for manifest in partition.manifests.drain(..gone) {
            self.release_object(partition.topic, manifest.object, manifest.bytes);
        }
        let is_below = partition.extents.first().is_some_and(|extent| extent.end <= start);
        if partition.manifests.is_empty() && is_below {
            let end = start.min(self.producers_needed_from(pid, partition));
            let gone = partition.extents.iter().take_while(|e| e.end <= end).count();
            let dropped: Vec<_> = partition.extents.drain(..gone).collect();
            self.release_extents(partition.topic, &dropped);
        }
        // Epochs that end before the log start answer no question any more, the one that covers it does.
        let kept_from = partition.epochs.partition_point(|epoch| epoch.start <= start);
        partition.epochs.drain(..kept_from.saturating_sub(1));
    }
}

/// The row of a partition under its next leader, whose epoch begins at `start`.
fn led_by(row: &Partition, broker: BrokerId, incarnation: Incarnation, start: Offset) -> Partition {
    let mut partition = row.clone();
    partition.leader = broker;
    partition.leader_incarnation = incarnation;
    partition.leader_epoch = partition.leader_epoch.next();
    // An epoch in which nothing was written leaves no trace.
    partition.epochs.retain(|earlier| earlier.start < start);
    partition.epochs.push(EpochStart { epoch: partition.leader_epoch, start });
    if partition.epochs.len() > Partition::EPOCHS_MAX {
        partition.epochs.remove(0);
    }
    partition
}
