//! The same operations by the crate `kafka-protocol`, for comparison.

use crate::{PARTITIONS, batch};
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, FetchResponse, MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::hint::black_box;

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn answer<T: Encodable + HeaderVersion>(response: &T, version: i16) -> Result<BytesMut> {
    let mut buffer = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(7);
    header.encode(&mut buffer, T::header_version(version))?;
    response.encode(&mut buffer, version)?;
    Ok(buffer)
}

pub(crate) fn produce_decode(rounds: u32) -> Result<()> {
    let records = Bytes::from(batch());
    let partition = |index| {
        PartitionProduceData::default().with_index(index).with_records(Some(records.clone()))
    };
    let topic = TopicProduceData::default()
        .with_name(topic_name())
        .with_partition_data((0..PARTITIONS).map(partition).collect());
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::Produce as i16)
        .with_request_api_version(12)
        .with_correlation_id(7)
        .with_client_id(Some(StrBytes::from_static_str("client")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, ProduceRequest::header_version(12))?;
    request.encode(&mut frame, 12)?;
    let frame = frame.freeze();
    for _ in 0..rounds {
        let mut body = black_box(&frame).clone();
        let header = RequestHeader::decode(&mut body, ProduceRequest::header_version(12))?;
        let request = ProduceRequest::decode(&mut body, header.request_api_version)?;
        for topic in &request.topic_data {
            for partition in &topic.partition_data {
                black_box(&partition.records);
            }
        }
    }
    Ok(())
}

pub(crate) fn produce_answer(rounds: u32) -> Result<()> {
    for round in 0..rounds {
        let partition = |index| {
            PartitionProduceResponse::default()
                .with_index(index)
                .with_base_offset(i64::from(round))
                .with_error_message(None)
        };
        let topic = TopicProduceResponse::default()
            .with_name(topic_name())
            .with_partition_responses((0..PARTITIONS).map(partition).collect());
        black_box(answer(&ProduceResponse::default().with_responses(vec![topic]), 12)?);
    }
    Ok(())
}

pub(crate) fn fetch(rounds: u32, partitions: i32) -> Result<()> {
    let records = Bytes::from(batch());
    for _ in 0..rounds {
        let partition = |index| {
            PartitionData::default()
                .with_partition_index(index)
                .with_high_watermark(16)
                .with_last_stable_offset(16)
                .with_aborted_transactions(None)
                .with_records(Some(records.clone()))
        };
        let topic = FetchableTopicResponse::default()
            .with_topic(topic_name())
            .with_partitions((0..partitions).map(partition).collect());
        black_box(answer(&FetchResponse::default().with_responses(vec![topic]), 12)?);
    }
    Ok(())
}

pub(crate) fn metadata(rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(1.into())
                .with_replica_nodes(vec![1.into()])
                .with_isr_nodes(vec![1.into()])
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name()))
            .with_partitions((0..10_000).map(partition).collect());
        let broker = MetadataResponseBroker::default()
            .with_node_id(1.into())
            .with_host(StrBytes::from_static_str("localhost"))
            .with_port(9092);
        let response =
            MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic]);
        black_box(answer(&response, 12)?);
    }
    Ok(())
}
