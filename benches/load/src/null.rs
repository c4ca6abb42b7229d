//! A broker that does nothing: it reads requests, and says that all went well.
//!
//! What a generator reaches against it is the ceiling of the generator and of the sockets between them.

use crate::content;
use crate::pipe::Pipe;
use bytes::Bytes;
use esker_env::{Env, Incoming, Listener, TaskPlacement};
use esker_record::Codec;
use esker_wire::api::api_versions::{ApiVersion, ApiVersionsResponse};
use esker_wire::api::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use esker_wire::api::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use esker_wire::api::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use esker_wire::api::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use esker_wire::{
    ApiKey, Frame, Message, Reader, RequestHeader, decode_request_header, encode_response_frame,
};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What it serves, and up to which version.
const SERVED: [(ApiKey, i16); 5] = [
    (ApiKey::Produce, 12),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 8),
    (ApiKey::Metadata, 12),
    (ApiKey::ApiVersions, 3),
];
/// Records in every partition.
const RECORDS: i64 = 1 << 40;

/// A broker that does nothing.
#[derive(Debug)]
pub struct NullBroker {
    address: SocketAddr,
    partitions: i32,
    /// What every fetch finds in a partition.
    batch: Bytes,
}

impl NullBroker {
    /// Listens on `address`. Every topic exists and has `partitions` partitions. Serves until the process ends.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn start(env: &Env, address: &str, partitions: i32) -> io::Result<Arc<Self>> {
        let listener = env.net.bind(address).await?;
        let broker = Arc::new(Self {
            address: listener.local_addr(),
            partitions,
            batch: content::batch(16, 1024, Codec::None, env.clock.wall()),
        });
        let accept = accept(env.clone(), listener, Arc::clone(&broker));
        env.spawner.spawn(TaskPlacement::Shard(0), "accept", Box::pin(accept));
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn answer(&self, frame: &[u8]) -> Result<Option<Frame>, String> {
        let (header, body) = decode_request_header(frame).map_err(|error| error.to_string())?;
        match header.api_key {
            ApiKey::Produce => produced(&header, body),
            ApiKey::Fetch => self.fetched(&header, body).map(Some),
            ApiKey::ListOffsets => offsets(&header, body).map(Some),
            ApiKey::Metadata => self.metadata(&header, body).map(Some),
            ApiKey::ApiVersions => {
                let rows = SERVED.map(|(key, newest)| ApiVersion {
                    api_key: key.code(),
                    min_version: key.oldest(),
                    max_version: newest,
                });
                let served = header.api_version <= 3;
                let response = ApiVersionsResponse {
                    error_code: if served { 0 } else { 35 },
                    api_keys: rows.to_vec().into(),
                    ..Default::default()
                };
                let version = if served { header.api_version } else { 0 };
                let header = RequestHeader { api_version: version, ..header };
                encode(&header, &response).map(Some)
            }
            other => Err(format!("{} is not served", other.name())),
        }
    }

    fn metadata(&self, header: &RequestHeader<'_>, body: Reader<'_>) -> Result<Frame, String> {
        let request: MetadataRequest<'_> = decode(header, body)?;
        let host = self.address.ip().to_string();
        let partitions = || -> Vec<_> {
            (0..self.partitions)
                .map(|index| MetadataResponsePartition {
                    partition_index: index,
                    leader_id: 1,
                    replica_nodes: vec![1].into(),
                    isr_nodes: vec![1].into(),
                    ..Default::default()
                })
                .collect()
        };
        let topics = request.topics.iter().flatten().map(|topic| MetadataResponseTopic {
            name: topic.name,
            partitions: partitions().into(),
            ..Default::default()
        });
        let broker = MetadataResponseBroker {
            node_id: 1,
            host: &host,
            port: self.address.port().into(),
            rack: None,
        };
        let response = MetadataResponse {
            brokers: vec![broker].into(),
            controller_id: 1,
            topics: topics.collect(),
            ..Default::default()
        };
        encode(header, &response)
    }

    fn fetched(&self, header: &RequestHeader<'_>, body: Reader<'_>) -> Result<Frame, String> {
        let request: FetchRequest<'_> = decode(header, body)?;
        let len = self.batch.len();
        let mut left = usize::try_from(request.max_bytes).unwrap_or_default();
        let mut responses = Vec::new();
        for topic in &request.topics {
            let mut rows = Vec::new();
            for partition in &topic.partitions {
                let most = usize::try_from(partition.partition_max_bytes).unwrap_or_default();
                let fits = (most.min(left) / len).max(1);
                left = left.saturating_sub(fits * len);
                // The batches keep the offsets with which they were made: readers read the same ones for ever.
                rows.push(PartitionData {
                    partition_index: partition.partition,
                    high_watermark: RECORDS,
                    last_stable_offset: RECORDS,
                    log_start_offset: 0,
                    aborted_transactions: None,
                    records: Some(vec![self.batch.clone(); fits].into()),
                    ..Default::default()
                });
            }
            let topic = topic.topic;
            responses.push(FetchableTopicResponse {
                topic,
                partitions: rows.into(),
                ..Default::default()
            });
        }
        encode(header, &FetchResponse { responses: responses.into(), ..Default::default() })
    }
}

fn decode<'a, M: Message<'a>>(
    header: &RequestHeader<'_>,
    mut body: Reader<'a>,
) -> Result<M, String> {
    M::decode(&mut body, header.api_version).map_err(|error| error.to_string())
}

fn encode<'a>(header: &RequestHeader<'_>, response: &impl Message<'a>) -> Result<Frame, String> {
    encode_response_frame(header, response).map_err(|error| error.to_string())
}

fn produced(header: &RequestHeader<'_>, body: Reader<'_>) -> Result<Option<Frame>, String> {
    let request: ProduceRequest<'_> = decode(header, body)?;
    if request.acks == 0 {
        return Ok(None);
    }
    let rows = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name,
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|partition| PartitionProduceResponse {
                index: partition.index,
                error_message: None,
                ..Default::default()
            })
            .collect(),
    });
    let response = ProduceResponse { responses: rows.collect(), ..Default::default() };
    encode(header, &response).map(Some)
}

fn offsets(header: &RequestHeader<'_>, body: Reader<'_>) -> Result<Frame, String> {
    let request: ListOffsetsRequest<'_> = decode(header, body)?;
    let rows = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                offset: if partition.timestamp == -2 { 0 } else { RECORDS },
                ..Default::default()
            })
            .collect(),
    });
    encode(header, &ListOffsetsResponse { topics: rows.collect(), ..Default::default() })
}

async fn accept(env: Env, listener: Box<dyn Listener>, broker: Arc<NullBroker>) {
    while let Ok(incoming) = listener.accept().await {
        let connection = serve(incoming, Arc::clone(&broker));
        env.spawner.spawn(TaskPlacement::Shard(0), "connection", Box::pin(connection));
    }
}

async fn serve(incoming: Incoming, broker: Arc<NullBroker>) {
    let Ok(stream) = incoming.open() else { return };
    let mut pipe = Pipe::new(stream);
    // Whoever broke the protocol or went away is left alone.
    let _ended: io::Error = poll_fn(|context| poll(&mut pipe, &broker, context)).await;
}

fn poll(pipe: &mut Pipe, broker: &NullBroker, context: &mut Context<'_>) -> Poll<io::Error> {
    loop {
        if let Err(error) = pipe.poll_send(context) {
            return Poll::Ready(error);
        }
        if !pipe.is_sent() {
            return Poll::Pending;
        }
        let answer = match std::task::ready!(pipe.poll_answer(context)) {
            Ok(frame) => broker.answer(frame),
            Err(error) => return Poll::Ready(error),
        };
        match answer {
            Ok(Some(frame)) => pipe.push(frame.into_segments()),
            Ok(None) => {}
            Err(problem) => {
                return Poll::Ready(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
    }
}
