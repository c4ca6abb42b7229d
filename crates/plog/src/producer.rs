//! What idempotent producers have written: enough to recognise a repeat and refuse a gap.
//!
//! The rules are Kafka's. A producer's last five batches are remembered, because a client may have five requests in
//! flight and repeat any of them.

use esker_record::BatchView;
use esker_types::{Bug, Offset, ProducerEpoch, ProducerId, Timestamp, planted};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Batches remembered for each producer.
const BATCHES_MAX: usize = 5;

/// A remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerBatch {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

/// One producer's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerState {
    /// The newest epoch that wrote.
    pub epoch: ProducerEpoch,
    /// Its last batches, oldest first; at most five.
    pub batches: VecDeque<ProducerBatch>,
    /// When it last wrote, by the records' timestamps or the broker's clock, whichever is later.
    pub last_seen: Timestamp,
}

/// How a batch continues its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequenced {
    /// It is the first one that is known of its producer: retention may have removed what that wrote before.
    First,
    /// It is the next one.
    Next,
    /// It was appended before.
    Duplicate(ProducerBatch),
}

/// Why a batch does not continue its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A newer epoch of this producer has written.
    #[error("producer epoch {} is older than {}", .got.0, .newest.0)]
    InvalidProducerEpoch {
        /// The batch's.
        got: ProducerEpoch,
        /// The newest.
        newest: ProducerEpoch,
    },
    /// A batch is missing in between, or a new epoch does not begin at zero.
    #[error("sequence number {got} does not follow {last}")]
    OutOfOrderSequence {
        /// The batch's first sequence number.
        got: i32,
        /// The producer's last one; -1 for a new epoch.
        last: i32,
    },
}

/// All producers of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerTable {
    producers: BTreeMap<ProducerId, ProducerState>,
}

impl ProducerTable {
    /// Judges a batch with a producer id; changes nothing.
    ///
    /// # Errors
    /// See [`ProducerError`].
    pub fn check(&self, batch: &BatchView<'_>) -> Result<Sequenced, ProducerError> {
        let Some(state) = self.producers.get(&batch.producer_id()) else {
            return Ok(Sequenced::First);
        };
        let (first, last) = (batch.base_sequence(), batch.last_sequence());
        let epoch = batch.producer_epoch();
        if epoch < state.epoch {
            return Err(ProducerError::InvalidProducerEpoch { got: epoch, newest: state.epoch });
        }
        if epoch > state.epoch {
            return if first == 0 {
                Ok(Sequenced::Next)
            } else {
                Err(ProducerError::OutOfOrderSequence { got: first, last: -1 })
            };
        }
        let same = |b: &&ProducerBatch| (b.first_sequence, b.last_sequence) == (first, last);
        if let Some(known) = state.batches.iter().find(same) {
            return Ok(Sequenced::Duplicate(*known));
        }
        let Some(newest) = state.batches.back() else { return Ok(Sequenced::Next) };
        let follows = match newest.last_sequence {
            i32::MAX => first == 0,
            last => first == last + 1 || (planted(Bug::SequenceGapTaken) && first > last),
        };
        if follows {
            Ok(Sequenced::Next)
        } else {
            Err(ProducerError::OutOfOrderSequence { got: first, last: newest.last_sequence })
        }
    }

    /// Whether anything is known of a producer.
    #[must_use]
    pub fn knows(&self, producer: ProducerId) -> bool {
        self.producers.contains_key(&producer)
    }

    /// Notes an appended batch, seen at `now`. Batches without a producer id leave no trace.
    ///
    /// The clock counts beside the record's own timestamp, so that a producer of old data is not forgotten while it
    /// writes.
    pub fn note(&mut self, batch: &BatchView<'_>, now: Timestamp) {
        if !batch.has_producer_id() || batch.is_control() {
            return;
        }
        let noted = ProducerBatch {
            first_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp(),
        };
        let epoch = batch.producer_epoch();
        let state = self.producers.entry(batch.producer_id()).or_insert_with(|| ProducerState {
            epoch,
            batches: VecDeque::new(),
            last_seen: noted.timestamp,
        });
        if state.epoch != epoch {
            state.epoch = epoch;
            state.batches.clear();
        }
        let max = BATCHES_MAX - usize::from(planted(Bug::DuplicateWindowShort));
        if state.batches.len() == max {
            state.batches.pop_front();
        }
        state.batches.push_back(noted);
        state.last_seen = state.last_seen.max(noted.timestamp).max(now);
    }

    /// What batches that end below `end` say, as far as they are remembered: of a producer that has written more than a
    /// few since, nothing.
    #[must_use]
    pub fn until(&self, end: Offset) -> Self {
        let mut early = self.clone();
        for state in early.producers.values_mut() {
            state.batches.retain(|batch| batch.last_offset < end);
        }
        early.producers.retain(|_, state| !state.batches.is_empty());
        early
    }

    /// Takes over what a later stretch of the log says about its producers: as if its batches had been noted here. Where
    /// it begins below the end of what is known here, what both say is taken once.
    pub fn merge(&mut self, later: Self) {
        for (id, newer) in later.producers {
            match self.producers.get_mut(&id) {
                Some(known) if known.epoch == newer.epoch => {
                    let end = known.batches.back().map_or(Offset::NONE, |batch| batch.last_offset);
                    known.batches.extend(newer.batches.into_iter().filter(|b| b.base_offset > end));
                    let excess = known.batches.len().saturating_sub(BATCHES_MAX);
                    known.batches.drain(..excess);
                    known.last_seen = known.last_seen.max(newer.last_seen);
                }
                _ => drop(self.producers.insert(id, newer)),
            }
        }
    }

    /// Puts a producer in place, as read from an object.
    pub fn insert(&mut self, id: ProducerId, state: ProducerState) {
        self.producers.insert(id, state);
    }

    /// Forgets producers that have not written since `horizon`.
    pub fn expire(&mut self, horizon: Timestamp) {
        self.producers.retain(|_, state| state.last_seen >= horizon);
    }

    /// All producers, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    /// Number of producers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }
}
