//! A flush's objects: what each partition contributes, and their encoding.

use crate::journal::reader::loaded_bytes;
use crate::objects::object_ids::ReservedId;
use crate::objects::producer_state::{kind_of, section_of};
use crate::partition::cpu_yield::CpuYield;
use esker_meta::ObjectKind;
use esker_object::{BatchMeta, BlockFlags, Encoded, ObjectBuilder};
use esker_plog::{ProducerTable, TailBatch};
use esker_record::BatchView;
use esker_types::{Incarnation, ObjectId, Offset, PartitionId, PartitionIndex, TopicId};

/// What a partition contributes to a flush.
pub(crate) struct PartitionSlice {
    pub(crate) id: PartitionId,
    pub(crate) topic: TopicId,
    pub(crate) index: PartitionIndex,
    /// All in memory.
    pub(crate) batches: Vec<TailBatch>,
    pub(crate) bytes: usize,
    pub(crate) producers: ProducerTable,
    /// Whether `producers` are all that the partition knows of.
    pub(crate) full: bool,
}

/// An object of a flush.
pub(crate) struct EncodedObject {
    pub(crate) id: ReservedId,
    pub(crate) kind: ObjectKind,
    pub(crate) encoded: Encoded,
}

/// Encodes an object. Takes processor time: to be run off the shards.
pub(crate) fn encode(
    object: ObjectId,
    incarnation: Incarnation,
    kind: ObjectKind,
    slices: Vec<PartitionSlice>,
    mut cpu: CpuYield,
) -> Encoded {
    let kind = match kind {
        ObjectKind::Segment => esker_object::ObjectKind::Segment,
        _ => esker_object::ObjectKind::Flush,
    };
    let mut builder = ObjectBuilder::new(object, incarnation, kind);
    for slice in slices {
        let part = builder.partition(slice.id, slice.topic, slice.index);
        for batch in slice.batches {
            let bytes = loaded_bytes(&batch);
            let meta = BatchMeta {
                base_offset: batch.base,
                last_offset: Offset(batch.end.get() - 1),
                max_timestamp: batch.max_timestamp,
                leader_epoch: batch.leader_epoch,
                flags: BlockFlags::default(),
            };
            part.ages_from(batch.ages_from);
            match BatchView::parse(bytes) {
                Ok(view) => part.push_checked(meta, bytes.clone(), view.whole_crc()),
                Err(_) => part.push_batch(meta, bytes.clone()),
            };
            cpu.step_done();
        }
        if !slice.producers.is_empty() || slice.full {
            part.producers(kind_of(slice.full), section_of(&slice.producers));
        }
    }
    builder.finish()
}
