//! Keeps the log of a shard short: what is live is written again at its end, and what lies before that goes.
//!
//! *Order.* The live state is written when no change is on its way, and nothing is written in between: so it holds all that
//! the log says before it. *Failure.* The log's start moves only after all of it is committed; whatever ends before leaves
//! the same state twice in the log, and replay does not mind.

use super::Place;
use super::shard::batch_of;
use esker_engine::{Ack, Partition};
use esker_env::TaskPlacement;
use esker_group::{GroupShard, LogRecord};
use esker_record::Times;
use esker_types::Offset;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The log holds so many times as many records as are live before it is written anew: the price is that part of all writes.
const TIMES_LIVE: u64 = 4;
/// Bytes of records that go into one batch.
const BATCH_BYTES: usize = 64 << 10;

/// Decides when, and does it.
pub(super) struct Trimmer {
    /// A log of fewer records is left alone.
    records_min: u64,
    /// Where the log has to be before it is looked at again.
    look_at: Offset,
    due: bool,
    under_way: Arc<AtomicBool>,
}

impl Trimmer {
    pub(super) fn new(records_min: u64) -> Self {
        let look_at = Offset::ZERO;
        Self { records_min: records_min.max(1), look_at, due: false, under_way: Arc::default() }
    }

    /// Whether no change should begin before the log is written anew.
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// Looks at the log from time to time; writes it anew once it is due and no change is on its way.
    pub(super) fn step(&mut self, place: &Place, partition: &Arc<Partition>, shard: &GroupShard) {
        let position = partition.position();
        if !self.due && position.log_end >= self.look_at && !self.under_way.load(Ordering::Acquire)
        {
            let step = i64::try_from(self.records_min.div_ceil(4)).unwrap_or(i64::MAX);
            self.look_at = Offset(position.log_end.get().saturating_add(step));
            let records = u64::try_from(position.log_end.get() - position.log_start.get());
            let live = shard.durable_records().count() as u64;
            self.due = is_worth_it(records.unwrap_or(0), live, self.records_min);
        }
        if self.due && !shard.has_pending_appends() {
            self.due = false;
            self.write_anew(place, partition, shard);
        }
    }

    fn write_anew(&self, place: &Place, partition: &Arc<Partition>, shard: &GroupShard) {
        let mut from = partition.position().log_end;
        let ack = Ack::new();
        let wall = place.env().clock.wall();
        for (number, records) in pieces(shard.durable_records()).enumerate() {
            match place.engine.append(
                partition,
                batch_of(&records, wall),
                Times::Proved,
                Some(&ack),
            ) {
                Ok(appended) if number == 0 => from = appended.base,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, partition = %partition.index, "groups are not written anew yet");
                    ack.arm();
                    return;
                }
            }
        }
        ack.arm();
        tracing::debug!(partition = %partition.index, %from, "groups are written anew");
        self.under_way.store(true, Ordering::Release);
        let (engine, id) = (Arc::clone(&place.engine), partition.id);
        let under_way = Arc::clone(&self.under_way);
        let task = async move {
            if ack.wait().await
                && let Err(error) = engine.set_log_starts(vec![(id, from)]).await
            {
                tracing::debug!(%error, "the log of groups stays as long as it is");
            }
            under_way.store(false, Ordering::Release);
        };
        place.env().spawner.spawn(TaskPlacement::Background, "trim groups", Box::pin(task));
    }
}

fn is_worth_it(records: u64, live: u64, records_min: u64) -> bool {
    records > records_min.max(live.saturating_mul(TIMES_LIVE))
}

/// Records in the pieces that make one batch each.
fn pieces(records: impl Iterator<Item = LogRecord>) -> impl Iterator<Item = Vec<LogRecord>> {
    let mut records = records.peekable();
    std::iter::from_fn(move || {
        let mut piece = Vec::new();
        let mut bytes = 0;
        while let Some(record) = records.peek() {
            bytes += record.key.len() + record.value.as_ref().map_or(0, |value| value.len());
            if !piece.is_empty() && bytes > BATCH_BYTES {
                break;
            }
            piece.extend(records.next());
        }
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_log_is_written_anew_when_most_of_it_is_old() {
        assert!(!is_worth_it(10_000, 0, 10_000), "a short one is left alone");
        assert!(is_worth_it(10_001, 0, 10_000));
        assert!(!is_worth_it(40_000, 10_000, 10_000), "too much of it is live");
        assert!(is_worth_it(40_001, 10_000, 10_000));
    }

    #[test]
    fn pieces_hold_everything_once_and_are_bounded() {
        let record = |len: usize| LogRecord {
            key: Bytes::from(vec![1; 10]),
            value: Some(Bytes::from(vec![2; len])),
        };
        let lengths = [10, BATCH_BYTES - 50, 40, 2 * BATCH_BYTES, 5, 6];
        let found: Vec<Vec<usize>> = pieces(lengths.into_iter().map(record))
            .map(|piece| piece.iter().map(|r| r.value.as_ref().unwrap().len()).collect())
            .collect();
        assert_eq!(
            found,
            [vec![10, BATCH_BYTES - 50], vec![40], vec![2 * BATCH_BYTES], vec![5, 6]]
        );
        assert_eq!(pieces(std::iter::empty()).count(), 0);
    }
}
