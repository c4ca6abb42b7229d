//! Producers over the wire: with and without sequence numbers. They tell the model what they were told.

use crate::admin::STAMPED;
use crate::clients::{Clients, pick};
use crate::effects::Effect;
use crate::model::{Oracle, Target, UNIQUE};
use bytes::Bytes;
use esker_client::{ClientError, Connection};
use esker_env::Entropy;
use esker_record::{BatchBuilder, BatchMut, Codec};
use esker_types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use esker_wire::ErrorCode;
use esker_wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use esker_wire::api::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use futures_util::future::join_all;
use std::collections::{BTreeMap, VecDeque};

/// Some batches have values up to this length. Six of them fit the smallest files of the log.
const LONG_VALUE: u64 = 3_500;
/// How often a producer that was not answered rests, and how long at most.
const RESTS_PERCENT: u64 = 25;
const REST_MAX_SECONDS: u64 = 30;
/// Behind so many of a hundred batches stands the beginning of another, which brokers cut off.
const CUT_BEHIND_PERCENT: u64 = 3;
/// So many of a hundred batches have a header that lies about the largest timestamp.
const LIES_PERCENT: u64 = 20;
/// So many of a hundred batches are of records without a timestamp.
const TIMELESS_PERCENT: u64 = 5;
/// How far the producers' clocks are off. The broker takes what is less than an hour ahead of its own.
const CLOCKS_MS: [i64; 4] = [0, -3 * 3_600_000, 60_000, -600_000];
/// How old a record may be that comes in a fresh batch.
const OLD_MS: u64 = 30 * 86_400_000;
/// How often a batch goes in the request of the one before it, where that is for another partition.
const TOGETHER_PERCENT: u64 = 40;
/// How often a producer with several batches on their way sends the next ones to one partition.
const STAYS_PERCENT: u64 = 25;
/// How often a producer that has nothing on its way is a new one from then on.
const RENEWED_PERCENT: u64 = 3;
/// Batches that a producer may have on their way at once, as Kafka's clients have.
const AHEAD_MAX: u64 = 5;

/// A producer; what it has under way outlives the node, as a client's memory does.
#[derive(Debug)]
pub struct SimProducer {
    name: String,
    kind: Kind,
    /// Which of [`CLOCKS_MS`] it goes by.
    clock: usize,
    identity: Option<(ProducerId, ProducerEpoch)>,
    /// The next sequence number.
    sequences: BTreeMap<Target, i32>,
    /// In the order in which they are sent, the first one not answered yet.
    under_way: VecDeque<UnderWay>,
    /// Where batches were acknowledged, by their first sequence number.
    placed: BTreeMap<Target, BTreeMap<i32, i64>>,
    values: u64,
    batches: u64,
    /// Where it sends, and so many batches more.
    stays: Option<(Target, u64)>,
}

/// How a producer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without sequence numbers: each batch once.
    Plain,
    /// With sequence numbers, one batch at a time, until its fate is known.
    Idempotent,
    /// With sequence numbers, several batches on their way.
    Ahead,
}

#[derive(Debug)]
struct UnderWay {
    /// Who sends it, in a history: a process there does one thing at a time.
    process: String,
    target: Target,
    sequence: i32,
    values: Vec<Bytes>,
    /// The records' times, by their producer.
    times: Vec<i64>,
    batch: Bytes,
    /// What was known of the partition when it was first sent.
    after: i64,
    /// Whether it was sent before.
    again: bool,
    /// When it may be sent again, in nanoseconds, once that is decided.
    not_before: Option<u64>,
    answered: bool,
}

/// What a broker says of a batch.
struct Answer {
    code: i16,
    base: i64,
    /// The broker's own time for its records, -1 where theirs count.
    stamp: i64,
    message: String,
}

impl SimProducer {
    /// A producer of this number.
    #[must_use]
    pub fn new(number: u64, kind: Kind) -> Self {
        let letter = if kind == Kind::Plain { 'p' } else { char::from(UNIQUE) };
        Self {
            name: format!("{letter}{number}"),
            kind,
            clock: usize::try_from(number).expect("a few") % CLOCKS_MS.len(),
            identity: None,
            sequences: BTreeMap::new(),
            under_way: VecDeque::new(),
            placed: BTreeMap::new(),
            values: 0,
            batches: 0,
            stays: None,
        }
    }

    /// As [`SimProducer::step`]. Who was not answered sometimes takes its time before it asks again: the node may end and
    /// start meanwhile, and the records may be gone.
    ///
    /// # Errors
    /// As [`SimProducer::step`].
    pub async fn step_at_ease(&mut self, clients: &Clients) -> Result<(), ClientError> {
        let rests_at_all = self.kind != Kind::Plain;
        if let Some(first) = self.under_way.front_mut().filter(|first| first.again) {
            let (entropy, now) = (&clients.entropy, clients.time());
            let not_before = *first.not_before.get_or_insert_with(|| {
                let rests = rests_at_all && entropy.chance(RESTS_PERCENT);
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

    /// Sends what is under way, and more where that is little, once: what is not acknowledged is sent again by the next
    /// call, unless it carries no sequence numbers.
    ///
    /// # Errors
    /// Errors that may pass.
    pub async fn step(&mut self, clients: &Clients) -> Result<(), ClientError> {
        if self.kind == Kind::Plain {
            // The node died while it was on its way.
            self.give_up(clients);
        } else if self.is_idle() && clients.entropy.chance(RENEWED_PERCENT) {
            self.begin_anew(clients);
        }
        if self.kind != Kind::Plain && self.identity.is_none() {
            self.identity = self.identify(clients).await?;
            if self.identity.is_none() {
                return Ok(());
            }
        }
        let ahead = match self.kind {
            Kind::Ahead => clients.entropy.between(1, AHEAD_MAX + 1),
            Kind::Plain | Kind::Idempotent => 1,
        };
        while (self.under_way.len() as u64) < ahead {
            let batch = self.prepare(clients);
            self.under_way.push_back(batch);
        }
        let outcome = self.send(clients).await;
        if self.kind == Kind::Plain {
            self.give_up(clients);
        }
        outcome
    }

    /// A client that was started again: nothing is known of it in any partition.
    fn begin_anew(&mut self, clients: &Clients) {
        self.identity = None;
        self.sequences.clear();
        self.placed.clear();
        clients.trace.count(Effect::BegunAnew);
    }

    /// Asks for an id; `None` where the broker has none to give at the moment.
    async fn identify(
        &self,
        clients: &Clients,
    ) -> Result<Option<(ProducerId, ProducerEpoch)>, ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        let reply = clients.client.call_any(&request).await?;
        let response: InitProducerIdResponse = reply.read()?;
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {
                let epoch = ProducerEpoch(response.producer_epoch);
                clients.model.lock().identified(response.producer_id, &self.name);
                return Ok(Some((ProducerId(response.producer_id), epoch)));
            }
            Some(code) if code.is_retriable() => {}
            other => {
                let what = format!("producer {} got no id but {other:?}", self.name);
                clients.model.lock().problem(Oracle::Producer, ("?", -1), &what);
            }
        }
        Ok(None)
    }

    /// Sends everything that is not answered in order, on one connection: what comes later must not arrive without what
    /// is before it.
    async fn send(&mut self, clients: &Clients) -> Result<(), ClientError> {
        let connection = clients.client.any().await?;
        let open: Vec<_> =
            (0..self.under_way.len()).filter(|at| !self.under_way[*at].answered).collect();
        let again = open.iter().map(|at| std::mem::replace(&mut self.under_way[*at].again, true));
        let again: Vec<_> = again.collect();
        let requests = self.requests(clients, &open);
        let sent = requests.iter().map(|batches| {
            let batch = |at: &usize| {
                let sent = &self.under_way[*at];
                (sent.target, sent.batch.clone())
            };
            produce(&connection, batches.iter().map(batch).collect())
        });
        let answers = join_all(sent).await;
        let mut outcome = Ok(());
        let mut judged = open.iter().zip(again);
        for (batches, answers) in requests.iter().zip(answers) {
            let batches: Vec<_> = judged.by_ref().take(batches.len()).collect();
            match answers {
                Ok(answers) => {
                    for ((at, again), answer) in batches.into_iter().zip(answers) {
                        self.judge(clients, *at, again, answer);
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        while self.under_way.pop_front_if(|first| first.answered).is_some() {}
        outcome
    }

    /// The batches that go in one request each: several now and then, of different partitions.
    fn requests(&self, clients: &Clients, open: &[usize]) -> Vec<Vec<usize>> {
        let mut requests: Vec<Vec<usize>> = Vec::new();
        for at in open {
            let target = self.under_way[*at].target;
            let other = |before: &usize| self.under_way[*before].target != target;
            match requests.last_mut().filter(|last| last.iter().all(other)) {
                Some(last) if clients.entropy.chance(TOGETHER_PERCENT) => {
                    last.push(*at);
                    clients.trace.count(Effect::SentTogether);
                }
                _ => requests.push(vec![*at]),
            }
        }
        requests
    }

    /// Whether a batch for the same partition before this one is not answered.
    fn waits_behind_another(&self, at: usize) -> bool {
        let target = self.under_way[at].target;
        self.under_way.range(..at).any(|before| before.target == target && !before.answered)
    }

    fn judge(&mut self, clients: &Clients, at: usize, again: bool, answer: Answer) {
        let Answer { code, base, stamp, message } = answer;
        let (behind_any, behind) = (at > 0, self.waits_behind_another(at));
        let sent = &mut self.under_way[at];
        let (target, time) = (sent.target, clients.time());
        let mut model = clients.model.lock();
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {
                model.acknowledged(target, base, sent.after, &sent.values);
                match stamp {
                    // Who stamps the topic now may not have stamped what came before.
                    _ if again && target.0 == STAMPED => {}
                    -1 => model.timed(target, base, &sent.times),
                    stamp => model.timed(target, base, &vec![stamp; sent.times.len()]),
                }
                model.tell(|h| h.send(time, &sent.process, "ok", target, &sent.values, Some(base)));
                sent.answered = true;
                clients.trace.count(match (self.kind, again) {
                    (Kind::Plain, _) => Effect::PlainAcked,
                    (_, false) if behind_any => Effect::AckedAhead,
                    (_, false) => Effect::IdempotentAcked,
                    (_, true) => Effect::SentAgain,
                });
                let sequence = sent.sequence;
                if self.kind != Kind::Plain
                    && let Some(what) = self.place(target, sequence, base)
                {
                    model.problem(Oracle::Order, target, &what);
                }
            }
            Some(ErrorCode::DuplicateSequenceNumber) if self.kind != Kind::Plain => {
                model.tell(|h| h.send(time, &sent.process, "ok", target, &sent.values, None));
                sent.answered = true;
            }
            // What is before it in its partition was refused: both are sent again.
            Some(ErrorCode::OutOfOrderSequenceNumber) if behind => {
                clients.trace.count(Effect::OutOfOrder);
            }
            Some(code) if code.is_retriable() => {}
            other => {
                let what = format!(
                    "producer {} was told {other:?} ({code}) of {}: {message}",
                    self.name, sent.sequence
                );
                model.problem(Oracle::Producer, target, &what);
                sent.answered = true;
            }
        }
    }

    /// Notes where a batch was acknowledged; what is wrong with that, beside the others of its partition.
    fn place(&mut self, target: Target, sequence: i32, base: i64) -> Option<String> {
        let placed = self.placed.entry(target).or_default();
        let before = placed.range(..sequence).next_back().filter(|(_, at)| **at >= base);
        let after = placed.range(sequence + 1..).next().filter(|(_, at)| **at <= base);
        let wrong = before.or(after).map(|(other, at)| {
            format!("{}: {sequence} is at {base}, and {other} at {at}", self.name)
        });
        placed.insert(sequence, base);
        wrong
    }

    /// Nobody will know whether what is not answered arrived.
    fn give_up(&mut self, clients: &Clients) {
        for lost in self.under_way.drain(..) {
            clients.trace.count(Effect::PlainLost);
            let (time, target) = (clients.time(), lost.target);
            let mut model = clients.model.lock();
            model.tell(|h| h.send(time, &lost.process, "info", target, &lost.values, None));
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Where the next batch goes: somewhere; several of those that are on their way together to one partition.
    fn choose(&mut self, clients: &Clients) -> Target {
        let entropy = &clients.entropy;
        let (target, left) = match self.stays {
            Some((target, left)) if left > 0 => (target, left - 1),
            _ => {
                let stays = self.kind == Kind::Ahead && entropy.chance(STAYS_PERCENT);
                (pick(entropy), if stays { AHEAD_MAX * 2 } else { 0 })
            }
        };
        self.stays = Some((target, left));
        target
    }

    /// The times of the records of a batch, by this producer's own clock; and whether they differ. In their order, all
    /// at once, in disorder, or with an old one among them.
    fn times(&self, clients: &Clients) -> (Vec<i64>, bool) {
        let entropy = &clients.entropy;
        let count = entropy.between(1, 6);
        let clock = CLOCKS_MS[self.clock];
        let now = clients.client.env().clock.wall().get() + clock;
        let some = |range: u64| i64::try_from(entropy.below(range)).expect("a day at most");
        let mut times = vec![now; usize::try_from(count).expect("a few")];
        let kind = entropy.below(100);
        match kind {
            0..TIMELESS_PERCENT => times.fill(Timestamp::NONE.get()),
            TIMELESS_PERCENT..30 => times.iter_mut().for_each(|time| *time -= some(60_000)),
            30..45 => {
                let place = usize::try_from(entropy.below(count)).expect("a few");
                times[place] -= some(OLD_MS);
            }
            _ => {}
        }
        (times, (TIMELESS_PERCENT..45).contains(&kind))
    }

    fn prepare(&mut self, clients: &Clients) -> UnderWay {
        let entropy = &clients.entropy;
        let target = self.choose(clients);
        let (times, disorder) = self.times(clients);
        let mut builder = BatchBuilder::new(Offset::ZERO);
        if entropy.chance(20) {
            builder = builder.compression(Codec::Lz4, None);
        }
        let next = self.sequences.entry(target).or_default();
        let sequence = *next;
        if let Some((id, epoch)) = self.identity {
            builder = builder.producer(id, epoch, sequence);
        }
        let mut values = Vec::new();
        let now = clients.client.env().clock.wall();
        let padding = if entropy.chance(15) { LONG_VALUE } else { 700 };
        for time in &times {
            self.values += 1;
            let mut value = format!("{}-{}-", self.name, self.values).into_bytes();
            let len = value.len() + usize::try_from(entropy.below(padding)).expect("small");
            value.resize(len, b'.');
            builder.append(Timestamp(*time), None, Some(&value), &[]);
            values.push(value.into());
            *next += 1;
        }
        self.batches += 1;
        let mut batch = builder.build();
        // What is written later than the header says, between the first record and the claim, nobody finds by time.
        if entropy.chance(LIES_PERCENT) && !disorder {
            let ages = [Timestamp::NONE, Timestamp(0), Timestamp(now.get() + 1_800_000)];
            let claimed = ages[usize::try_from(entropy.below(3)).expect("one of three")];
            BatchMut::parse(&mut batch).expect("it was just built").set_create_time(claimed);
            clients.trace.count(Effect::TimesLied);
        }
        if entropy.chance(CUT_BEHIND_PERCENT) {
            let cut = entropy.between(1, batch.len() as u64 - 1);
            batch.extend_from_within(..usize::try_from(cut).expect("below a length"));
            clients.trace.count(Effect::CutBehind);
        }
        let mut model = clients.model.lock();
        let under_way = UnderWay {
            process: format!("{}/{}", self.name, self.batches % AHEAD_MAX),
            target,
            sequence,
            values,
            times,
            batch: batch.into(),
            after: model.end_of(target),
            again: false,
            not_before: None,
            answered: false,
        };
        let (time, sent) = (clients.time(), &under_way);
        model.tell(|h| h.send(time, &sent.process, "invoke", target, &sent.values, None));
        under_way
    }
}

/// Sends one batch; the error code of the answer.
pub(crate) async fn produce_one(
    clients: &Clients,
    (name, index): Target,
    batch: Bytes,
) -> Result<i16, ClientError> {
    let (_, connection) = clients.client.leader(name, index).await?;
    let told = produce(&connection, vec![((name, index), batch)]).await?;
    Ok(told[0].code)
}

/// Sends batches in one request; what is said of each, in their order.
async fn produce(
    connection: &Connection,
    batches: Vec<(Target, Bytes)>,
) -> Result<Vec<Answer>, ClientError> {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData<'_>>> = BTreeMap::new();
    for ((name, index), batch) in &batches {
        let (name, index) = (*name, *index);
        let records = Some(batch.clone().into());
        topics.entry(name).or_default().push(PartitionProduceData { index, records });
    }
    let topic = |(name, partitions): (_, Vec<_>)| TopicProduceData {
        name,
        partition_data: partitions.into(),
        ..Default::default()
    };
    let request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 10_000,
        topic_data: topics.into_iter().map(topic).collect::<Vec<_>>().into(),
    };
    let reply = connection.call(&request).await?;
    let response: ProduceResponse<'_> = reply.read()?;
    let answers = batches.iter().map(|((name, index), _)| {
        let (name, index) = (*name, *index);
        let mut topics = response.responses.iter().filter(|topic| topic.name == name);
        let row = topics
            .find_map(|topic| topic.partition_responses.iter().find(|row| row.index == index))?;
        let message = row.error_message.unwrap_or_default().to_owned();
        let (code, base, stamp) = (row.error_code, row.base_offset, row.log_append_time_ms);
        Some(Answer { code, base, stamp, message })
    });
    answers.collect::<Option<_>>().ok_or_else(|| {
        ClientError::Invalid("produce was answered without what was asked".to_owned())
    })
}
