//! Sending what was encoded before.

use crate::content;
use crate::pace::Pace;
use crate::pipe::Pipe;
use crate::report::{Report, Tally};
use crate::target::{Leader, LoadError, Target, run_all};
use bytes::{Bytes, BytesMut};
use esker_env::{ByteStream, Clock};
use esker_record::Codec;
use esker_types::MonoTime;
use esker_wire::api::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use esker_wire::{ApiKey, ErrorCode, Message, decode_response_header, encode_request_frame};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Where a request has its correlation id: after size, key and version.
const CORRELATION_AT: usize = 8;

/// What to send.
#[derive(Debug, Clone)]
pub struct ProduceOptions {
    /// Bytes of a record's value.
    pub record_bytes: usize,
    /// Records in a batch.
    pub batch_records: usize,
    /// Batches in a request, each for another partition.
    pub batches: usize,
    /// Connections to each broker.
    pub connections: usize,
    /// Requests of a connection that may wait for their answers.
    pub in_flight: usize,
    /// How batches are compressed: once, before the first is sent.
    pub codec: Codec,
    /// −1, 0 or 1.
    pub acks: i16,
    /// Bytes of values a second, all together; `None` for as fast as possible.
    pub rate: Option<f64>,
    /// No request begins later than this after the first.
    pub duration: Duration,
    /// No request begins after so many bytes of values.
    pub bytes: u64,
}

impl Default for ProduceOptions {
    fn default() -> Self {
        Self {
            record_bytes: 1024,
            batch_records: 16,
            batches: 16,
            connections: 4,
            in_flight: 5,
            codec: Codec::None,
            acks: -1,
            rate: None,
            duration: Duration::from_secs(10),
            bytes: u64::MAX,
        }
    }
}

/// A request that can be sent again and again.
struct Prepared {
    /// Size, header, and what comes before the first batch; the correlation id is put in anew each time.
    head: Bytes,
    rest: Vec<Bytes>,
    records: u64,
    bytes: u64,
}

/// Sends, and reports what came of it.
///
/// # Errors
/// See [`LoadError`]; errors of single partitions are counted in the report.
pub async fn produce(target: &Target, options: &ProduceOptions) -> Result<Report, LoadError> {
    if options.connections == 0 || options.in_flight == 0 || options.batch_records == 0 {
        return Err(LoadError::Options("at least one of each is needed".to_owned()));
    }
    let clock = &target.env.clock;
    let batch =
        content::batch(options.batch_records, options.record_bytes, options.codec, clock.wall());
    let mut works = Vec::new();
    let connections = options.connections * target.leaders.len();
    for leader in &target.leaders {
        let prepared: Arc<[Prepared]> = prepare(target, leader, options, &batch)?.into();
        for number in 0..options.connections {
            let share = Share {
                clock: Arc::clone(clock),
                address: Arc::clone(&leader.address),
                version: leader.produce_version,
                prepared: Arc::clone(&prepared),
                next: number % prepared.len(),
                options: options.clone(),
                connections: u64::try_from(connections).unwrap_or(1),
            };
            let work = move |stream: Box<dyn ByteStream>| {
                Box::pin(share.run(stream)) as esker_env::BoxFuture<'static, _>
            };
            works.push((Arc::clone(&leader.address), work));
        }
    }
    let mut total = Tally::new();
    let (mut first, mut last) = (None::<MonoTime>, MonoTime::default());
    for (begun, ended, tally) in run_all(&target.env, works).await? {
        first = Some(first.map_or(begun, |first| first.min(begun)));
        last = last.max(ended);
        total.merge(tally);
    }
    Ok(total.report(last.since(first.unwrap_or(last))))
}

/// Requests that go round the partitions of a broker.
fn prepare(
    target: &Target,
    leader: &Leader,
    options: &ProduceOptions,
    batch: &Bytes,
) -> Result<Vec<Prepared>, LoadError> {
    let count = leader.partitions.len();
    let batches = options.batches.clamp(1, count);
    let requests = count.div_ceil(batches);
    let prepared = (0..requests).map(|request| {
        let partitions = (0..batches).map(|place| PartitionProduceData {
            index: leader.partitions[(request * batches + place) % count],
            records: Some(batch.clone().into()),
        });
        let segments =
            encode(&target.topic, options.acks, partitions.collect(), leader.produce_version)?;
        let records = u64::try_from(batches * options.batch_records).unwrap_or_default();
        let bytes = records * u64::try_from(options.record_bytes).unwrap_or_default();
        let mut segments = segments.into_iter();
        let head = segments.next().unwrap_or_default();
        Ok(Prepared { head, rest: segments.collect(), records, bytes })
    });
    prepared.collect()
}

/// A produce request in pieces, its correlation id 0.
pub(crate) fn encode(
    topic: &str,
    acks: i16,
    partitions: Vec<PartitionProduceData<'_>>,
    version: i16,
) -> Result<Vec<Bytes>, LoadError> {
    let data =
        TopicProduceData { name: topic, partition_data: partitions.into(), ..Default::default() };
    let request = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![data].into(),
        ..Default::default()
    };
    let frame = encode_request_frame(0, Some("esker-bench"), &request, version)
        .map_err(|error| LoadError::Options(error.to_string()))?;
    Ok(frame.into_segments())
}

/// A frame's first piece with a correlation id.
pub(crate) fn numbered(head: &Bytes, correlation_id: i32) -> Bytes {
    let mut copy = BytesMut::from(&head[..]);
    copy[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
    copy.freeze()
}

/// Counts what an answer says. `records` and `bytes` are what its request carried.
pub(crate) fn judge(
    answer: &[u8],
    version: i16,
    correlation_id: i32,
    tally: &mut Tally,
    (records, bytes): (u64, u64),
) -> Result<(), String> {
    let (header, mut body) = decode_response_header(answer, ApiKey::Produce, version)
        .map_err(|error| error.to_string())?;
    if header.correlation_id != correlation_id {
        let got = header.correlation_id;
        return Err(format!("the answer to request {got} came for request {correlation_id}"));
    }
    let response = ProduceResponse::decode(&mut body, version).map_err(|e| e.to_string())?;
    let errors_before = tally.errors;
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            if partition.error_code != 0 {
                tally.error(|| {
                    let code = ErrorCode::from_code(partition.error_code);
                    let message = partition.error_message.unwrap_or_default();
                    format!("partition {}: {code:?} {message}", partition.index)
                });
            }
        }
    }
    tally.requests += 1;
    if tally.errors == errors_before {
        tally.records += records;
        tally.bytes += bytes;
    }
    Ok(())
}

/// What one connection sends.
struct Share {
    clock: Arc<dyn Clock>,
    address: Arc<str>,
    version: i16,
    prepared: Arc<[Prepared]>,
    next: usize,
    options: ProduceOptions,
    connections: u64,
}

struct Sent {
    prepared: usize,
    due: MonoTime,
    correlation_id: i32,
}

impl Share {
    async fn run(
        mut self,
        stream: Box<dyn ByteStream>,
    ) -> Result<(MonoTime, MonoTime, Tally), LoadError> {
        let begin = self.clock.now();
        let mut run = Run {
            pipe: Pipe::new(stream),
            tally: Tally::new(),
            waiting: VecDeque::new(),
            pace: self.pace(begin),
            end: begin.plus(self.options.duration),
            bytes_left: self.options.bytes / self.connections,
            correlation_id: 0,
            unanswered: self.options.acks == 0,
        };
        let outcome = poll_fn(|context| self.poll(&mut run, context)).await;
        outcome.map_err(|source| LoadError::Connection {
            address: self.address.to_string(),
            source,
        })?;
        Ok((begin, self.clock.now(), run.tally))
    }

    fn pace(&self, begin: MonoTime) -> Pace {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let requests = self
            .options
            .rate
            .map(|rate| rate / self.prepared[0].bytes.max(1) as f64 / self.connections as f64);
        Pace::new(Arc::clone(&self.clock), begin, requests)
    }

    fn poll(&mut self, run: &mut Run, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut progress = run.receive(self, context)?;
            let more = run.fill(self, context);
            progress |= run.pipe.poll_send(context)?;
            if !more && run.waiting.is_empty() && run.pipe.is_sent() {
                return Poll::Ready(Ok(()));
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }
}

/// A connection at work.
struct Run {
    pipe: Pipe,
    tally: Tally,
    waiting: VecDeque<Sent>,
    pace: Pace,
    end: MonoTime,
    bytes_left: u64,
    correlation_id: i32,
    /// No answers come.
    unanswered: bool,
}

impl Run {
    fn receive(&mut self, share: &Share, context: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        while !self.waiting.is_empty() {
            let Poll::Ready(answer) = self.pipe.poll_answer(context) else { break };
            let answer = answer?;
            let Some(sent) = self.waiting.pop_front() else { break };
            let prepared = &share.prepared[sent.prepared];
            let carried = (prepared.records, prepared.bytes);
            judge(answer, share.version, sent.correlation_id, &mut self.tally, carried)
                .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
            self.tally.requests_took.add(share.clock.now().since(sent.due));
            progress = true;
        }
        Ok(progress)
    }

    /// Queues what is due; whether there will be more.
    fn fill(&mut self, share: &mut Share, context: &mut Context<'_>) -> bool {
        loop {
            let now = share.clock.now();
            if now >= self.end || self.bytes_left == 0 {
                return false;
            }
            let room = if self.unanswered {
                self.pipe.is_sent()
            } else {
                self.waiting.len() < share.options.in_flight
            };
            if !room {
                return true;
            }
            let Some(due) = self.pace.take(now) else {
                self.pace.wait(context);
                return true;
            };
            let prepared = &share.prepared[share.next];
            self.correlation_id = (self.correlation_id + 1) & i32::MAX;
            self.pipe.push([numbered(&prepared.head, self.correlation_id)]);
            self.pipe.push(prepared.rest.iter().cloned());
            self.bytes_left = self.bytes_left.saturating_sub(prepared.bytes);
            if self.unanswered {
                self.tally.requests += 1;
                self.tally.records += prepared.records;
                self.tally.bytes += prepared.bytes;
            } else {
                let correlation_id = self.correlation_id;
                self.waiting.push_back(Sent { prepared: share.next, due, correlation_id });
            }
            share.next = (share.next + 1) % share.prepared.len();
        }
    }
}
