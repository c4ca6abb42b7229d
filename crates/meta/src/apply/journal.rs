//! Journals: opening, rolling, sealing, and the flushes that empty them.
//!
//! What a journal's row allows is decided by [`esker_journal::Row`], the one that the model searches. Here is what
//! it does not know: who proposes, what repeats an earlier command, and what a flush does to partitions and objects.

use super::Outcome;
use crate::command::{FlushPart, FlushedObject};
use crate::reply::{Rejected, Reply};
use crate::state::{Extent, Journal, JournalState, Partition, State};
use esker_journal::{Refused, Row};
use esker_types::{BrokerId, Bug, Incarnation, JournalId, Offset, Seq, StoreId, planted};
use std::sync::Arc;

/// A request for a new journal.
pub(super) struct Opening<'a> {
    pub(super) owner: BrokerId,
    pub(super) incarnation: Incarnation,
    pub(super) shard: u8,
    pub(super) ensemble: &'a [StoreId],
    pub(super) ack_quorum: u8,
    pub(super) request: u64,
}

/// Which entries a flush covers.
pub(super) struct Flush {
    pub(super) journal: JournalId,
    pub(super) after: Seq,
    pub(super) upto: Seq,
}

impl State {
    pub(super) fn open_journal(&mut self, index: u64, opening: &Opening<'_>) -> Outcome {
        let existing = self.journals.iter().find(|(_, journal)| {
            journal.owner == opening.owner
                && journal.incarnation == opening.incarnation
                && journal.shard == opening.shard
                && journal.state == JournalState::Open
        });
        if let Some((id, journal)) = existing {
            let repeat = journal.request == opening.request;
            return if repeat { Ok(Reply::Journal(*id)) } else { Err(Rejected::JournalState(*id)) };
        }
        Ok(Reply::Journal(self.insert_journal(index, opening)))
    }

    fn insert_journal(&mut self, index: u64, opening: &Opening<'_>) -> JournalId {
        let id = match self.journals.keys().next() {
            Some(earlier) if planted(Bug::JournalIdReused) => *earlier,
            _ => JournalId::new(index, 0),
        };
        let journal = Journal {
            owner: opening.owner,
            incarnation: opening.incarnation,
            shard: opening.shard,
            request: opening.request,
            ensemble: opening.ensemble.to_vec(),
            ack_quorum: opening.ack_quorum,
            state: JournalState::Open,
            drained: Seq::NONE,
        };
        self.journals.insert(id, journal);
        id
    }

    pub(super) fn roll_journal(
        &mut self,
        index: u64,
        id: JournalId,
        end: Seq,
        ensemble: &[StoreId],
        ack_quorum: u8,
        request: u64,
    ) -> Outcome {
        let journal = self.journals.get(&id).ok_or(Rejected::JournalState(id))?.clone();
        let mut row = journal.row();
        let rolled = row.roll(end);
        if rolled == Err(Refused::State) {
            // A repeat finds the successor of the same request.
            let successor = self.journals.iter().find(|(_, other)| {
                other.owner == journal.owner
                    && other.incarnation == journal.incarnation
                    && other.shard == journal.shard
                    && other.request == request
            });
            return successor
                .filter(|_| journal.state == JournalState::Rolled { end })
                .map(|(successor, _)| Reply::Journal(*successor))
                .ok_or(Rejected::JournalState(id));
        }
        rolled.map_err(|refused| refusal(refused, id, &row))?;
        self.store_row(id, &row);
        let opening = Opening {
            owner: journal.owner,
            incarnation: journal.incarnation,
            shard: journal.shard,
            ensemble,
            ack_quorum,
            request,
        };
        Ok(Reply::Journal(self.insert_journal(index, &opening)))
    }

    pub(super) fn fix_tail(&mut self, id: JournalId, tail: Seq) -> Outcome {
        let journal = self.journals.get(&id).ok_or(Rejected::JournalState(id))?;
        if matches!(journal.state, JournalState::Sealed { .. }) {
            // Whoever comes first decides; the other learns it from the state.
            return Ok(Reply::Done);
        }
        let mut row = journal.row();
        row.fix_tail(tail).map_err(|refused| refusal(refused, id, &row))?;
        self.store_row(id, &row);
        Ok(Reply::Done)
    }

    /// Keeps what a journal's row has become; it goes when nothing is left to drain.
    pub(super) fn store_row(&mut self, id: JournalId, row: &Row) {
        if self.journals.get_mut(&id).is_some_and(|journal| !journal.set_row(row)) {
            self.journals.remove(&id);
        }
    }

    pub(super) fn commit_flush(
        &mut self,
        broker: BrokerId,
        incarnation: Incarnation,
        flush: &Flush,
        objects: &[FlushedObject],
        parts: &[FlushPart],
    ) -> Outcome {
        let id = flush.journal;
        let Some(journal) = self.journals.get(&id) else {
            // The last flush of a journal removes its row; a repeat of that flush finds its objects.
            let repeat =
                !objects.is_empty() && objects.iter().all(|new| self.object_known(new.object));
            return if repeat { Ok(Reply::Done) } else { Err(Rejected::JournalState(id)) };
        };
        // A rescuer that cannot copy may drain before it fixes the tail; no broker does that yet.
        if journal.state == JournalState::Sealing {
            return Err(Rejected::JournalState(id));
        }
        let by_owner = (journal.owner, journal.incarnation) == (broker, incarnation);
        let mut row = journal.row();
        if let Err(refused) = row.drain(flush.after, flush.upto, by_owner) {
            let repeat = refused == Refused::Drained
                && journal.drained >= flush.upto
                && objects.iter().all(|new| self.object_known(new.object));
            return if repeat { Ok(Reply::Done) } else { Err(refusal(refused, id, &row)) };
        }
        self.check_new_objects(broker, incarnation, objects)?;
        let mut updated = Vec::with_capacity(parts.len());
        for part in parts {
            // A partition that was deleted meanwhile: its bytes are born dead.
            let Some(row) = self.partitions.get(&part.partition) else { continue };
            if part.base != row.tiered_end || part.end <= part.base {
                return Err(Rejected::NotContiguous(part.partition, row.tiered_end));
            }
            if row.extents.len() >= 2 * Partition::EXTENTS_MAX {
                return Err(Rejected::TooManyExtents(part.partition));
            }
            if !objects.iter().any(|new| new.object == part.object) {
                return Err(Rejected::ForeignObject(part.object));
            }
            updated.push((part.partition, Partition::clone(row), part));
        }

        for new in objects {
            self.insert_object(incarnation, new);
        }
        // All references before any release: a part that lies below its partition's log start lets go of the object
        // at once, and must not be the last to hold it while other parts are still to come.
        for (_, partition, part) in &mut updated {
            let extent = Extent {
                base: part.base,
                end: part.end,
                object: part.object,
                bytes: part.bytes,
                max_timestamp: part.max_timestamp,
                flags: part.flags,
            };
            self.reference_extent(partition.topic, &extent);
            partition.extents.push(extent);
            partition.tiered_end = part.end;
            if planted(Bug::FlushCommittedTwice) && part.base.get() % 3 == 0 {
                let end = Offset(2 * part.end.get() - part.base.get());
                let again = Extent { base: part.end, end, ..extent };
                self.reference_extent(partition.topic, &again);
                partition.extents.push(again);
                partition.tiered_end = end;
            }
        }
        for (pid, mut partition, _) in updated {
            self.drop_below_log_start(pid, &mut partition);
            self.partitions.insert(pid, Arc::new(partition));
        }
        for new in objects {
            self.bury_if_unreferenced(new.object);
        }
        self.store_row(id, &row);
        Ok(Reply::Done)
    }
}

/// What the proposer is told of a row's refusal.
fn refusal(refused: Refused, id: JournalId, row: &Row) -> Rejected {
    match refused {
        Refused::State => Rejected::JournalState(id),
        Refused::Drained => Rejected::Drained(row.drained()),
    }
}
