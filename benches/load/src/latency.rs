//! Single records on a timetable, there and back.

use crate::consume::{ConsumeOptions, Reader, positions};
use crate::content;
use crate::pace::Pace;
use crate::pipe::Pipe;
use crate::produce::{encode, judge, numbered};
use crate::report::{Report, Tally, Times};
use crate::target::{LoadError, Target, run_all};
use esker_client::Client;
use esker_env::{BoxFuture, ByteStream, Clock};
use esker_record::batches;
use esker_types::MonoTime;
use esker_wire::api::produce::PartitionProduceData;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Time for the last records to arrive, after the last one was due.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records that one request takes at most.
const RECORDS_MAX: usize = 4096;
/// Bytes of values that one request has for a partition at most, half of what brokers take unless told otherwise
/// (`message.max.bytes`): after the machine stood still, more is due than fits.
const PARTITION_BYTES_MAX: usize = 512 * 1024;

/// What to send and read.
#[derive(Debug, Clone)]
pub struct LatencyOptions {
    /// Bytes of a record's value, 8 at least.
    pub record_bytes: usize,
    /// Records a second.
    pub rate: f64,
    /// How long.
    pub duration: Duration,
    /// Records that were due in this time at the beginning are not reported.
    pub warm_up: Duration,
    /// Requests that may wait for their answers. What is due while so many wait goes together with the next one, as
    /// producers do that do not linger.
    pub in_flight: usize,
    /// How long a record that is due waits for others.
    pub linger: Duration,
    /// −1, 0 or 1.
    pub acks: i16,
}

impl Default for LatencyOptions {
    fn default() -> Self {
        Self {
            record_bytes: 1024,
            rate: 10_000.0,
            duration: Duration::from_secs(10),
            warm_up: Duration::from_secs(1),
            in_flight: 5,
            linger: Duration::ZERO,
            acks: -1,
        }
    }
}

/// Sends and reads, and reports both latencies: until the acknowledgement, and until the record was read.
///
/// # Errors
/// See [`LoadError`]; errors of single partitions are counted in the report. A record that did not arrive in time is an
/// error, too.
pub async fn latency(
    client: &Client,
    target: &Target,
    options: &LatencyOptions,
) -> Result<Report, LoadError> {
    if options.record_bytes < content::STAMP_BYTES {
        return Err(LoadError::Options(
            "a record has 8 bytes at least: it carries the time".into(),
        ));
    }
    if options.acks == 0 {
        return Err(LoadError::Options("without acks there is nothing to wait for".to_owned()));
    }
    let clock = &target.env.clock;
    let begin = clock.now().plus(Duration::from_millis(200));
    let measured = begin.plus(options.warm_up);
    let leaders = f64::from(u32::try_from(target.leaders.len().max(1)).unwrap_or(1));
    let reading = ConsumeOptions {
        from_end: true,
        follow: true,
        wait_ms: 100,
        duration: Duration::from_millis(200) + options.duration + PATIENCE,
        ..ConsumeOptions::default()
    };
    let mut works: Vec<(Arc<str>, Work)> = Vec::new();
    for leader in &target.leaders {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of records, not negative"
        )]
        let expected = (options.rate / leaders * options.duration.as_secs_f64()) as u64;
        let reader = Reader {
            clock: Arc::clone(clock),
            topic: Arc::clone(&target.topic),
            version: leader.fetch_version,
            partitions: positions(client, target, &leader.partitions, &reading).await?,
            options: reading.clone(),
            // However they are cut into requests.
            records_max: expected,
            judge: Box::new(move |records, next, now, tally| {
                judge_stamps(records, next, now, measured, tally)
            }),
        };
        let sender = Sender {
            clock: Arc::clone(clock),
            topic: Arc::clone(&target.topic),
            version: leader.produce_version,
            partitions: Arc::clone(&leader.partitions),
            turn: 0,
            value: content::filler(options.record_bytes),
            in_flight: options.in_flight.max(1),
            acks: options.acks,
            pace: Pace::new(Arc::clone(clock), begin, Some(options.rate / leaders))
                .lingering(options.linger),
            left: expected,
            measured,
        };
        // First, because its errors tell why records did not arrive.
        let address = Arc::clone(&leader.address);
        works.push((
            Arc::clone(&leader.address),
            Box::new(move |stream| Box::pin(sender.run(address, stream))),
        ));
        let address = Arc::clone(&leader.address);
        works.push((
            Arc::clone(&leader.address),
            Box::new(move |stream| {
                Box::pin(async move {
                    let (ended, mut tally) = reader.run(address, stream).await?;
                    if tally.records < expected {
                        let missing = expected - tally.records;
                        tally.error(|| format!("{missing} records did not arrive"));
                    }
                    // The sender counts them.
                    (tally.records, tally.bytes, tally.requests) = (0, 0, 0);
                    tally.requests_took = Times::new();
                    Ok((ended, tally))
                })
            }),
        ));
    }
    let mut total = Tally::new();
    for (_, tally) in run_all(&target.env, works).await? {
        total.merge(tally);
    }
    let took = options.duration.saturating_sub(options.warm_up);
    Ok(total.report(took))
}

type Done = Result<(MonoTime, Tally), LoadError>;
type Work = Box<dyn FnOnce(Box<dyn ByteStream>) -> BoxFuture<'static, Done> + Send>;

/// Notes how long the records in `records` took since they were due.
fn judge_stamps(
    records: &[u8],
    mut next: i64,
    now: MonoTime,
    measured: MonoTime,
    tally: &mut Tally,
) -> i64 {
    for batch in batches(records).map_while(Result::ok) {
        if batch.next_offset().get() <= next {
            continue;
        }
        for record in batch.records(batch.payload()).map_while(Result::ok) {
            let due = record.value.and_then(content::stamp_of);
            tally.records += 1;
            if let Some(due) = due.filter(|due| *due >= measured) {
                tally.records_took.add(now.since(due));
            }
        }
        next = batch.next_offset().get();
    }
    next
}

/// The connection that sends.
struct Sender {
    clock: Arc<dyn Clock>,
    topic: Arc<str>,
    version: i16,
    partitions: Arc<[i32]>,
    turn: usize,
    value: Vec<u8>,
    in_flight: usize,
    acks: i16,
    pace: Pace,
    left: u64,
    measured: MonoTime,
}

struct Sent {
    due: Vec<MonoTime>,
    correlation_id: i32,
}

struct Run {
    pipe: Pipe,
    tally: Tally,
    waiting: VecDeque<Sent>,
    correlation_id: i32,
}

impl Sender {
    async fn run(mut self, address: Arc<str>, stream: Box<dyn ByteStream>) -> Done {
        let mut run = Run {
            pipe: Pipe::new(stream),
            tally: Tally::new(),
            waiting: VecDeque::new(),
            correlation_id: 0,
        };
        poll_fn(|context| self.poll(&mut run, context))
            .await
            .map_err(|source| LoadError::Connection { address: address.to_string(), source })?;
        Ok((self.clock.now(), run.tally))
    }

    fn poll(&mut self, run: &mut Run, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut progress = self.receive(run, context)?;
            progress |= self.fill(run, context)?;
            progress |= run.pipe.poll_send(context)?;
            if self.left == 0 && run.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn receive(&mut self, run: &mut Run, context: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        while let Some(sent) = run.waiting.front() {
            let Poll::Ready(answer) = run.pipe.poll_answer(context) else { break };
            let records = u64::try_from(sent.due.len()).unwrap_or_default();
            let bytes = records * u64::try_from(self.value.len()).unwrap_or_default();
            judge(answer?, self.version, sent.correlation_id, &mut run.tally, (records, bytes))
                .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
            let now = self.clock.now();
            for due in sent.due.iter().filter(|due| **due >= self.measured) {
                run.tally.requests_took.add(now.since(*due));
            }
            run.waiting.pop_front();
            progress = true;
        }
        Ok(progress)
    }

    /// Sends what is due and has lingered, together.
    fn fill(&mut self, run: &mut Run, context: &mut Context<'_>) -> io::Result<bool> {
        if self.left == 0 || run.waiting.len() >= self.in_flight {
            return Ok(false);
        }
        let now = self.clock.now();
        if !self.pace.is_ripe(now) {
            self.pace.wait(context);
            return Ok(false);
        }
        let records_max = self.records_max();
        let mut due = Vec::new();
        while self.left > 0 && due.len() < records_max {
            let Some(next) = self.pace.take(now) else { break };
            due.push(next);
            self.left -= 1;
        }
        run.correlation_id = (run.correlation_id + 1) & i32::MAX;
        let mut segments = self.encode(&due).map_err(io::Error::other)?.into_iter();
        let head = segments.next().unwrap_or_default();
        run.pipe.push([numbered(&head, run.correlation_id)]);
        run.pipe.push(segments);
        run.waiting.push_back(Sent { due, correlation_id: run.correlation_id });
        Ok(true)
    }

    /// Records that fit into one request. What else is due goes with the next one.
    fn records_max(&self) -> usize {
        let each = (PARTITION_BYTES_MAX / self.value.len().max(1)).max(1);
        RECORDS_MAX.min(each.saturating_mul(self.partitions.len()))
    }

    /// A request with the records that were due, spread over the partitions.
    fn encode(&mut self, due: &[MonoTime]) -> Result<Vec<bytes::Bytes>, LoadError> {
        let wall = self.clock.wall();
        let count = self.partitions.len();
        let used = due.len().min(count);
        let mut rows = Vec::with_capacity(used);
        for place in 0..used {
            let index = self.partitions[(self.turn + place) % count];
            let share: Vec<_> = due.iter().skip(place).step_by(used).copied().collect();
            let batch = content::stamped(&share, &mut self.value, wall);
            rows.push(PartitionProduceData { index, records: Some(batch.into()) });
        }
        self.turn = (self.turn + used) % count;
        encode(&self.topic, self.acks, rows, self.version)
    }
}
