//! The rules for produced batches, each broken alone, and the order between them.

use esker_record::{
    BatchBuilder, BatchError, BatchView, Codec, CorruptReason, InvalidReason, ProduceLimits,
    RecordFaultKind, RecordsRefused, TimestampType, needs_records, produced_batch,
    validate_produced, validate_records,
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
    assert!(!needs_records(&batch, &appended, NOW));
    assert_eq!(validate_records(&batch, &appended, NOW), Ok(()));
}

#[test]
fn by_default_only_a_future_timestamp_makes_us_look_at_records() {
    let limits = ProduceLimits::default();
    let bytes = three().build();
    let batch = BatchView::parse(&bytes).unwrap();
    assert!(!needs_records(&batch, &limits, NOW));
    assert!(needs_records(&batch, &limits, Timestamp(NOW.get() - 3_600_001)));
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
