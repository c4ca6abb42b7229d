//! The task of one shard.

use super::loading::Stage;
use super::trimming::Trimmer;
use super::{GroupRequest, Message, Place};
use bytes::BytesMut;
use esker_engine::{Ack, AppendError, Partition, ReadError};
use esker_env::{Clock, watch};
use esker_group::{
    AppendFailure, AppendId, Effect, Effects, GroupShard, LogRecord, ReplyId, Response,
};
use esker_record::{BatchBuilder, Times, batches};
use esker_types::{Bug, MonoTime, Offset, Timestamp, planted};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesOrdered, StreamExt};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Bytes read at once while a shard loads.
const LOAD_BYTES: usize = 4 << 20;
/// Most bytes that one batch of group records may decompress to.
const DECOMPRESSED_MAX: usize = 64 << 20;
/// Wait between two attempts to load a shard.
const LOAD_RETRY: Duration = Duration::from_millis(500);
/// The same where what was read is damaged: the disk or the network may have done it, and not the bucket.
const DAMAGED_RETRY: Duration = Duration::from_secs(20);
/// A shard without timers still looks up this often.
const IDLE: Duration = Duration::from_hours(1);

type Outcome = (AppendId, Result<(), AppendFailure>);

struct Task {
    place: Place,
    partition: Arc<Partition>,
    shard: GroupShard,
    /// Appends on their way, oldest first.
    appends: FuturesOrdered<futures_util::future::BoxFuture<'static, Outcome>>,
    replies: BTreeMap<ReplyId, oneshot::Sender<Response>>,
    next_reply: u64,
}

/// Loads the shard, then serves it until the broker stops or the partition is gone.
pub(super) async fn run(
    place: Place,
    partition: Arc<Partition>,
    mut messages: mpsc::Receiver<Message>,
    stage: watch::Sender<Stage>,
) {
    let shard = loop {
        match load(&place, &partition).await {
            Ok(shard) => break shard,
            Err(_) if messages.is_closed() => return,
            Err(Unloadable::Later(reason)) => {
                tracing::warn!(reason, partition = %partition.index, "cannot load groups yet");
                place.env().clock.sleep(LOAD_RETRY).await;
            }
            Err(Unloadable::Damaged(reason)) => {
                // Clients are told that nobody coordinates these groups; other shards go on.
                tracing::error!(reason, partition = %partition.index, "groups cannot be loaded");
                stage.send_replace(Stage::Damaged);
                place.env().clock.sleep(DAMAGED_RETRY).await;
            }
        }
    };
    let mut task = Task {
        place,
        partition,
        shard,
        appends: FuturesOrdered::new(),
        replies: BTreeMap::new(),
        next_reply: 0,
    };
    let mut out = Effects::new();
    let (now, wall) = task.time();
    task.shard.on_loaded(now, wall, &mut out);
    stage.send_replace(Stage::Serving);
    let mut trimmer = Trimmer::new(task.place.options.log_records_min);
    loop {
        task.carry_out(&mut out);
        trimmer.step(&task.place, &task.partition, &task.shard);
        let deadline = task.shard.next_deadline();
        let clock = Arc::clone(&task.place.env().clock);
        let messages = (!trimmer.is_due()).then_some(&mut messages);
        match next(&*clock, deadline, &mut task.appends, messages).await {
            Event::Append((id, result)) => {
                let (now, wall) = task.time();
                match result {
                    Ok(()) => task.shard.on_committed(now, wall, id, &mut out),
                    Err(failure) => task.shard.on_append_failed(now, wall, id, failure, &mut out),
                }
            }
            Event::Message(Some(message)) => task.take_up(message, &mut out),
            Event::Message(None) => {
                let (now, wall) = task.time();
                task.shard.on_unload(now, wall, &mut out);
                return task.carry_out(&mut out);
            }
            Event::Tick => {
                let (now, wall) = task.time();
                task.shard.on_tick(now, wall, &mut out);
            }
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "one lives at a time, on the task's stack")]
enum Event {
    Append(Outcome),
    Message(Option<Message>),
    Tick,
}

/// The batch that holds these records.
pub(super) fn batch_of(records: &[LogRecord], wall: Timestamp) -> BytesMut {
    let mut builder = BatchBuilder::new(Offset::ZERO);
    for record in records {
        builder.append(wall, Some(&record.key), record.value.as_deref(), &[]);
    }
    BytesMut::from(&builder.build()[..])
}

/// Commits come first: a reply that waits for one frees its client to ask again.
async fn next(
    clock: &dyn Clock,
    deadline: Option<MonoTime>,
    appends: &mut FuturesOrdered<futures_util::future::BoxFuture<'static, Outcome>>,
    messages: Option<&mut mpsc::Receiver<Message>>,
) -> Event {
    let append = pin!(async {
        match appends.next().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    });
    let message = pin!(async {
        match messages {
            Some(messages) => messages.recv().await,
            None => std::future::pending().await,
        }
    });
    let deadline = deadline.unwrap_or_else(|| clock.now().plus(IDLE));
    match select(append, select(message, clock.sleep_until(deadline))).await {
        Either::Left((outcome, _)) => Event::Append(outcome),
        Either::Right((Either::Left((message, _)), _)) => Event::Message(message),
        Either::Right((Either::Right(((), _)), _)) => Event::Tick,
    }
}

enum Unloadable {
    Later(String),
    Damaged(String),
}

/// Replays the partition from its start to its end.
async fn load(place: &Place, partition: &Arc<Partition>) -> Result<GroupShard, Unloadable> {
    let mut shard = GroupShard::new(place.options.groups.clone());
    let position = partition.position();
    // What is not committed yet will be by the time its effects matter: the end is the log's, not the readers'.
    let mut next = position.log_start;
    while next < position.log_end {
        let read = place.engine.read(partition, next, LOAD_BYTES, true).await;
        let fetched = read.map_err(|error| match error {
            ReadError::OffsetOutOfRange(position) => {
                Unloadable::Later(format!("{next} is not readable in {position:?}"))
            }
            damage if damage.is_damage() => Unloadable::Damaged(damage.to_string()),
            error => Unloadable::Later(error.to_string()),
        })?;
        let before = next;
        for bytes in &fetched.batches {
            next = replay(&mut shard, bytes, next).map_err(Unloadable::Damaged)?;
        }
        if next == before {
            return Err(Unloadable::Later(format!("{next} is not committed yet")));
        }
    }
    Ok(shard)
}

fn replay(shard: &mut GroupShard, bytes: &[u8], mut next: Offset) -> Result<Offset, String> {
    for batch in batches(bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        next = batch.next_offset();
        if batch.is_control() {
            continue;
        }
        let payload = batch.decompressed(DECOMPRESSED_MAX).map_err(|error| error.to_string())?;
        for record in batch.records(&payload) {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.offset_of(record.offset_delta);
            shard
                .replay(record.key.unwrap_or_default(), record.value, offset)
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(next)
}

impl Task {
    fn time(&self) -> (MonoTime, Timestamp) {
        let clock = &self.place.env().clock;
        (clock.now(), clock.wall())
    }

    fn take_up(&mut self, message: Message, out: &mut Effects) {
        let (now, wall) = self.time();
        match message {
            Message::Look(look) => look(&self.shard),
            Message::TopicsDeleted(names) => {
                self.shard.on_topics_deleted(now, wall, &names, out);
            }
            // Whoever gave up and asks again would meet what it did not wait for: a member that it does not know to be.
            Message::Request(_, reply) if reply.is_closed() => {}
            Message::Request(request, reply) => {
                let id = ReplyId(self.next_reply);
                self.next_reply += 1;
                self.replies.insert(id, reply);
                let shard = &mut self.shard;
                match request {
                    GroupRequest::Join(request) => shard.on_join_group(now, wall, request, id, out),
                    GroupRequest::Sync(request) => shard.on_sync_group(now, wall, request, id, out),
                    GroupRequest::Heartbeat(request) => {
                        shard.on_heartbeat(now, wall, &request, id, out);
                    }
                    GroupRequest::Leave(request) => {
                        shard.on_leave_group(now, wall, request, id, out);
                    }
                    GroupRequest::Commit(request) => {
                        shard.on_offset_commit(now, wall, request, id, out);
                    }
                    GroupRequest::OffsetDelete(request) => {
                        shard.on_offset_delete(now, wall, request, id, out);
                    }
                    GroupRequest::Delete(groups) => {
                        shard.on_delete_groups(now, wall, groups, id, out);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, out: &mut Effects) {
        for effect in out.drain(..) {
            match effect {
                Effect::Reply { id, response } => {
                    if let Some(reply) = self.replies.remove(&id) {
                        // The client may have gone.
                        let _gone = reply.send(response);
                    }
                }
                Effect::Append { id, records } => {
                    let append = self.append(id, &records);
                    self.appends.push_back(append);
                }
            }
        }
    }

    fn append(
        &self,
        id: AppendId,
        records: &[LogRecord],
    ) -> futures_util::future::BoxFuture<'static, Outcome> {
        let wall = self.place.env().clock.wall();
        let ack = Ack::new();
        let batch = batch_of(records, wall);
        let appended = self.place.engine.append(&self.partition, batch, Times::Proved, Some(&ack));
        ack.arm();
        Box::pin(async move {
            let result = match appended {
                Ok(_) if planted(Bug::GroupAckEarly) => Ok(()),
                Ok(_) if ack.wait().await => Ok(()),
                Ok(_) => Err(AppendFailure::Unavailable),
                Err(AppendError::NotLeader) => Err(AppendFailure::NotLeader),
                Err(AppendError::TooLarge { .. }) => Err(AppendFailure::TooLarge),
                Err(_) => Err(AppendFailure::Unavailable),
            };
            (id, result)
        })
    }
}
