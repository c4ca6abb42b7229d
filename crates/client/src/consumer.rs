//! Reading records of assigned partitions.

use crate::aborted::Aborted;
use crate::client::Client;
use crate::connection::Reply;
use crate::error::{ClientError, check};
use crate::offsets::At;
use bytes::Bytes;
use esker_env::BoxFuture;
use esker_record::{BatchError, BatchView, Codec, TimestampType, batches};
use esker_types::MonoTime;
use esker_wire::ErrorCode;
use esker_wire::api::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Settings of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How long a broker may wait for records.
    pub max_wait: Duration,
    /// Bytes that a broker waits for.
    pub min_bytes: i32,
    /// Most bytes of an answer; a first batch that is larger comes all the same.
    pub max_bytes: i32,
    /// Most bytes of a partition in an answer.
    pub partition_max_bytes: i32,
    /// Whether records of open and aborted transactions are left out.
    pub read_committed: bool,
    /// Whether markers of transactions are handed out.
    pub control_records: bool,
    /// Most bytes that a batch may decompress to.
    pub decompressed_bytes_max: usize,
    /// This client's rack; empty for none.
    pub rack: String,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 16 << 20,
            partition_max_bytes: 1 << 20,
            read_committed: false,
            control_records: false,
            decompressed_bytes_max: 256 << 20,
            rack: String::new(),
        }
    }
}

/// From where to where a partition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: i64,
    /// The first offset that is not read; `None` reads on.
    pub end: Option<i64>,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time, in milliseconds since 1970.
    pub timestamp: i64,
    /// Whose clock that is.
    pub timestamp_type: TimestampType,
    /// Epoch of the leader that took it.
    pub leader_epoch: i32,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// How its batch is compressed.
    pub codec: Codec,
    /// Whether it is a marker of a transaction.
    pub is_control: bool,
    /// Whether it was written in a transaction.
    pub is_transactional: bool,
    /// Its producer, -1 for none.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
}

type Target = (Arc<str>, i32);

/// What came of a fetch.
struct Fetched {
    /// The offsets that it asked for.
    asked: BTreeMap<Target, i64>,
    outcome: Result<Reply, ClientError>,
}

/// Reads partitions. Dropping a future of [`Consumer::next`] loses nothing.
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    positions: BTreeMap<Target, Position>,
    /// Partitions that a fetch is under way for.
    busy: BTreeSet<Target>,
    /// Partitions that have no such offset as the position.
    astray: BTreeSet<Target>,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// Since when nothing but errors comes.
    failing: Option<MonoTime>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("positions", &self.positions).finish_non_exhaustive()
    }
}

/// Pause after a fetch that failed.
const PAUSE: Duration = Duration::from_millis(100);

impl Consumer {
    /// A consumer of these partitions.
    #[must_use]
    pub fn new(client: Client, options: ConsumerOptions, positions: Vec<Position>) -> Self {
        let positions = positions
            .into_iter()
            .map(|position| ((Arc::clone(&position.topic), position.partition), position))
            .collect();
        Self {
            client,
            options,
            positions,
            busy: BTreeSet::new(),
            astray: BTreeSet::new(),
            fetches: FuturesUnordered::new(),
            failing: None,
        }
    }

    /// Where it stands.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        self.positions.values()
    }

    /// Adds a partition. One that is read already goes on at the new place.
    pub fn assign(&mut self, position: Position) {
        self.positions.insert((Arc::clone(&position.topic), position.partition), position);
    }

    /// The next records, in order within each partition; `None` when every partition is read to its end.
    ///
    /// # Errors
    /// See [`ClientError`]; errors that may pass are tried again until the client's deadline.
    pub async fn next(&mut self) -> Result<Option<Vec<Received>>, ClientError> {
        loop {
            self.positions
                .retain(|_, position| position.end.is_none_or(|end| position.offset < end));
            if self.positions.is_empty() {
                return Ok(None);
            }
            if let Err(error) = self.find_again().await {
                self.pause(error).await?;
                continue;
            }
            if let Err(error) = self.start_fetches().await {
                self.pause(error).await?;
                continue;
            }
            let Some(fetched) = self.fetches.next().await else { continue };
            for target in fetched.asked.keys() {
                self.busy.remove(target);
            }
            let reply = match fetched.outcome {
                Ok(reply) => reply,
                Err(error) => {
                    fetched.asked.keys().for_each(|(topic, _)| self.client.forget_topic(topic));
                    self.pause(error).await?;
                    continue;
                }
            };
            match self.take(&reply, &fetched.asked) {
                Ok(records) => {
                    self.failing = None;
                    if !records.is_empty() {
                        return Ok(Some(records));
                    }
                }
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Waits a moment after an error that may pass.
    async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        let clock = Arc::clone(&self.client.env().clock);
        let since = *self.failing.get_or_insert_with(|| clock.now());
        let after = clock.now().since(since);
        if !error.may_pass() {
            return Err(error);
        }
        if after > self.client.options().deadline {
            let last = Box::new(error);
            return Err(ClientError::Deadline { what: "fetch".to_owned(), after, last });
        }
        clock.sleep(PAUSE).await;
        Ok(())
    }

    /// Starts a fetch at every leader that has partitions without one.
    async fn start_fetches(&mut self) -> Result<(), ClientError> {
        let idle: Vec<_> = self
            .positions
            .values()
            .filter(|position| {
                !self.busy.contains(&(Arc::clone(&position.topic), position.partition))
            })
            .cloned()
            .collect();
        if idle.is_empty() {
            return Ok(());
        }
        let rows =
            idle.iter().map(|position| (&*position.topic, position.partition, position.offset));
        let leaders = self.client.by_leader(rows).await?;
        for leader in leaders.into_values() {
            let asked: BTreeMap<Target, i64> = leader
                .topics
                .iter()
                .flat_map(|(topic, rows)| {
                    let topic: Arc<str> = topic.as_str().into();
                    rows.iter().map(move |(partition, at)| ((Arc::clone(&topic), *partition), *at))
                })
                .collect();
            self.busy.extend(asked.keys().cloned());
            let options = self.options.clone();
            self.fetches.push(Box::pin(async move {
                let outcome = fetch(&leader, &options).await;
                Fetched { asked, outcome }
            }));
        }
        Ok(())
    }

    /// Takes the records of an answer and moves on. What moved on is handed out: nothing here waits, or fails before.
    fn take(
        &mut self,
        reply: &Reply,
        asked: &BTreeMap<Target, i64>,
    ) -> Result<Vec<Received>, ClientError> {
        let response: FetchResponse<'_> = reply.read()?;
        check(response.error_code, None, || "fetch".to_owned())?;
        let mut records = Vec::new();
        let mut failed = None;
        for topic in &response.responses {
            for partition in &topic.partitions {
                let target = (Arc::from(topic.topic), partition.partition_index);
                // A partition may have been given up, or set elsewhere, since the fetch began.
                let asked = asked.get(&target).copied();
                let Some(position) =
                    self.positions.get_mut(&target).filter(|p| Some(p.offset) == asked)
                else {
                    continue;
                };
                if partition.error_code == ErrorCode::OffsetOutOfRange.code() {
                    self.astray.insert(target);
                    continue;
                }
                let what = || format!("fetch {}-{}", target.0, target.1);
                let taken = check(partition.error_code, None, what)
                    .inspect_err(|_| self.client.forget_topic(&target.0))
                    .and_then(|()| {
                        let (bytes, options) = (reply.bytes(), &self.options);
                        take_partition(bytes, &partition, position, options, &mut records)
                    });
                failed = taken.err().or(failed);
            }
        }
        match failed {
            // What was read is handed out first: the error comes again.
            Some(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    /// Goes to the nearest offsets that exist.
    async fn find_again(&mut self) -> Result<(), ClientError> {
        while let Some(target) = self.astray.first().cloned() {
            let ends = [At::Start, At::End];
            let mut found = [0; 2];
            for (at, found) in ends.into_iter().zip(&mut found) {
                let wanted = [(target.0.to_string(), target.1, at)];
                let places = self.client.list_offsets(&wanted, self.options.read_committed).await?;
                *found = places.into_values().next().map_or(0, |place| place.offset);
            }
            if let Some(position) = self.positions.get_mut(&target) {
                position.offset = position.offset.clamp(found[0], found[1].max(found[0]));
            }
            self.astray.remove(&target);
        }
        Ok(())
    }
}

async fn fetch(
    leader: &crate::offsets::Leader<i64>,
    options: &ConsumerOptions,
) -> Result<Reply, ClientError> {
    let topics: Vec<_> = leader
        .topics
        .iter()
        .map(|(topic, rows)| {
            let partitions: Vec<_> = rows
                .iter()
                .map(|(partition, offset)| FetchPartition {
                    partition: *partition,
                    fetch_offset: *offset,
                    partition_max_bytes: options.partition_max_bytes,
                    ..Default::default()
                })
                .collect();
            FetchTopic { topic, partitions: partitions.into(), ..Default::default() }
        })
        .collect();
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: i32::try_from(options.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: options.min_bytes,
        max_bytes: options.max_bytes,
        isolation_level: i8::from(options.read_committed),
        topics: topics.into(),
        rack_id: &options.rack,
        ..Default::default()
    };
    leader.connection.call_for(&request, options.max_wait).await
}

fn take_partition(
    frame: &Bytes,
    partition: &PartitionData<'_>,
    position: &mut Position,
    options: &ConsumerOptions,
    records: &mut Vec<Received>,
) -> Result<(), ClientError> {
    let Some(slice) = partition.records.as_ref().and_then(|records| records.as_slice()) else {
        return Ok(());
    };
    let transactions =
        partition.aborted_transactions.as_ref().map(|list| list.to_vec()).unwrap_or_default();
    let mut aborted = Aborted::new(transactions);
    for batch in batches(slice) {
        let damaged = |offset: i64, problem: String| ClientError::Records {
            topic: position.topic.to_string(),
            partition: position.partition,
            offset,
            problem,
        };
        let batch = match batch {
            Ok(batch) => batch,
            // Brokers cut the last batch where the limit of bytes falls.
            Err(BatchError::Incomplete { .. }) => break,
            Err(error) => return Err(damaged(position.offset, error.to_string())),
        };
        batch.verify_crc().map_err(|error| damaged(batch.base_offset().0, error.to_string()))?;
        let skipped = options.read_committed && aborted.covers(&batch);
        if !skipped && batch.last_offset().0 >= position.offset {
            let before = records.len();
            let taken = take_batch(frame, &batch, position, options, &mut aborted, records);
            if let Err(problem) = taken {
                // Its records come again, or never.
                records.truncate(before);
                return Err(damaged(batch.base_offset().0, problem));
            }
        }
        position.offset = position.offset.max(batch.next_offset().0);
    }
    Ok(())
}

fn take_batch(
    frame: &Bytes,
    batch: &BatchView<'_>,
    position: &Position,
    options: &ConsumerOptions,
    aborted: &mut Aborted,
    records: &mut Vec<Received>,
) -> Result<(), String> {
    let codec = batch.codec().map_err(|bits| format!("codec {bits} is not known"))?;
    let payload =
        batch.decompressed(options.decompressed_bytes_max).map_err(|error| error.to_string())?;
    let payload = match payload {
        Cow::Borrowed(slice) => frame.slice_ref(slice),
        Cow::Owned(vec) => Bytes::from(vec),
    };
    let share = |slice: &[u8]| payload.slice_ref(slice);
    for record in batch.records(&payload) {
        let record = record.map_err(|error| error.to_string())?;
        let offset = batch.offset_of(record.offset_delta).0;
        if batch.is_control() {
            aborted.on_control(batch, record.key.unwrap_or_default());
        }
        let wanted = offset >= position.offset && position.end.is_none_or(|end| offset < end);
        if !wanted || (batch.is_control() && !options.control_records) {
            continue;
        }
        records.push(Received {
            topic: Arc::clone(&position.topic),
            partition: position.partition,
            offset,
            timestamp: batch.timestamp_of(record.timestamp_delta).get(),
            timestamp_type: batch.timestamp_type(),
            leader_epoch: batch.partition_leader_epoch().0,
            key: record.key.map(share),
            value: record.value.map(share),
            headers: record
                .headers
                .map(|header| (share(header.key), header.value.map(share)))
                .collect(),
            codec,
            is_control: batch.is_control(),
            is_transactional: batch.is_transactional(),
            producer_id: batch.producer_id().0,
            producer_epoch: batch.producer_epoch().0,
        });
    }
    Ok(())
}
