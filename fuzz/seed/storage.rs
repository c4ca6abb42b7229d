//! `object_footer` and `manifest`: what our own writers make.

use std::io;

use bytes::Bytes;
use esker_object::{
    AbortedTxn, BatchMeta, BlockFlags, ManifestEntry, ObjectBuilder, ObjectKind, PartFlags,
    ProducerBatch, ProducerEntry, ProducerKind, encode_manifest,
};
use esker_types::{
    Incarnation, LeaderEpoch, ObjectId, Offset, PartitionId, PartitionIndex, ProducerEpoch,
    ProducerId, Timestamp, TopicId,
};

use crate::Corpus;

pub(crate) fn write(corpus: &Corpus) -> io::Result<()> {
    for parts in 0..4 {
        corpus.put("object_footer", &format!("parts-{parts}"), &end(parts))?;
        let entries = i64::from(parts) + 1;
        corpus.put("manifest", &format!("entries-{entries}"), &manifest(entries))?;
    }
    Ok(())
}

/// The length of an object's data, in one byte, and its end: parts with and without batches, with all details.
fn end(parts: u32) -> Vec<u8> {
    let mut object = ObjectBuilder::new(ObjectId(1), Incarnation(2), ObjectKind::Flush);
    for part in 0..parts {
        object.partition(PartitionId(part.into()), TopicId::ZERO, PartitionIndex(0));
        if part % 2 == 1 {
            let meta = BatchMeta {
                base_offset: Offset(5),
                last_offset: Offset(6),
                max_timestamp: Timestamp(7),
                leader_epoch: LeaderEpoch(1),
                flags: BlockFlags::HAS_TXN,
            };
            object.push_batch(meta, Bytes::from_static(b"batch"));
        }
        object.range(Offset(1), Offset(9));
        object.aborted(AbortedTxn {
            producer: ProducerId(1),
            first_offset: Offset(1),
            last_offset: Offset(2),
            last_stable_offset: Offset(1),
        });
        let batch = ProducerBatch {
            first_sequence: 0,
            last_sequence: 1,
            base_offset: Offset(5),
            last_offset: Offset(6),
            timestamp: Timestamp(7),
        };
        let producer = ProducerEntry {
            producer: ProducerId(1),
            epoch: ProducerEpoch(0),
            coordinator_epoch: -1,
            open_txn_first: None,
            last_seen: Timestamp(7),
            batches: vec![batch; part as usize],
        };
        object.producers(ProducerKind::Full, vec![producer]);
    }
    let data_len = u8::try_from(object.data_len()).expect("a few bytes");
    let end = object.finish().parts.pop().expect("the end is the last piece");
    [&[data_len], &end[..]].concat()
}

fn manifest(count: i64) -> Bytes {
    let entry = |number: i64| ManifestEntry {
        base: Offset(number * 10),
        end: Offset(number * 10 + 10),
        object: ObjectId(7),
        incarnation: Incarnation(1),
        len: 100,
        meta_pos: 50,
        bytes: 40,
        max_timestamp: Timestamp(3),
        flags: PartFlags::default(),
    };
    let entries: Vec<_> = (0..count).map(entry).collect();
    encode_manifest(PartitionId(1), ObjectId(2), Incarnation(3), &entries)
}
