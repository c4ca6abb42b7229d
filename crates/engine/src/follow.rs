//! From the image of the metadata to the topics and partitions that requests find.

use crate::context::Context;
use crate::partition::led::Partition;
use crate::partition::registry::{TopicEntry, TopicRegistry};
use crate::partition::settings::{ResolveSettings, TopicSettings};
use crate::start::recovery::RecoveredTails;
use arc_swap::ArcSwap;
use esker_meta::{State, Topic};
use esker_plog::{LogState, PartitionLog, TailBatch};
use esker_types::{Bug, PartitionId, TopicId, planted};
use imbl::ordmap::DiffItem;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Keeps the registry of topics as the metadata has it.
pub(crate) struct Follower {
    context: Arc<Context>,
    settings: Arc<dyn ResolveSettings>,
    topics: ArcSwap<TopicRegistry>,
    applied: Mutex<AppliedImage>,
}

/// The image that the registry shows.
struct AppliedImage {
    state: Arc<State>,
    /// Tails of partitions that are not opened yet, found at the start or taken over from another broker.
    recovered: RecoveredTails,
}

impl Follower {
    /// Opens the partitions that this broker leads, with what was recovered of them. A partition
    /// that appears later is new, and has no tail.
    pub(crate) fn new(
        context: &Arc<Context>,
        settings: Arc<dyn ResolveSettings>,
        recovered: RecoveredTails,
    ) -> Self {
        let follower = Self {
            context: Arc::clone(context),
            settings,
            topics: ArcSwap::default(),
            applied: Mutex::new(AppliedImage { state: Arc::default(), recovered }),
        };
        follower.refresh();
        follower.applied.lock().recovered.clear();
        follower
    }

    /// The tails of partitions that this broker is going to be elected for.
    pub(crate) fn prepare(&self, tails: RecoveredTails) {
        self.applied.lock().recovered = tails;
    }

    /// Forgets the tails of those that it was not elected for.
    pub(crate) fn forget_prepared(&self) {
        self.applied.lock().recovered.clear();
    }

    /// Follows the metadata until its quorum ends.
    pub(crate) async fn run(&self) {
        let mut images = self.context.meta.follow();
        while images.changed().await.is_ok() {
            self.context.env.fail_point("image: changed").await;
            self.refresh();
        }
    }

    /// The topics as of the newest image seen.
    pub(crate) fn topics(&self) -> Arc<TopicRegistry> {
        self.topics.load_full()
    }

    /// A partition that this broker leads.
    pub(crate) fn partition(&self, id: PartitionId) -> Option<Arc<Partition>> {
        let state = self.context.image();
        let row = state.partitions.get(&id)?;
        find(&self.topics(), row).cloned()
    }

    /// All partitions that this broker leads, with their topics.
    pub(crate) fn for_each_led(&self, mut visit: impl FnMut(&TopicEntry, &Arc<Partition>)) {
        for topic in self.topics().iter() {
            topic.partitions.iter().flatten().for_each(|partition| visit(topic, partition));
        }
    }

    /// Brings the registry up to the newest image.
    pub(crate) fn refresh(&self) {
        let mut applied = self.applied.lock();
        let newest = self.context.image();
        if newest.applied <= applied.state.applied {
            return;
        }
        let mut topics = TopicRegistry::clone(&self.topics.load());
        let mut changed = follow_topics(&mut topics, &applied.state, &newest);
        changed.extend(follow_partitions(&topics, &applied.state, &newest));
        if applied.state.configs != newest.configs {
            changed.extend(newest.topics.keys().copied());
        }
        for id in changed {
            if let Some(topic) = newest.topics.get(&id) {
                let entry = self.entry(&topics, &newest, id, topic, &mut applied.recovered);
                topics.insert(Arc::new(entry));
            }
        }
        applied.state = newest;
        self.topics.store(Arc::new(topics));
    }

    fn entry(
        &self,
        topics: &TopicRegistry,
        state: &State,
        id: TopicId,
        topic: &Topic,
        recovered: &mut RecoveredTails,
    ) -> TopicEntry {
        let known = topics.by_id(id);
        let settings = Arc::new(self.settings.resolve(state, topic));
        let partitions = (0..)
            .zip(topic.partitions.iter())
            .map(|(index, pid): (usize, _)| {
                let row = state.partitions.get(pid)?;
                let open = known.and_then(|known| known.partitions.get(index)?.clone());
                let led = (row.leader, row.leader_incarnation)
                    == (self.context.options.broker, self.context.incarnation);
                // Who has led it before, and others since, does not know its end.
                let is_this = |partition: &Arc<Partition>| {
                    partition.position().leader_epoch == row.leader_epoch
                };
                let stale = open.as_ref().filter(|partition| led && !is_this(partition));
                stale.into_iter().for_each(|partition| partition.close());
                match open.filter(|partition| !led || is_this(partition)) {
                    Some(partition) if led => {
                        partition.settings.store(Arc::clone(&settings));
                        Some(partition)
                    }
                    Some(partition) => {
                        partition.close();
                        None
                    }
                    None if led => {
                        let tail = recovered.remove(pid).unwrap_or_default();
                        Some(open_partition((id, topic), (*pid, row), &settings, tail))
                    }
                    None => None,
                }
            })
            .collect();
        TopicEntry { id, name: topic.name.clone(), settings, partitions }
    }
}

/// Closes the partitions of topics that are gone. Answers which topics are new or changed.
fn follow_topics(topics: &mut TopicRegistry, old: &State, new: &State) -> BTreeSet<TopicId> {
    let mut changed = BTreeSet::new();
    for change in old.topics.diff(&new.topics) {
        match change {
            DiffItem::Add(id, _) | DiffItem::Update { new: (id, _), .. } => {
                changed.insert(*id);
            }
            DiffItem::Remove(id, _) => {
                if let Some(topic) = topics.remove(*id) {
                    topic.partitions.iter().flatten().for_each(|partition| partition.close());
                }
            }
        }
    }
    changed
}

/// Takes over what the metadata decided about open partitions. Answers of which topics partitions
/// are new or led by another.
fn follow_partitions(topics: &TopicRegistry, old: &State, new: &State) -> BTreeSet<TopicId> {
    let leadership =
        |row: &esker_meta::Partition| (row.leader, row.leader_incarnation, row.leader_epoch);
    let mut changed = BTreeSet::new();
    for change in old.partitions.diff(&new.partitions) {
        match change {
            DiffItem::Add(_, row) => {
                changed.insert(row.topic);
            }
            DiffItem::Update { old: (_, before), new: (_, row) } => {
                if leadership(before) != leadership(row) {
                    changed.insert(row.topic);
                }
                if let Some(partition) = find(topics, row) {
                    follow_partition(partition, row);
                }
            }
            DiffItem::Remove(..) => {}
        }
    }
    changed
}

fn find<'a>(topics: &'a TopicRegistry, row: &esker_meta::Partition) -> Option<&'a Arc<Partition>> {
    topics.by_id(row.topic)?.partition(row.index)?
}

/// Takes over what the metadata decided about a partition.
fn follow_partition(partition: &Partition, row: &esker_meta::Partition) {
    let mut inner = partition.lock();
    let high_watermark = inner.log.position().high_watermark;
    inner.log.set_tiered_end(row.tiered_end.min(high_watermark));
    inner.log.set_log_start(row.log_start.min(high_watermark));
}

fn open_partition(
    (topic_id, topic): (TopicId, &Topic),
    (pid, row): (PartitionId, &esker_meta::Partition),
    settings: &Arc<TopicSettings>,
    tail: Vec<TailBatch>,
) -> Arc<Partition> {
    let log = open_log(row, tail);
    Partition::new(pid, topic_id, topic.name.clone(), row.index, Arc::clone(settings), log)
}

fn open_log(row: &esker_meta::Partition, tail: Vec<TailBatch>) -> PartitionLog {
    let mut log = PartitionLog::open(LogState {
        leader_epoch: row.leader_epoch,
        log_start: if planted(Bug::TrimForgotten) {
            row.extents.first().map_or(row.tiered_end, |extent| extent.base)
        } else {
            row.log_start
        },
        tiered_end: row.tiered_end,
        epochs: row.epochs.iter().map(|epoch| (epoch.epoch, epoch.start)).collect(),
    });
    for batch in tail {
        // What was put into the bucket since is read from there.
        if batch.end > row.tiered_end {
            log.restore(batch);
        }
    }
    let (end, begins) = (log.position().log_end, row.epochs.last().map(|epoch| epoch.start));
    assert!(
        begins.is_none_or(|begins| end >= begins),
        "a leader whose epoch begins at {begins:?} has a log that ends at {end}"
    );
    if !planted(Bug::TrimForgotten) {
        log.set_log_start(row.log_start.min(log.position().high_watermark));
    }
    log
}
