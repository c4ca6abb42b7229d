//! A client that reads several partitions by a fetch session: it names them once and then only what changes.
//!
//! What each answer may leave out is decided by what the client was told before: whose data or edges are news is told of
//! in the next round, and whose turn it is gets its data within as many rounds as there are partitions.

use crate::clients::{Clients, pick};
use crate::effects::Effect;
use crate::model::{Known, Oracle, Target};
use bytes::Bytes;
use esker_client::{ClientError, Connection, Reply};
use esker_env::Entropy;
use esker_record::batches;
use esker_wire::ErrorCode;
use esker_wire::api::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// More than any batch of the simulation unpacks to.
const UNPACKED_MAX: usize = 1 << 20;

/// What a round may bring, and how long it may be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) wait: Duration,
    pub(crate) bytes: i32,
    pub(crate) partition_bytes: i32,
}

impl Limits {
    /// More than there is.
    pub(crate) const AMPLE: Self =
        Self { wait: Duration::from_millis(200), bytes: 4 << 20, partition_bytes: 64 << 10 };
}

/// What a reader knows of a partition of its session.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// The next offset that it reads.
    next: i64,
    /// Where it was told that the partition ends and starts, unless that was an error.
    told: Option<(i64, i64)>,
    /// Whether the broker knows of `next`.
    said: bool,
    /// Rounds in a row that brought nothing of what is known to be there.
    hungry: usize,
}

/// A reader with a session.
#[derive(Debug, Default)]
pub(crate) struct SessionReader {
    id: i32,
    /// Of the next request; 0 begins a session.
    epoch: i32,
    parts: BTreeMap<Target, Part>,
    forgotten: BTreeSet<Target>,
}

/// What a round brought.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Partitions with records.
    pub(crate) fed: BTreeSet<Target>,
    /// Partitions with an error.
    pub(crate) errors: BTreeMap<Target, i16>,
    /// Partitions that were told of at all.
    told: BTreeSet<Target>,
}

impl SessionReader {
    /// A reader of these partitions, from these offsets on.
    pub(crate) fn new(from: impl IntoIterator<Item = (Target, i64)>) -> Self {
        let part = |(target, next)| (target, Part { next, ..Part::default() });
        Self { parts: from.into_iter().map(part).collect(), ..Self::default() }
    }

    /// The next offset of each partition.
    pub(crate) fn positions(&self) -> BTreeMap<Target, i64> {
        self.parts.iter().map(|(target, part)| (*target, part.next)).collect()
    }

    /// Reads a partition, too, or from another offset on. It must not be about to be forgotten.
    pub(crate) fn add(&mut self, target: Target, next: i64) {
        let known = self.parts.entry(target).or_default();
        *known = Part { next, told: known.told, ..Part::default() };
    }

    /// Does not read a partition any more.
    pub(crate) fn forget(&mut self, target: Target) {
        if self.parts.remove(&target).is_some() && self.epoch > 0 {
            self.forgotten.insert(target);
        }
    }

    /// Begins a session in place of this one: nobody knows what became of the last request.
    fn begin_anew(&mut self) {
        self.epoch = 0;
        self.forgotten.clear();
        for part in self.parts.values_mut() {
            *part = Part { next: part.next, ..Part::default() };
        }
    }

    fn request(&self, limits: Limits) -> FetchRequest<'static> {
        let mut topics: BTreeMap<&'static str, Vec<FetchPartition>> = BTreeMap::new();
        for ((name, index), part) in self.parts.iter().filter(|(_, part)| !part.said) {
            topics.entry(name).or_default().push(FetchPartition {
                partition: *index,
                fetch_offset: part.next,
                partition_max_bytes: limits.partition_bytes,
                ..Default::default()
            });
        }
        let mut forgotten: BTreeMap<&'static str, Vec<i32>> = BTreeMap::new();
        for (name, index) in &self.forgotten {
            forgotten.entry(name).or_default().push(*index);
        }
        let topic = |(topic, partitions): (_, Vec<_>)| FetchTopic {
            topic,
            partitions: partitions.into(),
            ..Default::default()
        };
        let gone = |(topic, partitions): (_, Vec<_>)| ForgottenTopic {
            topic,
            partitions: partitions.into(),
            ..Default::default()
        };
        FetchRequest {
            max_wait_ms: i32::try_from(limits.wait.as_millis()).expect("some seconds"),
            min_bytes: 1,
            max_bytes: limits.bytes,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: topics.into_iter().map(topic).collect::<Vec<_>>().into(),
            forgotten_topics_data: forgotten.into_iter().map(gone).collect::<Vec<_>>().into(),
            ..Default::default()
        }
    }

    /// One request and its answer, which the model judges. Records of partitions that the model does not know are not
    /// looked at.
    pub(crate) async fn round(
        &mut self,
        clients: &Clients,
        limits: Limits,
    ) -> Result<Round, ClientError> {
        let outcome = self.ask(clients, limits).await;
        let (reply, before) = match outcome {
            Ok(answered) => answered,
            Err(error) => {
                self.begin_anew();
                return Err(error);
            }
        };
        let whole = self.epoch == 0;
        let response: FetchResponse<'_> = reply.read()?;
        if response.error_code != ErrorCode::None.code() {
            let what =
                format!("a session's round {} is refused: {}", self.epoch, response.error_code);
            clients.model.lock().problem(Oracle::Session, ("?", -1), &what);
            self.begin_anew();
            return Ok(Round::default());
        }
        self.id = response.session_id;
        self.epoch += 1;
        self.forgotten.clear();
        self.parts.values_mut().for_each(|part| part.said = true);
        let mut round = Round::default();
        for topic in &response.responses {
            for data in &topic.partitions {
                self.take(clients, topic.topic, &data, &mut round);
            }
        }
        self.judge_silence(clients, &before, &round, whole);
        Ok(round)
    }

    async fn ask(
        &self,
        clients: &Clients,
        limits: Limits,
    ) -> Result<(Reply, BTreeMap<Target, Known>), ClientError> {
        let connection: std::sync::Arc<Connection> = clients.client.any().await?;
        let before = {
            let model = clients.model.lock();
            self.parts.keys().map(|target| (*target, model.known(*target))).collect()
        };
        let reply = connection.call_for(&self.request(limits), limits.wait).await?;
        Ok((reply, before))
    }

    /// Takes what an answer says of one partition.
    fn take(
        &mut self,
        clients: &Clients,
        topic: &str,
        data: &PartitionData<'_>,
        round: &mut Round,
    ) {
        let named = |target: &&Target| target.0 == topic && target.1 == data.partition_index;
        let Some(target) = self.parts.keys().find(named).copied() else {
            let what = format!("a session is told of {topic}-{}, unasked", data.partition_index);
            clients.model.lock().problem(Oracle::Session, ("?", -1), &what);
            return;
        };
        if !round.told.insert(target) {
            let what = "a session is told of it twice in one answer";
            clients.model.lock().problem(Oracle::Session, target, what);
        }
        let part = self.parts.get_mut(&target).expect("it was found");
        if data.error_code != ErrorCode::None.code() {
            part.told = None;
            round.errors.insert(target, data.error_code);
            return;
        }
        part.told = Some((data.high_watermark, data.log_start_offset));
        let slice = data.records.as_ref().and_then(|records| records.as_slice());
        let read = read_records(clients, target, part.next, slice.unwrap_or_default());
        match read {
            Err(what) => clients.model.lock().problem(Oracle::Session, target, &what),
            Ok(offsets) => {
                if let Some(last) = offsets.last() {
                    clients.model.lock().stretch(clients.time(), target, part.next, &offsets);
                    (part.next, part.said) = (last + 1, false);
                    round.fed.insert(target);
                }
            }
        }
    }

    /// Whether there was nothing to tell of those who were left out, and whose hunger lasts.
    fn judge_silence(
        &mut self,
        clients: &Clients,
        before: &BTreeMap<Target, Known>,
        round: &Round,
        whole: bool,
    ) {
        let mut silent = 0;
        for (target, part) in &mut self.parts {
            let known = before.get(target).copied().unwrap_or_default();
            let (start, seen) = known.span();
            let mut model = clients.model.lock();
            let told = round.told.contains(target);
            silent += usize::from(!told);
            let missing = match part.told {
                _ if whole && !told => Some("a session begins without it".to_owned()),
                None if !told => {
                    Some("a session is told nothing of it, as yet or since an error".to_owned())
                }
                Some((end, _)) if end < seen => {
                    Some(format!("a session was told that it ends at {end}, and {seen} was known"))
                }
                Some((_, begin)) if begin < start => Some(format!(
                    "a session was told that it starts at {begin}, and {start} was known"
                )),
                _ => None,
            };
            if let Some(what) = missing {
                model.problem(Oracle::Session, *target, &what);
            }
            let fed = round.fed.contains(target) || round.errors.contains_key(target);
            part.hungry = if fed || part.next >= seen { 0 } else { part.hungry + 1 };
        }
        clients.trace.count(match (round.fed.is_empty(), silent) {
            (false, 0) => Effect::SessionFed,
            (false, _) => Effect::SessionFedSome,
            (true, _) => Effect::SessionIdle,
        });
    }

    /// Lets the model know of partitions that were passed over for more than `rounds` rounds.
    pub(crate) fn judge_hunger(&self, clients: &Clients, rounds: usize) {
        for (target, part) in self.parts.iter().filter(|(_, part)| part.hungry > rounds) {
            let what = format!("a session waits for {} for {} rounds", part.next, part.hungry);
            clients.model.lock().problem(Oracle::Session, *target, &what);
        }
    }

    /// Goes to where partitions begin whose records were gone.
    pub(crate) async fn catch_up(
        &mut self,
        clients: &Clients,
        round: &Round,
    ) -> Result<(), ClientError> {
        for (target, code) in &round.errors {
            if *code != ErrorCode::OffsetOutOfRange.code() {
                continue;
            }
            let start = clients.start_of(*target).await?;
            let next = self.parts[target].next;
            if start <= next {
                let what = format!("{next} is out of range, and it starts at {start}");
                clients.model.lock().problem(Oracle::Session, *target, &what);
            }
            self.add(*target, start);
        }
        Ok(())
    }

    /// A round with random limits; now and then another partition, one less, or a new session.
    pub(crate) async fn step(&mut self, clients: &Clients) -> Result<(), ClientError> {
        let entropy = &clients.entropy;
        if self.parts.is_empty() {
            for _ in 0..3 {
                let target = pick(entropy);
                self.add(target, clients.start_of(target).await?);
            }
        }
        match entropy.below(40) {
            0..3 => {
                let target = pick(entropy);
                if !self.parts.contains_key(&target) && !self.forgotten.contains(&target) {
                    self.add(target, clients.start_of(target).await?);
                }
            }
            3..6 if self.parts.len() > 1 => {
                let place = usize::try_from(entropy.below(self.parts.len() as u64)).expect("few");
                let target = *self.parts.keys().nth(place).expect("below their number");
                self.forget(target);
                clients.trace.count(Effect::SessionForgot);
            }
            6 => self.begin_anew(),
            _ => {}
        }
        let tight = Limits {
            bytes: 1 << entropy.between(6, 16),
            partition_bytes: 1 << entropy.between(6, 16),
            ..Limits::AMPLE
        };
        let limits = if entropy.chance(50) { Limits::AMPLE } else { tight };
        let round = self.round(clients, limits).await?;
        self.catch_up(clients, &round).await
    }
}

/// Tells the model of records from `from` on; their offsets.
fn read_records(
    clients: &Clients,
    target: Target,
    from: i64,
    slice: &[u8],
) -> Result<Vec<i64>, String> {
    let mut offsets = Vec::new();
    for batch in batches(slice) {
        let batch = batch.map_err(|error| error.to_string())?;
        let payload = batch.decompressed(UNPACKED_MAX).map_err(|error| error.to_string())?;
        for record in batch.records(&payload) {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.offset_of(record.offset_delta).get();
            if offset < from {
                continue;
            }
            offsets.push(offset);
            let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
            let time = batch.timestamp_of(record.timestamp_delta).get();
            let epoch = batch.partition_leader_epoch().get();
            let mut model = clients.model.lock();
            model.read(target, offset, &value);
            model.told_beside(target, offset, time, epoch);
        }
    }
    Ok(offsets)
}
