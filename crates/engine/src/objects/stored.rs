//! Where runs of a partition's offsets lie in objects, as extents and manifests say.

use crate::objects::error::{ObjectDamage, ObjectReadError};
use crate::objects::part_flags::extent_flags;
use esker_cache::CachedObject;
use esker_env::ObjectKey;
use esker_meta::{Extent, ExtentFlags, ProducerSnapshotRef, State};
use esker_object::{ManifestEntry, OBJECT_HEADER_BYTES, ObjectMeta, Part, data_key};
use esker_types::{Incarnation, ObjectId, Offset, PartitionId, Timestamp};

/// An extent of a partition with what it takes to read its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredExtent {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) object: ObjectId,
    pub(crate) incarnation: Incarnation,
    pub(crate) len: u64,
    pub(crate) meta_position: u64,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) bytes: u64,
    pub(crate) flags: ExtentFlags,
}

impl StoredExtent {
    /// An extent that the metadata names.
    pub(crate) fn of_extent(state: &State, extent: &Extent) -> Self {
        let object = state.objects.get(&extent.object).expect("an extent's object has a row");
        Self {
            base: extent.base,
            end: extent.end,
            object: extent.object,
            incarnation: object.incarnation,
            len: object.len,
            meta_position: object.meta_position,
            max_timestamp: extent.max_timestamp,
            bytes: extent.bytes,
            flags: extent.flags,
        }
    }

    /// An extent that a manifest lists.
    pub(crate) fn of_entry(entry: &ManifestEntry) -> Self {
        Self {
            base: entry.base,
            end: entry.end,
            object: entry.object,
            incarnation: entry.incarnation,
            len: entry.len,
            meta_position: entry.meta_pos,
            max_timestamp: entry.max_timestamp,
            bytes: entry.bytes,
            flags: extent_flags(entry.flags),
        }
    }

    /// The object that says of a partition's producers what no extent says any more.
    pub(crate) fn of_producers(state: &State, snapshot: &ProducerSnapshotRef) -> Option<Self> {
        let id = snapshot.object?;
        let object = state.objects.get(&id).expect("what is referred to has a row");
        Some(Self {
            base: Offset::ZERO,
            end: snapshot.upto,
            object: id,
            incarnation: object.incarnation,
            len: object.len,
            meta_position: object.meta_position,
            max_timestamp: Timestamp::NONE,
            bytes: 0,
            flags: ExtentFlags::default(),
        })
    }

    /// Whether none of its records has a timestamp.
    pub(crate) fn has_no_times(&self) -> bool {
        self.flags.has(ExtentFlags::NO_TIMES)
    }

    /// Whether the object holds nothing else.
    pub(crate) fn is_lone(&self) -> bool {
        self.meta_position == OBJECT_HEADER_BYTES as u64 + self.bytes
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(&data_key(self.object, self.incarnation))
    }

    pub(crate) fn cached(&self) -> CachedObject {
        CachedObject { id: self.object, key: self.key(), len: self.len }
    }

    /// The part of `partition` in the object, whose footer is `meta`.
    pub(crate) fn find_part(
        &self,
        meta: &ObjectMeta,
        partition: PartitionId,
    ) -> Result<Part, ObjectReadError> {
        meta.find(partition).ok_or_else(|| {
            let object = self.object;
            let source = ObjectDamage::NoPartition { object, partition };
            ObjectReadError::Corrupt { object, source }
        })
    }
}
