//! Whole exchanges, as a broker and a client would have them.

use bytes::Bytes;
use esker_wire::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use esker_wire::api::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use esker_wire::api::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use esker_wire::{
    ApiKey, DecodeErrorKind, EncodeError, ErrorCode, Message, Reader, Records, RequestHeader,
    decode_request_header, decode_response_header, encode_request_frame, encode_response_frame,
};

#[test]
fn a_produce_travels_there_and_back() {
    let partition = PartitionProduceData { index: 3, records: Some(Records::from(&b"batch"[..])) };
    let topic = TopicProduceData {
        name: "orders",
        partition_data: vec![partition].into(),
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic].into(),
        ..Default::default()
    };
    let frame = encode_request_frame(17, Some("client"), &request, 9).unwrap().to_vec();
    assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());

    let (header, mut body) = decode_request_header(&frame[4..]).unwrap();
    let expected = RequestHeader {
        api_key: ApiKey::Produce,
        api_version: 9,
        correlation_id: 17,
        client_id: Some("client"),
    };
    assert_eq!(header, expected);
    let decoded = ProduceRequest::decode(&mut body, header.api_version).unwrap();
    assert_eq!(decoded, request);
    assert!(body.remaining().is_empty());

    let answer = |partition: PartitionProduceData<'_>| PartitionProduceResponse {
        index: partition.index,
        error_code: ErrorCode::None.code(),
        base_offset: 42,
        ..Default::default()
    };
    let responses = decoded.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name,
        partition_responses: topic.partition_data.iter().map(answer).collect(),
        ..Default::default()
    });
    let response = ProduceResponse { responses: responses.collect(), ..Default::default() };
    let frame = encode_response_frame(&header, &response).unwrap().to_vec();
    let (response_header, mut body) =
        decode_response_header(&frame[4..], ApiKey::Produce, 9).unwrap();
    assert_eq!(response_header.correlation_id, 17);
    assert_eq!(ProduceResponse::decode(&mut body, 9).unwrap(), response);
}

#[test]
fn fetched_batches_join_the_frame_by_reference() {
    let batch = Bytes::from(vec![7u8; 4096]);
    let small = Bytes::from_static(b"small");
    let rope = vec![batch.clone(), small.clone(), batch.clone()];
    let partition = PartitionData { records: Some(rope.into()), ..Default::default() };
    let topic = FetchableTopicResponse {
        topic: "orders",
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let response = FetchResponse { responses: vec![topic].into(), ..Default::default() };
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 12,
        correlation_id: 1,
        client_id: None,
    };
    let frame = encode_response_frame(&header, &response).unwrap();
    let is_shared = |segment: &&Bytes| segment.as_ptr() == batch.as_ptr();
    assert_eq!(frame.segments().iter().filter(is_shared).count(), 2);
    assert_eq!(frame.segments().len(), 5);

    let bytes = frame.to_vec();
    assert_eq!(bytes.len(), frame.len());
    let (_, mut body) = decode_response_header(&bytes[4..], ApiKey::Fetch, 12).unwrap();
    let decoded = FetchResponse::decode(&mut body, 12).unwrap();
    assert_eq!(decoded, response);
    let partition = decoded.responses.first().unwrap().partitions.first().unwrap();
    let records = partition.records.unwrap();
    assert_eq!(records.as_slice().unwrap(), [&batch[..], &small[..], &batch[..]].concat());
}

#[test]
fn an_api_versions_request_from_the_future_keeps_a_readable_header() {
    let request = ApiVersionsRequest { client_software_name: "x", ..Default::default() };
    let mut frame = encode_request_frame(5, Some("new"), &request, 4).unwrap().to_vec();
    frame[6..8].copy_from_slice(&99i16.to_be_bytes());

    let (header, mut body) = decode_request_header(&frame[4..]).unwrap();
    assert_eq!((header.api_version, header.client_id), (99, Some("new")));
    assert!(!header.api_key.supports(99));
    let error = ApiVersionsRequest::decode(&mut body, 99).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::UnsupportedVersion(99));

    // Its response header never has tagged fields, whatever the version.
    let error_code = ErrorCode::UnsupportedVersion.code();
    let answer = ApiVersionsResponse { error_code, ..Default::default() };
    let header = RequestHeader { api_version: 3, ..header };
    let frame = encode_response_frame(&header, &answer).unwrap().to_vec();
    assert_eq!(frame[4..10], [0, 0, 0, 5, 0, 35]);
}

#[test]
fn keys_that_kafka_does_not_serve_end_the_connection() {
    for key in [-1i16, 4, 5, 6, 7, 95, i16::MAX] {
        let mut frame = key.to_be_bytes().to_vec();
        frame.extend([0; 8]);
        let error = decode_request_header(&frame).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::UnknownApi(key));
    }
    assert_eq!(decode_request_header(&[0, 3]).unwrap_err().kind, DecodeErrorKind::Truncated);
}

#[test]
fn what_a_version_cannot_carry_is_refused_unless_it_may_be_dropped() {
    let named = TopicProduceData { name: "orders", ..Default::default() };
    let request = ProduceRequest { topic_data: vec![named].into(), ..Default::default() };
    // The name is ignorable: version 13 goes by id.
    assert!(request.to_bytes(13).is_ok());
    let no_such_version = EncodeError::UnsupportedVersion { message: "ProduceRequest", version: 2 };
    assert_eq!(request.to_bytes(2), Err(no_such_version));

    let session = FetchResponse { session_id: 9, ..Default::default() };
    let no_such_field = EncodeError::UnsupportedField("FetchResponse.session_id");
    assert_eq!(session.to_bytes(6), Err(no_such_field));
    assert!(session.to_bytes(7).is_ok());
}

#[test]
fn bytes_behind_a_request_are_left_alone() {
    let mut bytes = ApiVersionsRequest::default().to_bytes(3).unwrap();
    let len = bytes.len();
    bytes.extend([1, 2, 3]);
    let mut r = Reader::new(&bytes);
    ApiVersionsRequest::decode(&mut r, 3).unwrap();
    assert_eq!((r.position(), r.remaining()), (len, &[1, 2, 3][..]));
}
