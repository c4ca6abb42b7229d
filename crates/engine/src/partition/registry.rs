//! The topics of the image with the partitions that this broker leads: what requests look things up
//! in.

use crate::partition::led::Partition;
use crate::partition::settings::TopicSettings;
use esker_types::{PartitionIndex, TopicId, TopicName};
use imbl::OrdMap;
use std::sync::Arc;

/// All topics. An immutable value: a request works on the one it took.
#[derive(Debug, Clone, Default)]
pub struct TopicRegistry {
    by_name: OrdMap<TopicName, Arc<TopicEntry>>,
    by_id: OrdMap<TopicId, Arc<TopicEntry>>,
}

/// A topic.
#[derive(Debug)]
pub struct TopicEntry {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// Its settings.
    pub settings: Arc<TopicSettings>,
    /// Its partitions by index; `None` where this broker does not lead.
    pub partitions: Vec<Option<Arc<Partition>>>,
}

impl TopicEntry {
    /// The partition `index`: the outer `None` when there is no such partition, the inner when
    /// another broker leads it (or nobody does).
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<Option<&Arc<Partition>>> {
        let place = usize::try_from(index.get()).ok()?;
        self.partitions.get(place).map(Option::as_ref)
    }
}

impl TopicRegistry {
    /// The topic of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicEntry>> {
        self.by_name.get(name)
    }

    /// The topic with this id.
    #[must_use]
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicEntry>> {
        self.by_id.get(&id)
    }

    /// All topics, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicEntry>> {
        self.by_name.values()
    }

    pub(crate) fn insert(&mut self, topic: Arc<TopicEntry>) {
        self.by_name.insert(topic.name.clone(), Arc::clone(&topic));
        self.by_id.insert(topic.id, topic);
    }

    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Arc<TopicEntry>> {
        let topic = self.by_id.remove(&id)?;
        // The name may belong to a newer topic by now.
        if self.by_name.get(&topic.name).is_some_and(|named| named.id == id) {
            self.by_name.remove(&topic.name);
        }
        Some(topic)
    }
}
