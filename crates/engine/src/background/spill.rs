//! Spilling a partition's oldest extents out of the metadata into manifest segments.
//!
//! Optimistic as a [merge](crate::background::merge): the metadata takes the manifest only where
//! the extents are still what the writer saw.

use crate::background::merge::is_alone;
use crate::background::retention::ages_from;
use crate::context::Context;
use crate::objects::object_ids::ObjectIds;
use crate::objects::part_flags::part_flags;
use crate::objects::stored::StoredExtent;
use esker_env::{BucketError, ObjectKey};
use esker_meta::{Command, Extent, ManifestRef, State};
use esker_meta_client::MetaError;
use esker_object::{ManifestEntry, encode_manifest, manifest_key};
use esker_types::PartitionId;
use std::sync::Arc;

/// Extents that stay in the metadata when older ones are spilled.
const KEPT_INLINE: usize = 16;

/// Why a spill was put off.
#[derive(Debug, thiserror::Error)]
enum SpillError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Spills extents into manifests.
pub(crate) struct Spiller {
    context: Arc<Context>,
    ids: Arc<ObjectIds>,
}

impl Spiller {
    pub(crate) fn new(context: &Arc<Context>, ids: &Arc<ObjectIds>) -> Self {
        Self { context: Arc::clone(context), ids: Arc::clone(ids) }
    }

    /// Moves the oldest extents of partitions that have too many into manifest segments: of those that this broker leads,
    /// so that two do not do it at once.
    pub(crate) async fn spill_due(&self) -> Result<(), MetaError> {
        let state = self.context.image();
        for (pid, row) in &state.partitions {
            let enough = self.context.options.extents_inline.max(KEPT_INLINE);
            if row.leader != self.context.options.broker || row.extents.len() <= enough {
                continue;
            }
            // Only objects of this partition alone can leave the metadata; flush objects wait for
            // their merge.
            let spilled: Vec<_> = row.extents[..row.extents.len() - KEPT_INLINE]
                .iter()
                .take_while(|extent| is_alone(&state, row, extent))
                .copied()
                .collect();
            match self.spill(&state, *pid, &spilled).await {
                Ok(()) => {}
                Err(SpillError::Meta(error)) => return Err(error),
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
    ) -> Result<(), SpillError> {
        let (context, incarnation) = (&self.context, self.context.incarnation);
        let (Some(first), Some(last)) = (extents.first(), extents.last()) else { return Ok(()) };
        let mut reserved = self.ids.next().await?;
        let object = reserved.id();
        let ages = extents.iter().map(|e| ages_from(state, e.object, e.max_timestamp));
        let manifest = ManifestRef {
            object,
            base: first.base,
            end: last.end,
            count: u32::try_from(extents.len()).expect("a few hundred extents"),
            bytes: extents.iter().map(|extent| extent.bytes).sum(),
            max_timestamp: ages.max().unwrap_or_default(),
        };
        let entries: Vec<_> = extents.iter().map(|extent| entry_of(state, extent)).collect();
        let encoded = encode_manifest(pid, object, incarnation, &entries);
        let len = encoded.len() as u64;
        let key = ObjectKey::new(&manifest_key(object, incarnation));
        context.bucket.put(&key, vec![encoded]).await?;
        context.env.fail_point("spill: stored").await;
        let command = Command::SpillManifest {
            broker: context.options.broker,
            incarnation,
            partition: pid,
            expect: extents.to_vec(),
            manifest,
            len,
        };
        context.propose_until_known(command).await?;
        reserved.commit();
        Ok(())
    }
}

fn entry_of(state: &State, extent: &Extent) -> ManifestEntry {
    let stored = StoredExtent::of_extent(state, extent);
    ManifestEntry {
        base: stored.base,
        end: stored.end,
        object: stored.object,
        incarnation: stored.incarnation,
        len: stored.len,
        meta_pos: stored.meta_position,
        bytes: stored.bytes,
        max_timestamp: stored.max_timestamp,
        flags: part_flags(stored.flags),
    }
}
