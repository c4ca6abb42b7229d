//! Committed offsets, and how many changes of each are on their way through the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName};

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset that the group will read.
    pub offset: Offset,
    /// Leader epoch of the last record read, or [`LeaderEpoch::NONE`].
    pub leader_epoch: LeaderEpoch,
    /// Text of the client.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it expires, where the client chose that.
    pub expire_timestamp: Option<Timestamp>,
    /// The topic's id, or [`TopicId::ZERO`] where it was not known.
    pub topic_id: TopicId,
}

/// One partition of a group. Never empty: it is removed with its last content.
#[derive(Debug, Default)]
struct Slot {
    committed: Option<CommittedOffset>,
    /// Appends under way that set or remove the offset.
    pending: u32,
}

type Partitions = BTreeMap<PartitionIndex, Slot>;
type Topics = BTreeMap<TopicName, Partitions>;

/// The offsets of a shard.
#[derive(Debug, Default)]
pub(crate) struct OffsetStore {
    groups: BTreeMap<GroupId, Topics>,
}

impl OffsetStore {
    /// A change of the offset is on its way.
    pub(crate) fn begin(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) {
        self.slot(group, topic, partition).pending += 1;
    }

    fn slot(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) -> &mut Slot {
        let topics = self.groups.entry(group.clone()).or_default();
        topics.entry(topic.clone()).or_default().entry(partition).or_default()
    }

    /// A change has arrived.
    pub(crate) fn commit(
        &mut self,
        group: &GroupId,
        topic: &TopicName,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        self.slot(group, topic, partition).committed = value;
        self.end(group, topic, partition);
    }

    /// A change is no longer on its way.
    pub(crate) fn end(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) {
        let slot = self.slot(group, topic, partition);
        slot.pending = slot.pending.checked_sub(1).expect("every change that ends has begun");
        self.trim(group, topic, partition);
    }

    /// Sets what the log says, while loading.
    pub(crate) fn load(
        &mut self,
        group: &GroupId,
        topic: &TopicName,
        partition: PartitionIndex,
        value: Option<CommittedOffset>,
    ) {
        self.slot(group, topic, partition).committed = value;
        self.trim(group, topic, partition);
    }

    fn trim(&mut self, group: &GroupId, topic: &TopicName, partition: PartitionIndex) {
        let Some(topics) = self.groups.get_mut(group) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            if let Some(slot) = partitions.get(&partition)
                && slot.committed.is_none()
                && slot.pending == 0
            {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }

    /// The committed offset.
    pub(crate) fn get(
        &self,
        group: &str,
        topic: &str,
        partition: PartitionIndex,
    ) -> Option<&CommittedOffset> {
        self.groups.get(group)?.get(topic)?.get(&partition)?.committed.as_ref()
    }

    /// Whether there is a committed offset or a change under way.
    pub(crate) fn has_any(&self, group: &GroupId, topic: &str, partition: PartitionIndex) -> bool {
        self.groups
            .get(group)
            .and_then(|topics| topics.get(topic))
            .is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Partitions of a group with a committed offset, in order.
    pub(crate) fn committed(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&TopicName, PartitionIndex, &CommittedOffset)> {
        self.groups.get(group).into_iter().flatten().flat_map(|(topic, partitions)| {
            partitions.iter().filter_map(move |(&partition, slot)| {
                slot.committed.as_ref().map(|value| (topic, partition, value))
            })
        })
    }

    /// Partitions of a group with a committed offset or a change under way; the offset is `None` while any change
    /// is under way.
    pub(crate) fn all(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&TopicName, PartitionIndex, Option<&CommittedOffset>)> {
        self.groups.get(group).into_iter().flatten().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(&partition, slot)| {
                (topic, partition, slot.committed.as_ref().filter(|_| slot.pending == 0))
            })
        })
    }

    /// Groups with at least one offset or change, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }
}
