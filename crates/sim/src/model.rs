//! What the clients were told, and what follows from it.

use crate::facts::{Bounds, EpochEnd, Facts, Found};
use crate::history::{History, short};
use crate::register::Register;
use bytes::Bytes;
use esker_client::Received;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A partition of a topic.
pub type Target = (&'static str, i32);

/// What a problem contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oracle {
    /// What was acknowledged or read is there until a trim takes it.
    Lost,
    /// An offset keeps its value.
    Changed,
    /// A value of an idempotent producer is at one offset.
    Doubled,
    /// Offsets are dense.
    Gap,
    /// What is sent after an acknowledgement comes after it.
    Order,
    /// Log starts and ends never move back; trims last.
    Edge,
    /// A record keeps its time; who asks by time is told of the first record that is as late.
    Time,
    /// A record keeps its epoch; an epoch ends where the next begins.
    Epoch,
    /// A fetch session is told of what is news, of every partition in its turn, and of nothing that it did not ask for.
    Session,
    /// What no reader can read is not stored.
    Poison,
    /// Producers are answered by the protocol's rules.
    Producer,
    /// A committed offset is the last acknowledged one or an unanswered one; no partition has two readers.
    Group,
    /// Acknowledged topics, settings and deletions last.
    Admin,
    /// Objects are written once.
    Rewritten,
    /// The bucket holds, intact, what the metadata names, and nothing else in the end.
    Bucket,
    /// What nothing damages is never read twice: the cache gives what was put into it.
    Cache,
    /// The metadata keeps its invariants.
    Metadata,
    /// A node starts unless its disk was damaged, and then says what is wrong.
    Start,
    /// Nothing panics.
    Panic,
    /// A healed node serves what waits within two minutes.
    Progress,
    /// A seed decides everything.
    Determinism,
    /// A seed ends within its limit of real time.
    Endless,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it contradicts.
    pub oracle: Oracle,
    /// What was seen.
    pub what: String,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(oracle: Oracle, what: impl Into<String>) -> Self {
        Self { oracle, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.oracle, self.what)
    }
}

/// The clients' knowledge. It outlives every life of every node.
#[derive(Debug, Default)]
pub struct Model {
    /// The life of the nodes that there are: connections do not outlive it.
    pub life: u64,
    /// By partition.
    pub partitions: BTreeMap<Target, PartitionModel>,
    /// Committed offsets, by group.
    pub committed: BTreeMap<(&'static str, Target), Register>,
    /// A setting of which only larger values are set, by topic.
    pub settings: BTreeMap<&'static str, Register>,
    /// Topics that were made for a while: whether each was acknowledged and not been told to go.
    pub topics: BTreeMap<String, bool>,
    /// Ids of producers, and whose they are.
    pub producer_ids: BTreeMap<i64, String>,
    /// Values that went with a deleted topic, by the topic's name.
    pub deleted: BTreeMap<&'static str, BTreeSet<Bytes>>,
    /// What contradicts what was told before.
    pub problems: Vec<Problem>,
    /// Batches acknowledged.
    pub acks: u64,
    /// Records read and compared.
    pub reads: u64,
    /// Kept where somebody wants it.
    pub history: Option<History>,
    /// In the end all that was promised was asked for, and was there.
    pub was_found: bool,
}

/// What is known of a partition.
#[derive(Debug, Default)]
pub struct PartitionModel {
    /// Values by offset, acknowledged or read once: they never change and never go.
    values: BTreeMap<i64, Bytes>,
    /// What else is known of them.
    facts: Facts,
    /// Offsets of values that must not appear twice.
    unique: BTreeMap<Bytes, i64>,
    /// Lowest offset that a trim was acknowledged for.
    pub trimmed: i64,
    /// Largest offset that a trim was tried for.
    pub trim_tried: i64,
    /// Where retention takes records by itself: the least number of bytes that it was ever told to leave.
    pub retained: Option<u64>,
    /// The largest start and end that anybody was told.
    start_seen: i64,
    end_seen: i64,
}

/// What was known of a partition's edges when somebody asked for them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    start: i64,
    end: i64,
    trimmed: i64,
    /// One past the largest offset that was acknowledged or read.
    values: i64,
}

impl Known {
    /// Nothing below the first was there any more, and everything below the second could be seen.
    pub(crate) fn span(self) -> (i64, i64) {
        (self.start.max(self.trimmed), self.values)
    }

    /// What a question that was asked then could find, where the partition had `edges` once it was answered.
    fn bounds(self, (start, end): (i64, i64)) -> Bounds {
        Bounds { gone: self.start.max(self.trimmed), start, seen: self.values, end }
    }
}

/// The most bytes that a record takes in a log beside its value: a batch of its own.
const AROUND_A_VALUE: u64 = 100;

/// First byte of values of producers whose batches are recognized.
pub const UNIQUE: u8 = b'i';

impl PartitionModel {
    /// One past the largest offset that was acknowledged or read.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.values.last_key_value().map_or(0, |(offset, _)| offset + 1)
    }

    /// What is wrong if retention left less than it was told to: `start` is where the partition begins.
    fn taken_too_much(&self, start: i64) -> Option<String> {
        let least = self.retained.filter(|_| start > self.trim_tried)?;
        let sizes = self.values.range(start..).map(|(_, value)| value.len() as u64);
        let left = sizes.map(|size| size + AROUND_A_VALUE).sum::<u64>();
        (left < least).then(|| format!("retention left {left} bytes from {start} on, not {least}"))
    }

    fn holds(&mut self, offset: i64, value: &Bytes) -> Result<(), Problem> {
        if let Some(known) = self.values.insert(offset, value.clone())
            && known != value
        {
            let (known, value) = (short(&known), short(value));
            let what = format!("offset {offset} was `{known}` and is `{value}`");
            return Err(Problem::new(Oracle::Changed, what));
        }
        if value.first() == Some(&UNIQUE)
            && let Some(other) = self.unique.insert(value.clone(), offset)
            && other != offset
        {
            let what = format!("`{}` is at {other} and at {offset}", short(value));
            return Err(Problem::new(Oracle::Doubled, what));
        }
        Ok(())
    }
}

impl Model {
    fn holds(&mut self, target: Target, offset: i64, value: &Bytes) {
        let partition = self.partitions.entry(target).or_default();
        if let Err(Problem { oracle, what }) = partition.holds(offset, value) {
            self.problem(oracle, target, &what);
        }
    }

    /// Notes a contradiction.
    pub fn problem(&mut self, oracle: Oracle, target: Target, what: &str) {
        self.problems.push(Problem::new(oracle, format!("{}-{}: {what}", target.0, target.1)));
    }

    /// One past what is known to be in `target`: what is sent from now on lies behind.
    #[must_use]
    pub fn end_of(&self, target: Target) -> i64 {
        self.partitions.get(&target).map_or(0, PartitionModel::end)
    }

    /// What is known of the records of `target` beside their values.
    pub fn facts(&mut self, target: Target) -> &mut Facts {
        &mut self.partitions.entry(target).or_default().facts
    }

    /// A producer was given an id: nobody else ever was.
    pub fn identified(&mut self, id: i64, producer: &str) {
        if let Some(other) = self.producer_ids.insert(id, producer.to_owned()) {
            let what = format!("producer {producer} was given the id {id} of {other}");
            self.problems.push(Problem::new(Oracle::Producer, what));
        }
    }

    /// The records from `base` on have these times.
    pub fn timed(&mut self, target: Target, base: i64, times: &[i64]) {
        for (offset, time) in (base..).zip(times) {
            if let Err(what) = self.facts(target).note_time(offset, *time) {
                self.problem(Oracle::Time, target, &what);
            }
        }
    }

    /// A consumer was given a record of `target`.
    pub fn received(&mut self, target: Target, record: &Received) {
        let value = record.value.clone().unwrap_or_default();
        self.read(target, record.offset, &value);
        self.told_beside(target, record.offset, record.timestamp, record.leader_epoch);
    }

    /// A consumer was told the time and the epoch of a record of `target`.
    pub fn told_beside(&mut self, target: Target, offset: i64, timestamp: i64, epoch: i32) {
        self.timed(target, offset, &[timestamp]);
        if let Err(what) = self.facts(target).note_epoch(offset, epoch) {
            self.problem(Oracle::Epoch, target, &what);
        }
    }

    /// Somebody who asked for a time when `before` was known was told of a record; after that `target` has `edges`.
    pub fn found_by_time(
        &mut self,
        target: Target,
        wanted: i64,
        told: Found,
        before: Known,
        edges: (i64, i64),
    ) {
        let judged = self.facts(target).judge_found(wanted, told, before.bounds(edges));
        if let Err(what) = judged {
            self.problem(Oracle::Time, target, &what);
        }
    }

    /// Somebody who asked for an epoch's end was told of one, as in [`Facts::judge_end`].
    #[expect(clippy::too_many_arguments, reason = "a question, its answer, and what was known")]
    pub fn found_by_epoch(
        &mut self,
        target: Target,
        asked: i32,
        told: EpochEnd,
        current: i32,
        before: Known,
        edges: (i64, i64),
        still: bool,
    ) {
        let bounds = before.bounds(edges);
        let judged = self.facts(target).judge_end(asked, told, current, bounds, still);
        if let Err(what) = judged {
            self.problem(Oracle::Epoch, target, &what);
        }
    }

    /// The broker acknowledged `values` from `base` on; when they were first sent, `target` was known up to `after`.
    pub fn acknowledged(&mut self, target: Target, base: i64, after: i64, values: &[Bytes]) {
        self.acks += 1;
        if base < after {
            let what = format!("offset {base} for what was sent when {after} was known");
            self.problem(Oracle::Order, target, &what);
        }
        for (offset, value) in (base..).zip(values) {
            self.holds(target, offset, value);
        }
    }

    /// A consumer read `value` at `offset`.
    pub fn read(&mut self, target: Target, offset: i64, value: &Bytes) {
        self.reads += 1;
        self.holds(target, offset, value);
    }

    /// A consumer that began at `from` has read `offsets` by now.
    pub fn stretch(&mut self, time: u64, target: Target, from: i64, offsets: &[i64]) {
        let partition = self.partitions.entry(target).or_default();
        // A trim or retention may take what comes next under a consumer's eyes.
        let befores = std::iter::once(from).chain(offsets.iter().map(|offset| offset + 1));
        let mut pairs = befores.zip(offsets);
        let gone = partition.trim_tried.max(partition.start_seen);
        let gap = pairs.find(|(want, got)| want != *got && **got > gone);
        if let Some((_, start)) = gap.filter(|_| partition.retained.is_some()) {
            // Then the partition begins there, and whoever asks is told so.
            partition.start_seen = *start;
            self.tell(|history| history.trim(time, target, *start));
            return;
        }
        if let Some((want, got)) = gap {
            let what = format!("a consumer that should read {want} was given {got}");
            self.problem(Oracle::Gap, target, &what);
        }
    }

    /// What is known of the edges of `target` now, before somebody asks for them.
    #[must_use]
    pub fn known(&self, target: Target) -> Known {
        self.partitions.get(&target).map_or_else(Known::default, |partition| Known {
            start: partition.start_seen,
            end: partition.end_seen,
            trimmed: partition.trimmed,
            values: partition.end(),
        })
    }

    /// Somebody was told at `time` where `target` starts and ends, having asked when `before` was known.
    /// Answers whether retention has moved the start since the last time.
    pub fn edges(
        &mut self,
        time: u64,
        target: Target,
        (start, end): (i64, i64),
        before: Known,
    ) -> bool {
        let partition = self.partitions.entry(target).or_default();
        let moved = start > partition.start_seen.max(partition.trim_tried);
        partition.start_seen = start.max(partition.start_seen);
        partition.end_seen = end.max(partition.end_seen);
        let retained = partition.retained.is_some();
        let latest = if retained { partition.end_seen } else { partition.trim_tried };
        if start < before.start || end < before.end {
            let what = format!("{start}..{end} after {}..{}", before.start, before.end);
            self.problem(Oracle::Edge, target, &what);
        }
        if start < before.trimmed || start > latest.max(0) {
            let what = format!("starts at {start}, not in {}..={latest}", before.trimmed);
            self.problem(Oracle::Edge, target, &what);
        }
        if retained {
            self.tell(|history| history.trim(time, target, start));
        }
        retained && moved
    }

    /// A whole partition was read: it has `offsets`, ascending, between `start` and `end`, asked when `before` was known.
    pub fn whole(
        &mut self,
        target: Target,
        (start, end): (i64, i64),
        offsets: &[i64],
        before: Known,
    ) {
        let partition = self.partitions.entry(target).or_default();
        // What was acknowledged since is for the next one to find.
        let until = before.values.max(end).max(start);
        let mut known = partition.values.range(start..until).map(|(offset, _)| *offset);
        let lost = known.find(|at| offsets.binary_search(at).is_err());
        let taken = partition.taken_too_much(start);
        if !offsets.iter().copied().eq(start..end) {
            let gap = (start..end).zip(offsets).find(|(want, got)| want != *got);
            let what = format!("{start}..{end} has {} records, first gap {gap:?}", offsets.len());
            self.problem(Oracle::Gap, target, &what);
        }
        if let Some(lost) = lost {
            let what = format!("offset {lost} was there and is gone ({start}..{end})");
            self.problem(Oracle::Lost, target, &what);
        }
        if let Some(what) = taken {
            self.problem(Oracle::Lost, target, &what);
        }
    }

    /// A group's offset of `target` was read.
    pub fn group_read(&mut self, group: &'static str, target: Target, offset: i64) {
        let known = self.committed.entry((group, target)).or_default();
        if !known.allows(offset) {
            let what = format!("`{group}` committed {offset}, and that is not one of {known:?}");
            self.problem(Oracle::Group, target, &what);
        }
    }

    /// The setting of `topic` was read.
    pub fn setting_read(&mut self, topic: &'static str, value: i64) {
        let known = self.settings.entry(topic).or_default();
        if known.is_set() && !known.allows(value) {
            let what =
                format!("the setting of {topic} is {value}, and that is not one of {known:?}");
            self.problems.push(Problem::new(Oracle::Admin, what));
        }
    }

    /// All topics were listed.
    pub fn topics_read(&mut self, names: &BTreeSet<String>) {
        let gone = self.topics.iter().find(|(name, lasts)| **lasts && !names.contains(*name));
        if let Some((name, _)) = gone {
            let what = format!("topic {name} was made, never deleted, and is not there");
            self.problems.push(Problem::new(Oracle::Admin, what));
        }
    }

    /// `value` was read from a topic that is deleted and made again and again.
    pub fn again_read(&mut self, topic: &'static str, value: &Bytes) {
        self.reads += 1;
        if self.deleted.get(topic).is_some_and(|gone| gone.contains(value)) {
            let what = format!("`{}` went with the {topic} before this one", short(value));
            self.problems.push(Problem::new(Oracle::Admin, what));
        }
    }

    /// Writes to the history, where one is kept.
    pub fn tell(&mut self, write: impl FnOnce(&mut History)) {
        if let Some(history) = &mut self.history {
            write(history);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Sent;

    const T: Target = ("t", 0);

    fn values(names: &[&'static str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
    }

    fn oracles(model: &mut Model) -> Vec<Oracle> {
        std::mem::take(&mut model.problems).into_iter().map(|problem| problem.oracle).collect()
    }

    #[test]
    fn a_lost_record_is_found_whether_it_was_acknowledged_or_read() {
        let mut model = Model::default();
        model.acknowledged(T, 0, 0, &values(&["a", "b"]));
        model.read(T, 2, &Bytes::from_static(b"c"));
        let before = model.known(T);
        model.whole(T, (0, 3), &[0, 1, 2], before);
        model.acknowledged(T, 3, 3, &values(&["d"]));
        model.whole(T, (0, 3), &[0, 1, 2], before);
        assert_eq!(oracles(&mut model), []);
        model.whole(T, (0, 2), &[0, 1], before);
        assert_eq!(oracles(&mut model), [Oracle::Lost]);
    }

    #[test]
    fn a_changed_value_a_gap_a_duplicate_and_a_wrong_order_are_found() {
        let mut model = Model::default();
        model.acknowledged(T, 0, 0, &values(&["i-1"]));
        model.read(T, 0, &Bytes::from_static(b"i-2"));
        model.read(T, 7, &Bytes::from_static(b"i-1"));
        model.whole(("u", 0), (0, 3), &[0, 2], Known::default());
        model.acknowledged(T, 3, 5, &values(&["x"]));
        let all = [Oracle::Changed, Oracle::Doubled, Oracle::Gap, Oracle::Order];
        assert_eq!(oracles(&mut model), all);
    }

    #[test]
    fn a_reader_that_is_led_past_a_record_is_found_unless_a_trim_took_it() {
        let mut model = Model::default();
        model.acknowledged(T, 0, 0, &values(&["a", "b", "c", "d"]));
        model.stretch(0, T, 1, &[]);
        model.stretch(0, T, 1, &[1, 2]);
        assert_eq!(oracles(&mut model), []);
        for passed in [[2, 3], [1, 3]] {
            model.stretch(0, T, 1, &passed);
            assert_eq!(oracles(&mut model), [Oracle::Gap]);
        }
        model.partitions.get_mut(&T).unwrap().trim_tried = 3;
        model.stretch(0, T, 1, &[1, 3]);
        assert_eq!(oracles(&mut model), []);
    }

    #[test]
    fn retention_that_takes_too_much_is_found_and_a_trim_is_not_mistaken_for_it() {
        let mut model = Model::default();
        model.acknowledged(T, 0, 0, &values(&["a", "b", "c", "d"]));
        let kept = model.partitions.get_mut(&T).unwrap();
        kept.retained = Some(2 * AROUND_A_VALUE);
        let before = model.known(T);
        model.whole(T, (2, 4), &[2, 3], before);
        assert_eq!(oracles(&mut model), []);
        model.whole(T, (3, 4), &[3], before);
        assert_eq!(oracles(&mut model), [Oracle::Lost]);
        model.partitions.get_mut(&T).unwrap().trim_tried = 3;
        model.whole(T, (3, 4), &[3], before);
        assert_eq!(oracles(&mut model), []);
    }

    #[test]
    fn what_moves_back_is_found() {
        let mut model = Model::default();
        let committed = model.committed.entry(("g", T)).or_default();
        committed.attempt(5, 1);
        committed.acknowledge(5, 1, Sent::Once);
        committed.attempt(7, 1);
        model.group_read("g", T, 7);
        let before = model.known(T);
        model.edges(0, T, (0, 10), before);
        assert_eq!(oracles(&mut model), []);
        model.group_read("g", T, 4);
        // Asked before the end was known to be 10: an answer that took its time.
        model.edges(0, T, (0, 8), before);
        let before = model.known(T);
        model.edges(0, T, (0, 9), before);
        model.edges(0, T, (3, 10), before);
        assert_eq!(oracles(&mut model), [Oracle::Group, Oracle::Edge, Oracle::Edge]);
        model.topics.insert("kept".to_owned(), true);
        model.topics_read(&BTreeSet::new());
        model.deleted.entry("again").or_default().insert(Bytes::from_static(b"old"));
        model.again_read("again", &Bytes::from_static(b"old"));
        assert_eq!(oracles(&mut model), [Oracle::Admin, Oracle::Admin]);
    }
}
