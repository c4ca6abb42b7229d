//! Batches written by real clients: we read in them what was put in, and write the same bytes ourselves.

use esker_record::{
    BatchBuilder, BatchView, Codec, ControlType, EndTxnMarker, Header, MAGIC, TimestampType,
    control_type,
};
use esker_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

const BATCHES: &str = include_str!("golden/batches.hex");
const CAP: usize = 1 << 20;

type OwnedHeader = (&'static str, Option<&'static str>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    timestamp: i64,
    key: Option<&'static str>,
    value: Option<String>,
    headers: Vec<OwnedHeader>,
}

fn golden(name: &str) -> Vec<u8> {
    let line = BATCHES
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no golden batch {name}"));
    (0..line.len() / 2)
        .map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

fn record(
    timestamp: i64,
    key: Option<&'static str>,
    value: Option<&str>,
    headers: &[OwnedHeader],
) -> Expected {
    Expected { timestamp, key, value: value.map(str::to_owned), headers: headers.to_vec() }
}

fn java_records() -> Vec<Expected> {
    vec![
        record(
            1_700_000_000_000,
            Some("k1"),
            Some("hello hello hello hello hello"),
            &[("h", Some("1")), ("h", Some("2")), ("n", None)],
        ),
        record(1_700_000_000_123, None, Some("v"), &[]),
        record(1_699_999_999_999, Some("tomb"), None, &[]),
        record(1_700_000_001_000, Some("big"), Some(&"0123456789".repeat(50)), &[]),
    ]
}

fn client_records() -> Vec<Expected> {
    vec![
        record(
            1_700_000_000_000,
            Some("k1"),
            Some(&"hello ".repeat(20)),
            &[("h", Some("1")), ("h", Some("2")), ("n", None)],
        ),
        record(1_700_000_000_001, None, Some("v"), &[]),
        record(1_700_000_000_002, Some("tomb"), None, &[]),
    ]
}

fn assert_content(name: &str, batch: &BatchView<'_>, expected: &[Expected]) {
    batch.verify_crc().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(batch.magic(), MAGIC);
    assert_eq!(usize::try_from(batch.record_count()).expect("small"), expected.len(), "{name}");
    let payload = batch.decompressed(CAP).unwrap_or_else(|error| panic!("{name}: {error}"));
    let records: Vec<_> = batch.records(&payload).collect::<Result<_, _>>().expect("records");
    assert_eq!(records.len(), expected.len(), "{name}");
    for (index, (record, expected)) in records.iter().zip(expected).enumerate() {
        assert_eq!(record.offset_delta, i32::try_from(index).expect("small"), "{name}");
        assert_eq!(record.key, expected.key.map(str::as_bytes), "{name}");
        assert_eq!(record.value, expected.value.as_deref().map(str::as_bytes), "{name}");
        let headers: Vec<_> = record.headers.collect();
        let wanted: Vec<_> = expected
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.map(str::as_bytes) })
            .collect();
        assert_eq!(headers, wanted, "{name}");
        let timestamp = match batch.timestamp_type() {
            TimestampType::CreateTime => Timestamp(expected.timestamp),
            TimestampType::LogAppendTime => batch.max_timestamp(),
        };
        assert_eq!(batch.timestamp_of(record.timestamp_delta), timestamp, "{name}");
    }
}

/// The same content through our own builder.
fn build(mut builder: BatchBuilder, records: &[Expected]) -> Vec<u8> {
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.map(str::as_bytes) })
            .collect();
        builder.append(
            Timestamp(record.timestamp),
            record.key.map(str::as_bytes),
            record.value.as_deref().map(str::as_bytes),
            &headers,
        );
    }
    builder.build()
}

#[test]
fn java_batches_of_every_codec_read_as_written() {
    for (name, codec) in [
        ("java-none", Codec::None),
        ("java-gzip", Codec::Gzip),
        ("java-snappy", Codec::Snappy),
        ("java-lz4", Codec::Lz4),
        ("java-zstd", Codec::Zstd),
    ] {
        let bytes = golden(name);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.len(), bytes.len(), "{name}");
        assert_eq!(batch.codec(), Ok(codec), "{name}");
        assert_eq!(batch.base_offset(), Offset(42));
        assert_eq!(batch.last_offset(), Offset(45));
        assert_eq!(batch.partition_leader_epoch(), LeaderEpoch(9));
        assert_eq!(batch.producer_id(), ProducerId(4001));
        assert_eq!(batch.producer_epoch(), ProducerEpoch(3));
        assert_eq!((batch.base_sequence(), batch.last_sequence()), (17, 20));
        assert_eq!(batch.base_timestamp(), Timestamp(1_700_000_000_000));
        assert_eq!(batch.max_timestamp(), Timestamp(1_700_000_001_000));
        assert!(!batch.is_transactional() && !batch.is_control());
        assert_content(name, &batch, &java_records());
    }
}

#[test]
fn other_clients_batches_read_as_written() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let name = format!("librdkafka-{codec}");
        let bytes = golden(&name);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.codec().unwrap().name(), codec);
        assert!(batch.has_producer_id());
        assert_content(&name, &batch, &client_records());
    }
    for name in ["kafkapython-none", "kafkapython-gzip"] {
        let bytes = golden(name);
        let batch = BatchView::parse(&bytes).unwrap();
        assert!(!batch.has_producer_id());
        assert_eq!(batch.last_sequence(), -1);
        assert_content(name, &batch, &client_records());
    }
}

#[test]
fn the_builder_writes_the_bytes_that_java_writes() {
    let idempotent = BatchBuilder::new(Offset(42)).partition_leader_epoch(LeaderEpoch(9)).producer(
        ProducerId(4001),
        ProducerEpoch(3),
        17,
    );
    assert_eq!(build(idempotent.clone(), &java_records()), golden("java-none"));
    assert_eq!(build(BatchBuilder::new(Offset(0)), &java_records()), golden("java-plain"));
    // The framing and the block cutting of snappy are Java's; the encoder itself may choose other copies.
    let snappy = build(idempotent.compression(Codec::Snappy, None), &java_records());
    assert_eq!(&snappy[61..77], &golden("java-snappy")[61..77]);
}

#[test]
fn a_log_append_time_batch_counts_its_max_timestamp() {
    let bytes = golden("java-logappend");
    let batch = BatchView::parse(&bytes).unwrap();
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert_content("java-logappend", &batch, &java_records());
    // Patching the plain batch the way a broker does gives Java's bytes.
    let mut ours = golden("java-plain");
    let mut patch = esker_record::BatchMut::parse(&mut ours).unwrap();
    patch.set_base_offset(Offset(7));
    patch.set_log_append_time(batch.max_timestamp());
    assert_eq!(ours, bytes);
}

#[test]
fn transaction_markers_are_java_s() {
    for (name, commit) in [("java-abort", false), ("java-commit", true)] {
        let bytes = golden(name);
        let batch = BatchView::parse(&bytes).unwrap();
        batch.verify_crc().unwrap();
        assert!(batch.is_control() && batch.is_transactional());
        let records: Vec<_> = batch.records(batch.payload()).collect::<Result<_, _>>().unwrap();
        let (key, value) = (records[0].key.unwrap(), records[0].value.unwrap());
        let marker = EndTxnMarker { commit, coordinator_epoch: 12 };
        assert_eq!(EndTxnMarker::decode(key, value), Ok(marker));
        let kind = if commit { ControlType::Commit } else { ControlType::Abort };
        assert_eq!(control_type(key), Ok(kind));

        let mut ours = BatchBuilder::end_txn_marker(
            Offset(99),
            Timestamp(1_700_000_000_000),
            ProducerId(4001),
            ProducerEpoch(3),
            marker,
        );
        esker_record::BatchMut::parse(&mut ours)
            .unwrap()
            .set_partition_leader_epoch(LeaderEpoch(5));
        assert_eq!(ours, bytes, "{name}");
    }
}
