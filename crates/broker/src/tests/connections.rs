//! A connection over a stream whose other side is written down: requests in pieces, ends of all kinds.

use super::frames;
use super::house::{self, House};
use super::stream::{Scripted, Step};
use crate::connection::{Connection, Ended};
use crate::protocol_violation::ProtocolViolation;
use esker_wire::Request;
use esker_wire::api::find_coordinator::FindCoordinatorRequest;
use esker_wire::api::list_groups::ListGroupsRequest;
use esker_wire::api::metadata::MetadataRequest;
use esker_wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use std::sync::Arc;
use std::time::Duration;

/// The bytes of a request on the wire.
fn sent<'a>(request: &impl Request<'a>, version: i16) -> Vec<u8> {
    let frame = frames::frame(request, version);
    let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(frame);
    bytes
}

fn metadata() -> Vec<u8> {
    sent(&MetadataRequest::default(), 5)
}

/// Serves a script to its end.
async fn serve(house: &House, stream: &Scripted) -> Ended {
    let (broker, client) = (Arc::clone(&house.broker), Arc::clone(&house.client));
    Connection::new(broker, client, Box::new(stream.clone())).await
}

#[test]
fn a_request_may_come_byte_by_byte() {
    house::run(async |house| {
        let bytes = metadata().into_iter().map(|byte| Step::Send(vec![byte]));
        let stream = Scripted::new(bytes.chain([Step::Close]));
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        assert_eq!(stream.frames().len(), 1);
    });
}

#[test]
fn answers_come_in_the_order_of_requests() {
    house::run(async |house| {
        let mut bytes = metadata();
        bytes.extend(sent(&ListGroupsRequest::default(), 4));
        bytes.extend(metadata());
        let stream = Scripted::new([Step::Send(bytes), Step::Close]);
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        let answers = stream.frames();
        let with_length =
            |frame: &[u8]| [&i32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat();
        let parsed = |at: usize| with_length(&answers[at]);
        assert!(frames::is_answer::<MetadataRequest<'_>>(5, &parsed(0)));
        assert!(frames::is_answer::<ListGroupsRequest<'_>>(4, &parsed(1)));
        assert!(frames::is_answer::<MetadataRequest<'_>>(5, &parsed(2)));
        assert_eq!(answers.len(), 3);
    });
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    house::run(async |house| {
        let stream = Scripted::new([Step::Send(metadata()), Step::Close]);
        stream.0.lock().takes = Some(1);
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        assert_eq!(stream.frames().len(), 1);
    });
}

#[test]
fn a_connection_that_is_cut_off_ends() {
    house::run(async |house| {
        let half = metadata()[..9].to_vec();
        let stream = Scripted::new([Step::Send(half), Step::Break]);
        assert!(matches!(serve(house, &stream).await, Ended::Network(_)));
        assert!(stream.frames().is_empty());
    });
}

#[test]
fn a_client_that_goes_in_the_middle_of_a_request_is_gone() {
    house::run(async |house| {
        let half = metadata()[..9].to_vec();
        let stream = Scripted::new([Step::Send(half), Step::Close]);
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        assert!(stream.frames().is_empty());
    });
}

#[test]
fn lengths_that_are_none_end_the_connection() {
    let limit = |options: &mut crate::BrokerOptions| options.request_bytes_max = 1000;
    house::run_with(limit, async |house| {
        for length in [-1, i32::MIN, i32::MAX, 1001] {
            let stream = Scripted::new([Step::Send(length.to_be_bytes().to_vec()), Step::Close]);
            match serve(house, &stream).await {
                Ended::Protocol(ProtocolViolation::RequestSize(said)) => assert_eq!(said, length),
                other => panic!("{length}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_request_of_no_bytes_ends_the_connection() {
    house::run(async |house| {
        let stream = Scripted::new([Step::Send(vec![0; 4]), Step::Close]);
        let ended = serve(house, &stream).await;
        assert!(matches!(ended, Ended::Protocol(ProtocolViolation::Header(_))), "{ended:?}");
    });
}

#[test]
fn an_api_that_nobody_has_ends_the_connection() {
    house::run(async |house| {
        let mut bytes = metadata();
        bytes[4..6].copy_from_slice(&999_i16.to_be_bytes());
        let stream = Scripted::new([Step::Send(bytes), Step::Close]);
        assert!(matches!(serve(house, &stream).await, Ended::Protocol(_)));
    });
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed() {
    let idle = |options: &mut crate::BrokerOptions| {
        options.connection_idle_max = Some(Duration::from_millis(5));
    };
    house::run_with(idle, async |house| {
        let stream = Scripted::new([]);
        assert!(matches!(serve(house, &stream).await, Ended::Idle));
    });
}

#[test]
fn produce_without_acks_has_no_answer_and_what_follows_has() {
    house::run(async |house| {
        house.create("t").await;
        let batch = house::batch(3);
        let mut bytes = sent(&produce(&batch, 0, 0), 9);
        bytes.extend(metadata());
        let stream = Scripted::new([Step::Send(bytes), Step::Close]);
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        assert_eq!(stream.frames().len(), 1);
    });
}

#[test]
fn produce_without_acks_that_is_refused_ends_the_connection() {
    house::run(async |house| {
        let batch = house::batch(1);
        let stream = Scripted::new([Step::Send(sent(&produce(&batch, 0, 0), 9)), Step::Close]);
        let ended = serve(house, &stream).await;
        let refused =
            ProtocolViolation::RefusedWithoutAcks(esker_wire::ErrorCode::UnknownTopicOrPartition);
        match ended {
            Ended::Protocol(violation) => assert_eq!(violation.to_string(), refused.to_string()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn many_produce_requests_overlap_and_are_answered_in_order() {
    house::run(async |house| {
        house.create("t").await;
        let batch = house::batch(1);
        let bytes = (0..200).flat_map(|_| sent(&produce(&batch, 0, -1), 9)).collect();
        let stream = Scripted::new([Step::Send(bytes), Step::Close]);
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        let answers = stream.frames();
        assert_eq!(answers.len(), 200);
        for (number, answer) in answers.iter().enumerate() {
            let framed = [&i32::try_from(answer.len()).unwrap().to_be_bytes()[..], answer].concat();
            let (response, _) = frames::parse::<ProduceRequest<'_>>(9, &framed).unwrap();
            let part = response.responses.first().unwrap().partition_responses.first().unwrap();
            assert_eq!((part.error_code, part.base_offset), (0, i64::try_from(number).unwrap()));
        }
    });
}

#[test]
fn large_and_small_frames_share_a_buffer() {
    house::run(async |house| {
        let key = "k".repeat(30_000);
        let large =
            sent(&FindCoordinatorRequest { key: &key, key_type: 9, ..Default::default() }, 3);
        let bytes = [metadata(), large.clone(), metadata(), large.clone(), large, metadata()];
        let pieces: Vec<_> =
            bytes.concat().chunks(10_007).map(|piece| Step::Send(piece.to_vec())).collect();
        let stream = Scripted::new(pieces.into_iter().chain([Step::Close]));
        assert!(matches!(serve(house, &stream).await, Ended::ByClient));
        assert_eq!(stream.frames().len(), 6);
    });
}

fn produce(batch: &[u8], index: i32, acks: i16) -> ProduceRequest<'_> {
    let partition = PartitionProduceData { index, records: Some(batch.into()) };
    let topic = TopicProduceData {
        name: "t",
        partition_data: vec![partition].into(),
        ..Default::default()
    };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic].into(), ..Default::default() }
}
