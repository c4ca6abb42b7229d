//! Fetch: sessions, limits, the wait for data, and reads from memory, log or bucket.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code;
use crate::fetch_session::{Context, Entry, Told, TopicKey, Wanted};
use crate::leader_hint;
use crate::lookup::{check_epoch, find_partition, find_topic};
use esker_engine::{DataWaiter, FetchedBatches, Partition};
use esker_env::{TaskPlacement, timeout};
use esker_meta::State;
use esker_plog::Position;
use esker_types::{Bug, LeaderEpoch, Offset, TopicId, planted};
use esker_wire::api::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use esker_wire::{Array, ErrorCode, Uuid};
use futures_util::future::{Either, join_all, select};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Read, Resource::Topic);

/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version that can say who leads, and the first that can say where that is.
const TELLS_LEADER: i16 = 12;
const TELLS_ENDPOINTS: i16 = 16;
/// Longest time that a read from the bucket may take when the client is in no hurry; it asks again.
const COLD_PATIENCE: Duration = Duration::from_secs(20);

/// The isolation level of who reads no more than what transactions have committed.
const READ_COMMITTED: i8 = 1;

/// One partition of the request.
struct Item {
    key: TopicKey,
    index: i32,
    wanted: Wanted,
    committed_only: bool,
    partition: Result<Arc<Partition>, ErrorCode>,
    result: Fetched,
}

#[derive(Default)]
struct Fetched {
    error: ErrorCode,
    diverging: Option<EpochEndOffset>,
    position: Option<Position>,
    batches: FetchedBatches,
    /// Memory did not have it.
    cold: bool,
    /// It is cold, and nobody before it had anything: it gets its first batch whatever the size, or it would never have
    /// its turn beside others that memory has.
    first: bool,
}

pub(crate) async fn handle(call: &Call<'_>, request: FetchRequest<'_>) -> Outcome {
    let broker = call.broker;
    let by_id = call.version() >= BY_ID;
    let now = broker.env().clock.now();
    let opened = broker.fetch_sessions.open(request.session_id, request.session_epoch, by_id, now);
    let mut context = match opened {
        Ok(context) => context,
        Err(code) => {
            return call.answer(FetchResponse { error_code: code.code(), ..Default::default() });
        }
    };
    let mut items = collect(call, &request, &context);
    if let Context::Incremental(session) = &context
        && items.is_empty()
    {
        // A session that has lost its last partition ends.
        broker.fetch_sessions.close(session.lock().id);
        context = Context::Sessionless;
    }
    let bytes_max = usize::try_from(request.max_bytes)
        .unwrap_or_default()
        .min(broker.options().fetch_bytes_max);
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or_default().min(bytes_max);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());

    let mut bytes = read_memory(call, &mut items, bytes_max);
    if bytes < bytes_min && !wait.is_zero() && worth_waiting(items.iter().map(Item::standing)) {
        wait_for_data(call, &items, bytes_min - bytes, wait).await;
        bytes = read_memory(call, &mut items, bytes_max);
    }
    read_cold(call, &mut items, bytes, bytes_max, wait).await;
    answer(call, &context, &items)
}

/// The partitions that the request is about, in the order in which they are served.
fn collect(call: &Call<'_>, request: &FetchRequest<'_>, context: &Context) -> Vec<Item> {
    let by_id = call.version() >= BY_ID;
    let key = |name: &str, id: Uuid| {
        if by_id { TopicKey::Id(TopicId(id)) } else { TopicKey::Name(name.to_owned()) }
    };
    let named = request.topics.iter().flat_map(|topic| {
        let key = key(topic.topic, topic.topic_id);
        topic.partitions.to_vec().into_iter().map(move |partition| {
            let wanted = Wanted {
                fetch_offset: partition.fetch_offset,
                bytes_max: partition.partition_max_bytes,
                leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            (key.clone(), partition.partition, wanted)
        })
    });
    let topics = call.broker.engine().topics();
    let committed_only = request.isolation_level == READ_COMMITTED;
    // Followers of Kafka's own protocol do not exist here: nobody may read as one.
    let as_follower = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
    let item = |(key, index, wanted): (TopicKey, i32, Wanted)| {
        let topic = match &key {
            TopicKey::Name(name) => find_topic(&topics, false, name, Uuid::nil()),
            TopicKey::Id(id) => find_topic(&topics, true, "", id.0),
        };
        let partition = topic.and_then(|topic| find_partition(topic, index)).cloned();
        let partition = if as_follower {
            partition.and(Err(ErrorCode::NotLeaderOrFollower))
        } else {
            partition
        };
        Item { key, index, wanted, committed_only, partition, result: Fetched::default() }
    };
    let session = match context {
        Context::Sessionless => return named.map(item).collect(),
        Context::New(session) | Context::Incremental(session) => session,
    };
    let mut session = session.lock();
    for (key, index, wanted) in named {
        session
            .partitions
            .entry((key, index))
            .and_modify(|entry| entry.wanted = wanted)
            .or_insert(Entry { wanted, told: None });
    }
    // As in Kafka, what is asked for and forgotten in one request is forgotten, and a new session forgets nothing.
    let forgets =
        matches!(context, Context::Incremental(_)) && !planted(Bug::SessionForgetsNothing);
    for topic in request.forgotten_topics_data.iter().filter(|_| forgets) {
        for partition in &topic.partitions {
            session.partitions.remove(&(key(topic.topic, topic.topic_id), partition));
        }
    }
    if !planted(Bug::SessionWithoutTurns) {
        session.turn = session.turn.wrapping_add(1);
    }
    let count = session.partitions.len();
    let skip = if count == 0 { 0 } else { session.turn % count };
    let entries = || {
        session.partitions.iter().map(|((key, index), entry)| (key.clone(), *index, entry.wanted))
    };
    entries().skip(skip).chain(entries().take(skip)).map(item).collect()
}

/// What a partition says about waiting for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// There is no such partition: nothing that happens to the others is told sooner or later for it.
    Unknown,
    /// What there is to tell is known now.
    Settled,
    /// Data may come.
    Open,
}

/// Whether a request that found too little waits for more.
fn worth_waiting(partitions: impl Iterator<Item = Standing>) -> bool {
    let mut open = false;
    for standing in partitions {
        match standing {
            Standing::Unknown => {}
            Standing::Settled => return false,
            Standing::Open => open = true,
        }
    }
    open
}

impl Item {
    /// There is no such topic or partition.
    fn is_unknown(&self) -> bool {
        let unknown = [
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicId,
            ErrorCode::InconsistentTopicId,
        ];
        self.partition.as_ref().is_err_and(|code| unknown.contains(code))
    }

    fn is_error(&self) -> bool {
        self.partition.is_err() || self.result.error != ErrorCode::None
    }

    fn standing(&self) -> Standing {
        match &self.partition {
            Err(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) => {
                Standing::Unknown
            }
            Ok(_) if !self.is_error() && !self.result.cold && self.result.diverging.is_none() => {
                Standing::Open
            }
            _ => Standing::Settled,
        }
    }
}

/// Reads what is in memory, within the limits. Answers the bytes.
fn read_memory(call: &Call<'_>, items: &mut [Item], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let mut first = true;
    for item in items {
        item.result = Fetched::default();
        let partition = match &item.partition {
            Ok(partition) => partition,
            Err(code) => {
                item.result.error = *code;
                continue;
            }
        };
        let from = Offset(item.wanted.fetch_offset);
        item.result.position = Some(partition.position());
        if let Err(code) = check_epoch(partition, item.wanted.leader_epoch) {
            item.result.error = code;
            continue;
        }
        match diverging(partition, from, item.wanted.last_fetched_epoch) {
            Ok(None) => {}
            Ok(parted) => {
                item.result.diverging = parted;
                continue;
            }
            Err(code) => {
                item.result.error = code;
                continue;
            }
        }
        let limit = limit(item.wanted.bytes_max, bytes_max, bytes);
        match call.broker.engine().read_memory(partition, from, limit, first) {
            Ok(Some(batches)) => {
                bytes += batches.bytes;
                first &= batches.bytes == 0;
                item.result.batches = batches;
            }
            Ok(None) => {
                item.result.cold = true;
                item.result.first = std::mem::take(&mut first);
            }
            Err(error) => item.result.error = error_code::of_read(&error),
        }
    }
    bytes
}

fn limit(partition_max: i32, bytes_max: usize, taken: usize) -> usize {
    let partition_max = usize::try_from(partition_max).unwrap_or_default();
    partition_max.min(bytes_max.saturating_sub(taken))
}

/// Tells a reader whose log went another way where the ways part. One that read in an epoch that is not known here is out
/// of range: there is no place to send it to.
fn diverging(
    partition: &Partition,
    from: Offset,
    last_epoch: i32,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if last_epoch < 0 {
        return Ok(None);
    }
    let end = partition.end_of_epoch(LeaderEpoch(last_epoch));
    if end.epoch == LeaderEpoch::NONE || end.end == Offset::NONE {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let parted = end.epoch < LeaderEpoch(last_epoch) || end.end < from;
    let told = EpochEndOffset { epoch: end.epoch.get(), end_offset: end.end.get() };
    Ok(parted.then_some(told))
}

async fn wait_for_data(call: &Call<'_>, items: &[Item], bytes: usize, wait: Duration) {
    let waiter = DataWaiter::new(bytes, Some(call.client.shard));
    let watched: Vec<_> = items
        .iter()
        .take(if planted(Bug::FetchWaitsForFirst) { 1 } else { items.len() })
        .filter_map(|item| {
            let partition = item.partition.as_ref().ok()?;
            // What was read just now is not news.
            let end = item.result.position.map_or(Offset::ZERO, |p| p.high_watermark);
            partition.watch(&waiter, end);
            Some(partition)
        })
        .collect();
    let guard = Unwatch { waiter: &waiter, partitions: watched };
    select(waiter.wait(), call.broker.env().clock.sleep(wait)).await;
    drop(guard);
}

/// Takes the waiter back, also when the client went away meanwhile.
struct Unwatch<'a> {
    waiter: &'a Arc<DataWaiter>,
    partitions: Vec<&'a Arc<Partition>>,
}

impl Drop for Unwatch<'_> {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.unwatch(self.waiter);
        }
    }
}

/// Reads what memory did not have, side by side, in the background: checking it takes long enough to hold up the other
/// connections of the shard.
async fn read_cold(
    call: &Call<'_>,
    items: &mut [Item],
    mut bytes: usize,
    bytes_max: usize,
    wait: Duration,
) {
    let engine = call.broker.engine();
    let patience = wait.max(COLD_PATIENCE);
    let mut reads = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let Ok(partition) = &item.partition else { continue };
        if !item.result.cold {
            continue;
        }
        let limit = limit(item.wanted.bytes_max, bytes_max, bytes);
        let first = item.result.first;
        if limit == 0 && !first {
            continue;
        }
        // Each read is counted in full before it is made: together they stay within the request's limit.
        bytes += limit.max(1);
        let from = Offset(item.wanted.fetch_offset);
        let (engine, partition) = (Arc::clone(engine), Arc::clone(partition));
        reads.push(async move {
            let read = engine.read(&partition, from, limit, first);
            (place, timeout(&*engine.env().clock, patience, read).await)
        });
    }
    if reads.is_empty() {
        return;
    }
    let (mut sender, answer) = oneshot::channel();
    let task = async move {
        // When the client has gone nobody wants it any more.
        let read = match select(join_all(reads), pin!(sender.closed())).await {
            Either::Left((read, _)) => read,
            Either::Right(_) => return,
        };
        let _gone = sender.send(read);
    };
    engine.env().spawner.spawn(TaskPlacement::Background, "cold fetch", Box::pin(task));
    for (place, read) in answer.await.unwrap_or_default() {
        let result = &mut items[place].result;
        match read {
            Ok(Ok(batches)) => result.batches = batches,
            Ok(Err(error)) => {
                tracing::debug!(%error, "cold read");
                result.error = error_code::of_read(&error);
            }
            // Nothing yet; the client asks again and finds it in the cache.
            Err(_) => {}
        }
    }
}

fn answer(call: &Call<'_>, context: &Context, items: &[Item]) -> Outcome {
    let (session_id, silent) = match context {
        Context::Sessionless => (0, BTreeSet::new()),
        Context::New(session) => {
            unchanged(session, items);
            (session.lock().id, BTreeSet::new())
        }
        Context::Incremental(session) => {
            let silent = unchanged(session, items);
            (session.lock().id, silent)
        }
    };
    let is_misdirected = |item: &Item| item.result.error == ErrorCode::NotLeaderOrFollower;
    let state = items.iter().any(is_misdirected).then(|| call.broker.engine().meta().image());
    let mut responses: Vec<(&TopicKey, Vec<PartitionData<'_>>)> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        if silent.contains(&place) {
            continue;
        }
        let data = describe(call, state.as_deref(), item);
        match responses.last_mut() {
            Some((key, partitions)) if *key == &item.key => partitions.push(data),
            _ => responses.push((&item.key, vec![data])),
        }
    }
    let responses: Vec<_> = responses
        .into_iter()
        .map(|(key, partitions)| {
            let (topic, topic_id) = match key {
                TopicKey::Name(name) => (name.as_str(), Uuid::nil()),
                TopicKey::Id(id) => ("", id.0),
            };
            FetchableTopicResponse { topic, topic_id, partitions: partitions.into() }
        })
        .collect();
    let node_endpoints = match state.as_deref().filter(|_| call.version() >= TELLS_ENDPOINTS) {
        None => Array::new(),
        Some(state) => {
            let data = responses.iter().flat_map(|topic| topic.partitions.iter());
            let leaders = data.map(|data| data.current_leader.leader_id);
            let endpoints = leader_hint::endpoints(call.broker, state, leaders).into_iter();
            let endpoints = endpoints.map(|(node_id, port, row)| NodeEndpoint {
                node_id,
                host: &row.host,
                port,
                rack: row.rack.as_deref(),
            });
            endpoints.collect()
        }
    };
    let responses = responses.into();
    call.answer(FetchResponse { session_id, responses, node_endpoints, ..Default::default() })
}

/// Notes what the client is told, and answers the places of partitions about which there is nothing to tell.
fn unchanged(
    session: &parking_lot::Mutex<crate::fetch_session::Session>,
    items: &[Item],
) -> BTreeSet<usize> {
    let mut session = session.lock();
    let mut silent = BTreeSet::new();
    for (place, item) in items.iter().enumerate() {
        let Some(entry) = session.partitions.get_mut(&(item.key.clone(), item.index)) else {
            continue;
        };
        let error = item.is_error();
        let told = Told {
            high_watermark: item.result.position.map_or(-1, |p| p.high_watermark.get()),
            log_start: item.result.position.map_or(-1, |p| p.log_start.get()),
            error,
        };
        let news = error
            || item.result.batches.bytes > 0
            || item.result.diverging.is_some()
            || entry.told != Some(told);
        // An error is told every time, until it is gone.
        entry.told = (!error).then_some(told);
        let left_out = (place > 0 && place + 1 == items.len() && planted(Bug::SessionLeavesOut))
            || (item.is_unknown() && planted(Bug::SessionSilentAboutGone));
        if !news || left_out {
            silent.insert(place);
        }
    }
    silent
}

fn describe<'a>(call: &Call<'_>, state: Option<&State>, item: &'a Item) -> PartitionData<'a> {
    let result = &item.result;
    let offset = |of: fn(&Position) -> Offset| result.position.as_ref().map_or(-1, |p| of(p).get());
    let told = result.error == ErrorCode::None;
    let told_leader = (call.version() >= TELLS_LEADER).then(|| current_leader(call, state, item));
    let current_leader = told_leader.flatten().unwrap_or_default();
    PartitionData {
        partition_index: item.index,
        error_code: result.error.code(),
        high_watermark: if told { offset(|p| p.high_watermark) } else { -1 },
        last_stable_offset: if told { offset(|p| p.last_stable_offset) } else { -1 },
        log_start_offset: if told { offset(|p| p.log_start) } else { -1 },
        diverging_epoch: result.diverging.clone().unwrap_or_default(),
        current_leader,
        // None were aborted. Who reads what is not committed, too, is not told; nor is it beside an error of a read.
        aborted_transactions: (told && item.committed_only || item.is_unknown()).then(Array::new),
        records: Some(result.batches.batches.clone().into()),
        ..Default::default()
    }
}

/// Who leads instead, or in which epoch this broker does.
fn current_leader(call: &Call<'_>, state: Option<&State>, item: &Item) -> Option<LeaderIdAndEpoch> {
    match item.result.error {
        ErrorCode::NotLeaderOrFollower => {
            let state = state?;
            let topic = match &item.key {
                TopicKey::Id(id) => *id,
                TopicKey::Name(name) => *state.topic_names.get(name.as_str())?,
            };
            let row = leader_hint::row_of(state, topic, item.index)?;
            let (leader_id, leader_epoch) = (row.leader.get(), row.leader_epoch.get());
            Some(LeaderIdAndEpoch { leader_id, leader_epoch })
        }
        ErrorCode::FencedLeaderEpoch => {
            let leader_epoch = item.result.position.as_ref()?.leader_epoch.get();
            Some(LeaderIdAndEpoch { leader_id: call.broker.id(), leader_epoch })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Open, Settled, Unknown};
    use super::worth_waiting;

    #[test]
    fn a_request_waits_where_data_may_come_and_nothing_else_is_to_be_told() {
        assert!(!worth_waiting([].into_iter()), "a request for nothing is answered at once");
        assert!(!worth_waiting([Unknown, Unknown].into_iter()), "nothing can come");
        assert!(worth_waiting([Open].into_iter()));
        assert!(worth_waiting([Unknown, Open].into_iter()), "an unknown one ends nobody's wait");
        assert!(worth_waiting([Open, Unknown].into_iter()));
        assert!(!worth_waiting([Open, Settled].into_iter()), "what is known is told");
    }
}
