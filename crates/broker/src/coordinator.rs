//! The group coordinator's runtime: one task for each led partition of `__consumer_offsets`.
//!
//! The task owns its [`GroupShard`]: it hands requests and time in, appends what comes out, and tells the shard when an
//! append is committed. Requests reach it through a bounded mailbox; an answer that promises something durable leaves
//! only after the commit. A shard that still loads is waited for a little while; then clients are told to come back.

mod loading;
mod shard;
mod trimming;

use crate::coordinator_options::CoordinatorOptions;
use crate::topic_creation::OFFSETS_TOPIC;
use esker_engine::{Engine, Partition};
use esker_env::{Clock, Env, TaskPlacement, watch};
use esker_group::{
    DeleteGroupsResponse, GroupError, GroupShard, Heartbeat, JoinGroup, JoinGroupResponse,
    LeaveGroup, LeaveGroupResponse, OffsetCommit, OffsetCommitResponse, OffsetDelete,
    OffsetDeleteResponse, Response, SyncGroup, SyncGroupResponse, partition_for,
};
use esker_types::{GroupId, PartitionId, TopicName};
use loading::Stage;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for one shard.
const MAILBOX: usize = 1024;

/// A request that changes a group.
pub(crate) enum GroupRequest {
    Join(JoinGroup),
    Sync(SyncGroup),
    Heartbeat(Heartbeat),
    Leave(LeaveGroup),
    Commit(OffsetCommit),
    OffsetDelete(OffsetDelete),
    Delete(Vec<GroupId>),
}

/// What a shard's task is told.
enum Message {
    Request(GroupRequest, oneshot::Sender<Response>),
    /// Looks at the shard; sends what it saw by itself.
    Look(Box<dyn FnOnce(&GroupShard) + Send>),
    TopicsDeleted(Vec<TopicName>),
}

/// A request about a group, and what it is answered with.
pub(crate) trait Ask: Sized {
    type Answer;
    fn into_request(self) -> GroupRequest;
    fn answer(response: Response) -> Option<Self::Answer>;
}

macro_rules! asks {
    ($($request:ty => $variant:ident, $answer:ty, $response:ident;)*) => {
        $(impl Ask for $request {
            type Answer = $answer;

            fn into_request(self) -> GroupRequest {
                GroupRequest::$variant(self)
            }

            fn answer(response: Response) -> Option<Self::Answer> {
                if let Response::$response(answer) = response { Some(answer) } else { None }
            }
        })*
    };
}

asks! {
    JoinGroup => Join, JoinGroupResponse, Join;
    SyncGroup => Sync, SyncGroupResponse, Sync;
    Heartbeat => Heartbeat, Result<(), GroupError>, Heartbeat;
    LeaveGroup => Leave, LeaveGroupResponse, Leave;
    OffsetCommit => Commit, OffsetCommitResponse, OffsetCommit;
    OffsetDelete => OffsetDelete, OffsetDeleteResponse, OffsetDelete;
    Vec<GroupId> => Delete, DeleteGroupsResponse, DeleteGroups;
}

/// The way to a shard's task, which ends when nobody has one any more.
#[derive(Clone)]
struct Shard {
    mailbox: mpsc::Sender<Message>,
    stage: watch::Receiver<Stage>,
    /// The leadership that it serves: a later one of the same partition has a shard of its own.
    partition: Arc<Partition>,
}

impl Shard {
    /// Hands a message to a shard that serves.
    async fn send(mut self, clock: &dyn Clock, message: Message) -> Result<(), GroupError> {
        loading::serving(clock, &mut self.stage).await?;
        self.mailbox.send(message).await.map_err(|_| GroupError::NotCoordinator)
    }
}

/// All shards of this broker.
pub(crate) struct Coordinator {
    place: Place,
    shards: Mutex<BTreeMap<PartitionId, Shard>>,
}

/// What a shard works with.
#[derive(Clone)]
struct Place {
    engine: Arc<Engine>,
    options: Arc<CoordinatorOptions>,
}

impl Place {
    fn env(&self) -> &Env {
        self.engine.env()
    }
}

impl Coordinator {
    /// The coordinator of the groups whose partitions `engine` leads.
    pub(crate) fn new(engine: Arc<Engine>, options: &CoordinatorOptions) -> Self {
        let place = Place { engine, options: Arc::new(options.clone()) };
        Self { place, shards: Mutex::default() }
    }

    /// The partition that holds a group's records, if this broker leads it.
    fn group_partition(&self, group: &GroupId) -> Result<Arc<Partition>, GroupError> {
        let topics = self.place.engine.topics();
        let topic = topics.by_name(OFFSETS_TOPIC).ok_or(GroupError::NotCoordinator)?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let index = partition_for(group, count);
        topic.partition(index).flatten().cloned().ok_or(GroupError::NotCoordinator)
    }

    fn shard(&self, partition: &Arc<Partition>) -> Shard {
        let mut shards = self.shards.lock();
        let known = shards.get(&partition.id);
        if let Some(shard) = known.filter(|shard| Arc::ptr_eq(&shard.partition, partition)) {
            return shard.clone();
        }
        let position = partition.position();
        let is_empty = position.log_start >= position.log_end;
        let first = if is_empty { Stage::Serving } else { Stage::Loading };
        let (told, stage) = watch::channel(first);
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        let shard = Shard { mailbox, stage, partition: Arc::clone(partition) };
        shards.insert(partition.id, shard.clone());
        let place = usize::try_from(partition.index.get()).unwrap_or_default();
        let task = shard::run(self.place.clone(), Arc::clone(partition), messages, told);
        self.place.env().spawner.spawn(
            TaskPlacement::Shard(place),
            "group coordinator",
            Box::pin(task),
        );
        shard
    }

    /// Has a group's shard answer `request`.
    pub(crate) async fn ask<R: Ask>(
        &self,
        group: &GroupId,
        request: R,
    ) -> Result<R::Answer, GroupError> {
        let partition = self.group_partition(group)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Request(request.into_request(), reply);
        self.shard(&partition).send(&*self.place.env().clock, message).await?;
        let response = answer.await.map_err(|_| GroupError::NotCoordinator)?;
        Ok(R::answer(response).expect("a shard answers what it is asked"))
    }

    /// Reads from a group's shard.
    pub(crate) async fn look_at_group<T: Send + 'static>(
        &self,
        group: &GroupId,
        look: impl FnOnce(&GroupShard) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let partition = self.group_partition(group)?;
        self.look_at(&partition, look).await
    }

    async fn look_at<T: Send + 'static>(
        &self,
        partition: &Arc<Partition>,
        look: impl FnOnce(&GroupShard) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let (send, seen) = oneshot::channel();
        let look = move |shard: &GroupShard| {
            // Whoever asked may be gone.
            let _gone = send.send(look(shard));
        };
        let message = Message::Look(Box::new(look));
        self.shard(partition).send(&*self.place.env().clock, message).await?;
        seen.await.map_err(|_| GroupError::NotCoordinator)
    }

    /// Reads from every shard that holds anything. One that cannot be read is left out, as Kafka does: it must not hide the
    /// others.
    pub(crate) async fn look_at_groups<T: Send + 'static>(
        &self,
        look: impl Fn(&GroupShard) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, GroupError> {
        let mut seen = Vec::new();
        for partition in self.group_partitions() {
            match self.look_at(&partition, look.clone()).await {
                Ok(saw) => seen.push(saw),
                Err(GroupError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    /// Led partitions of the offsets topic that hold any record.
    fn group_partitions(&self) -> Vec<Arc<Partition>> {
        let topics = self.place.engine.topics();
        let partitions = topics.by_name(OFFSETS_TOPIC).into_iter().flat_map(|t| &t.partitions);
        partitions.flatten().filter(|p| p.position().log_end.get() > 0).cloned().collect()
    }

    /// Loads every shard that holds anything, so that sessions and offsets expire although nobody asks.
    pub(crate) fn start(&self) {
        for partition in self.group_partitions() {
            drop(self.shard(&partition));
        }
    }

    /// Groups forget the offsets of topics that are gone; when their own topic is, all is forgotten.
    pub(crate) async fn forget_topics(&self, names: &[TopicName]) {
        self.unload_shards_that_are_gone();
        for partition in self.group_partitions() {
            let message = Message::TopicsDeleted(names.to_vec());
            // A shard that is shutting down loads anew, from a log in which the topic is gone as well.
            let _closed = self.shard(&partition).mailbox.send(message).await;
        }
    }

    /// Ends the tasks of partitions that are not hosted any more.
    fn unload_shards_that_are_gone(&self) {
        let topics = self.place.engine.topics();
        let partitions = topics.by_name(OFFSETS_TOPIC).into_iter().flat_map(|t| &t.partitions);
        let hosted: BTreeSet<_> = partitions.flatten().map(|partition| partition.id).collect();
        self.shards.lock().retain(|id, _| hosted.contains(id));
    }
}
