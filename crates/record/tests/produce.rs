//! The rules for produced batches, each broken alone, and the order between them.

use esker_record::{
    BatchBuilder, BatchError, BatchMut, BatchView, Codec, CorruptReason, InvalidReason,
    ProduceLimits, RecordFaultKind, RecordsRefused, TimestampType, needs_records, produced_batch,
    unproved_age, validate_produced, validate_records,
};
use esker_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn three() -> BatchBuilder {
    let mut builder = BatchBuilder::new(Offset(0));
    for key in ["a", "b", "c"] {
        builder.append(NOW, Some(key.as_bytes()), Some(b"value"), &[]);
    }
    builder
}

fn with(bytes: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Renews the checksum, as a hostile client does.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = BatchView::parse(&bytes).expect("whole").compute_crc();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn judge(bytes: &[u8], version: i16, limits: &ProduceLimits) -> Result<(), BatchError> {
    let batch = produced_batch(bytes, version)?;
    validate_produced(&batch, limits)
}

/// Name, bytes, request version, settings, verdict.
type Case<'a> = (&'a str, Vec<u8>, i16, &'a ProduceLimits, Result<(), BatchError>);

#[test]
fn each_rule_has_its_own_verdict() {
    let good = three().build();
    let producer = |sequence| three().producer(ProducerId(1), ProducerEpoch(0), sequence).build();
    let limits = ProduceLimits::default();
    let size = good.len();
    let tight = ProduceLimits { message_bytes_max: size - 1, ..limits };
    let small = ProduceLimits { segment_bytes: size - 1, ..limits };
    let zstd = three().compression(Codec::Zstd, None).build();
    let invalid = |reason| Err(BatchError::InvalidRecord(reason));
    let corrupt = |reason| Err(BatchError::CorruptMessage(reason));

    let cases: Vec<Case<'_>> = vec![
        ("good", good.clone(), 9, &limits, Ok(())),
        ("nothing", vec![], 9, &limits, invalid(InvalidReason::NoBatch)),
        ("half", good[..40].to_vec(), 9, &limits, invalid(InvalidReason::NoBatch)),
        (
            "two",
            [good.clone(), good.clone()].concat(),
            9,
            &limits,
            invalid(InvalidReason::SeveralBatches),
        ),
        ("a cut second one", [&good[..], &good[..50]].concat(), 9, &limits, Ok(())),
        ("magic 1", with(&good, 16, &[1]), 9, &limits, invalid(InvalidReason::OldMagic(1))),
        (
            "length before magic",
            with(&with(&good, 16, &[1]), 8, &13i32.to_be_bytes()),
            9,
            &limits,
            corrupt(CorruptReason::Length(13)),
        ),
        ("magic 3", with(&good, 16, &[3]), 9, &limits, corrupt(CorruptReason::Magic(3))),
        (
            "length −1",
            with(&good, 8, &(-1i32).to_be_bytes()),
            9,
            &limits,
            corrupt(CorruptReason::Length(-1)),
        ),
        (
            "length 48",
            with(&good, 8, &48i32.to_be_bytes()),
            9,
            &limits,
            corrupt(CorruptReason::Length(48)),
        ),
        (
            "length 2^31−1",
            with(&good, 8, &i32::MAX.to_be_bytes()),
            9,
            &limits,
            invalid(InvalidReason::NoBatch),
        ),
        (
            "zstd",
            zstd.clone(),
            6,
            &limits,
            Err(BatchError::UnsupportedCompressionType { version: 6 }),
        ),
        ("zstd from 7 on", zstd, 7, &limits, Ok(())),
        (
            "base offset",
            with(&good, 0, &5i64.to_be_bytes()),
            9,
            &limits,
            invalid(InvalidReason::BaseOffset(5)),
        ),
        (
            "size before crc",
            with(&good, 17, &[0; 4]),
            9,
            &tight,
            Err(BatchError::MessageTooLarge { size, max: size - 1 }),
        ),
        ("size", good.clone(), 9, &tight, Err(BatchError::MessageTooLarge { size, max: size - 1 })),
        (
            "segment",
            good.clone(),
            9,
            &small,
            Err(BatchError::RecordListTooLarge { size, max: size - 1 }),
        ),
        (
            "negative range",
            sealed(with(&good, 23, &(-1i32).to_be_bytes())),
            9,
            &limits,
            invalid(InvalidReason::OffsetRange(-1)),
        ),
        (
            "no records",
            sealed(with(&good, 57, &0i32.to_be_bytes())),
            9,
            &limits,
            invalid(InvalidReason::RecordCount(0)),
        ),
        (
            "count",
            sealed(with(&good, 57, &2i32.to_be_bytes())),
            9,
            &limits,
            invalid(InvalidReason::OffsetCount { count: 2, offsets: 3 }),
        ),
        (
            "control",
            sealed(with(&good, 22, &[0x20])),
            9,
            &limits,
            invalid(InvalidReason::ControlBatch),
        ),
        ("sequence", producer(-1), 9, &limits, invalid(InvalidReason::Sequence(-1))),
        ("good sequence", producer(0), 9, &limits, Ok(())),
        (
            "codec 5",
            sealed(with(&good, 22, &[5])),
            9,
            &limits,
            invalid(InvalidReason::UnknownCodec(5)),
        ),
    ];
    for (name, bytes, version, limits, verdict) in cases {
        assert_eq!(judge(&bytes, version, limits), verdict, "{name}");
    }
    let flipped = with(&good, 40, &[good[40] ^ 1]);
    assert!(matches!(
        judge(&flipped, 9, &limits),
        Err(BatchError::CorruptMessage(CorruptReason::Crc { .. }))
    ));
}

#[test]
fn records_without_key_are_named_one_by_one() {
    let limits = ProduceLimits { needs_key: true, ..ProduceLimits::default() };
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(Offset(0)).compression(codec, None);
        for index in 0..5u8 {
            builder.append(NOW, (index % 2 == 0).then_some(b"k"), Some(&[index]), &[]);
        }
        let bytes = builder.build();
        let batch = BatchView::parse(&bytes).unwrap();
        assert!(needs_records(&batch, &limits, NOW));
        let refused = validate_records(&batch, &limits, NOW).unwrap_err();
        assert_eq!(refused.kind(), Some(RecordFaultKind::InvalidRecord));
        let RecordsRefused::Records(faults) = refused else { panic!("{refused}") };
        assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [1, 3]);
    }
}

#[test]
fn timestamps_out_of_range_are_named_under_create_time_only() {
    let limits = ProduceLimits {
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 10,
        ..ProduceLimits::default()
    };
    let mut builder = BatchBuilder::new(Offset(0));
    for delta in [0, -1001, -1000, 10, 11, i64::MIN] {
        builder.append(Timestamp(NOW.get().saturating_add(delta)), None, None, &[]);
    }
    builder.append(Timestamp::NONE, None, None, &[]);
    let bytes = builder.build();
    let batch = BatchView::parse(&bytes).unwrap();
    let refused = validate_records(&batch, &limits, NOW).unwrap_err();
    assert_eq!(refused.kind(), Some(RecordFaultKind::InvalidTimestamp));
    let RecordsRefused::Records(faults) = refused else { panic!("{refused}") };
    assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [1, 4, 5]);

    let appended = ProduceLimits { timestamp_type: TimestampType::LogAppendTime, ..limits };
    assert_eq!(validate_records(&batch, &appended, NOW), Ok(Timestamp(NOW.get() + 11)));
}

/// A batch of records at these times whose header claims `max`.
fn claiming(codec: Codec, stamps: &[i64], max: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec, None);
    for stamp in stamps {
        builder.append(Timestamp(*stamp), Some(b"key"), Some(b"value"), &[]);
    }
    sealed(with(&builder.build(), 35, &max.to_be_bytes()))
}

#[test]
fn the_largest_timestamp_is_that_of_the_records_whatever_the_header_claims() {
    let limits = ProduceLimits::default();
    let now = NOW.get();
    let month = 30 * 86_400_000;
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        for claimed in [-1, 0, now - month, now + 1_800_000, i64::MAX, i64::MIN] {
            let bytes = claiming(codec, &[now - 5, now, now - 9], claimed);
            let batch = BatchView::parse(&bytes).unwrap();
            assert!(needs_records(&batch, &limits, NOW));
            assert_eq!(validate_records(&batch, &limits, NOW), Ok(NOW), "{codec:?} {claimed}");
        }
        let bytes = claiming(codec, &[-1, -1], now);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(validate_records(&batch, &limits, NOW), Ok(Timestamp::NONE), "{codec:?}");
    }
}

#[test]
fn compressed_batches_are_left_closed_only_where_their_header_may_be_true() {
    let limits = ProduceLimits { opens_compressed: false, ..ProduceLimits::default() };
    let now = NOW.get();
    let opened = |codec, stamps: &[i64], claimed| {
        let bytes = claiming(codec, stamps, claimed);
        needs_records(&BatchView::parse(&bytes).unwrap(), &limits, NOW)
    };
    assert!(!opened(Codec::Lz4, &[now], now));
    assert!(!opened(Codec::Lz4, &[now], now + 3_600_000));
    assert!(!opened(Codec::Lz4, &[1], 1), "an old record may be true");
    assert!(opened(Codec::Lz4, &[now], now + 3_600_001));
    assert!(opened(Codec::Lz4, &[now], now - 1), "the largest lies before the first");
    assert!(opened(Codec::Lz4, &[-1], -1));
    assert!(opened(Codec::None, &[now], now), "what is not compressed costs little to read");
    let bytes = sealed(with(&claiming(Codec::Lz4, &[now], now), 22, &[3 | 8]));
    assert!(needs_records(&BatchView::parse(&bytes).unwrap(), &limits, NOW), "the broker's stamp");
}

#[test]
fn records_that_are_long_when_they_are_opened_are_refused() {
    let mut builder = BatchBuilder::new(Offset(0)).compression(Codec::Zstd, None);
    builder.append(NOW, None, Some(&[0; 5_000]), &[]);
    builder.append(NOW, None, Some(&[0; 10]), &[]);
    let bytes = builder.build();
    let batch = BatchView::parse(&bytes).unwrap();
    // Beside the value: attributes, two deltas, the lengths of key and value, the count of headers.
    let size = 5_000 + 3 + 1 + 2 + 1;
    let limits = ProduceLimits { record_bytes_max: size, ..ProduceLimits::default() };
    assert_eq!(validate_records(&batch, &limits, NOW), Ok(NOW));
    let limits = ProduceLimits { record_bytes_max: size - 1, ..limits };
    let reason = InvalidReason::RecordTooLarge { size, max: size - 1 };
    let refused = RecordsRefused::Batch(BatchError::InvalidRecord(reason));
    assert_eq!(validate_records(&batch, &limits, NOW), Err(refused));
}

#[test]
fn unproved_times_age_from_when_the_batch_was_taken() {
    let at = |ms: i64| Timestamp(NOW.get() + ms);
    assert_eq!(unproved_age(Timestamp::NONE, NOW), NOW);
    assert_eq!(unproved_age(at(-86_400_000), NOW), NOW);
    assert_eq!(unproved_age(at(60_000), NOW), at(60_000));
    assert_eq!(unproved_age(Timestamp(i64::MAX), NOW), at(3_600_000));
}

#[test]
fn a_header_is_made_to_tell_the_truth() {
    let mut bytes = sealed(with(&claiming(Codec::Gzip, &[NOW.get()], -1), 22, &[1 | 8]));
    BatchMut::parse(&mut bytes).unwrap().set_create_time(NOW);
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!((batch.max_timestamp(), batch.attributes()), (NOW, 1));
    assert_eq!(batch.verify_crc(), Ok(()));
}

#[test]
fn offset_deltas_and_leftovers_are_noticed() {
    let mut builder = BatchBuilder::new(Offset(0));
    builder.append_at(0, NOW, None, None, &[]);
    builder.append_at(2, NOW, None, None, &[]);
    let bytes = builder.build();
    let batch = BatchView::parse(&bytes).unwrap();
    let limits = ProduceLimits::default();
    let RecordsRefused::Records(faults) = validate_records(&batch, &limits, NOW).unwrap_err()
    else {
        panic!("a gap is a fault of a record")
    };
    assert_eq!(faults[0].index, 1);

    let mut longer = three().build();
    longer.push(0);
    let length = i32::try_from(longer.len() - 12).unwrap();
    let longer = sealed(with(&longer, 8, &length.to_be_bytes()));
    let batch = BatchView::parse(&longer).unwrap();
    assert!(matches!(
        validate_records(&batch, &limits, NOW),
        Err(RecordsRefused::Batch(BatchError::InvalidRecord(InvalidReason::Record {
            index: 3,
            ..
        })))
    ));
}

#[test]
fn sequences_wrap_to_zero() {
    let bytes = three().producer(ProducerId(1), ProducerEpoch(0), i32::MAX - 1).build();
    assert_eq!(BatchView::parse(&bytes).unwrap().last_sequence(), 0);
}
