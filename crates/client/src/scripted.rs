//! The client against a broker that follows a script, in memory.

use crate::{
    At, Client, ClientError, ClientOptions, Consumer, ConsumerOptions, ErrorKind, Outgoing,
    Position, Producer, ProducerOptions,
};
use bytes::Bytes;
use esker_env::real::Runtimes;
use esker_env::{BoxFuture, ByteStream, Env, Listener, Net};
use esker_record::{BatchMut, BatchView, Codec};
use esker_types::Offset;
use esker_wire::api::api_versions::{ApiVersion, ApiVersionsResponse};
use esker_wire::api::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use esker_wire::api::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use esker_wire::api::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use esker_wire::api::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use esker_wire::{
    ApiKey, ErrorCode, Message, RequestHeader, decode_request_header, encode_response_frame,
};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

struct Pipe(DuplexStream);

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl ByteStream for Pipe {
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// What the broker does and has seen.
#[derive(Default)]
struct Script {
    /// Batches of the first partition.
    log: Vec<Vec<u8>>,
    /// Codes for the next produces.
    produce_codes: Vec<ErrorCode>,
    /// Connections that break at their first produce.
    break_connections: usize,
    /// There is a second partition, which has none of the offsets asked for; and connections break when asked which it has.
    second: bool,
    /// Refuses every version of `ApiVersions` but 0.
    old: bool,
    /// Bytes in place of every answer but to `ApiVersions`.
    garbage: Option<Vec<u8>>,
    metadata_asked: usize,
    connections: usize,
}

impl Script {
    fn end(&self) -> i64 {
        self.log.last().map_or(0, |batch| BatchView::parse(batch).unwrap().next_offset().0)
    }
}

type Shared = Arc<Mutex<Script>>;

struct ScriptedNet {
    script: Shared,
    spawner: Arc<dyn esker_env::Spawner>,
}

impl Net for ScriptedNet {
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            if address != "broker:9092" {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            self.script.lock().unwrap().connections += 1;
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let script = Arc::clone(&self.script);
            let serve = async move {
                let _ended = serve(theirs, script).await;
            };
            self.spawner.spawn(esker_env::TaskPlacement::Background, "script", Box::pin(serve));
            Ok(Box::new(Pipe(ours)) as Box<dyn ByteStream>)
        })
    }
}

async fn serve(mut stream: DuplexStream, script: Shared) -> io::Result<()> {
    loop {
        let size = usize::try_from(stream.read_i32().await?).unwrap();
        let mut frame = vec![0; size];
        stream.read_exact(&mut frame).await?;
        let Some(answer) = answer(&frame, &mut script.lock().unwrap()) else { return Ok(()) };
        stream.write_all(&answer).await?;
    }
}

fn encode<'a>(header: &RequestHeader<'_>, response: &impl Message<'a>) -> Option<Vec<u8>> {
    Some(encode_response_frame(header, response).unwrap().to_vec())
}

fn answer(frame: &[u8], script: &mut Script) -> Option<Vec<u8>> {
    let (header, mut body) = decode_request_header(frame).unwrap();
    let version = header.api_version;
    if header.api_key != ApiKey::ApiVersions
        && let Some(garbage) = &script.garbage
    {
        let size = i32::try_from(4 + garbage.len()).unwrap().to_be_bytes();
        return Some([&size[..], &header.correlation_id.to_be_bytes(), garbage].concat());
    }
    match header.api_key {
        ApiKey::ApiVersions => {
            let refused = script.old && version > 0;
            let header = if refused { RequestHeader { api_version: 0, ..header } } else { header };
            let api = |key: ApiKey| ApiVersion {
                api_key: key.code(),
                min_version: key.oldest(),
                max_version: key.newest_stable(),
            };
            let code = if refused { ErrorCode::UnsupportedVersion } else { ErrorCode::None };
            let api_keys: Vec<_> = ApiKey::ALL.iter().map(|key| api(*key)).collect();
            let response = ApiVersionsResponse {
                error_code: code.code(),
                api_keys: api_keys.into(),
                ..Default::default()
            };
            encode(&header, &response)
        }
        ApiKey::Metadata => {
            script.metadata_asked += 1;
            let request = MetadataRequest::decode(&mut body, version).unwrap();
            let asked = request.topics.and_then(|topics| topics.first()).and_then(|row| row.name);
            let broker =
                MetadataResponseBroker { node_id: 1, host: "broker", port: 9092, rack: None };
            let partitions: Vec<_> = (0..1 + i32::from(script.second))
                .map(|partition_index| MetadataResponsePartition {
                    partition_index,
                    leader_id: 1,
                    ..Default::default()
                })
                .collect();
            let known = asked == Some("t");
            let code = if known { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition };
            let topic = MetadataResponseTopic {
                error_code: code.code(),
                name: asked,
                partitions: if known { partitions.into() } else { Vec::new().into() },
                ..Default::default()
            };
            let response = MetadataResponse {
                brokers: vec![broker].into(),
                topics: if asked.is_some() { vec![topic].into() } else { Vec::new().into() },
                ..Default::default()
            };
            encode(&header, &response)
        }
        ApiKey::Produce => {
            if script.break_connections > 0 {
                script.break_connections -= 1;
                return None;
            }
            let request = ProduceRequest::decode(&mut body, version).unwrap();
            let data = request.topic_data.first().unwrap().partition_data.first().unwrap();
            let code = script.produce_codes.pop().unwrap_or(ErrorCode::None);
            let base = script.end();
            if code.is_none() {
                let mut batch = data.records.unwrap().to_vec();
                BatchMut::parse(&mut batch).unwrap().set_base_offset(Offset(base));
                script.log.push(batch);
            }
            let partition = PartitionProduceResponse {
                error_code: code.code(),
                base_offset: base,
                error_message: None,
                ..Default::default()
            };
            let topic = TopicProduceResponse {
                name: "t",
                partition_responses: vec![partition].into(),
                ..Default::default()
            };
            encode(
                &header,
                &ProduceResponse { responses: vec![topic].into(), ..Default::default() },
            )
        }
        ApiKey::ListOffsets => {
            if script.second {
                return None;
            }
            let partition = ListOffsetsPartitionResponse {
                offset: script.end(),
                timestamp: -1,
                ..Default::default()
            };
            let topic = ListOffsetsTopicResponse { name: "t", partitions: vec![partition].into() };
            encode(
                &header,
                &ListOffsetsResponse { topics: vec![topic].into(), ..Default::default() },
            )
        }
        ApiKey::Fetch => {
            let request = FetchRequest::decode(&mut body, version).unwrap();
            let wanted = request.topics.first().unwrap().partitions.first().unwrap().fetch_offset;
            let batches: Vec<_> = script
                .log
                .iter()
                .filter(|batch| BatchView::parse(batch).unwrap().last_offset().0 >= wanted)
                .cloned()
                .collect();
            let partition = PartitionData {
                high_watermark: script.end(),
                records: Some(Bytes::from(batches.concat()).into()),
                ..Default::default()
            };
            let second = PartitionData {
                partition_index: 1,
                error_code: ErrorCode::OffsetOutOfRange.code(),
                ..Default::default()
            };
            let mut partitions = vec![partition];
            partitions.extend(script.second.then_some(second));
            let topic = FetchableTopicResponse {
                topic: "t",
                partitions: partitions.into(),
                ..Default::default()
            };
            encode(&header, &FetchResponse { responses: vec![topic].into(), ..Default::default() })
        }
        _ => None,
    }
}

/// Runs a test with a client whose broker follows `script`.
fn with_script(script: Script, test: impl AsyncFnOnce(Client, Shared)) {
    let runtimes = Runtimes::start(1, 1).unwrap();
    let mut env = Env::real(&runtimes);
    let script = Arc::new(Mutex::new(script));
    let spawner = Arc::clone(&env.spawner);
    env.net = Arc::new(ScriptedNet { script: Arc::clone(&script), spawner });
    let options = ClientOptions {
        brokers: vec!["nobody:1".to_owned(), "broker:9092".to_owned()],
        deadline: Duration::from_secs(5),
        ..ClientOptions::default()
    };
    runtimes.block_on(test(Client::new(env, options), script));
}

fn record(key: Option<&'static str>, value: &'static str) -> Outgoing {
    Outgoing {
        topic: "t".to_owned(),
        key: key.map(Bytes::from),
        value: Some(value.into()),
        headers: vec![("h".into(), None)],
        ..Outgoing::default()
    }
}

async fn write(client: &Client, codec: Codec) -> Result<Vec<i64>, ClientError> {
    let options = ProducerOptions { codec, ..ProducerOptions::default() };
    let mut producer = Producer::new(client.clone(), options).unwrap();
    for value in ["a", "b", "c"] {
        assert_eq!(producer.send(&record(Some("k"), value)).await?, []);
    }
    Ok(producer.flush().await?.iter().map(|delivery| delivery.offset).collect())
}

async fn read(client: &Client, from: i64, end: i64) -> Vec<(i64, Bytes)> {
    let position = Position { topic: "t".into(), partition: 0, offset: from, end: Some(end) };
    let mut consumer = Consumer::new(client.clone(), ConsumerOptions::default(), vec![position]);
    let mut records = Vec::new();
    while let Some(more) = consumer.next().await.unwrap() {
        assert!(more.iter().all(|record| record.headers == [("h".into(), None)]));
        records.extend(more.into_iter().map(|record| (record.offset, record.value.unwrap())));
    }
    records
}

#[test]
fn what_is_written_is_read_between_two_offsets() {
    with_script(Script::default(), async |client, _| {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            write(&client, codec).await.unwrap();
        }
        let wanted = [("t".to_owned(), 0, At::End)];
        let found = client.list_offsets(&wanted, false).await.unwrap();
        assert_eq!(found[&("t".to_owned(), 0)].offset, 15);
        let records = read(&client, 1, 14).await;
        assert_eq!(records.len(), 13);
        for (index, (offset, value)) in records.iter().enumerate() {
            let index = index + 1;
            assert_eq!(usize::try_from(*offset).unwrap(), index);
            assert_eq!(value, ["a", "b", "c"][index % 3]);
        }
    });
}

#[test]
fn what_was_read_is_handed_out_whatever_becomes_of_other_partitions() {
    with_script(Script { second: true, ..Script::default() }, async |client, _| {
        write(&client, Codec::None).await.unwrap();
        let position = |partition| Position { topic: "t".into(), partition, offset: 0, end: None };
        let positions = vec![position(0), position(1)];
        let mut consumer = Consumer::new(client, ConsumerOptions::default(), positions);
        let records = consumer.next().await.unwrap().unwrap();
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [0, 1, 2]);
        assert_eq!(consumer.positions().map(|p| p.offset).collect::<Vec<_>>(), [3, 0]);
    });
}

#[test]
fn what_may_pass_is_tried_again_with_metadata_asked_anew() {
    let produce_codes = vec![ErrorCode::NotLeaderOrFollower, ErrorCode::NotEnoughReplicas];
    let script = Script { produce_codes, break_connections: 1, ..Script::default() };
    with_script(script, async |client, script| {
        assert_eq!(write(&client, Codec::None).await.unwrap(), [0, 1, 2]);
        let script = script.lock().unwrap();
        assert_eq!(script.log.len(), 1);
        assert_eq!(script.connections, 2);
        assert!(script.metadata_asked >= 3, "{}", script.metadata_asked);
    });
}

#[test]
fn what_will_not_pass_is_told_at_once() {
    let script = Script { produce_codes: vec![ErrorCode::MessageTooLarge], ..Script::default() };
    with_script(script, async |client, script| {
        let error = write(&client, Codec::None).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
        assert!(error.to_string().starts_with("produce to t-0: MESSAGE_TOO_LARGE"), "{error}");
        assert!(script.lock().unwrap().log.is_empty());
        let error = client.topic("unknown", false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn an_old_broker_is_greeted_in_its_own_version() {
    with_script(Script { old: true, ..Script::default() }, async |client, _| {
        assert_eq!(write(&client, Codec::None).await.unwrap(), [0, 1, 2]);
        let connection = client.any().await.unwrap();
        assert_eq!(connection.version(ApiKey::Produce).unwrap(), 12);
    });
}

#[test]
fn answers_that_do_not_read_are_errors() {
    for garbage in [vec![], vec![0xff; 40], vec![0; 3]] {
        let script = Script { garbage: Some(garbage), ..Script::default() };
        with_script(script, async |client, _| {
            let error = client.topic("t", false).await.unwrap_err();
            assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
        });
    }
}
