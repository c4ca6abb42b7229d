//! Merging a partition's extents into larger objects of its own.
//!
//! Optimistic: the metadata takes the swap only where the extents are still what the writer saw.
//! Bytes of a partition that moved on meanwhile are dead on arrival, which costs space and nothing
//! else.

use crate::background::merge_policy::{Benefit, MergePolicy};
use crate::background::retention::ages_from;
use crate::context::Context;
use crate::follow::Follower;
use crate::objects::error::ObjectReadError;
use crate::objects::object_ids::ObjectIds;
use crate::objects::part_flags::extent_flags;
use crate::objects::producer_state::{kind_of, section_of, table_of};
use crate::objects::quarantine::Quarantine;
use crate::objects::stored::StoredExtent;
use crate::objects::tiered::TieredReader;
use crate::partition::cpu_yield::{CpuYield, FlushPressure};
use crate::partition::led::Partition;
use bytes::Bytes;
use esker_env::{BucketError, Budget, timeout};
use esker_meta::{Command, Extent, ExtentFlags, ExtentSwap, FlushedObject, ObjectKind, State};
use esker_meta_client::MetaError;
use esker_object::{BatchMeta, BlockFlags, Encoded, ObjectBuilder};
use esker_plog::ProducerTable;
use esker_record::{BatchError, batches};
use esker_types::{Bug, ByteCount, ObjectId, Offset, PartitionId, planted};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// With so many times the extents that are worth a merge it is urgent: some times more, and the
/// metadata takes no flush.
const URGENT_EXTENTS_FACTOR: usize = 2;
/// After a merge nothing is merged for so many times as long as it took.
const THROTTLE_FACTOR: u32 = 3;
const THROTTLE_MAX: Duration = Duration::from_secs(1);

/// Why a merge was put off.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl MergeError {
    /// The object that is damaged, if that is why.
    fn damaged_object(&self) -> Option<ObjectId> {
        match self {
            Self::Object(error) => error.damaged_object(),
            Self::Bucket(_) | Self::Meta(_) => None,
        }
    }
}

/// What a merge works with.
pub(crate) struct MergeParts {
    pub(crate) context: Arc<Context>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) ids: Arc<ObjectIds>,
    pub(crate) tiered: Arc<TieredReader>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) flush_pressure: Arc<FlushPressure>,
    /// What flushes and merges hold.
    pub(crate) memory: Budget,
}

/// Merges small extents.
pub(crate) struct Merger {
    parts: MergeParts,
    policy: MergePolicy,
    /// Notified when a merge cannot wait for its turn.
    requested: Notify,
}

impl Merger {
    /// A flush, which holds `flush_bytes_max` at most, finds room beside a merge: what is
    /// acknowledged does not wait for what tidies up.
    pub(crate) fn new(parts: MergeParts, flush_bytes_max: usize) -> Self {
        let options = &parts.context.options;
        let beside = parts.memory.total().saturating_sub(flush_bytes_max);
        let policy = MergePolicy {
            count: options.merge_extents,
            bytes_max: options.segment_bytes_max.get().min(beside as u64),
            urgent: URGENT_EXTENTS_FACTOR * options.merge_extents,
            inline: options.extents_inline,
        };
        Self { parts, policy, requested: Notify::new() }
    }

    /// Asks for a round of maintenance now: without it there will be no flush.
    pub(crate) fn request(&self) {
        self.requested.notify_one();
    }

    /// Waits, and answers whether somebody asked for a merge meanwhile.
    pub(crate) async fn wait(&self, wait: Duration) -> bool {
        let requested = std::pin::pin!(self.requested.notified());
        timeout(&*self.parts.context.env.clock, wait, requested).await.is_ok()
    }

    /// Merges every partition that has many small extents.
    ///
    /// One after the other with rests, for a disk, a line or a processor that is busy with merges
    /// makes clients wait; without rests when flushes would soon find no room for more extents.
    pub(crate) async fn merge_due(&self) -> Result<(), MetaError> {
        let MergeParts { context, follower, quarantine, flush_pressure, .. } = &self.parts;
        let image = context.image();
        quarantine.forget_deleted(&image);
        let mut urgent = self.has_urgent(&image, image.partitions.keys());
        for pid in image.partitions.keys() {
            let state = context.image();
            let Some(row) = state.partitions.get(pid) else { continue };
            let Some(partition) = follower.partition(*pid) else { continue };
            quarantine.check_extent_limit(&state, &partition);
            // One run a round: the next one is judged by what this one made of the extents.
            let Some(run) = self.run_to_merge(&state, row) else { continue };
            if !urgent && flush_pressure.is_behind() {
                urgent = self.wait(THROTTLE_MAX).await;
            }
            let began = context.env.clock.now();
            match self.merge(&state, &partition, run).await {
                Ok(()) => quarantine.forget(run.iter().map(|extent| extent.object)),
                Err(MergeError::Meta(error)) => return Err(error),
                Err(error) => self.put_off(&partition, &error),
            }
            if !urgent {
                let took = context.env.clock.now().since(began);
                urgent = self.wait((took * THROTTLE_FACTOR).min(THROTTLE_MAX)).await;
            }
        }
        Ok(())
    }

    fn put_off(&self, partition: &Partition, error: &MergeError) {
        let Some(object) = error.damaged_object() else {
            tracing::debug!(%error, partition = %partition.id, "merge put off");
            return;
        };
        self.parts.quarantine.found(object, self.parts.context.env.clock.now());
        let (topic, index) = (&partition.name, partition.index);
        tracing::warn!(
            problem = %error, %topic, partition = %index,
            "an object is damaged; what cannot be read of it is refused, and it is not merged"
        );
    }

    /// Whether one of the partitions has so much to merge that it should not wait.
    pub(crate) fn has_urgent<'a>(
        &self,
        state: &State,
        mut partitions: impl Iterator<Item = &'a PartitionId>,
    ) -> bool {
        partitions.any(|pid| {
            state.partitions.get(pid).is_some_and(|row| {
                row.extents.len() >= self.policy.urgent && self.run_to_merge(state, row).is_some()
            })
        })
    }

    /// The oldest extents of a partition that are worth a merge.
    fn run_to_merge<'a>(
        &self,
        state: &State,
        row: &'a esker_meta::Partition,
    ) -> Option<&'a [Extent]> {
        let context = &self.parts.context;
        let now = context.env.clock.now();
        self.policy.run(&row.extents, |extent| {
            if self.parts.quarantine.rests(extent.object, now) {
                Benefit::None
            } else if !is_alone(state, row, extent) {
                Benefit::Room
            } else if extent.bytes < context.options.segment_bytes_min.get() {
                Benefit::Requests
            } else {
                Benefit::None
            }
        })
    }

    async fn merge(
        &self,
        state: &State,
        partition: &Partition,
        run: &[Extent],
    ) -> Result<(), MergeError> {
        let MergeParts { context, ids, memory, .. } = &self.parts;
        let bytes: u64 = run.iter().map(|extent| extent.bytes).sum();
        let _memory = memory.acquire(ByteCount(bytes).as_usize()).await;
        let mut reserved = ids.next().await?;
        let object = reserved.id();
        let encoded = self.build(object, state, partition, run).await?;
        context.put(object, &encoded).await?;
        context.env.fail_point("merge: stored").await;
        let mut new = extents_of(object, &encoded);
        if planted(Bug::MergeForgetsTimes) {
            new.iter_mut()
                .for_each(|extent| extent.max_timestamp = run[run.len() - 1].max_timestamp);
        }
        let command = Command::ReplaceExtents {
            broker: context.options.broker,
            incarnation: context.incarnation,
            objects: vec![FlushedObject {
                object,
                kind: ObjectKind::Segment,
                len: encoded.len,
                meta_position: encoded.meta_pos,
            }],
            swaps: vec![ExtentSwap { partition: partition.id, expect: run.to_vec(), new }],
        };
        context.propose_until_known(command).await?;
        reserved.commit();
        Ok(())
    }

    /// One object with everything that the extents hold and say.
    async fn build(
        &self,
        object: ObjectId,
        state: &State,
        partition: &Partition,
        run: &[Extent],
    ) -> Result<Encoded, ObjectReadError> {
        let MergeParts { context, tiered, flush_pressure, .. } = &self.parts;
        let row = &state.partitions[&partition.id];
        let kind = esker_object::ObjectKind::Segment;
        let mut builder = ObjectBuilder::new(object, context.incarnation, kind);
        let part = builder.partition(partition.id, row.topic, row.index);
        let mut producers = ProducerTable::default();
        let mut full = false;
        // Nobody waits for a merge.
        let mut cpu = CpuYield::new(flush_pressure, true);
        for extent in run {
            part.ages_from(ages_from(state, extent.object, extent.max_timestamp));
            let stored = StoredExtent::of_extent(state, extent);
            let meta = tiered.object(&stored).await?;
            let source = stored.find_part(&meta, partition.id)?;
            if extent.flags.has(ExtentFlags::PRODUCERS_FULL) {
                full = true;
                producers = ProducerTable::default();
            }
            producers.merge(table_of(&meta, &source));
            let blocks: Vec<_> = meta.blocks_from(&source, extent.base).collect();
            let pieces = tiered.blocks_once(&stored, &blocks).await?;
            for (block, bytes) in blocks.iter().zip(&pieces) {
                if planted(Bug::MergeLosesBatch) && block.base_offset > run[0].base {
                    continue;
                }
                push_batches(part, bytes, &mut cpu)
                    .map_err(ObjectReadError::of_batch(extent.object))?;
            }
        }
        if !producers.is_empty() || full {
            part.producers(kind_of(full), section_of(&producers));
        }
        Ok(builder.finish())
    }
}

/// The extents that a merged object makes.
fn extents_of(object: ObjectId, encoded: &Encoded) -> Vec<Extent> {
    let extent = |part: &esker_object::PartSummary| Extent {
        base: part.base,
        end: part.end,
        object,
        bytes: part.bytes,
        max_timestamp: part.ages_from,
        flags: extent_flags(part.flags),
    };
    encoded.partitions.iter().map(extent).collect()
}

/// Whether nothing but this extent refers to its object.
pub(crate) fn is_alone(state: &State, row: &esker_meta::Partition, extent: &Extent) -> bool {
    let object = &state.objects[&extent.object];
    object.kind == ObjectKind::Segment && object.references == [(row.topic, 1)]
}

fn push_batches(
    part: &mut ObjectBuilder,
    block: &Bytes,
    cpu: &mut CpuYield,
) -> Result<(), BatchError> {
    let mut at = 0;
    for batch in batches(block) {
        let batch = batch?;
        let meta = BatchMeta {
            base_offset: batch.base_offset(),
            last_offset: Offset(batch.last_offset().get()),
            max_timestamp: batch.max_timestamp(),
            leader_epoch: batch.partition_leader_epoch(),
            flags: BlockFlags::default(),
        };
        part.push_checked(meta, block.slice(at..at + batch.len()), batch.whole_crc());
        at += batch.len();
        cpu.step_done();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fixture, no_pressure};

    fn merger(fixture: &Fixture) -> Merger {
        let parts = MergeParts {
            context: Arc::clone(&fixture.context),
            follower: Arc::clone(&fixture.follower),
            ids: Arc::clone(&fixture.ids),
            tiered: Arc::clone(&fixture.tiered),
            quarantine: Arc::default(),
            flush_pressure: no_pressure(),
            memory: Budget::new(1 << 20),
        };
        Merger::new(parts, 0)
    }

    #[test]
    fn small_extents_become_one_that_says_what_they_said() {
        let fixture = Fixture::new(Default::default(), |options| options.merge_extents = 3);
        let (merger, partition) = (merger(&fixture), fixture.partition(0));
        merger.request();
        fixture.runtimes.block_on(async {
            for _ in 0..2 {
                fixture.put_extent(5).await;
            }
            merger.merge_due().await.unwrap();
            assert_eq!(fixture.row(partition.id).extents.len(), 2, "too few");
            fixture.put_extent(7).await;
            merger.merge_due().await.unwrap();
            let (state, row) = (fixture.context.image(), fixture.row(partition.id));
            let [extent] = row.extents[..] else { panic!("{:?}", row.extents) };
            assert_eq!((extent.base, extent.end), (Offset(0), Offset(3)));
            assert!(is_alone(&state, &row, &extent));
            let horizon = fixture.context.producer_horizon();
            let table = fixture.tiered.producers(&state, &row, partition.id, horizon).await;
            let last = table.unwrap().iter().map(|(_, state)| state.batches.len()).sum::<usize>();
            assert_eq!(last, 3);
        });
    }

    #[test]
    fn many_extents_are_urgent_and_a_request_ends_the_wait() {
        let fixture = Fixture::new(Default::default(), |options| options.merge_extents = 2);
        let (merger, partition) = (merger(&fixture), fixture.partition(0));
        let urgent = || merger.has_urgent(&fixture.context.image(), [partition.id].iter());
        fixture.runtimes.block_on(async {
            for _ in 0..3 {
                fixture.put_extent(5).await;
                assert!(!urgent());
            }
            fixture.put_extent(5).await;
            assert!(urgent());
            merger.request();
            assert!(merger.wait(Duration::from_hours(1)).await);
        });
    }
}
