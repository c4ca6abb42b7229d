//! Producers over the wire: with and without sequence numbers. They tell the model what they were told.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::model::{Model, Oracle, Target, UNIQUE};
use crate::register::Sent;
use crate::trace::Trace;
use bytes::Bytes;
use esker_client::{Client, ClientError, ClientOptions, ErrorKind};
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Topics that live for the whole simulation, with their partitions.
pub const TOPICS: [(&str, i32); 3] = [("sim-a", 1), ("sim-b", 3), (RETAINED, 1)];
/// The one that keeps only its newest records.
pub const RETAINED: &str = "sim-kept";
/// Some batches have values up to this length. Six of them fit the smallest files of the log.
const LONG_VALUE: u64 = 3_500;
/// How often a producer that was not answered rests, and how long at most.
const RESTS_PERCENT: u64 = 25;
const REST_MAX_SECONDS: u64 = 30;

/// All partitions of [`TOPICS`].
pub fn targets() -> impl Iterator<Item = Target> {
    TOPICS.into_iter().flat_map(|(name, count)| (0..count).map(move |index| (name, index)))
}

pub(crate) fn pick(entropy: &SimEntropy) -> Target {
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
    /// What happened.
    pub trace: Arc<Trace>,
    /// Virtual time of earlier lives.
    pub before: Duration,
    /// Producers hardly wait at the moment.
    pub rush: Arc<AtomicBool>,
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
    /// What was known of the partition when it was first sent.
    after: i64,
    /// Whether it was sent before.
    again: bool,
    /// When it may be sent again, in nanoseconds, once that is decided.
    not_before: Option<u64>,
}

impl SimProducer {
    /// A producer of this number.
    #[must_use]
    pub fn new(number: u64, idempotent: bool) -> Self {
        let kind = if idempotent { char::from(UNIQUE) } else { 'p' };
        let (sequences, name) = (BTreeMap::new(), format!("{kind}{number}"));
        Self { name, idempotent, identity: None, sequences, under_way: None, count: 0 }
    }

    /// As [`SimProducer::step`]. Who was not answered sometimes takes its time before it asks again: the node may end and
    /// start meanwhile, and the records may be gone.
    ///
    /// # Errors
    /// As [`SimProducer::step`].
    pub async fn step_at_ease(&mut self, clients: &Clients) -> Result<(), ClientError> {
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| under_way.again) {
            let (entropy, now) = (&clients.entropy, clients.time());
            let not_before = *under_way.not_before.get_or_insert_with(|| {
                let rests = self.idempotent && entropy.chance(RESTS_PERCENT);
                if rests {
                    clients.trace.count(Effect::Rested);
                }
                now + if rests { entropy.between(1, REST_MAX_SECONDS) * 1_000_000_000 } else { 0 }
            });
            if now < not_before {
                return Ok(());
            }
        }
        self.step(clients).await
    }

    /// Sends one batch until its fate is known, or once where it carries no sequence numbers.
    ///
    /// # Errors
    /// Errors that may pass; the same batch is sent again at the next call.
    pub async fn step(&mut self, clients: &Clients) -> Result<(), ClientError> {
        if self.idempotent && self.identity.is_none() {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                ..Default::default()
            };
            let reply = clients.client.call_any(&request).await?;
            let response: InitProducerIdResponse = reply.read()?;
            match ErrorCode::from_code(response.error_code) {
                Some(ErrorCode::None) => {}
                Some(code) if code.is_retriable() => return Ok(()),
                other => {
                    let what = format!("producer {} got no id but {other:?}", self.name);
                    clients.model.lock().problem(Oracle::Producer, ("?", -1), &what);
                    return Ok(());
                }
            }
            let id = ProducerId(response.producer_id);
            self.identity = Some((id, ProducerEpoch(response.producer_epoch)));
        }
        if !self.idempotent {
            // The node died while it was on its way.
            self.give_up(clients);
        }
        if self.under_way.is_none() {
            self.under_way = Some(self.prepare(clients));
        }
        let under_way = self.under_way.as_mut().expect("set above");
        let again = std::mem::replace(&mut under_way.again, true);
        let outcome = produce(clients, under_way).await;
        let target = under_way.target;
        let (code, base, message) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                if !self.idempotent {
                    self.give_up(clients);
                }
                return Err(error);
            }
        };
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {
                let time = clients.time();
                let mut model = clients.model.lock();
                model.acknowledged(target, base, under_way.after, &under_way.values);
                model.tell(|h| {
                    h.send(time, &self.name, "ok", target, &under_way.values, Some(base))
                });
                drop(model);
                clients.trace.count(match (self.idempotent, again) {
                    (false, _) => Effect::PlainAcked,
                    (true, false) => Effect::IdempotentAcked,
                    (true, true) => Effect::SentAgain,
                });
                self.done();
            }
            Some(ErrorCode::DuplicateSequenceNumber) if self.idempotent => {
                let time = clients.time();
                let mut model = clients.model.lock();
                model.tell(|h| h.send(time, &self.name, "ok", target, &under_way.values, None));
                drop(model);
                self.done();
            }
            Some(code) if code.is_retriable() => {
                if !self.idempotent {
                    self.give_up(clients);
                }
            }
            other => {
                let what = format!("producer {} was told {other:?} ({code}): {message}", self.name);
                clients.model.lock().problem(Oracle::Producer, target, &what);
                self.under_way = None;
            }
        }
        Ok(())
    }

    /// Nobody will know whether it arrived.
    fn give_up(&mut self, clients: &Clients) {
        let Some(lost) = self.under_way.take() else { return };
        clients.trace.count(Effect::PlainLost);
        let time = clients.time();
        clients
            .model
            .lock()
            .tell(|h| h.send(time, &self.name, "info", lost.target, &lost.values, None));
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
        let padding = if entropy.chance(15) { LONG_VALUE } else { 700 };
        for _ in 0..entropy.between(1, 6) {
            self.count += 1;
            let mut value = format!("{}-{}-", self.name, self.count).into_bytes();
            let len = value.len() + usize::try_from(entropy.below(padding)).expect("small");
            value.resize(len, b'.');
            builder.append(now, None, Some(&value), &[]);
            values.push(value.into());
        }
        let mut model = clients.model.lock();
        let after = model.end_of(target);
        let batch = builder.build().into();
        let under_way = UnderWay { target, values, batch, after, again: false, not_before: None };
        let time = clients.time();
        model.tell(|h| h.send(time, &self.name, "invoke", target, &under_way.values, None));
        under_way
    }
}

async fn produce(
    clients: &Clients,
    under_way: &UnderWay,
) -> Result<(i16, i64, String), ClientError> {
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
        Some((row.error_code, row.base_offset, row.error_message.unwrap_or_default().to_owned()))
    });
    first.ok_or_else(|| ClientError::Invalid("produce was answered without partitions".to_owned()))
}

impl Clients {
    /// Nanoseconds since the simulation began.
    #[must_use]
    pub fn time(&self) -> u64 {
        let now = self.before + Duration::from_nanos(self.client.env().clock.now().0);
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The same with connections of its own: answers come in the order of the requests, and nobody waits for another's.
    #[must_use]
    pub fn apart(&self) -> Self {
        let client = Client::new(self.client.env().clone(), self.client.options().clone());
        Self { client, ..self.clone() }
    }

    /// The same, and nothing is tried again: what was acknowledged was sent once.
    #[must_use]
    pub fn once(&self) -> Self {
        let options = ClientOptions { deadline: Duration::ZERO, ..self.client.options().clone() };
        Self { client: Client::new(self.client.env().clone(), options), ..self.clone() }
    }

    /// How often one of its requests may be sent.
    pub(crate) fn sent(&self) -> Sent {
        match self.client.options().deadline.is_zero() {
            true => Sent::Once,
            false => Sent::Repeatedly,
        }
    }

    /// All producers send as fast as they can for that long.
    pub async fn rush(&self, wait: Duration) {
        self.rush.store(true, Ordering::Relaxed);
        self.client.env().clock.sleep(wait).await;
        self.rush.store(false, Ordering::Relaxed);
        self.trace.count(Effect::Rushed);
    }
}

/// Whether an error is one that faults explain.
#[must_use]
pub fn is_explained(error: &ClientError) -> bool {
    !matches!(error.kind(), ErrorKind::Final)
}
