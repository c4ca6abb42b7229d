//! What must hold in every state. The simulator checks it after every command, the server after every snapshot.

use crate::state::State;
use esker_types::{ObjectId, TopicId};
use std::collections::BTreeMap;

impl State {
    /// Says what is wrong with this state, if anything.
    ///
    /// # Errors
    /// A sentence naming the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let mut references: BTreeMap<ObjectId, (BTreeMap<TopicId, u32>, u64)> = BTreeMap::new();
        for (id, partition) in &self.partitions {
            let topic = self.topics.get(&partition.topic).ok_or_else(|| {
                format!("partition {id} is of topic {}, which is not there", partition.topic)
            })?;
            let index = usize::try_from(partition.index.get()).map_err(|e| e.to_string())?;
            if topic.partitions.get(index) != Some(id) {
                return Err(format!("topic {} does not list partition {id}", topic.name));
            }
            let manifests = partition.manifests.iter().map(|m| (m.base, m.end, m.object, m.bytes));
            let extents = partition.extents.iter().map(|e| (e.base, e.end, e.object, e.bytes));
            let mut next = partition.tiered_start();
            if next > partition.log_start.min(partition.tiered_end) {
                return Err(format!(
                    "partition {id} starts at {} but is tiered from {next}",
                    partition.log_start
                ));
            }
            for (base, end, object, bytes) in manifests.chain(extents) {
                if base != next || end <= base {
                    return Err(format!(
                        "partition {id}: extent {base}..{end} does not continue {next}"
                    ));
                }
                next = end;
                let entry = references.entry(object).or_default();
                *entry.0.entry(partition.topic).or_default() += 1;
                entry.1 += bytes;
            }
            if next != partition.tiered_end {
                return Err(format!(
                    "partition {id} is tiered to {next}, not {}",
                    partition.tiered_end
                ));
            }
            let rising = partition
                .epochs
                .windows(2)
                .all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start);
            let last = partition.epochs.last().map(|e| e.epoch);
            if !rising || last != Some(partition.leader_epoch) {
                return Err(format!("partition {id}: leader epochs {:?}", partition.epochs));
            }
        }
        for (id, told) in &self.producers {
            let row = self.partitions.get(id);
            let row =
                row.ok_or_else(|| format!("producers of partition {id}, which is not there"))?;
            if told.upto > row.tiered_end || self.producer_sources(*id, row).snapshot.is_none() {
                return Err(format!(
                    "partition {id}: producers are told up to {} beside an extent that says everything, or beyond {}",
                    told.upto, row.tiered_end
                ));
            }
            if let Some(object) = told.object {
                *references.entry(object).or_default().0.entry(row.topic).or_default() += 1;
            }
        }
        for (id, object) in &self.objects {
            let (counted, bytes) = references.remove(id).unwrap_or_default();
            if !object.references.iter().copied().eq(counted) || object.live_bytes != bytes {
                return Err(format!("object {id} counts {:?}", object.references));
            }
            if object.references.is_empty() || self.garbage.contains_key(id) {
                return Err(format!("object {id} is kept and dead"));
            }
        }
        if let Some(object) = references.keys().next() {
            return Err(format!("object {object} is referred to and has no row"));
        }
        for (id, journal) in &self.journals {
            if journal.row().last().is_some_and(|last| journal.drained >= last) {
                return Err(format!("journal {id} is drained to its end and kept"));
            }
        }
        for (id, topic) in &self.topics {
            if self.topic_names.get(&topic.name) != Some(id) {
                return Err(format!("topic {} is not found by its name", topic.name));
            }
        }
        Ok(())
    }
}
