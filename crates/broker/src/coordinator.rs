//! The group coordinator's runtime: one task for each led partition of `__consumer_offsets`.
//!
//! The task owns its [`GroupShard`]: it hands requests and time in, appends what comes out, and tells the shard when an
//! append is committed. Requests reach it through a bounded mailbox; an answer that promises something durable leaves
//! only after the commit. A shard that still loads is waited for a little while; then clients are told to come back.

mod loading;
mod shard;
mod trimming;

use crate::broker::Broker;
use crate::topics::NewTopic;
use esker_engine::Partition;
use esker_env::{Clock, TaskPlacement, watch};
use esker_group::{
    GroupError, GroupShard, Heartbeat, JoinGroup, LeaveGroup, OffsetCommit, OffsetDelete, Options,
    Response, SyncGroup, partition_for,
};
use esker_types::{GroupId, PartitionId, TopicName};
use esker_wire::ErrorCode;
use loading::Stage;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The topic of the groups' records.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
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

/// How the offsets topic is made.
#[derive(Debug, Clone)]
pub struct CoordinatorOptions {
    /// `offsets.topic.num.partitions`.
    pub partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// Records from which on the log of a shard is written anew when most of them are old.
    pub log_records_min: u64,
    /// The groups' own.
    pub groups: Options,
}

impl Default for CoordinatorOptions {
    fn default() -> Self {
        Self {
            partitions: 50,
            replication_factor: 1,
            segment_bytes: 100 << 20,
            log_records_min: 10_000,
            groups: Options::default(),
        }
    }
}

/// The way to a shard's task, which ends when nobody has one any more.
#[derive(Clone)]
struct Shard {
    mailbox: mpsc::Sender<Message>,
    stage: watch::Receiver<Stage>,
}

impl Shard {
    /// Hands a message to a shard that serves.
    async fn send(mut self, clock: &dyn Clock, message: Message) -> Result<(), GroupError> {
        loading::serving(clock, &mut self.stage).await?;
        self.mailbox.send(message).await.map_err(|_| GroupError::NotCoordinator)
    }
}

/// All shards of this broker.
#[derive(Default)]
pub(crate) struct Coordinator {
    shards: Mutex<BTreeMap<PartitionId, Shard>>,
}

impl Broker {
    /// Creates the offsets topic if there is none.
    pub(crate) async fn ensure_offsets_topic(&self) -> Result<(), ErrorCode> {
        let _one_at_a_time = self.creating.lock().await;
        if self.engine().topics().by_name(OFFSETS_TOPIC).is_some() {
            return Ok(());
        }
        let options = &self.options().coordinator;
        let new = NewTopic {
            name: TopicName::new(OFFSETS_TOPIC).expect("a legal name"),
            partitions: options.partitions,
            replication_factor: options.replication_factor,
            configs: vec![
                ("cleanup.policy".to_owned(), "compact".to_owned()),
                ("compression.type".to_owned(), "producer".to_owned()),
                ("segment.bytes".to_owned(), options.segment_bytes.to_string()),
            ],
        };
        match self.create_topic(new).await {
            Ok(_) | Err((ErrorCode::TopicAlreadyExists, _)) => Ok(()),
            Err((code, message)) => {
                tracing::warn!(%message, "cannot create the offsets topic");
                Err(code)
            }
        }
    }

    /// The partition that holds a group's records, if this broker leads it.
    fn group_partition(&self, group: &GroupId) -> Result<Arc<Partition>, GroupError> {
        let topics = self.engine().topics();
        let topic = topics.by_name(OFFSETS_TOPIC).ok_or(GroupError::NotCoordinator)?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let index = partition_for(group, count);
        topic.partition(index).flatten().cloned().ok_or(GroupError::NotCoordinator)
    }

    fn shard(self: &Arc<Self>, partition: &Arc<Partition>) -> Shard {
        let mut shards = self.coordinator.shards.lock();
        if let Some(shard) = shards.get(&partition.id) {
            return shard.clone();
        }
        let position = partition.position();
        let is_empty = position.log_start >= position.log_end;
        let first = if is_empty { Stage::Serving } else { Stage::Loading };
        let (told, stage) = watch::channel(first);
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        let shard = Shard { mailbox, stage };
        shards.insert(partition.id, shard.clone());
        let place = usize::try_from(partition.index.get()).unwrap_or_default();
        let task = shard::run(Arc::clone(self), Arc::clone(partition), messages, told);
        self.env().spawner.spawn(TaskPlacement::Shard(place), "group coordinator", Box::pin(task));
        shard
    }

    /// Has a group's shard answer `request`.
    pub(crate) async fn ask_group(
        self: &Arc<Self>,
        group: &GroupId,
        request: GroupRequest,
    ) -> Result<Response, GroupError> {
        let partition = self.group_partition(group)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Request(request, reply);
        self.shard(&partition).send(&*self.env().clock, message).await?;
        answer.await.map_err(|_| GroupError::NotCoordinator)
    }

    /// Reads from a group's shard.
    pub(crate) async fn look_at_group<T: Send + 'static>(
        self: &Arc<Self>,
        group: &GroupId,
        look: impl FnOnce(&GroupShard) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let partition = self.group_partition(group)?;
        self.look_at(&partition, look).await
    }

    async fn look_at<T: Send + 'static>(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        look: impl FnOnce(&GroupShard) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let (send, seen) = oneshot::channel();
        let look = move |shard: &GroupShard| {
            // Whoever asked may be gone.
            let _gone = send.send(look(shard));
        };
        let message = Message::Look(Box::new(look));
        self.shard(partition).send(&*self.env().clock, message).await?;
        seen.await.map_err(|_| GroupError::NotCoordinator)
    }

    /// Reads from every shard that holds anything. One that cannot be read is left out, as Kafka does: it must not hide the
    /// others.
    pub(crate) async fn look_at_groups<T: Send + 'static>(
        self: &Arc<Self>,
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
        let topics = self.engine().topics();
        let partitions = topics.by_name(OFFSETS_TOPIC).into_iter().flat_map(|t| &t.partitions);
        partitions.flatten().filter(|p| p.position().log_end.get() > 0).cloned().collect()
    }

    /// Loads every shard that holds anything, so that sessions and offsets expire although nobody asks.
    pub(crate) fn start_coordinators(self: &Arc<Self>) {
        for partition in self.group_partitions() {
            drop(self.shard(&partition));
        }
    }

    /// Groups forget the offsets of topics that are gone; when their own topic is, all is forgotten.
    pub(crate) async fn forget_topics(self: &Arc<Self>, names: &[TopicName]) {
        self.unload_shards_that_are_gone();
        for partition in self.group_partitions() {
            let message = Message::TopicsDeleted(names.to_vec());
            // A shard that is shutting down loads anew, from a log in which the topic is gone as well.
            let _closed = self.shard(&partition).mailbox.send(message).await;
        }
    }

    /// Ends the tasks of partitions that are not hosted any more.
    fn unload_shards_that_are_gone(&self) {
        let topics = self.engine().topics();
        let partitions = topics.by_name(OFFSETS_TOPIC).into_iter().flat_map(|t| &t.partitions);
        let hosted: BTreeSet<_> = partitions.flatten().map(|partition| partition.id).collect();
        self.coordinator.shards.lock().retain(|id, _| hosted.contains(id));
    }
}
