//! Clients that ask by time and by leader epoch, of several partitions at once.

use crate::clients::{Clients, pick, targets};
use crate::effects::Effect;
use crate::facts::{EpochEnd, Found, LATEST};
use crate::model::{Known, Oracle, Target};
use esker_client::ClientError;
use esker_env::Entropy;
use esker_wire::ErrorCode;
use esker_wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use esker_wire::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};
use std::collections::{BTreeMap, BTreeSet};

/// Kafka's numbers for the ends of a log.
const END: i64 = -1;
const START: i64 = -2;
/// So many times of a partition are asked for when everything stands still.
const TIMES_ASKED: usize = 6;

/// Somebody's answers by partition; those that were refused are not among them.
type Answers<T> = BTreeMap<Target, T>;

fn by_topic<T: Copy, R>(
    asked: &Answers<T>,
    row: impl Fn(i32, T) -> R,
) -> Vec<(&'static str, Vec<R>)> {
    let mut topics: BTreeMap<&'static str, Vec<R>> = BTreeMap::new();
    for ((name, index), what) in asked {
        topics.entry(name).or_default().push(row(*index, *what));
    }
    topics.into_iter().collect()
}

fn target_of(name: &str, index: i32) -> Option<Target> {
    targets().find(|(known, number)| *known == name && *number == index)
}

impl Clients {
    /// Some partitions: one, or several.
    fn some(&self) -> BTreeSet<Target> {
        let count = if self.entropy.chance(50) { 1 } else { 3 };
        (0..count).map(|_| pick(&self.entropy)).collect()
    }

    async fn found(&self, asked: &Answers<i64>) -> Result<Answers<Found>, ClientError> {
        let Some(((name, index), _)) = asked.first_key_value() else { return Ok(Answers::new()) };
        let (_, connection) = self.client.leader(name, *index).await?;
        let row = |partition_index, timestamp| ListOffsetsPartition {
            partition_index,
            timestamp,
            ..Default::default()
        };
        let topics = by_topic(asked, row)
            .into_iter()
            .map(|(name, rows)| ListOffsetsTopic { name, partitions: rows.into() });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: topics.collect::<Vec<_>>().into(),
            ..Default::default()
        };
        let reply = connection.call(&request).await?;
        let response: ListOffsetsResponse<'_> = reply.read()?;
        let mut answers = Answers::new();
        for topic in &response.topics {
            for row in &topic.partitions {
                let target = target_of(topic.name, row.partition_index);
                if let Some(target) = target.filter(|_| row.error_code == ErrorCode::None.code()) {
                    let epoch = row.leader_epoch;
                    let found = Found { offset: row.offset, timestamp: row.timestamp, epoch };
                    answers.insert(target, found);
                }
            }
        }
        Ok(answers)
    }

    async fn epoch_ends(&self, asked: &Answers<i32>) -> Result<Answers<EpochEnd>, ClientError> {
        let Some(((name, index), _)) = asked.first_key_value() else { return Ok(Answers::new()) };
        let (_, connection) = self.client.leader(name, *index).await?;
        let row = |partition, leader_epoch| OffsetForLeaderPartition {
            partition,
            leader_epoch,
            ..Default::default()
        };
        let topics = by_topic(asked, row)
            .into_iter()
            .map(|(topic, rows)| OffsetForLeaderTopic { topic, partitions: rows.into() });
        let request = OffsetForLeaderEpochRequest {
            topics: topics.collect::<Vec<_>>().into(),
            ..Default::default()
        };
        let reply = connection.call(&request).await?;
        let response: OffsetForLeaderEpochResponse<'_> = reply.read()?;
        let mut answers = Answers::new();
        for topic in &response.topics {
            for row in &topic.partitions {
                let target = target_of(topic.topic, row.partition);
                if let Some(target) = target.filter(|_| row.error_code == ErrorCode::None.code()) {
                    answers
                        .insert(target, EpochEnd { epoch: row.leader_epoch, end: row.end_offset });
                }
            }
        }
        Ok(answers)
    }

    fn known(&self, asked: impl Iterator<Item = Target>) -> Answers<Known> {
        let model = self.model.lock();
        asked.map(|target| (target, model.known(target))).collect()
    }

    /// The edges of partitions, and their leaders' epochs; what was known before goes to the model with them.
    async fn all_edges(
        &self,
        of: impl Iterator<Item = Target>,
    ) -> Result<Answers<(i64, i64, i32)>, ClientError> {
        let of: BTreeSet<_> = of.collect();
        let before = self.known(of.iter().copied());
        let ends = self.found(&of.iter().map(|target| (*target, END)).collect()).await?;
        let starts = self.found(&of.iter().map(|target| (*target, START)).collect()).await?;
        let time = self.time();
        let mut edges = Answers::new();
        for (target, end) in ends {
            let Some(start) = starts.get(&target) else { continue };
            // Between the two questions records may have come, and gone by retention.
            let (start, end, epoch) = (start.offset, end.offset.max(start.offset), end.epoch);
            if self.model.lock().edges(time, target, (start, end), before[&target]) {
                self.trace.count(Effect::Retained);
            }
            edges.insert(target, (start, end, epoch));
        }
        Ok(edges)
    }

    /// Asks where times are, or the latest ones, and lets the model judge. With `healed` every question has an answer.
    async fn ask_by_time(&self, asked: &Answers<i64>, healed: bool) -> Result<(), ClientError> {
        let before = self.known(asked.keys().copied());
        let found = self.found(asked).await?;
        let refused = asked.keys().find(|target| !found.contains_key(target));
        if let Some(target) = refused.filter(|_| healed) {
            let what = format!("asked for {}, and was refused", asked[target]);
            self.model.lock().problem(Oracle::Time, *target, &what);
        }
        let edges = self.all_edges(found.keys().copied()).await?;
        let mut model = self.model.lock();
        for (target, found) in found {
            let Some((start, end, _)) = edges.get(&target) else { continue };
            let wanted = asked[&target];
            model.found_by_time(target, wanted, found, before[&target], (*start, *end));
            self.trace.count(match (wanted, found.offset) {
                (_, ..0) => Effect::NothingAsLate,
                (LATEST, _) => Effect::LatestFound,
                _ => Effect::TimeFound,
            });
        }
        Ok(())
    }

    /// Asks where epochs ended, and lets the model judge. With `still` nothing is written meanwhile.
    async fn ask_by_epoch(
        &self,
        asked: &Answers<i32>,
        edges: &Answers<(i64, i64, i32)>,
        still: bool,
    ) -> Result<(), ClientError> {
        let before = self.known(asked.keys().copied());
        let ends = self.epoch_ends(asked).await?;
        let after = self.all_edges(ends.keys().copied()).await?;
        let mut model = self.model.lock();
        for (target, told) in ends {
            let (Some((_, _, current)), Some((start, end, _))) =
                (edges.get(&target), after.get(&target))
            else {
                continue;
            };
            let (asked, edges) = (asked[&target], (*start, *end));
            model.found_by_epoch(target, asked, told, *current, before[&target], edges, still);
            self.trace.count(match asked - *current {
                0 => Effect::NewestEpochAsked,
                1.. => Effect::EpochToCome,
                _ if told.epoch == asked => Effect::EpochEnded,
                _ => Effect::EpochBefore,
            });
        }
        Ok(())
    }

    /// Asks where times are in some partitions: times of records and those beside them, the first, the last, now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn seek_times(&self) -> Result<(), ClientError> {
        let mut asked = Answers::new();
        for target in self.some() {
            let times = self.model.lock().facts(target).times();
            let entropy = &self.entropy;
            let place = usize::try_from(entropy.below(times.len().max(1) as u64)).expect("small");
            let time = times.get(place).copied().unwrap_or_default();
            let now = self.client.env().clock.wall().get();
            let wanted = match entropy.below(10) {
                0..3 => LATEST,
                3 => 0,
                4 => now - 1_000,
                5..8 => time,
                8 => time + 1,
                _ => (time - 1).max(0),
            };
            asked.insert(target, wanted);
        }
        self.ask_by_time(&asked, false).await
    }

    /// Asks where epochs ended in some partitions: those that there were, and the one to come.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn seek_epochs(&self) -> Result<(), ClientError> {
        let edges = self.all_edges(self.some().into_iter()).await?;
        let epoch = |current: i32| {
            let count = u64::try_from(current).unwrap_or_default() + 2;
            i32::try_from(self.entropy.below(count)).expect("a few lives")
        };
        let asked = edges.iter().map(|(target, (_, _, current))| (*target, epoch(*current)));
        self.ask_by_epoch(&asked.collect(), &edges, false).await
    }

    /// Asks for everything that was read, by time and by epoch, while nobody writes: every answer is decided. Where all is
    /// `healed`, no question is refused.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn seek_everything(&self, healed: bool) -> Result<(), ClientError> {
        let mut rounds: Vec<Answers<i64>> =
            [LATEST, 0].map(|wanted| targets().map(|target| (target, wanted)).collect()).into();
        rounds.resize_with(2 + 2 * TIMES_ASKED, Answers::new);
        for target in targets() {
            let times = self.model.lock().facts(target).times();
            let step = times.len().div_ceil(TIMES_ASKED).max(1);
            // The last ones are the most in danger.
            let chosen = times.iter().rev().step_by(step).flat_map(|time| [*time, *time + 1]);
            for (round, wanted) in rounds[2..].iter_mut().zip(chosen) {
                round.insert(target, wanted);
            }
        }
        for asked in rounds {
            self.ask_by_time(&asked, healed).await?;
        }
        let edges = self.all_edges(targets()).await?;
        let newest = edges.values().map(|(_, _, epoch)| *epoch).max().unwrap_or_default();
        for epoch in 0..=newest + 1 {
            let asked = targets().map(|target| (target, epoch)).collect();
            self.ask_by_epoch(&asked, &edges, true).await?;
        }
        Ok(())
    }
}
