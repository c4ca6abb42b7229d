//! Sending records: gathered by partition, sent one batch a partition at a time, in order.

use crate::client::{Client, retry};
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::offsets::Leader;
use crate::partitioner::partition_for_key;
use bytes::Bytes;
use esker_record::{BatchBuilder, Codec, Header};
use esker_types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use esker_wire::ErrorCode;
use esker_wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use esker_wire::api::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Who must have a record before it counts as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: no answer comes.
    None,
    /// The leader.
    Leader,
    /// Everyone who keeps the partition.
    All,
}

impl Acks {
    const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Settings of a producer.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Who must have a record.
    pub acks: Acks,
    /// How batches are compressed.
    pub codec: Codec,
    /// Level of the codec; `None` for its own.
    pub level: Option<i32>,
    /// Uncompressed bytes of a partition at which everything gathered is sent.
    pub batch_bytes: usize,
    /// Uncompressed bytes of all partitions at which everything gathered is sent.
    pub memory_bytes: usize,
    /// Whether brokers recognize batches that are sent again.
    pub idempotent: bool,
    /// How long a broker may wait for copies.
    pub timeout: Duration,
    /// Whether topics that do not exist are made, if the broker allows it.
    pub create_topics: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            codec: Codec::None,
            level: None,
            batch_bytes: 512 << 10,
            memory_bytes: 16 << 20,
            idempotent: false,
            timeout: Duration::from_secs(30),
            create_topics: true,
        }
    }
}

/// A record to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// To which topic.
    pub topic: String,
    /// To which partition; `None` lets the key decide, and chance where there is no key.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// Its time; `None` for now.
    pub timestamp: Option<i64>,
}

/// A record that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The number of the record: as many were given to the producer before it.
    pub number: u64,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset; -1 where the broker did not say.
    pub offset: i64,
}

type Target = (Arc<str>, i32);

/// A batch that is gathered.
struct Gathered {
    builder: BatchBuilder,
    /// Numbers of its records.
    numbers: Vec<u64>,
    bytes: usize,
}

/// A batch that is on its way.
struct Sealed {
    batch: Bytes,
    numbers: Vec<u64>,
}

/// Sends records.
pub struct Producer {
    client: Client,
    options: ProducerOptions,
    gathered: BTreeMap<Target, Gathered>,
    gathered_bytes: usize,
    /// Records that were given to it.
    given: u64,
    /// Where records without key go until something is sent, by topic.
    sticky: BTreeMap<Arc<str>, i32>,
    identity: Option<(ProducerId, ProducerEpoch)>,
    sequences: BTreeMap<Target, i32>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("gathered_bytes", &self.gathered_bytes)
            .finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer.
    ///
    /// # Errors
    /// When options contradict each other.
    pub fn new(client: Client, options: ProducerOptions) -> Result<Self, ClientError> {
        if options.idempotent && options.acks != Acks::All {
            let what = "a producer whose batches are recognized needs acks of all";
            return Err(ClientError::Invalid(what.to_owned()));
        }
        Ok(Self {
            client,
            options,
            gathered: BTreeMap::new(),
            gathered_bytes: 0,
            given: 0,
            sticky: BTreeMap::new(),
            identity: None,
            sequences: BTreeMap::new(),
        })
    }

    /// Takes a record, and sends everything gathered when there is enough of it. Returns what arrived.
    ///
    /// # Errors
    /// See [`ClientError`]; what was gathered and not delivered is given up then.
    pub async fn send(&mut self, record: &Outgoing) -> Result<Vec<Delivery>, ClientError> {
        let target = self.target(record).await?;
        if self.options.idempotent && self.identity.is_none() {
            self.identity = Some(self.identify().await?);
        }
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        let bytes = 32
            + len(&record.key)
            + len(&record.value)
            + record.headers.iter().map(|(key, value)| key.len() + len(value) + 8).sum::<usize>();
        let mut delivered = Vec::new();
        let full = self
            .gathered
            .get(&target)
            .is_some_and(|gathered| gathered.bytes + bytes > self.options.batch_bytes);
        if full || self.gathered_bytes + bytes > self.options.memory_bytes {
            delivered = self.flush().await?;
        }
        let now = self.client.env().clock.wall();
        if !self.gathered.contains_key(&target) {
            let builder = self.builder(&target);
            self.gathered
                .insert(target.clone(), Gathered { builder, numbers: Vec::new(), bytes: 0 });
        }
        let gathered = self.gathered.get_mut(&target).expect("inserted above if it was not there");
        let timestamp = record.timestamp.map_or(now, Timestamp);
        gathered.builder.append(
            timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
        gathered.numbers.push(self.given);
        gathered.bytes += bytes;
        self.gathered_bytes += bytes;
        self.given += 1;
        Ok(delivered)
    }

    /// Sends everything gathered and waits until it arrived.
    ///
    /// # Errors
    /// See [`ClientError`]; what was not delivered is given up then.
    pub async fn flush(&mut self) -> Result<Vec<Delivery>, ClientError> {
        self.sticky.clear();
        self.gathered_bytes = 0;
        let mut unsent = BTreeMap::new();
        for (target, gathered) in std::mem::take(&mut self.gathered) {
            let count = i32::try_from(gathered.numbers.len()).expect("a batch has fewer records");
            let sequence = self.sequences.entry(target.clone()).or_default();
            // Sequences start again from 0 after the largest.
            *sequence =
                (*sequence).checked_add(count).unwrap_or_else(|| *sequence - i32::MAX - 1 + count);
            let sealed =
                Sealed { batch: gathered.builder.build().into(), numbers: gathered.numbers };
            unsent.insert(target, sealed);
        }
        let mut delivered = Vec::new();
        let client = self.client.clone();
        retry!(client, "produce", async { self.attempt(&mut unsent, &mut delivered).await })?;
        delivered.sort_by_key(|delivery| delivery.number);
        Ok(delivered)
    }

    fn builder(&self, target: &Target) -> BatchBuilder {
        let builder =
            BatchBuilder::new(Offset::ZERO).compression(self.options.codec, self.options.level);
        match self.identity {
            None => builder,
            Some((id, epoch)) => {
                builder.producer(id, epoch, self.sequences.get(target).copied().unwrap_or(0))
            }
        }
    }

    async fn identify(&self) -> Result<(ProducerId, ProducerEpoch), ClientError> {
        retry!(self.client, "get a producer id", async {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                ..Default::default()
            };
            let reply = self.client.call_any(&request).await?;
            let response: InitProducerIdResponse = reply.read()?;
            check(response.error_code, None, || "get a producer id".to_owned())?;
            Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
        })
    }

    async fn target(&mut self, record: &Outgoing) -> Result<Target, ClientError> {
        let topic = self.client.topic(&record.topic, self.options.create_topics).await?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if count == 0 {
            let code = ErrorCode::LeaderNotAvailable.code();
            return Err(ClientError::broker(format!("produce to `{}`", record.topic), code, None));
        }
        let name: Arc<str> = record.topic.as_str().into();
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, count),
            (None, None) => *self.sticky.entry(Arc::clone(&name)).or_insert_with(|| {
                let below = self.client.env().entropy.below(u64::from(count.unsigned_abs()));
                i32::try_from(below).expect("below a number of 32 bits")
            }),
        };
        if topic.partitions.iter().all(|row| row.index != partition) {
            return Err(ClientError::Invalid(format!(
                "topic `{}` has no partition {partition}: it has {count}",
                record.topic
            )));
        }
        Ok((name, partition))
    }

    /// Sends what is unsent to its leaders, all at once. What arrives moves to `delivered`.
    async fn attempt(
        &self,
        unsent: &mut BTreeMap<Target, Sealed>,
        delivered: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let rows = unsent
            .iter()
            .map(|((topic, partition), sealed)| (&**topic, *partition, sealed.batch.clone()));
        let leaders = self.client.by_leader(rows).await?;
        let calls = leaders.values().map(|leader| self.produce(leader));
        let mut failed = None;
        for outcome in futures_util::future::join_all(calls).await {
            let rows = match outcome {
                Ok(rows) => rows,
                Err(error) => {
                    unsent.keys().for_each(|(topic, _)| self.client.forget_topic(topic));
                    failed = Some(error);
                    continue;
                }
            };
            for (target, outcome) in rows {
                let base = match outcome {
                    Ok(base) => base,
                    Err(error) => {
                        self.client.forget_topic(&target.0);
                        // An error that will not pass is the one to tell.
                        if failed.as_ref().is_none_or(ClientError::may_pass) {
                            failed = Some(error);
                        }
                        continue;
                    }
                };
                let Some(sealed) = unsent.remove(&target) else { continue };
                for (number, delta) in sealed.numbers.into_iter().zip(0..) {
                    let offset = if base < 0 { -1 } else { base + delta };
                    let (topic, partition) = (Arc::clone(&target.0), target.1);
                    delivered.push(Delivery { number, topic, partition, offset });
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if unsent.is_empty() => Ok(()),
            None => Err(ClientError::malformed("a broker", "Produce", "partitions are missing")),
        }
    }

    /// Sends batches to one leader. Returns the base offset of each.
    async fn produce(
        &self,
        leader: &Leader<Bytes>,
    ) -> Result<Vec<(Target, Result<i64, ClientError>)>, ClientError> {
        let topic_data: Vec<_> = leader
            .topics
            .iter()
            .map(|(name, partitions)| {
                let partition_data: Vec<_> = partitions
                    .iter()
                    .map(|(index, batch)| PartitionProduceData {
                        index: *index,
                        records: Some(batch.clone().into()),
                    })
                    .collect();
                TopicProduceData {
                    name,
                    partition_data: partition_data.into(),
                    ..Default::default()
                }
            })
            .collect();
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.options.acks.code(),
            timeout_ms: i32::try_from(self.options.timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: topic_data.into(),
        };
        if self.options.acks == Acks::None {
            leader.connection.tell(&request).await?;
            let rows = leader.topics.iter().flat_map(|(name, partitions)| {
                partitions.iter().map(|(index, _)| ((name.as_str().into(), *index), Ok(-1)))
            });
            return Ok(rows.collect());
        }
        answers(&leader.connection, &request, self.options.timeout).await
    }
}

async fn answers(
    connection: &Connection,
    request: &ProduceRequest<'_>,
    held: Duration,
) -> Result<Vec<(Target, Result<i64, ClientError>)>, ClientError> {
    let reply = connection.call_for(request, held).await?;
    let response: ProduceResponse<'_> = reply.read()?;
    let mut rows = Vec::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            let index = partition.index;
            // The batch arrived before; its answer was lost.
            let again = ErrorCode::DuplicateSequenceNumber.code();
            let outcome = if partition.error_code == again {
                Ok(-1)
            } else {
                let record = partition.record_errors.first();
                let message = partition
                    .error_message
                    .filter(|text| !text.is_empty())
                    .or_else(|| record.and_then(|record| record.batch_index_error_message));
                let what = || format!("produce to {}-{index}", topic.name);
                check(partition.error_code, message, what).map(|()| partition.base_offset)
            };
            rows.push(((topic.name.into(), index), outcome));
        }
    }
    Ok(rows)
}
