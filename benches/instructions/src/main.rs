//! Hot operations with fixed inputs: `esker-instructions OPERATION ROUNDS`.
//!
//! `benches/instructions.py` runs each under callgrind with two numbers of rounds. What differs is what the rounds cost,
//! to the instruction, on any machine that is not busy or is: a change of a few per cent shows. (Valgrind knows no
//! AVX-512: checksums are counted by the path for older processors.) Where another implementation can do the same there is an
//! operation `peer-…` beside it.

mod peer;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use esker_plog::{Appended, LogState, PartitionLog};
use esker_record::{
    BatchBuilder, BatchView, Codec, ProduceLimits, Times, TimestampType, produced_batch,
    validate_produced, validate_records,
};
use esker_types::{JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{BundleBuilder, FrameFlags, FrameMeta};
use esker_wire::api::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use esker_wire::api::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use esker_wire::api::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use esker_wire::{
    ApiKey, Array, Message, RequestHeader, decode_request_header, encode_request_frame,
    encode_response_frame,
};
use std::hint::black_box;

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().collect();
    let [_, operation, rounds] = &words[..] else { bail!("esker-instructions OPERATION ROUNDS") };
    let rounds: u32 = rounds.parse().context("a number of rounds")?;
    match operation.as_str() {
        "produce-decode" => produce_decode(rounds)?,
        "produce-answer" => produce_answer(rounds)?,
        "batch-judge" => batch_judge(rounds)?,
        "records-prove" => records_prove(rounds, Codec::None)?,
        "records-open" => records_prove(rounds, Codec::Lz4)?,
        "log-append" => log_append(rounds)?,
        "bundle" => bundle(rounds)?,
        "fetch-1" => fetch(rounds, 1)?,
        "fetch-100" => fetch(rounds, 100)?,
        "fetch-10000" => fetch(rounds, 10_000)?,
        "metadata-10000" => metadata(rounds)?,
        "peer-produce-decode" => peer::produce_decode(rounds)?,
        "peer-produce-answer" => peer::produce_answer(rounds)?,
        "peer-fetch-1" => peer::fetch(rounds, 1)?,
        "peer-fetch-100" => peer::fetch(rounds, 100)?,
        "peer-metadata-10000" => peer::metadata(rounds)?,
        other => bail!("no operation `{other}`"),
    }
    Ok(())
}

const PARTITIONS: i32 = 16;

/// 16 records of 1 KiB.
fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Offset(0));
    for record in 0..16_u8 {
        builder.append(Timestamp(1), None, Some(&[record; 1024]), &[]);
    }
    builder.build()
}

fn header(api_key: ApiKey, api_version: i16) -> RequestHeader<'static> {
    RequestHeader { api_key, api_version, correlation_id: 7, client_id: None }
}

/// A request of 16 batches, read and walked.
fn produce_decode(rounds: u32) -> Result<()> {
    let records = Bytes::from(batch());
    let partition = |index| PartitionProduceData { index, records: Some(records.clone().into()) };
    let topic = TopicProduceData {
        name: "orders",
        partition_data: (0..PARTITIONS).map(partition).collect(),
        ..Default::default()
    };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic].into(), ..Default::default() };
    let frame = encode_request_frame(7, Some("client"), &request, 12)?.to_vec();
    for _ in 0..rounds {
        let (header, mut body) = decode_request_header(black_box(&frame[4..]))?;
        let request = ProduceRequest::decode(&mut body, header.api_version)?;
        for topic in &request.topic_data {
            for partition in &topic.partition_data {
                black_box(partition.records);
            }
        }
    }
    Ok(())
}

/// The answer to such a request.
fn produce_answer(rounds: u32) -> Result<()> {
    for round in 0..rounds {
        let partition = |index| PartitionProduceResponse {
            index,
            base_offset: i64::from(round),
            error_message: None,
            ..Default::default()
        };
        let topic = TopicProduceResponse {
            name: "orders",
            partition_responses: (0..PARTITIONS).map(partition).collect(),
            ..Default::default()
        };
        let response = ProduceResponse { responses: vec![topic].into(), ..Default::default() };
        black_box(encode_response_frame(&header(ApiKey::Produce, 12), &response)?);
    }
    Ok(())
}

/// One batch, judged by header and checksum.
fn batch_judge(rounds: u32) -> Result<()> {
    let bytes = batch();
    let limits = ProduceLimits::default();
    for _ in 0..rounds {
        let view = produced_batch(black_box(&bytes), 12)?;
        validate_produced(&view, &limits)?;
        black_box(view.record_count());
    }
    Ok(())
}

/// One batch of 1,000 records of 100 bytes, half of them like text, each of them looked at.
fn records_prove(rounds: u32, codec: Codec) -> Result<()> {
    let mut builder = BatchBuilder::new(Offset(0)).compression(codec, None);
    let mut state = 1_u32;
    for record in 0..1_000_i64 {
        let mut value = [b'a'; 100];
        for byte in &mut value[..50] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        builder.append(Timestamp(1 + record / 50), None, Some(&value), &[]);
    }
    let bytes = builder.build();
    let view = produced_batch(&bytes, 12)?;
    let limits = ProduceLimits::default();
    for _ in 0..rounds {
        black_box(validate_records(black_box(&view), &limits, Timestamp(1))?);
    }
    Ok(())
}

/// One batch, taken into a log and committed.
fn log_append(rounds: u32) -> Result<()> {
    let mut log = PartitionLog::open(LogState {
        leader_epoch: LeaderEpoch(3),
        log_start: Offset(0),
        tiered_end: Offset(0),
        epochs: vec![(LeaderEpoch(3), Offset(0))],
    });
    let bytes = batch();
    for _ in 0..rounds {
        let copy = BytesMut::from(&bytes[..]);
        let appended = log.append(copy, TimestampType::CreateTime, Times::Proved, Timestamp(1));
        let Ok(Appended::New { end, .. }) = appended else { bail!("a batch was refused") };
        black_box(log.advance_high_watermark(end));
    }
    Ok(())
}

/// 16 batches, made into an entry of the journal.
fn bundle(rounds: u32) -> Result<()> {
    let payload = Bytes::from(batch());
    for round in 0..rounds {
        let mut builder = BundleBuilder::new();
        for partition in 0..16 {
            let meta = FrameMeta {
                partition: PartitionId(partition),
                base_offset: Offset(i64::from(round) * 16),
                last_offset: Offset(i64::from(round) * 16 + 15),
                max_timestamp: Timestamp(1),
                leader_epoch: LeaderEpoch(3),
                flags: FrameFlags::default(),
            };
            let crc = BatchView::parse(&payload)?.whole_crc();
            builder.push_checked(meta, payload.clone(), crc, &[]);
        }
        let seq = Seq(u64::from(round) + 1);
        black_box(builder.finish(JournalId(1), seq, Seq(0), Seq(0)));
    }
    Ok(())
}

/// An answer with a batch for each partition.
fn fetch(rounds: u32, partitions: i32) -> Result<()> {
    let records = Bytes::from(batch());
    let end = i64::from(BatchView::parse(&records)?.record_count());
    for _ in 0..rounds {
        let partition = |partition_index| PartitionData {
            partition_index,
            high_watermark: end,
            last_stable_offset: end,
            aborted_transactions: None,
            records: Some(records.clone().into()),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: "orders",
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        };
        let response = FetchResponse { responses: vec![topic].into(), ..Default::default() };
        black_box(encode_response_frame(&header(ApiKey::Fetch, 12), &response)?);
    }
    Ok(())
}

/// A topic of ten thousand partitions.
fn metadata(rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        let partition = |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: 1,
            replica_nodes: Array::one(1),
            isr_nodes: Array::one(1),
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("orders"),
            partitions: (0..10_000).map(partition).collect(),
            ..Default::default()
        };
        let broker =
            MetadataResponseBroker { node_id: 1, host: "localhost", port: 9092, rack: None };
        let response = MetadataResponse {
            brokers: vec![broker].into(),
            topics: vec![topic].into(),
            ..Default::default()
        };
        black_box(encode_response_frame(&header(ApiKey::Metadata, 12), &response)?);
    }
    Ok(())
}
