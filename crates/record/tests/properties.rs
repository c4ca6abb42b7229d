//! Round trips of arbitrary batches, and what must hold for arbitrary damage.

use esker_record::{
    BatchBuilder, BatchError, BatchMut, BatchView, Codec, Header, ProduceLimits, batches, compress,
    decompress, produced_batch, validate_produced, validate_records,
};
use esker_types::{Crc32c, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const CAP: usize = 4 << 20;

type RawHeader = (Vec<u8>, Option<Vec<u8>>);
type RawRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<RawHeader>);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(0u8..3, 0..600)]
}

fn record() -> impl Strategy<Value = RawRecord> {
    let timestamp = prop_oneof![0i64..5_000_000_000_000, Just(i64::MIN), Just(i64::MAX), Just(-1)];
    (timestamp, option::of(bytes()), option::of(bytes()), vec((bytes(), option::of(bytes())), 0..4))
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(CODECS.to_vec())
}

fn build(records: &[RawRecord], builder: BatchBuilder) -> Vec<u8> {
    let mut builder = builder;
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> =
            headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder.append(Timestamp(*timestamp), key.as_deref(), value.as_deref(), &headers);
    }
    builder.build()
}

fn read(batch: &BatchView<'_>) -> Vec<RawRecord> {
    let payload = batch.decompressed(CAP).expect("our own payload");
    batch
        .records(&payload)
        .map(|record| {
            let record = record.expect("our own record");
            let headers = record
                .headers
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect();
            let timestamp = batch.timestamp_of(record.timestamp_delta).get();
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            (timestamp, owned(record.key), owned(record.value), headers)
        })
        .collect()
}

#[test]
fn the_checksum_of_a_whole_batch_is_that_of_its_bytes() {
    // Some are read again, some are put together.
    for len in [0, 100, 3_900, 4_030, 4_096, 16_000, 300_000] {
        let value = vec![7; len];
        let bytes = build(&[(5, None, Some(value), vec![])], BatchBuilder::new(Offset(3)));
        let whole = BatchView::parse(&bytes).unwrap().whole_crc();
        assert_eq!(whole, Crc32c(crc_fast::crc32_iscsi(&bytes)), "{len} bytes");
    }
}

proptest! {
    #[test]
    fn what_is_appended_is_read_back(
        records in vec(record(), 1..20),
        codec in codec(),
        level in option::of(-5i32..30),
        base in 0i64..1 << 40,
        producer in option::of((0i64..1 << 40, 0i16..100, 0i32..)),
    ) {
        let mut builder = BatchBuilder::new(Offset(base)).compression(codec, level);
        if let Some((id, epoch, sequence)) = producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        }
        let mut bytes = build(&records, builder);
        let batch = BatchView::parse(&bytes).unwrap();
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(batch.base_offset(), Offset(base));
        prop_assert_eq!(batch.next_offset(), Offset(base + i64::try_from(records.len()).unwrap()));
        prop_assert_eq!(&read(&batch), &records);

        // What a broker patches leaves the content alone and the checksum right.
        let mut patch = BatchMut::parse(&mut bytes).unwrap();
        patch.set_base_offset(Offset(base + 5));
        patch.set_partition_leader_epoch(LeaderEpoch(77));
        prop_assert_eq!(patch.view().verify_crc(), Ok(()));
        prop_assert_eq!(&read(&patch.view()), &records);
        patch.set_log_append_time(Timestamp(123));
        let view = patch.view();
        prop_assert_eq!(view.verify_crc(), Ok(()));
        prop_assert_eq!(view.whole_crc(), Crc32c(crc_fast::crc32_iscsi(view.bytes())));
        prop_assert_eq!(view.base_offset(), Offset(base + 5));
        prop_assert_eq!(view.partition_leader_epoch(), LeaderEpoch(77));
        prop_assert!(read(&view).iter().all(|record| record.0 == 123));
    }

    #[test]
    fn every_flipped_bit_is_noticed(
        records in vec(record(), 1..5),
        codec in codec(),
        flip in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = build(&records, BatchBuilder::new(Offset(0)).compression(codec, None));
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let verdict = produced_batch(&bytes, 9)
            .and_then(|batch| validate_produced(&batch, &ProduceLimits::default()));
        // Only the leader epoch may differ without harm: the broker sets it.
        if !(12..16).contains(&(bit / 8)) {
            prop_assert!(verdict.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn foreign_bytes_never_panic(mut data in vec(any::<u8>(), 0..300), codec in codec()) {
        for batch in batches(&data).flatten() {
            let _verdict = validate_records(&batch, &ProduceLimits::default(), Timestamp(0));
        }
        let _content = decompress(codec, &data, 1 << 16);
        // Past the length and magic checks, into the records.
        if data.len() >= 61 {
            let length = i32::try_from(data.len() - 12).unwrap();
            data[8..12].copy_from_slice(&length.to_be_bytes());
            data[16] = 2;
            data[22] &= !7;
            let batch = BatchView::parse(&data).unwrap();
            for record in batch.records(batch.payload()).flatten() {
                prop_assert!(record.headers.len() <= data.len());
                prop_assert_eq!(record.headers.count(), record.headers.len());
            }
            let _verdict = validate_records(&batch, &ProduceLimits::default(), Timestamp(0));
        }
    }

    #[test]
    fn damaged_compressed_data_never_yields_more_than_the_cap(
        content in bytes(),
        codec in codec(),
        flip in any::<proptest::sample::Index>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut data = compress(codec, None, &content);
        let back = decompress(codec, &data, content.len());
        prop_assert_eq!(back.as_ref(), Ok(&content));
        if !content.is_empty() {
            prop_assert!(decompress(codec, &data, content.len() - 1).is_err());
        }
        if codec != Codec::None && data.len() > 1 && !content.is_empty() {
            // A prefix is an error or, at the boundary of a block or frame, a prefix of the content.
            if let Ok(part) = decompress(codec, &data[..cut.index(data.len())], CAP) {
                prop_assert!(content.starts_with(&part));
            }
            let bit = flip.index(data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decompress(codec, &data, 2048) {
                prop_assert!(other.len() <= 2048);
            }
        }
    }

    #[test]
    fn a_concatenation_falls_apart_into_its_batches(
        all in vec(vec(record(), 1..4), 1..5),
        cut in any::<proptest::sample::Index>(),
    ) {
        let parts: Vec<_> = all.iter().map(|r| build(r, BatchBuilder::new(Offset(0)))).collect();
        let joined = parts.concat();
        let views: Vec<_> = batches(&joined).collect::<Result<_, _>>().unwrap();
        prop_assert!(views.iter().map(BatchView::bytes).eq(parts.iter().map(Vec::as_slice)));

        let cut = cut.index(joined.len());
        let whole = parts.iter().scan(0, |end, part| { *end += part.len(); Some(*end) });
        let whole = whole.filter(|&end| end <= cut).count();
        let mut walk = batches(&joined[..cut]);
        prop_assert_eq!(walk.by_ref().take(whole).filter(Result::is_ok).count(), whole);
        match walk.next() {
            Some(Err(BatchError::Incomplete { needed, available })) => {
                prop_assert!(available < needed);
            }
            None => prop_assert_eq!(parts[..whole].concat().len(), cut),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
