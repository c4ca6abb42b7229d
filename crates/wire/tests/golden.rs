//! Requests that real clients sent, byte for byte.

use esker_wire::api::consumer_protocol_subscription::ConsumerProtocolSubscription;
use esker_wire::api::create_topics::CreateTopicsRequest;
use esker_wire::api::fetch::FetchRequest;
use esker_wire::api::join_group::JoinGroupRequest;
use esker_wire::api::produce::ProduceRequest;
use esker_wire::testing::Recode;
use esker_wire::{ApiKey, Message, Reader, RequestHeader, Uuid, decode_request_header};

const LIBRDKAFKA: &str = include_str!("golden/librdkafka-2.0.txt");
const KAFKA_PYTHON: &str = include_str!("golden/kafka-python-2.2.txt");
const KAFKA_CLIENTS: &str = include_str!("golden/kafka-clients-4.3.txt");

/// Name, version and bytes of each request in a golden file.
fn requests(golden: &str) -> Vec<(String, i16, Vec<u8>)> {
    let lines = golden.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [name, version, hex] = words[..] else { panic!("`{line}` has three words") };
            let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
            let bytes = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
            (name.to_owned(), version.parse().expect("a version"), bytes)
        })
        .collect()
}

/// Hands the only request of this API in `golden` to `check`.
fn with_request(golden: &str, api: ApiKey, check: impl FnOnce(RequestHeader<'_>, Reader<'_>)) {
    let requests = requests(golden);
    let (.., bytes) = requests.iter().find(|(name, ..)| name == api.name()).expect("is in there");
    let (header, body) = decode_request_header(bytes).expect("a client sent it");
    check(header, body);
}

#[test]
fn what_clients_send_is_understood_to_the_last_byte() {
    let mut count = 0;
    for golden in [LIBRDKAFKA, KAFKA_PYTHON, KAFKA_CLIENTS] {
        for (name, version, bytes) in requests(golden) {
            let (header, body) = decode_request_header(&bytes).unwrap();
            assert_eq!((header.api_key.name(), header.api_version), (&name[..], version));
            assert!(header.client_id.is_some_and(|id| !id.is_empty()));
            let body = body.remaining();
            let job = Recode::new(body, version, version);
            let done = job.by_name(&format!("{name}Request")).unwrap().unwrap();
            assert_eq!(done.consumed, body.len(), "{name} {version}");
            assert_eq!(done.encoded.as_deref(), Ok(body), "{name} {version}");
            assert!(done.equal);
            count += 1;
        }
    }
    assert_eq!(count, 60);
}

#[test]
fn the_java_producer_goes_by_topic_id() {
    with_request(KAFKA_CLIENTS, ApiKey::Produce, |header, mut body| {
        assert_eq!(header.client_id, Some("producer-1"));
        let request = ProduceRequest::decode(&mut body, header.api_version).unwrap();
        assert_eq!((request.acks, request.transactional_id), (-1, None));
        let topic = request.topic_data.first().unwrap();
        assert_eq!((topic.name, topic.topic_id), ("", Uuid::from_bytes([7; 16])));
        let partition = topic.partition_data.first().unwrap();
        let records = partition.records.unwrap();
        let batch = records.as_slice().unwrap();
        // Magic 2, and a length that leaves out the offset and itself.
        assert_eq!((partition.index, batch[16]), (0, 2));
        let len = i32::from_be_bytes(batch[8..12].try_into().unwrap());
        assert_eq!(usize::try_from(len).unwrap() + 12, batch.len());
    });
}

#[test]
fn the_java_admin_client_creates_a_topic() {
    with_request(KAFKA_CLIENTS, ApiKey::CreateTopics, |header, mut body| {
        let request = CreateTopicsRequest::decode(&mut body, header.api_version).unwrap();
        let topic = request.topics.first().unwrap();
        assert_eq!((topic.name, topic.num_partitions, topic.replication_factor), ("n", 3, 1));
        let config = topic.configs.first().unwrap();
        assert_eq!((config.name, config.value), ("retention.ms", Some("1000")));
        assert!(!request.validate_only);
    });
}

#[test]
fn librdkafka_joins_a_group_with_a_readable_subscription() {
    with_request(LIBRDKAFKA, ApiKey::JoinGroup, |header, mut body| {
        let request = JoinGroupRequest::decode(&mut body, header.api_version).unwrap();
        assert_eq!((request.group_id, request.session_timeout_ms), ("g", 6000));
        let names: Vec<_> = request.protocols.iter().map(|protocol| protocol.name).collect();
        assert_eq!(names, ["range", "roundrobin"]);
        for protocol in &request.protocols {
            let mut metadata = Reader::new(protocol.metadata);
            let version = metadata.i16();
            let subscription = ConsumerProtocolSubscription::decode(&mut metadata, version);
            assert_eq!(subscription.unwrap().topics.to_vec(), ["t"]);
        }
    });
}

#[test]
fn kafka_python_fetches_from_one_partition() {
    with_request(KAFKA_PYTHON, ApiKey::Fetch, |header, mut body| {
        let request = FetchRequest::decode(&mut body, header.api_version).unwrap();
        let topic = request.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        assert_eq!((topic.topic, partition.partition, partition.fetch_offset), ("t", 0, 0));
        // A field that version 10 does not have reads as its default.
        assert_eq!((partition.last_fetched_epoch, request.rack_id), (-1, ""));
    });
}
