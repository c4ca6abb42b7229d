//! The formats of the bucket: what is written reads back, and nothing else reads at all.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers of tests panic as tests do; their numbers are small"
)]

use bytes::Bytes;
use esker_object::{
    AbortedTxn, BatchMeta, BlockFlags, Encoded, EpochStart, Manifest, ManifestEntry, ObjectBuilder,
    ObjectHeader, ObjectKind, ObjectMeta, PartFlags, ProducerBatch, ProducerEntry, ProducerKind,
    encode_manifest,
};
use esker_types::{
    Incarnation, LeaderEpoch, ObjectId, Offset, PartitionId, PartitionIndex, ProducerEpoch,
    ProducerId, Timestamp, TopicId,
};
use proptest::prelude::*;
use uuid::Uuid;

fn batch(base: i64, count: i64, timestamp: i64, epoch: i32) -> BatchMeta {
    BatchMeta {
        base_offset: Offset(base),
        last_offset: Offset(base + count - 1),
        max_timestamp: Timestamp(timestamp),
        leader_epoch: LeaderEpoch(epoch),
        flags: BlockFlags::default(),
    }
}

fn builder() -> ObjectBuilder {
    ObjectBuilder::new(ObjectId(0x1234), Incarnation(9), ObjectKind::Flush)
}

fn topic(number: u128) -> TopicId {
    TopicId(Uuid::from_u128(number))
}

fn producer(id: i64, batches: i32) -> ProducerEntry {
    let batches = (0..batches).map(|number| ProducerBatch {
        first_sequence: number * 10,
        last_sequence: number * 10 + 9,
        base_offset: Offset(i64::from(number) * 10),
        last_offset: Offset(i64::from(number) * 10 + 9),
        timestamp: Timestamp(5),
    });
    ProducerEntry {
        producer: ProducerId(id),
        epoch: ProducerEpoch(3),
        coordinator_epoch: -1,
        open_txn_first: (id % 2 == 0).then_some(Offset(4)),
        last_seen: Timestamp(77),
        batches: batches.collect(),
    }
}

fn aborted() -> AbortedTxn {
    AbortedTxn {
        producer: ProducerId(5),
        first_offset: Offset(1),
        last_offset: Offset(6),
        last_stable_offset: Offset(1),
    }
}

fn sample() -> Encoded {
    let mut object = builder();
    object
        .partition(PartitionId(3), topic(1), PartitionIndex(0))
        .push_batch(batch(10, 5, 100, 1), Bytes::from_static(b"first"))
        .push_batch(batch(15, 1, 90, 2), Bytes::from_static(b"second"))
        .aborted(aborted())
        .producers(ProducerKind::Delta, vec![producer(1, 2), producer(2, 0)]);
    object.partition(PartitionId(7), topic(2), PartitionIndex(4)).push_batch(
        BatchMeta { flags: BlockFlags::HAS_TXN, ..batch(0, 1, 5, 0) },
        Bytes::from_static(b"x"),
    );
    object.partition(PartitionId(8), topic(2), PartitionIndex(5)).range(Offset(4), Offset(9));
    object.finish()
}

fn whole(encoded: &Encoded) -> Vec<u8> {
    let bytes = encoded.parts.concat();
    assert_eq!(bytes.len() as u64, encoded.len);
    bytes
}

fn parse(encoded: &Encoded) -> ObjectMeta {
    let end = whole(encoded)[encoded.meta_pos as usize..].to_vec();
    assert_eq!(crc_fast::crc32_iscsi(&end), encoded.meta_crc);
    ObjectMeta::parse(end.into(), encoded.meta_pos).unwrap()
}

#[test]
fn an_object_tells_what_is_in_it() {
    let encoded = sample();
    let bytes = whole(&encoded);
    let meta = parse(&encoded);
    let header = ObjectHeader::parse(&bytes).unwrap();
    assert_eq!((header.object, header.incarnation), (ObjectId(0x1234), Incarnation(9)));
    assert_eq!((meta.header(), meta.object_len()), (header, encoded.len));
    assert_eq!(meta.part_count(), 3);
    assert_eq!(meta.find(PartitionId(4)), None);

    let part = meta.find(PartitionId(3)).unwrap();
    assert_eq!((part.topic, part.index), (topic(1), PartitionIndex(0)));
    assert_eq!((part.base, part.end, part.bytes), (Offset(10), Offset(16), 11));
    let told = PartFlags::PRODUCERS_DELTA.with(PartFlags::HAS_PRODUCERS);
    assert_eq!(part.flags, PartFlags::HAS_ABORTED.with(told));
    let blocks: Vec<_> = meta.blocks(&part).collect();
    assert_eq!(blocks.len(), 1);
    let at = blocks[0].position as usize;
    let content = &bytes[at..at + blocks[0].len as usize];
    assert_eq!(content, b"firstsecond");
    blocks[0].verify(content).unwrap();
    assert!(blocks[0].verify(b"firstsecone").is_err());
    let epochs: Vec<_> = meta.leader_epochs(&part).collect();
    let start = |epoch, start| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) };
    assert_eq!(epochs, [start(1, 10), start(2, 15)]);
    assert_eq!(meta.aborted(&part).collect::<Vec<_>>(), [aborted()]);
    assert_eq!(meta.producer_kind(&part), Some(ProducerKind::Delta));
    assert_eq!(meta.producers(&part).collect::<Vec<_>>(), [producer(1, 2), producer(2, 0)]);

    let part = meta.find(PartitionId(7)).unwrap();
    assert_eq!(part.flags, PartFlags::HAS_TXN);
    assert_eq!(meta.producer_kind(&part), None);
    let part = meta.find(PartitionId(8)).unwrap();
    assert_eq!(part.flags, PartFlags::COMPACTED.with(PartFlags::EMPTY_TAIL));
    assert_eq!(meta.blocks(&part).count(), 0);
    assert_eq!(encoded.partitions.len(), 3);
    assert_eq!(encoded.partitions[2].end, Offset(9));
}

#[test]
fn blocks_are_cut_and_found_by_offset_and_time() {
    let mut object = builder();
    object.partition(PartitionId(1), topic(1), PartitionIndex(0));
    for number in 0..100_i64 {
        // Offsets 20·n .. 20·n+10: the rest was compacted away. Times jump about.
        let meta = batch(number * 20, 10, 1000 + number + (number % 7) * 10, 0);
        object.push_batch(meta, vec![number as u8; 60_000].into());
    }
    let encoded = object.finish();
    let meta = parse(&encoded);
    let part = meta.find(PartitionId(1)).unwrap();
    let blocks: Vec<_> = meta.blocks(&part).collect();
    assert_eq!(blocks.len(), 20);
    assert!(blocks.iter().all(|block| block.len < (256 << 10) + 60_000));
    for offset in 0..2000 {
        let first = meta.blocks_from(&part, Offset(offset)).next();
        let expected = blocks.iter().find(|block| block.last_offset >= Offset(offset)).copied();
        assert_eq!(first, expected, "{offset}");
    }
    for timestamp in 990..1200 {
        let found = meta.offset_for_time(&part, Timestamp(timestamp));
        let exact = (0..100_i64).find(|n| 1000 + n + (n % 7) * 10 >= timestamp).map(|n| n * 20);
        match (found, exact) {
            (Some(found), Some(exact)) => {
                assert!(found <= Offset(exact) && found >= Offset(exact - 40), "{timestamp}");
            }
            (None, None) => {}
            other => panic!("{timestamp}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_the_end_is_noticed() {
    let encoded = sample();
    let end = whole(&encoded)[encoded.meta_pos as usize..].to_vec();
    for bit in 0..end.len() * 8 {
        let mut flipped = end.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(ObjectMeta::parse(flipped.into(), encoded.meta_pos).is_err(), "bit {bit}");
    }
    for len in 0..end.len() {
        let cut: Bytes = end[..len].to_vec().into();
        assert!(ObjectMeta::parse(cut, encoded.meta_pos).is_err());
        let cut: Bytes = end[end.len() - len..].to_vec().into();
        assert!(ObjectMeta::parse(cut, encoded.meta_pos).is_err());
    }
    let shifted = ObjectMeta::parse(end.into(), encoded.meta_pos + 1);
    assert!(shifted.is_err());
}

/// Adds a section of a type from the future and mends the trailer.
fn with_section(encoded: &Encoded, kind: u32, content: &[u8]) -> Vec<u8> {
    let end = whole(encoded)[encoded.meta_pos as usize..].to_vec();
    let sections_at = end.len() - 56 - 3 * 32;
    let mut out = end[..sections_at].to_vec();
    out.extend_from_slice(content);
    let table = out.len();
    out.extend_from_slice(&end[sections_at..sections_at + 96]);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&crc_fast::crc32_iscsi(content).to_le_bytes());
    out.extend_from_slice(&(encoded.meta_pos + sections_at as u64).to_le_bytes());
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let len = encoded.meta_pos + out.len() as u64 + 56;
    let mut trailer = end[end.len() - 56..].to_vec();
    trailer[..8].copy_from_slice(&len.to_le_bytes());
    trailer[32] = 4;
    out.extend_from_slice(&trailer[..44]);
    let crc = crc_fast::crc32_iscsi(&out[table..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&trailer[48..]);
    out
}

#[test]
fn sections_of_the_future_are_skipped() {
    let encoded = sample();
    let end = with_section(&encoded, 4711, b"an index by trace id");
    let meta = ObjectMeta::parse(end.into(), encoded.meta_pos).unwrap();
    assert_eq!(meta.part_count(), 3);
    let twice = with_section(&encoded, 3, b"");
    assert!(ObjectMeta::parse(twice.into(), encoded.meta_pos).is_err());
}

#[test]
fn the_bytes_of_version_1() {
    let encoded = sample();
    let golden = include_str!("golden/object-v1.hex");
    assert_eq!(hex(&whole(&encoded)), golden);
    let golden = include_str!("golden/manifest-v1.hex");
    assert_eq!(hex(&manifest(2)), golden);
}

/// 32 bytes a line.
fn hex(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        let digits: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        digits + "\n"
    };
    bytes.chunks(32).map(line).collect()
}

fn entry(number: i64) -> ManifestEntry {
    ManifestEntry {
        base: Offset(number * 100),
        end: Offset(number * 100 + 100),
        object: ObjectId(number as u64 + 1000),
        incarnation: Incarnation(5),
        len: 5000,
        meta_pos: 4000,
        bytes: 3000,
        max_timestamp: Timestamp(-1),
        flags: PartFlags::HAS_TXN,
    }
}

fn manifest(count: i64) -> Bytes {
    let entries: Vec<_> = (3..3 + count).map(entry).collect();
    encode_manifest(PartitionId(6), ObjectId(7), Incarnation(8), &entries)
}

#[test]
fn a_manifest_finds_offsets() {
    let manifest = Manifest::parse(manifest(50)).unwrap();
    assert_eq!(manifest.len(), 50);
    assert_eq!(manifest.partition(), PartitionId(6));
    assert_eq!((manifest.object(), manifest.incarnation()), (ObjectId(7), Incarnation(8)));
    assert_eq!(manifest.range(), (Offset(300), Offset(5300)));
    assert_eq!(manifest.entries().collect::<Vec<_>>(), (3..53).map(entry).collect::<Vec<_>>());
    for offset in 300..5300 {
        assert_eq!(manifest.find(Offset(offset)), Some(entry(offset / 100)));
    }
    assert_eq!(manifest.find(Offset(299)), None);
    assert_eq!(manifest.find(Offset(5300)), None);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_manifest_is_noticed() {
    let bytes = manifest(3);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::parse(flipped.into()).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(Manifest::parse(bytes.slice(..len)).is_err());
    }
}

proptest! {
    #[test]
    fn any_partitions_round_trip(
        parts in proptest::collection::btree_map(
            any::<u64>(),
            (0..1_000_000_i64, proptest::collection::vec((0..20_i64, 1..50_i64, any::<i32>(), 0..3_i32, 1..5000_usize), 1..20)),
            0..8,
        )
    ) {
        let mut object = builder();
        let mut expected = Vec::new();
        for (id, (base, batches)) in &parts {
            object.partition(PartitionId(*id), topic(1), PartitionIndex(1));
            let (mut next, mut epoch, mut content) = (*base, 0, Vec::new());
            for (gap, count, timestamp, raise, len) in batches {
                next += gap;
                epoch += raise;
                let bytes = vec![(len % 251) as u8; *len];
                content.extend_from_slice(&bytes);
                object.push_batch(batch(next, *count, i64::from(*timestamp), epoch), bytes.into());
                next += count;
            }
            expected.push((*id, next, content));
        }
        let encoded = object.finish();
        let bytes = whole(&encoded);
        let meta = parse(&encoded);
        prop_assert_eq!(meta.part_count(), expected.len());
        for ((id, end, content), part) in expected.iter().zip(meta.parts()) {
            prop_assert_eq!((part.partition, part.end), (PartitionId(*id), Offset(*end)));
            let mut read = Vec::new();
            for block in meta.blocks(&part) {
                let at = block.position as usize;
                let slice = &bytes[at..at + block.len as usize];
                block.verify(slice).unwrap();
                read.extend_from_slice(slice);
            }
            prop_assert_eq!(&read, content);
        }
    }

    #[test]
    fn hostile_ends_are_refused_without_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        mend in any::<bool>(),
    ) {
        let encoded = sample();
        let mut end = whole(&encoded)[encoded.meta_pos as usize..].to_vec();
        for (index, value) in changes {
            let at = index.index(end.len());
            end[at] = value;
        }
        if mend {
            mend_checksums(&mut end, encoded.meta_pos);
        }
        if let Ok(meta) = ObjectMeta::parse(end.into(), encoded.meta_pos) {
            for part in meta.parts() {
                let blocks = meta.blocks(&part).count();
                let producers = meta.producers(&part).count();
                let details = meta.aborted(&part).count() + meta.times(&part).count();
                prop_assert!(blocks + producers + details < 100);
                for block in meta.blocks_from(&part, part.base) {
                    prop_assert!(block.last_offset < part.end);
                }
            }
        }
    }
}

/// Makes every checksum fit again, so that the checks behind them are reached.
fn mend_checksums(end: &mut [u8], meta_pos: u64) {
    let len = end.len();
    let table = len - 56 - 96;
    for section in 0..3 {
        let entry = table + section * 32;
        let word = |at: usize| u64::from_le_bytes(end[at..at + 8].try_into().unwrap());
        let at = word(entry + 8).saturating_sub(meta_pos) as usize;
        let size = word(entry + 16) as usize;
        if let Some(content) = at.checked_add(size).and_then(|to| end.get(at..to)) {
            let crc = crc_fast::crc32_iscsi(content);
            end[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let crc = crc_fast::crc32_iscsi(&end[table..len - 12]);
    end[len - 12..len - 8].copy_from_slice(&crc.to_le_bytes());
}
