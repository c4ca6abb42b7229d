//! Clients that read: single stretches, whole partitions, group offsets, settings.

use crate::clients::{Clients, pick, targets};
use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::model::{Known, Oracle, Target};
use esker_client::{
    At, ClientError, ConfigResource, Consumer, ConsumerOptions, Position, Received,
};
use esker_env::Entropy;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The group without members whose offsets are committed from outside.
pub(crate) const GROUP: &str = "sim-group";
/// The setting that admin clients raise.
pub(crate) const SETTING: &str = "max.message.bytes";
/// Topics of which it is raised.
pub(crate) const SET: [&str; 2] = ["sim-a", "sim-b"];

/// How simulated consumers read.
pub(crate) fn consumer_options() -> ConsumerOptions {
    ConsumerOptions {
        max_wait: Duration::from_millis(200),
        partition_max_bytes: 64 << 10,
        ..ConsumerOptions::default()
    }
}

/// A consumer that reads on where it stopped.
#[derive(Debug)]
pub struct Follower {
    name: String,
    target: Target,
    next: i64,
}

impl Follower {
    /// A follower of this number.
    #[must_use]
    pub fn new(number: u64, entropy: &SimEntropy) -> Self {
        Self { name: format!("f{number}"), target: pick(entropy), next: 0 }
    }

    /// Reads the next records.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn step(&mut self, clients: &Clients) -> Result<(), ClientError> {
        let before = clients.model.lock().known(self.target);
        let end = clients.edge(self.target, At::End).await?;
        let start = clients.edge(self.target, At::Start).await?;
        // Between the two questions records may have come, and gone by retention.
        let end = end.max(start);
        let time = clients.time();
        clients.edges(time, self.target, (start, end), before);
        let from = self.next.max(start);
        if from > self.next || self.next == 0 {
            clients.model.lock().tell(|h| h.assign(time, &self.name, self.target));
        }
        let stretch = Stretch { target: self.target, from, end, process: self.name.clone() };
        let offsets = clients.read(vec![stretch], 100, consumer_options()).await?;
        let last = offsets.into_iter().flatten().last();
        if last.is_some() {
            clients.trace.count(Effect::Followed);
        }
        self.next = last.map_or(from, |last| last + 1);
        Ok(())
    }
}

/// What a client reads of a partition.
#[derive(Debug)]
struct Stretch {
    target: Target,
    from: i64,
    /// The first offset that is not read.
    end: i64,
    /// Its name in the history.
    process: String,
}

impl Stretch {
    fn position(&self) -> Position {
        let (topic, partition) = (self.target.0.into(), self.target.1);
        Position { topic, partition, offset: self.from, end: Some(self.end) }
    }

    fn is_of(&self, record: &Received) -> bool {
        (&*record.topic, record.partition) == self.target
    }
}

impl Clients {
    /// Reads every partition from its beginning to its end and lets the model judge. Nobody may trim meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_everything(&self, process: &str) -> Result<(), ClientError> {
        for target in targets() {
            loop {
                let before = self.model.lock().known(target);
                let start = self.edge(target, At::Start).await?;
                let end = self.edge(target, At::End).await?;
                let time = self.time();
                self.edges(time, target, (start, end), before);
                self.model.lock().tell(|h| h.assign(time, process, target));
                let stretch = Stretch { target, from: start, end, process: process.to_owned() };
                let offsets = self.read(vec![stretch], usize::MAX, consumer_options()).await?;
                let offsets = offsets.into_iter().next().unwrap_or_default();
                let start_after = self.edge(target, At::Start).await?;
                let mut model = self.model.lock();
                let retained =
                    model.partitions.get(&target).is_some_and(|known| known.retained.is_some());
                if retained && start_after != start {
                    // Retention took records while they were read.
                    continue;
                }
                model.whole(target, (start, end), &offsets, before);
                break;
            }
        }
        Ok(())
    }

    /// Lets the model judge the edges that `target` was said to have.
    fn edges(&self, time: u64, target: Target, edges: (i64, i64), before: Known) {
        if self.model.lock().edges(time, target, edges, before) {
            self.trace.count(Effect::Retained);
        }
    }

    /// Where a partition begins.
    pub(crate) async fn start_of(&self, target: Target) -> Result<i64, ClientError> {
        self.edge(target, At::Start).await
    }

    async fn edge(&self, target: Target, at: At) -> Result<i64, ClientError> {
        let wanted = [(target.0.to_owned(), target.1, at)];
        let found = self.client.list_offsets(&wanted, false).await?;
        let place = found.into_values().next();
        let nothing = || ClientError::Invalid("list offsets was answered without any".to_owned());
        Ok(place.ok_or_else(nothing)?.offset)
    }

    /// Reads stretches side by side, or about `limit` records of them. Answers the offsets of each.
    async fn read(
        &self,
        stretches: Vec<Stretch>,
        limit: usize,
        options: ConsumerOptions,
    ) -> Result<Vec<Vec<i64>>, ClientError> {
        let mut offsets = vec![Vec::new(); stretches.len()];
        let positions = stretches.iter().map(Stretch::position).collect();
        let mut consumer = Consumer::new(self.client.clone(), options, positions);
        let mut count = 0;
        while count < limit {
            let Some(records) = consumer.next().await? else { break };
            count += records.len();
            let time = self.time();
            let mut model = self.model.lock();
            for (stretch, offsets) in stretches.iter().zip(&mut offsets) {
                let mut polled = Vec::new();
                for record in records.iter().filter(|record| stretch.is_of(record)) {
                    offsets.push(record.offset);
                    polled.push(record);
                    model.received(stretch.target, record);
                }
                model.stretch(time, stretch.target, stretch.from, offsets);
                model.tell(|h| h.poll(time, &stretch.process, stretch.target, &polled));
            }
        }
        Ok(offsets)
    }

    /// Reads stretches somewhere, several of them within narrow limits.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_somewhere(&self) -> Result<(), ClientError> {
        let mut options = consumer_options();
        let mut chosen = BTreeSet::from([pick(&self.entropy)]);
        if self.entropy.below(2) == 0 {
            chosen.extend([pick(&self.entropy), pick(&self.entropy)]);
            options.max_bytes = 1 << self.entropy.between(6, 16);
            options.partition_max_bytes = 1 << self.entropy.between(6, 16);
        }
        let mut stretches = Vec::new();
        for target in chosen {
            let (start, end) = {
                let model = self.model.lock();
                let known = model.partitions.get(&target);
                known.map_or((0, 0), |known| (known.trim_tried, known.end()))
            };
            if start >= end {
                continue;
            }
            let span = u64::try_from(end - start).expect("start is below end");
            let from = start + i64::try_from(self.entropy.below(span)).expect("below an offset");
            let process = format!("reader of {}-{}", target.0, target.1);
            let time = self.time();
            self.model.lock().tell(|h| h.assign(time, &process, target));
            stretches.push(Stretch { target, from, end, process });
        }
        let offsets = self.read(stretches, 50, options).await?;
        if offsets.iter().any(|offsets| !offsets.is_empty()) {
            self.trace.count(Effect::StretchRead);
        }
        Ok(())
    }

    /// Commits an offset that is larger than those before.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn commit(&self) -> Result<(), ClientError> {
        let target = pick(&self.entropy);
        let offset = {
            let mut model = self.model.lock();
            let life = model.life;
            let known = model.committed.entry((GROUP, target)).or_default();
            let offset = known.tried() + 1 + i64::try_from(self.entropy.below(5)).expect("below 5");
            known.attempt(offset, life);
            offset
        };
        let offsets = BTreeMap::from([((target.0.to_owned(), target.1), offset)]);
        self.client.commit_offsets(GROUP, &offsets).await?;
        let mut model = self.model.lock();
        let life = model.life;
        let known = model.committed.entry((GROUP, target)).or_default();
        known.acknowledge(offset, life, self.sent());
        self.trace.count(Effect::Committed);
        Ok(())
    }

    /// Reads what a group committed and lets the model judge. Nobody may commit meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_group(&self, group: &'static str) -> Result<(), ClientError> {
        let offsets = self.client.fetch_offsets(group).await?;
        let mut model = self.model.lock();
        for target in targets() {
            let found = offsets.get(&(target.0.to_owned(), target.1));
            model.group_read(group, target, found.copied().unwrap_or(-1));
        }
        Ok(())
    }

    /// Reads what all groups committed and lets the model judge. Nobody may commit meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_groups(&self) -> Result<(), ClientError> {
        self.read_group(GROUP).await?;
        self.read_group(crate::admin::MEMBERS).await
    }

    /// Reads what there is of topics and settings and lets the model judge. Nobody may change any meanwhile.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_admin(&self) -> Result<(), ClientError> {
        let metadata = self.client.metadata(esker_client::Topics::All).await?;
        let names: BTreeSet<_> = metadata.topics.into_keys().collect();
        self.model.lock().topics_read(&names);
        for topic in SET {
            let entries = self.client.describe_configs(ConfigResource::Topic(topic)).await?;
            let entry = entries.iter().find(|entry| entry.name == SETTING);
            let value = entry.and_then(|entry| entry.value.as_ref()?.parse().ok()).unwrap_or(-1);
            self.model.lock().setting_read(topic, value);
        }
        Ok(())
    }

    /// Whether a group without a rebalance under way gives every partition to one member at most.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn look_at_group(&self, group: &'static str) -> Result<(), ClientError> {
        let described = self.client.describe_group(group).await?;
        if described.state != "Stable" {
            return Ok(());
        }
        let mut owned = BTreeSet::new();
        for member in described.members {
            for (topic, partitions) in member.assignment.into_iter().flatten() {
                for partition in partitions {
                    if !owned.insert((topic.clone(), partition)) {
                        let target =
                            targets().find(|(name, index)| *name == topic && *index == partition);
                        let what = format!("two members of `{group}` have it");
                        let target = target.unwrap_or(("?", partition));
                        self.model.lock().problem(Oracle::Group, target, &what);
                    }
                }
            }
        }
        if !owned.is_empty() {
            self.trace.count(Effect::GroupStable);
        }
        Ok(())
    }
}
