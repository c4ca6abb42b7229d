//! Merging a partition's extents into larger objects of its own, and spilling its oldest extents into manifests.
//!
//! Both are optimistic: the metadata takes the swap only where the extents are still what the writer saw. Bytes of a
//! partition that moved on meanwhile are dead on arrival, which costs space and nothing else.

use crate::background::merge_policy::{Benefit, MergePolicy};
use crate::background::retention::ages_from;
use crate::engine::{Engine, bytes_of};
use crate::objects::part_flags::{extent_flags, part_flags};
use crate::objects::tiered::{ObjectReadError, Stored, find_part, stored_extent};
use crate::partition::cpu_yield::CpuYield;
use crate::partition::led::Partition;
use crate::serve::producer_state::{kind_of, section_of, table_of};
use bytes::Bytes;
use esker_env::{BucketError, ObjectKey, timeout};
use esker_meta::{
    Command, Extent, ExtentFlags, ExtentSwap, FlushedObject, ManifestRef, ObjectKind, State,
};
use esker_meta_client::MetaError;
use esker_object::{
    BatchMeta, BlockFlags, Encoded, ManifestEntry, ObjectBuilder, encode_manifest, manifest_key,
};
use esker_plog::ProducerTable;
use esker_record::batches;
use esker_types::{Bug, ByteCount, ObjectId, Offset, PartitionId, planted};
use std::sync::Arc;
use std::time::Duration;

/// Extents that stay in the metadata when older ones are spilled.
const KEPT_INLINE: usize = 16;

/// With so many times the extents that are worth a merge it is urgent: some times more, and the metadata takes no flush.
const URGENT_EXTENTS_FACTOR: usize = 2;
/// After a merge nothing is merged for so many times as long as it took.
const THROTTLE_FACTOR: u32 = 3;
const THROTTLE_MAX: Duration = Duration::from_secs(1);

/// Why a merge or spill was put off.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error(transparent)]
    Cold(#[from] ObjectReadError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error("{1}")]
    Damaged(ObjectId, String),
}

/// What was met when `object` was read.
fn of_source(object: ObjectId) -> impl Fn(ObjectReadError) -> MergeError + Copy {
    move |error| match error {
        ObjectReadError::Corrupt(problem) | ObjectReadError::Gone(problem) => {
            MergeError::Damaged(object, problem)
        }
        ObjectReadError::Unavailable(_) => error.into(),
    }
}

impl Engine {
    /// Merges every partition that has many small extents.
    ///
    /// One after the other with rests, for a disk, a line or a processor that is busy with merges makes clients wait; without
    /// rests when flushes would soon find no room for more extents.
    pub(crate) async fn merge_due(self: &Arc<Self>) -> Result<(), MetaError> {
        let image = self.meta().image();
        self.quarantine.forget_deleted(&image);
        let mut hurry = self.has_urgent_merge(image.partitions.keys());
        for pid in image.partitions.keys() {
            let state = self.meta().image();
            let Some(row) = state.partitions.get(pid) else { continue };
            let Some(partition) = self.partition(*pid) else { continue };
            self.check_extent_limit(&state, &partition);
            // One run a round: the next one is judged by what this one made of the extents.
            let Some(run) = self.run_to_merge(&state, row) else { continue };
            if !hurry && self.flush_pressure().is_behind() {
                hurry = self.rest(THROTTLE_MAX).await;
            }
            let began = self.env().clock.now();
            match self.merge(&state, &partition, run).await {
                Ok(()) => self.quarantine.forget(run.iter().map(|extent| extent.object)),
                Err(MergeError::Meta(error)) => return Err(error),
                Err(MergeError::Damaged(object, problem)) => {
                    self.quarantine.found(object, self.env().clock.now());
                    let (topic, index) = (&partition.name, partition.index);
                    tracing::warn!(
                        problem, %topic, partition = %index,
                        "an object is damaged; what cannot be read of it is refused, and it is not merged"
                    );
                }
                Err(error) => tracing::debug!(%error, partition = %pid, "merge put off"),
            }
            if !hurry {
                let took = self.env().clock.now().since(began);
                hurry = self.rest((took * THROTTLE_FACTOR).min(THROTTLE_MAX)).await;
            }
        }
        Ok(())
    }

    /// Waits, and answers whether somebody waits for housekeeping meanwhile.
    async fn rest(&self, wait: Duration) -> bool {
        let wanted = std::pin::pin!(self.maintenance_requested.notified());
        timeout(&*self.env().clock, wait, wanted).await.is_ok()
    }

    /// Most bytes of a merge.
    fn merge_bytes_max(&self) -> u64 {
        // A flush finds room beside a merge: what is acknowledged does not wait for what tidies up.
        let beside = self.background.total().saturating_sub(self.rule().max_bytes());
        self.options().segment_bytes_max.get().min(beside as u64)
    }

    /// Whether one of the partitions has so much to merge that it should not wait.
    pub(crate) fn has_urgent_merge<'a>(
        &self,
        mut partitions: impl Iterator<Item = &'a PartitionId>,
    ) -> bool {
        let state = self.meta().image();
        let urgent = self.merge_policy().urgent;
        partitions.any(|pid| {
            state.partitions.get(pid).is_some_and(|row| {
                row.extents.len() >= urgent && self.run_to_merge(&state, row).is_some()
            })
        })
    }

    fn merge_policy(&self) -> MergePolicy {
        let count = self.options().merge_extents;
        MergePolicy {
            count,
            bytes_max: self.merge_bytes_max(),
            urgent: URGENT_EXTENTS_FACTOR * count,
            inline: self.options().extents_inline,
        }
    }

    /// The oldest extents of a partition that are worth a merge.
    fn run_to_merge<'a>(
        &self,
        state: &State,
        row: &'a esker_meta::Partition,
    ) -> Option<&'a [Extent]> {
        let now = self.env().clock.now();
        self.merge_policy().run(&row.extents, |extent| {
            if self.quarantine.rests(extent.object, now) {
                Benefit::None
            } else if !is_alone(state, row, extent) {
                Benefit::Room
            } else if extent.bytes < self.options().segment_bytes_min.get() {
                Benefit::Requests
            } else {
                Benefit::None
            }
        })
    }

    async fn merge(
        self: &Arc<Self>,
        state: &State,
        partition: &Partition,
        run: &[Extent],
    ) -> Result<(), MergeError> {
        let pid = partition.id;
        let bytes: u64 = run.iter().map(|extent| extent.bytes).sum();
        let _memory = self.background.acquire(bytes_of(ByteCount(bytes))).await;
        let row = &state.partitions[&pid];
        let mut taken = self.ids.next().await?;
        let object = taken.id();
        let mut builder =
            ObjectBuilder::new(object, self.incarnation(), esker_object::ObjectKind::Segment);
        let part = builder.partition(pid, row.topic, row.index);
        let mut producers = ProducerTable::default();
        let mut full = false;
        // Nobody waits for a merge.
        let mut cpu = CpuYield::new(self.flush_pressure(), true);
        for extent in run {
            part.ages_from(ages_from(state, extent.object, extent.max_timestamp));
            let stored = stored_extent(state, extent);
            let damaged = of_source(extent.object);
            let meta = self.cold.object(&stored).await.map_err(damaged)?;
            let source = find_part(&meta, partition, &stored).map_err(damaged)?;
            if extent.flags.has(ExtentFlags::PRODUCERS_FULL) {
                full = true;
                producers = ProducerTable::default();
            }
            producers.merge(table_of(&meta, &source));
            let blocks: Vec<_> = meta.blocks_from(&source, extent.base).collect();
            let pieces = self.cold.blocks_once(&stored, &blocks).await.map_err(damaged)?;
            for (block, bytes) in blocks.iter().zip(&pieces) {
                if planted(Bug::MergeLosesBatch) && block.base_offset > run[0].base {
                    continue;
                }
                push_batches(part, bytes, &mut cpu).map_err(damaged)?;
            }
        }
        if !producers.is_empty() || full {
            part.producers(kind_of(full), section_of(&producers));
        }
        let encoded: Encoded = builder.finish();
        self.put(object, &encoded).await?;
        self.env().fail_point("merge: stored").await;
        let new = encoded
            .partitions
            .iter()
            .map(|part| Extent {
                base: part.base,
                end: part.end,
                object,
                bytes: part.bytes,
                max_timestamp: part.ages_from,
                flags: extent_flags(part.flags),
            })
            .collect();
        let command = Command::ReplaceExtents {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            objects: vec![FlushedObject {
                object,
                kind: ObjectKind::Segment,
                len: encoded.len,
                meta_position: encoded.meta_pos,
            }],
            swaps: vec![ExtentSwap { partition: pid, expect: run.to_vec(), new }],
        };
        self.propose_until_known(command).await?;
        taken.commit();
        Ok(())
    }

    /// Moves the oldest extents of partitions that have too many into manifest segments.
    pub(crate) async fn spill_due(&self) -> Result<(), MetaError> {
        let state = self.meta().image();
        for (pid, row) in &state.partitions {
            if row.extents.len() <= self.options().extents_inline.max(KEPT_INLINE) {
                continue;
            }
            // Only objects of this partition alone can leave the metadata; flush objects wait for their merge.
            let spilled: Vec<_> = row.extents[..row.extents.len() - KEPT_INLINE]
                .iter()
                .take_while(|extent| is_alone(&state, row, extent))
                .copied()
                .collect();
            match self.spill(&state, *pid, &spilled).await {
                Ok(()) => {}
                Err(MergeError::Meta(error)) => return Err(error),
                Err(error) => tracing::debug!(%error, partition = %pid, "spill put off"),
            }
        }
        Ok(())
    }

    async fn spill(
        &self,
        state: &State,
        pid: PartitionId,
        extents: &[Extent],
    ) -> Result<(), MergeError> {
        let (Some(first), Some(last)) = (extents.first(), extents.last()) else { return Ok(()) };
        let mut taken = self.ids.next().await?;
        let object = taken.id();
        let entries: Vec<_> = extents
            .iter()
            .map(|extent| {
                let Stored {
                    base,
                    end,
                    object,
                    incarnation,
                    len,
                    meta_position,
                    max_timestamp,
                    bytes,
                    flags,
                } = stored_extent(state, extent);
                let flags = part_flags(flags);
                let meta_pos = meta_position;
                ManifestEntry {
                    base,
                    end,
                    object,
                    incarnation,
                    len,
                    meta_pos,
                    bytes,
                    max_timestamp,
                    flags,
                }
            })
            .collect();
        let ages = extents.iter().map(|e| ages_from(state, e.object, e.max_timestamp));
        let encoded = encode_manifest(pid, object, self.incarnation(), &entries);
        let manifest = ManifestRef {
            object,
            base: first.base,
            end: last.end,
            count: u32::try_from(extents.len()).expect("a few hundred extents"),
            bytes: extents.iter().map(|extent| extent.bytes).sum(),
            max_timestamp: ages.max().unwrap_or_default(),
        };
        let len = encoded.len() as u64;
        let key = ObjectKey::new(&manifest_key(object, self.incarnation()));
        self.bucket().put(&key, vec![encoded]).await?;
        self.env().fail_point("spill: stored").await;
        let command = Command::SpillManifest {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            partition: pid,
            expect: extents.to_vec(),
            manifest,
            len,
        };
        self.propose_until_known(command).await?;
        taken.commit();
        Ok(())
    }
}

/// Whether nothing but this extent refers to its object.
fn is_alone(state: &State, row: &esker_meta::Partition, extent: &Extent) -> bool {
    let object = &state.objects[&extent.object];
    object.kind == ObjectKind::Segment && object.references == [(row.topic, 1)]
}

fn push_batches(
    part: &mut ObjectBuilder,
    block: &Bytes,
    cpu: &mut CpuYield,
) -> Result<(), ObjectReadError> {
    let mut at = 0;
    for batch in batches(block) {
        let batch = batch.map_err(|error| ObjectReadError::Corrupt(error.to_string()))?;
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
