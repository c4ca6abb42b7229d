//! What the clients were told, and what follows from it.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A partition of a topic.
pub type Target = (&'static str, i32);

/// The clients' knowledge. It outlives every life of the node.
#[derive(Debug, Default)]
pub struct Model {
    /// By partition.
    pub partitions: BTreeMap<Target, PartitionModel>,
    /// Committed offsets of the one group: acknowledged, and tried.
    pub committed: BTreeMap<Target, (i64, i64)>,
    /// What contradicts what was told before.
    pub problems: Vec<String>,
    /// Batches acknowledged.
    pub acks: u64,
    /// Records read and compared.
    pub reads: u64,
}

/// What is known of a partition.
#[derive(Debug, Default)]
pub struct PartitionModel {
    /// Acknowledged: it must be readable at this offset.
    acked: BTreeSet<i64>,
    /// Values by offset, acknowledged or read once: they never change.
    values: BTreeMap<i64, Bytes>,
    /// Offsets of values that must not appear twice.
    unique: BTreeMap<Bytes, i64>,
    /// Lowest offset that a trim was acknowledged for.
    pub trimmed: i64,
    /// Largest offset that a trim was tried for.
    pub trim_tried: i64,
}

/// First byte of values of producers whose batches are recognized.
pub const UNIQUE: u8 = b'i';

impl PartitionModel {
    /// One past the largest offset that was acknowledged or read.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.values.last_key_value().map_or(0, |(offset, _)| offset + 1)
    }

    fn holds(&mut self, offset: i64, value: &Bytes) -> Result<(), String> {
        if let Some(known) = self.values.insert(offset, value.clone())
            && known != value
        {
            return Err(format!("offset {offset} was {known:?} and is {value:?}"));
        }
        if value.first() == Some(&UNIQUE)
            && let Some(other) = self.unique.insert(value.clone(), offset)
            && other != offset
        {
            return Err(format!("{value:?} is at {other} and at {offset}"));
        }
        Ok(())
    }
}

impl Model {
    fn holds(&mut self, target: Target, offset: i64, value: &Bytes) {
        let partition = self.partitions.entry(target).or_default();
        if let Err(problem) = partition.holds(offset, value) {
            self.problem(target, &problem);
        }
    }

    /// Notes a contradiction.
    pub fn problem(&mut self, target: Target, problem: &str) {
        self.problems.push(format!("{}-{}: {problem}", target.0, target.1));
    }

    /// The broker acknowledged `values` from `base` on.
    pub fn acknowledged(&mut self, target: Target, base: i64, values: &[Bytes]) {
        self.acks += 1;
        for (offset, value) in (base..).zip(values) {
            self.holds(target, offset, value);
            self.partitions.entry(target).or_default().acked.insert(offset);
        }
    }

    /// A consumer read `value` at `offset`.
    pub fn read(&mut self, target: Target, offset: i64, value: &Bytes) {
        self.reads += 1;
        self.holds(target, offset, value);
    }

    /// A whole partition was read: it has `offsets`, ascending, between `start` and `end`.
    pub fn whole(&mut self, target: Target, start: i64, end: i64, offsets: &[i64]) {
        let partition = self.partitions.entry(target).or_default();
        let (trimmed, tried) = (partition.trimmed, partition.trim_tried);
        let lost = partition.acked.range(start..).find(|at| offsets.binary_search(at).is_err());
        let lost = lost.copied();
        if start < trimmed || start > tried.max(0) {
            self.problem(target, &format!("starts at {start}, not in {trimmed}..={tried}"));
        }
        if !offsets.iter().copied().eq(start..end) {
            let gap = (start..end).zip(offsets).find(|(want, got)| want != *got);
            let what = format!("{start}..{end} has {} records, first gap {gap:?}", offsets.len());
            self.problem(target, &what);
        }
        if let Some(lost) = lost {
            let what = format!("offset {lost} was acknowledged and is gone ({start}..{end})");
            self.problem(target, &what);
        }
    }

    /// The group's offset of `target` was read.
    pub fn group_read(&mut self, target: Target, offset: i64) {
        let (done, tried) = self.committed.get(&target).copied().unwrap_or((-1, -1));
        if !(done..=tried).contains(&offset) {
            self.problem(target, &format!("committed {offset}, not in {done}..={tried}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Target = ("t", 0);

    fn values(names: &[&'static str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
    }

    #[test]
    fn a_lost_acknowledged_record_is_found() {
        let mut model = Model::default();
        model.acknowledged(T, 0, &values(&["a", "b"]));
        model.whole(T, 0, 2, &[0, 1]);
        assert!(model.problems.is_empty(), "{:?}", model.problems);
        model.whole(T, 0, 1, &[0]);
        assert_eq!(model.problems.len(), 1, "{:?}", model.problems);
    }

    #[test]
    fn a_changed_value_a_gap_and_a_duplicate_are_found() {
        let mut model = Model::default();
        model.acknowledged(T, 0, &values(&["i-1"]));
        model.read(T, 0, &Bytes::from_static(b"i-2"));
        assert_eq!(model.problems.len(), 1);
        model.read(T, 7, &Bytes::from_static(b"i-1"));
        assert_eq!(model.problems.len(), 2);
        model.whole(("u", 0), 0, 3, &[0, 2]);
        assert_eq!(model.problems.len(), 3, "{:?}", model.problems);
    }

    #[test]
    fn a_committed_offset_that_moves_back_is_found() {
        let mut model = Model::default();
        model.committed.insert(T, (5, 9));
        model.group_read(T, 7);
        assert!(model.problems.is_empty());
        model.group_read(T, 4);
        assert_eq!(model.problems.len(), 1);
    }
}
