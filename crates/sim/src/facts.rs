//! What is known of a partition's records beside their values: their times and leader epochs. And which answers to
//! questions by time and by epoch fit it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The question for the record with the largest time.
pub const LATEST: i64 = -3;

/// What was known of a partition when somebody asked, and what is when the answer is there.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Nothing below it was there any more when somebody asked.
    pub gone: i64,
    /// Everything from it on was there when the answer came.
    pub start: i64,
    /// Everything below it could be seen when somebody asked.
    pub seen: i64,
    /// Nothing from it on could be seen when the answer came.
    pub end: i64,
}

/// A record that somebody was told of; offset -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub timestamp: i64,
    /// The epoch of the leader that took it.
    pub epoch: i32,
}

/// Where an epoch ended, as somebody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch that is not above the one asked for; -1 for none.
    pub epoch: i32,
    /// Where the next one begins; -1 for none.
    pub end: i64,
}

/// Times and epochs by offset.
#[derive(Debug, Default)]
pub struct Facts {
    times: BTreeMap<i64, i64>,
    epochs: BTreeMap<i64, i32>,
    /// What was told of epochs that had ended.
    ends: BTreeMap<i32, EpochEnd>,
}

impl Facts {
    /// The record at `offset` has this time.
    ///
    /// # Errors
    /// It had another.
    pub fn note_time(&mut self, offset: i64, time: i64) -> Result<(), String> {
        match self.times.insert(offset, time) {
            Some(known) if known != time => {
                Err(format!("the record at {offset} was of {known} and is of {time}"))
            }
            _ => Ok(()),
        }
    }

    /// The record at `offset` was taken in this epoch.
    ///
    /// # Errors
    /// It was another, or the epochs of the records around it do not allow that.
    pub fn note_epoch(&mut self, offset: i64, epoch: i32) -> Result<(), String> {
        let before = self.epochs.range(..offset).next_back().filter(|(_, known)| **known > epoch);
        let here = self.epochs.get_key_value(&offset).filter(|(_, known)| **known != epoch);
        let after = self.epochs.range(offset + 1..).next().filter(|(_, known)| **known < epoch);
        if let Some((other, known)) = here.or(before).or(after) {
            return Err(format!(
                "the record at {offset} is of epoch {epoch}, and the one at {other} of {known}"
            ));
        }
        self.epochs.insert(offset, epoch);
        Ok(())
    }

    /// Times of records, to ask for.
    #[must_use]
    pub fn times(&self) -> Vec<i64> {
        self.times.values().copied().filter(|time| *time >= 0).collect()
    }

    /// The largest epoch that is known.
    #[must_use]
    pub fn newest_epoch(&self) -> i32 {
        self.epochs.last_key_value().map_or(0, |(_, epoch)| *epoch)
    }

    /// What is wrong with the answer to a question for the first record of `wanted` or later, or for the [`LATEST`].
    ///
    /// # Errors
    /// A record that it passed over, or why it is no answer.
    pub fn judge_found(&mut self, wanted: i64, told: Found, bounds: Bounds) -> Result<(), String> {
        let here = |what: String| Err(format!("asked for {wanted}, told {told:?}: {what}"));
        let known = self.times.range(bounds.start..bounds.seen.max(bounds.start));
        let known = known.map(|(offset, time)| (*offset, *time));
        let missed = if wanted == LATEST {
            known
                .filter(|(_, time)| *time >= 0)
                .max_by_key(|(offset, time)| (*time, Reverse(*offset)))
                .filter(|(offset, time)| {
                    (*time, Reverse(*offset)) > (told.timestamp, Reverse(told.offset))
                })
        } else {
            let mut late = known.filter(|(_, time)| *time >= wanted);
            late.next().filter(|(offset, _)| told.offset < 0 || *offset < told.offset)
        };
        if let Some((offset, time)) = missed {
            return here(format!("{offset} is of {time}"));
        }
        if told.offset < 0 {
            return Ok(());
        }
        if wanted != LATEST && told.timestamp < wanted {
            return here("that is too early".to_owned());
        }
        if !(bounds.gone..bounds.end).contains(&told.offset) {
            return here(format!("there is {}..{}", bounds.gone, bounds.end));
        }
        self.note_time(told.offset, told.timestamp).or_else(here)?;
        self.note_epoch(told.offset, told.epoch).or_else(here)
    }

    /// What is wrong with the answer to a question where epoch `asked` ended, while the leader's epoch is `current`.
    /// `still` says that the log's end is known to be that of `bounds`.
    ///
    /// # Errors
    /// A record that contradicts it, or why it is no answer.
    pub fn judge_end(
        &mut self,
        asked: i32,
        told: EpochEnd,
        current: i32,
        bounds: Bounds,
        still: bool,
    ) -> Result<(), String> {
        let here = |what: String| {
            Err(format!("asked for the end of epoch {asked} in {current}, told {told:?}: {what}"))
        };
        if asked > current {
            let none = told == EpochEnd { epoch: -1, end: -1 };
            return if none { Ok(()) } else { here("it has not begun".to_owned()) };
        }
        if asked == current && told.epoch != current {
            return here("it is the leader's".to_owned());
        }
        if !(0..=asked).contains(&told.epoch) {
            return here("that is not the epoch before it".to_owned());
        }
        let at_least = if asked == current { bounds.seen } else { 0 };
        let wrong_end = asked == current && told.end != bounds.end;
        if told.end < at_least || (still && (told.end > bounds.end || wrong_end)) {
            return here(format!("the log ends at {}", bounds.end));
        }
        let mut records = self.epochs.iter().map(|(offset, epoch)| (*offset, *epoch));
        // Of what a trim took, later epochs may be forgotten: the first that is left ends those before it.
        let there = |offset: i64| (bounds.start..bounds.seen).contains(&offset);
        let contradicts = |(offset, epoch): &(i64, i32)| {
            let before = *offset < told.end;
            match *epoch <= asked {
                // In the leader's own epoch more may have been written since.
                true if asked == current && *offset >= bounds.seen => false,
                true => !before || (there(*offset) && *epoch > told.epoch),
                false => before && there(*offset),
            }
        };
        if let Some((offset, epoch)) = records.find(contradicts) {
            return here(format!("{offset} is of epoch {epoch}"));
        }
        if asked == current {
            return Ok(());
        }
        // A trim may take an epoch and those after it: then the first that is left begins where they end.
        match self.ends.insert(asked, told) {
            Some(before) if told.end != before.end => {
                let trimmed = told.end > before.end && told.end <= bounds.start;
                if trimmed { Ok(()) } else { here(format!("it was {before:?}")) }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records 10 to 15 of the times 100, 90, none, 110, 110, 95; all but the last one seen.
    fn facts() -> Facts {
        let mut facts = Facts::default();
        for (offset, time) in (10..).zip([100, 90, -1, 110, 110, 95]) {
            facts.note_time(offset, time).unwrap();
        }
        facts
    }

    const ALL: Bounds = Bounds { gone: 10, start: 10, seen: 15, end: 16 };

    fn found(offset: i64, timestamp: i64) -> Found {
        Found { offset, timestamp, epoch: 3 }
    }

    #[test]
    fn the_first_record_that_is_as_late_is_the_only_answer() {
        for (wanted, offset, timestamp) in [(0, 10, 100), (101, 13, 110), (110, 13, 110)] {
            assert_eq!(facts().judge_found(wanted, found(offset, timestamp), ALL), Ok(()));
        }
        for (wanted, offset, timestamp) in [
            (101, 14, 110), // not the first
            (101, 10, 100), // too early
            (101, 13, 111), // of another time
            (101, -1, -1),  // there is one
            (0, 9, 100),    // gone
        ] {
            let told = found(offset, timestamp);
            assert!(facts().judge_found(wanted, told, ALL).is_err(), "{wanted}: {told:?}");
        }
        assert_eq!(facts().judge_found(111, found(-1, -1), ALL), Ok(()));
    }

    #[test]
    fn what_came_or_went_while_somebody_asked_may_be_told_or_not() {
        // 10 may be gone, and a record at 15 or 16 may be seen or not.
        let bounds = Bounds { gone: 10, start: 11, seen: 15, end: 17 };
        for told in [found(10, 100), found(13, 110)] {
            assert_eq!(facts().judge_found(95, told, bounds), Ok(()));
        }
        for told in [found(-1, -1), found(16, 200)] {
            assert_eq!(facts().judge_found(111, told, bounds), Ok(()));
        }
        assert!(facts().judge_found(111, found(17, 200), bounds).is_err(), "nobody may see it yet");
    }

    #[test]
    fn the_latest_is_the_first_of_the_largest_time() {
        assert_eq!(facts().judge_found(LATEST, found(13, 110), ALL), Ok(()));
        for told in [found(14, 110), found(15, 95), found(-1, -1), found(10, 100)] {
            assert!(facts().judge_found(LATEST, told, ALL).is_err(), "{told:?}");
        }
        let nothing = Bounds { gone: 12, start: 12, seen: 13, end: 13 };
        assert_eq!(facts().judge_found(LATEST, found(-1, -1), nothing), Ok(()));
    }

    #[test]
    fn a_record_keeps_its_time_and_its_epoch() {
        let mut facts = facts();
        assert!(facts.note_time(10, 101).is_err());
        facts.note_epoch(12, 3).unwrap();
        facts.note_epoch(12, 3).unwrap();
        facts.note_epoch(14, 5).unwrap();
        for (offset, epoch) in [(12, 4), (11, 4), (13, 2), (15, 4), (13, 6)] {
            assert!(facts.note_epoch(offset, epoch).is_err(), "{offset}: {epoch}");
        }
    }

    fn end(epoch: i32, end: i64) -> EpochEnd {
        EpochEnd { epoch, end }
    }

    /// Epochs 1 (10, 11), 3 (12, 13) and 4 (14, 15).
    fn of_epochs() -> Facts {
        let mut facts = Facts::default();
        for (offset, epoch) in (10..).zip([1, 1, 3, 3, 4, 4]) {
            facts.note_epoch(offset, epoch).unwrap();
        }
        facts
    }

    const STILL: Bounds = Bounds { gone: 10, start: 10, seen: 16, end: 16 };

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        for (asked, told) in
            [(1, end(1, 12)), (2, end(1, 12)), (3, end(3, 14)), (4, end(4, 16)), (5, end(-1, -1))]
        {
            assert_eq!(of_epochs().judge_end(asked, told, 4, STILL, true), Ok(()), "{asked}");
        }
        // What is of the leader's epoch and was not seen before came while somebody asked.
        let meanwhile = Bounds { seen: 15, ..STILL };
        assert_eq!(of_epochs().judge_end(4, end(4, 15), 4, meanwhile, false), Ok(()));
        assert!(of_epochs().judge_end(4, end(4, 14), 4, meanwhile, false).is_err());
        // Nothing was written in it.
        assert_eq!(of_epochs().judge_end(5, end(4, 16), 6, STILL, true), Ok(()));
        for (asked, told) in [
            (1, end(1, 13)),
            (1, end(1, 11)),
            (2, end(2, 14)),
            (2, end(3, 12)),
            (2, end(-1, -1)),
            (3, end(1, 14)),
            (4, end(4, 17)),
            (4, end(3, 16)),
            (5, end(4, 16)),
        ] {
            assert!(
                of_epochs().judge_end(asked, told, 4, STILL, true).is_err(),
                "{asked}: {told:?}"
            );
        }
    }

    #[test]
    fn an_epoch_before_the_first_ends_where_that_begins_and_a_trim_takes_ends() {
        let mut facts = of_epochs();
        assert_eq!(facts.judge_end(0, end(0, 10), 4, STILL, true), Ok(()));
        assert!(facts.judge_end(0, end(0, 0), 4, STILL, true).is_err(), "it was 10 before");
        assert!(of_epochs().judge_end(1, end(1, 0), 4, STILL, true).is_err());
        let trimmed = Bounds { gone: 13, start: 13, ..STILL };
        for asked in [0, 1, 2] {
            assert_eq!(facts.judge_end(asked, end(asked, 12), 4, trimmed, true), Ok(()));
        }
        assert!(facts.judge_end(0, end(0, 14), 4, trimmed, true).is_err(), "13 is of epoch 3");
    }
}
