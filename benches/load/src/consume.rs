//! Reading topics as groups of consumers do, without looking at records.

use crate::pipe::Pipe;
use crate::report::{Report, Tally};
use crate::target::{LoadError, Target, run_all};
use esker_client::{At, Client};
use esker_env::{BoxFuture, ByteStream, Clock};
use esker_record::batches;
use esker_types::MonoTime;
use esker_wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use esker_wire::{ApiKey, ErrorCode, Message, decode_response_header, encode_request_frame};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What to read.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// Readers that each read everything.
    pub groups: usize,
    /// Connections of a reader to each broker; they share the partitions.
    pub connections: usize,
    /// From the end instead of the start.
    pub from_end: bool,
    /// Whether to go on at the end, until time is over.
    pub follow: bool,
    /// How long at most.
    pub duration: Duration,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes_max: i32,
    /// `fetch.min.bytes`.
    pub fetch_bytes_min: i32,
    /// `fetch.max.wait.ms`.
    pub wait_ms: i32,
}

impl Default for ConsumeOptions {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            groups: 1,
            connections: 1,
            from_end: false,
            follow: false,
            duration: Duration::from_mins(10),
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            fetch_bytes_min: 1,
            wait_ms: 500,
        }
    }
}

/// Reads, and reports what came.
///
/// # Errors
/// See [`LoadError`]; errors of single partitions are counted in the report.
pub async fn consume(
    client: &Client,
    target: &Target,
    options: &ConsumeOptions,
) -> Result<Report, LoadError> {
    let clock = &target.env.clock;
    let mut works = Vec::new();
    for leader in &target.leaders {
        let partitions = positions(client, target, &leader.partitions, options).await?;
        let connections = options.connections.clamp(1, partitions.len());
        for number in 0..options.groups.max(1) * connections {
            let share = partitions.iter().skip(number % connections).step_by(connections).cloned();
            let reader = Reader {
                clock: Arc::clone(clock),
                topic: Arc::clone(&target.topic),
                version: leader.fetch_version,
                partitions: share.collect(),
                options: options.clone(),
                records_max: u64::MAX,
                judge: Box::new(count_batches),
            };
            let address = Arc::clone(&leader.address);
            let work = move |stream: Box<dyn ByteStream>| {
                Box::pin(reader.run(address, stream)) as BoxFuture<'static, _>
            };
            works.push((Arc::clone(&leader.address), work));
        }
    }
    let begun = clock.now();
    let mut total = Tally::new();
    let mut last = begun;
    for (ended, tally) in run_all(&target.env, works).await? {
        last = last.max(ended);
        total.merge(tally);
    }
    Ok(total.report(last.since(begun)))
}

/// Where a reader is in a partition.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) next: i64,
    /// Where the partition ended when the reader began.
    pub(crate) end: i64,
}

pub(crate) async fn positions(
    client: &Client,
    target: &Target,
    partitions: &[i32],
    options: &ConsumeOptions,
) -> Result<Vec<Position>, LoadError> {
    let wanted = |at| -> Vec<_> {
        partitions.iter().map(|index| (target.topic.to_string(), *index, at)).collect()
    };
    let ends = client.list_offsets(&wanted(At::End), false).await?;
    let begins = if options.from_end {
        ends.clone()
    } else {
        client.list_offsets(&wanted(At::Start), false).await?
    };
    let row = |index: &i32| {
        let key = (target.topic.to_string(), *index);
        Position { partition: *index, next: begins[&key].offset, end: ends[&key].offset }
    };
    Ok(partitions.iter().map(row).collect())
}

/// Looks at what came for a partition from `next` on, and answers where to go on.
pub(crate) type Judge = Box<dyn FnMut(&[u8], i64, MonoTime, &mut Tally) -> i64 + Send>;

fn count_batches(records: &[u8], mut next: i64, _now: MonoTime, tally: &mut Tally) -> i64 {
    for batch in batches(records).map_while(Result::ok) {
        tally.records += u64::try_from(batch.record_count()).unwrap_or_default();
        tally.bytes += u64::try_from(batch.len()).unwrap_or_default();
        next = batch.next_offset().get();
    }
    next
}

/// One connection that reads some partitions.
pub(crate) struct Reader {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) topic: Arc<str>,
    pub(crate) version: i16,
    pub(crate) partitions: Vec<Position>,
    pub(crate) options: ConsumeOptions,
    /// Records after which it is done.
    pub(crate) records_max: u64,
    pub(crate) judge: Judge,
}

impl Reader {
    /// Reads until it is done. Answers when that was, and what it read.
    pub(crate) async fn run(
        mut self,
        address: Arc<str>,
        stream: Box<dyn ByteStream>,
    ) -> Result<(MonoTime, Tally), LoadError> {
        let mut pipe = Pipe::new(stream);
        let mut tally = Tally::new();
        let end = self.clock.now().plus(self.options.duration);
        let mut asked = None;
        let outcome =
            poll_fn(|context| self.poll(&mut pipe, &mut tally, &mut asked, end, context)).await;
        outcome.map_err(|source| LoadError::Connection { address: address.to_string(), source })?;
        Ok((self.clock.now(), tally))
    }

    fn poll(
        &mut self,
        pipe: &mut Pipe,
        tally: &mut Tally,
        asked: &mut Option<MonoTime>,
        end: MonoTime,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        loop {
            if asked.is_none() {
                let now = self.clock.now();
                let at_end = self.partitions.iter().all(|at| at.next >= at.end);
                let done = tally.records >= self.records_max || (at_end && !self.options.follow);
                if now >= end || done {
                    return Poll::Ready(Ok(()));
                }
                pipe.push(self.request().map_err(invalid)?);
                *asked = Some(now);
            }
            pipe.poll_send(context)?;
            let answer = ready!(pipe.poll_answer(context))?;
            let now = self.clock.now();
            if let Some(asked) = asked.take() {
                tally.requests_took.add(now.since(asked));
            }
            tally.requests += 1;
            let version = self.version;
            read(answer, version, &mut self.partitions, &mut self.judge, now, tally)
                .map_err(invalid)?;
            // Those that had nothing go first the next time, so that none starves behind the byte limit.
            let turn = usize::from(self.partitions.len() > 1);
            self.partitions.rotate_left(turn);
        }
    }

    fn request(&self) -> Result<Vec<bytes::Bytes>, String> {
        let partitions =
            self.partitions.iter().filter(|at| self.options.follow || at.next < at.end);
        let partitions: Vec<_> = partitions
            .map(|at| FetchPartition {
                partition: at.partition,
                fetch_offset: at.next,
                partition_max_bytes: self.options.partition_bytes_max,
                ..Default::default()
            })
            .collect();
        let topic =
            FetchTopic { topic: &self.topic, partitions: partitions.into(), ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: self.options.wait_ms,
            min_bytes: self.options.fetch_bytes_min,
            max_bytes: self.options.fetch_bytes_max,
            topics: vec![topic].into(),
            ..Default::default()
        };
        encode_request_frame(1, Some("esker-bench"), &request, self.version)
            .map(esker_wire::Frame::into_segments)
            .map_err(|error| error.to_string())
    }
}

fn read(
    answer: &[u8],
    version: i16,
    positions: &mut [Position],
    judge: &mut Judge,
    now: MonoTime,
    tally: &mut Tally,
) -> Result<(), String> {
    let (_, mut body) =
        decode_response_header(answer, ApiKey::Fetch, version).map_err(|e| e.to_string())?;
    let response = FetchResponse::decode(&mut body, version).map_err(|e| e.to_string())?;
    let name = |code| ErrorCode::from_code(code);
    if response.error_code != 0 {
        return Err(format!("{:?}", name(response.error_code)));
    }
    for topic in &response.responses {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            if partition.error_code != 0 {
                tally.error(|| format!("partition {index}: {:?}", name(partition.error_code)));
                continue;
            }
            let records = partition.records.as_ref().and_then(|records| records.as_slice());
            let place = positions.iter_mut().find(|at| at.partition == index);
            if let (Some(records), Some(place)) = (records, place) {
                place.next = judge(records, place.next, now, tally);
            }
        }
    }
    Ok(())
}
