//! Clients over the wire: they produce, read, commit, trim, make and delete topics, and tell the model.

use crate::entropy::SimEntropy;
use crate::model::{Model, Target, UNIQUE};
use bytes::Bytes;
use esker_client::{
    At, Client, ClientError, Consumer, ConsumerOptions, ErrorKind, NewTopic, Outgoing, Position,
    Producer, ProducerOptions,
};
use esker_env::Entropy;
use esker_record::{BatchBuilder, Codec};
use esker_types::{Offset, ProducerEpoch, ProducerId};
use esker_wire::ErrorCode;
use esker_wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use esker_wire::api::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Topics that live for the whole simulation, with their partitions.
pub const TOPICS: [(&str, i32); 2] = [("sim-a", 1), ("sim-b", 3)];
const GROUP: &str = "sim-group";

/// All partitions of [`TOPICS`].
pub fn targets() -> impl Iterator<Item = Target> {
    TOPICS.into_iter().flat_map(|(name, count)| (0..count).map(move |index| (name, index)))
}

fn pick(entropy: &SimEntropy) -> Target {
    let all: Vec<_> = targets().collect();
    all[usize::try_from(entropy.below(all.len() as u64)).expect("below a length")]
}

/// What every client of a life needs.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The connections.
    pub client: Client,
    /// What is known.
    pub model: Arc<Mutex<Model>>,
    /// The workload's dice.
    pub entropy: Arc<SimEntropy>,
}

/// A producer; what it has under way outlives the node, as a client's memory does.
#[derive(Debug)]
pub struct SimProducer {
    name: String,
    /// Whether its batches carry sequence numbers.
    idempotent: bool,
    identity: Option<(ProducerId, ProducerEpoch)>,
    sequences: BTreeMap<Target, i32>,
    under_way: Option<UnderWay>,
    count: u64,
}

#[derive(Debug)]
struct UnderWay {
    target: Target,
    values: Vec<Bytes>,
    batch: Bytes,
}

impl SimProducer {
    /// A producer of this number.
    #[must_use]
    pub fn new(number: u64, idempotent: bool) -> Self {
        let kind = if idempotent { char::from(UNIQUE) } else { 'p' };
        let (sequences, name) = (BTreeMap::new(), format!("{kind}{number}"));
        Self { name, idempotent, identity: None, sequences, under_way: None, count: 0 }
    }

    /// Sends one batch until its fate is known, or once where it carries no sequence numbers.
    ///
    /// # Errors
    /// Errors that may pass; the same batch is sent again at the next call.
    pub async fn step(&mut self, clients: &Clients) -> Result<(), ClientError> {
        if self.idempotent && self.identity.is_none() {
            let request =
                InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..Default::default() };
            let reply = clients.client.call_any(&request).await?;
            let response: InitProducerIdResponse = reply.read()?;
            if response.error_code != 0 {
                return Ok(());
            }
            self.identity =
                Some((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)));
        }
        if self.under_way.is_none() {
            self.under_way = Some(self.prepare(clients));
        }
        let under_way = self.under_way.as_ref().expect("set above");
        let outcome = produce(clients, under_way).await;
        let target = under_way.target;
        let (code, base) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                if !self.idempotent {
                    self.under_way = None;
                }
                return Err(error);
            }
        };
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {
                clients.model.lock().acknowledged(target, base, &under_way.values);
                self.done();
            }
            Some(ErrorCode::DuplicateSequenceNumber) if self.idempotent => self.done(),
            Some(code) if code.is_retriable() => {
                if !self.idempotent {
                    self.under_way = None;
                }
            }
            other => {
                let what = format!("producer {} was told {other:?} ({code})", self.name);
                clients.model.lock().problem(target, &what);
                self.under_way = None;
            }
        }
        Ok(())
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none()
    }

    fn done(&mut self) {
        let done = self.under_way.take().expect("it was just answered");
        let count = i32::try_from(done.values.len()).expect("a few");
        *self.sequences.entry(done.target).or_default() += count;
    }

    fn prepare(&mut self, clients: &Clients) -> UnderWay {
        let entropy = &clients.entropy;
        let target = pick(entropy);
        let mut builder = BatchBuilder::new(Offset::ZERO);
        if entropy.chance(20) {
            builder = builder.compression(Codec::Lz4, None);
        }
        if let Some((id, epoch)) = self.identity {
            let sequence = self.sequences.get(&target).copied().unwrap_or(0);
            builder = builder.producer(id, epoch, sequence);
        }
        let mut values = Vec::new();
        let now = clients.client.env().clock.wall();
        for _ in 0..entropy.between(1, 6) {
            self.count += 1;
            let mut value = format!("{}-{}-", self.name, self.count).into_bytes();
            let len = value.len() + usize::try_from(entropy.below(700)).expect("below 700");
            value.resize(len, b'.');
            builder.append(now, None, Some(&value), &[]);
            values.push(value.into());
        }
        UnderWay { target, values, batch: builder.build().into() }
    }
}

async fn produce(clients: &Clients, under_way: &UnderWay) -> Result<(i16, i64), ClientError> {
    let (name, index) = under_way.target;
    let records = Some(under_way.batch.clone().into());
    let partition = PartitionProduceData { index, records };
    let topic =
        TopicProduceData { name, partition_data: vec![partition].into(), ..Default::default() };
    let request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic].into(),
    };
    let reply = clients.client.call_any(&request).await?;
    let response: ProduceResponse<'_> = reply.read()?;
    let first = response.responses.iter().find_map(|topic| {
        let row = topic.partition_responses.iter().next()?;
        Some((row.error_code, row.base_offset))
    });
    first.ok_or_else(|| ClientError::Invalid("produce was answered without partitions".to_owned()))
}

impl Clients {
    /// Makes the lasting topics where they are not there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn make_topics(&self) -> Result<(), ClientError> {
        for (name, partitions) in TOPICS {
            self.make_topic(name.to_owned(), partitions).await?;
        }
        Ok(())
    }

    async fn make_topic(&self, name: String, partitions: i32) -> Result<(), ClientError> {
        // Every batch passes whatever its timestamp: walls jump here.
        let configs = vec![("retention.ms".to_owned(), "-1".to_owned())];
        let topic = NewTopic { name, partitions, replication_factor: 1, configs };
        match self.client.create_topic(&topic, false).await {
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Reads every partition from its beginning to its end and lets the model judge. Nobody may trim meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_everything(&self) -> Result<(), ClientError> {
        for target in targets() {
            let start = self.edge(target, At::Start).await?;
            let end = self.edge(target, At::End).await?;
            let offsets = self.read(target, start, end, usize::MAX).await?;
            self.model.lock().whole(target, start, end, &offsets);
        }
        Ok(())
    }

    async fn edge(&self, target: Target, at: At) -> Result<i64, ClientError> {
        let wanted = [(target.0.to_owned(), target.1, at)];
        let found = self.client.list_offsets(&wanted, false).await?;
        let place = found.into_values().next();
        let nothing = || ClientError::Invalid("list offsets was answered without any".to_owned());
        Ok(place.ok_or_else(nothing)?.offset)
    }

    /// Reads from `start` to `end`, or about `limit` records of that. Answers their offsets.
    async fn read(
        &self,
        target: Target,
        start: i64,
        end: i64,
        limit: usize,
    ) -> Result<Vec<i64>, ClientError> {
        let mut offsets = Vec::new();
        let position =
            Position { topic: target.0.into(), partition: target.1, offset: start, end: Some(end) };
        let options = ConsumerOptions {
            max_wait: Duration::from_millis(200),
            partition_max_bytes: 64 << 10,
            ..ConsumerOptions::default()
        };
        let mut consumer = Consumer::new(self.client.clone(), options, vec![position]);
        while offsets.len() < limit {
            let Some(records) = consumer.next().await? else { break };
            let mut model = self.model.lock();
            for record in records {
                offsets.push(record.offset);
                model.read(target, record.offset, &record.value.unwrap_or_default());
            }
        }
        Ok(offsets)
    }

    /// Reads a stretch somewhere.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_somewhere(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let (start, end) = {
            let model = self.model.lock();
            let known = model.partitions.get(&target);
            known.map_or((0, 0), |known| (known.trim_tried, known.end()))
        };
        if start >= end {
            return Ok(());
        }
        let span = u64::try_from(end - start).expect("start is below end");
        let from = start + i64::try_from(self.entropy.below(span)).expect("below an offset");
        self.read(target, from, end, 50).await.map(drop)
    }

    /// Commits an offset that is larger than those before.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn commit(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let offset = {
            let mut model = self.model.lock();
            let (_, tried) = model.committed.entry(target).or_insert((-1, -1));
            *tried += 1 + i64::try_from(self.entropy.below(5)).expect("below 5");
            *tried
        };
        let offsets = BTreeMap::from([((target.0.to_owned(), target.1), offset)]);
        self.client.commit_offsets(GROUP, &offsets).await?;
        let mut model = self.model.lock();
        let (done, _) = model.committed.entry(target).or_insert((-1, -1));
        *done = (*done).max(offset);
        Ok(())
    }

    /// Reads what the group committed and lets the model judge. Nobody may commit meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_group(&self) -> Result<(), ClientError> {
        let offsets = self.client.fetch_offsets(GROUP).await?;
        let mut model = self.model.lock();
        for target in targets() {
            let found = offsets.get(&(target.0.to_owned(), target.1));
            model.group_read(target, found.copied().unwrap_or(-1));
        }
        Ok(())
    }

    /// Deletes the oldest records of a partition.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn trim(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let offset = {
            let mut model = self.model.lock();
            let Some(known) = model.partitions.get_mut(&target) else { return Ok(()) };
            let (low, high) = (known.trim_tried, known.end());
            let some = u64::try_from((high - low).max(1) / 2 + 1).expect("at least 1");
            let offset = low + i64::try_from(self.entropy.below(some)).expect("below an offset");
            let offset = offset.min(high);
            known.trim_tried = offset;
            offset
        };
        self.client.delete_records(target.0, &BTreeMap::from([(target.1, offset)])).await?;
        let mut model = self.model.lock();
        let known = model.partitions.entry(target).or_default();
        known.trimmed = known.trimmed.max(offset);
        Ok(())
    }

    /// Makes a topic, writes to it and deletes it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn churn(&self) -> Result<(), ClientError> {
        let name = format!("churn-{:016x}", self.entropy.next_u64());
        self.make_topic(name.clone(), 2).await?;
        let mut producer = Producer::new(self.client.clone(), ProducerOptions::default())?;
        for _ in 0..20 {
            let value = Some(Bytes::from_static(&[b'c'; 300]));
            producer.send(&Outgoing { topic: name.clone(), value, ..Default::default() }).await?;
        }
        producer.flush().await?;
        if self.entropy.chance(80) {
            self.client.delete_topic(&name).await?;
        }
        Ok(())
    }
}

/// Whether an error is one that faults explain.
#[must_use]
pub fn is_explained(error: &ClientError) -> bool {
    !matches!(error.kind(), ErrorKind::Final)
}
