//! What the log knows in memory: journals with the places of their entries, segments, the queue.
//!
//! One lock guards all of it. It is held for short, bounded work only: never during I/O, never while a callback
//! runs.

use crate::bundle::Bundle;
use crate::error::WalFailure;
use crate::format::{
    CHECKPOINT_JOURNAL_BYTES, Checkpoint, CheckpointJournal, CheckpointSegment, RecordKind,
    SegmentLife, record_bytes,
};
use crate::num::{to_u64, to_usize};
use crate::segment::SegmentFile;
use crate::wal::{JournalState, JournalStatus};
use bytes::Bytes;
use esker_types::{JournalId, LongQueue, Seq};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

/// Where an entry's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) segment: u64,
    pub(crate) position: u32,
    /// Length of the payload; 0 marks an entry that was lost to damage.
    pub(crate) len: u32,
}

impl Slot {
    pub(crate) const LOST: Self = Self { segment: 0, position: 0, len: 0 };

    pub(crate) const fn is_lost(self) -> bool {
        self.len == 0
    }
}

/// A journal in the log.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) meta: Bytes,
    /// Its OPEN (or the SEAL that created it) is durable.
    pub(crate) durable: bool,
    /// Its SEAL is durable.
    pub(crate) sealed: bool,
    /// Its SEAL is durable or queued.
    pub(crate) sealing: bool,
    /// Its DROP is queued.
    pub(crate) dropping: bool,
    /// The next entry that will be taken.
    pub(crate) next: Seq,
    /// The last durable entry.
    pub(crate) last: Seq,
    /// Entries up to here are not wanted any more.
    pub(crate) trim_wanted: Seq,
    /// Entries up to here are durably given up; `slots` begins after it.
    pub(crate) trimmed: Seq,
    pub(crate) damaged_from: Option<Seq>,
    /// Places of the entries `trimmed + 1 ..= last`.
    pub(crate) slots: LongQueue<Slot>,
}

impl Journal {
    pub(crate) fn new(meta: Bytes) -> Self {
        Self {
            meta,
            durable: false,
            sealed: false,
            sealing: false,
            dropping: false,
            next: Seq(1),
            last: Seq::NONE,
            trim_wanted: Seq::NONE,
            trimmed: Seq::NONE,
            damaged_from: None,
            slots: LongQueue::default(),
        }
    }

    /// The place of a durable entry that is still wanted.
    pub(crate) fn slot(&self, seq: Seq) -> Option<Slot> {
        if seq <= self.trim_wanted || seq > self.last {
            return None;
        }
        let index = seq.get() - self.trimmed.get() - 1;
        self.slots.get(to_usize(index)).copied()
    }

    pub(crate) fn status(&self, journal: JournalId) -> JournalStatus {
        JournalStatus {
            journal,
            state: if self.sealed { JournalState::Sealed } else { JournalState::Open },
            last: self.last,
            trimmed: self.trimmed,
            damaged_from: self.damaged_from,
        }
    }

    /// Bytes that it takes in a checkpoint.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        to_u64(CHECKPOINT_JOURNAL_BYTES + self.meta.len())
    }

    pub(crate) fn checkpoint(&self, journal: JournalId) -> CheckpointJournal {
        CheckpointJournal {
            journal,
            sealed: self.sealed,
            last: self.last,
            trimmed: self.trimmed,
            damaged_from: self.damaged_from,
            meta: self.meta.clone(),
        }
    }
}

/// A segment that holds records.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<SegmentFile>,
    pub(crate) life: SegmentLife,
    /// Where its valid content ends.
    pub(crate) end: u64,
    /// What its file takes, or may grow to. Segments of an earlier start can be longer or shorter than those of now.
    pub(crate) bytes: u64,
    /// Entries in it that are not durably given up.
    pub(crate) live: u64,
}

impl Segment {
    /// One of an earlier start.
    pub(crate) fn found(file: Arc<SegmentFile>, life: SegmentLife, end: u64) -> io::Result<Self> {
        let bytes = file.file.len()?;
        Ok(Self { file, life, end, bytes, live: 0 })
    }

    pub(crate) fn checkpoint(&self) -> CheckpointSegment {
        CheckpointSegment { life: self.life, end: self.end }
    }
}

/// A record that waits to be written.
#[derive(Debug)]
pub(crate) enum Pending {
    Open(JournalId, Bytes),
    Bundle(Bundle),
    Seal(JournalId),
    Trim(JournalId, Seq),
    Drop(JournalId),
    Close,
}

impl Pending {
    pub(crate) fn kind(&self) -> RecordKind {
        match self {
            Self::Open(..) => RecordKind::Open,
            Self::Bundle(_) => RecordKind::Bundle,
            Self::Seal(_) => RecordKind::Seal,
            Self::Trim(..) => RecordKind::Trim,
            Self::Drop(_) => RecordKind::Drop,
            Self::Close => RecordKind::Close,
        }
    }

    pub(crate) fn journal(&self) -> JournalId {
        match self {
            Self::Open(journal, _)
            | Self::Seal(journal)
            | Self::Trim(journal, _)
            | Self::Drop(journal) => *journal,
            Self::Bundle(bundle) => bundle.journal(),
            Self::Close => JournalId::default(),
        }
    }

    pub(crate) fn is_bundle(&self) -> bool {
        matches!(self, Self::Bundle(_))
    }

    /// Bytes of its record.
    pub(crate) fn bytes(&self) -> u64 {
        record_bytes(match self {
            Self::Open(_, meta) => to_u64(meta.len()),
            Self::Bundle(bundle) => to_u64(bundle.len()),
            _ => 0,
        })
    }
}

/// Everything behind the log's lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) journals: BTreeMap<JournalId, Journal>,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Number of the segment that is written; 0 before the first.
    pub(crate) active: u64,
    /// Seals; they go first.
    pub(crate) urgent: VecDeque<Pending>,
    pub(crate) queue: VecDeque<Pending>,
    /// Bytes of the bundles in `queue` and in the writer's hands.
    pub(crate) queued_bytes: u64,
    /// Entries that will never be written, to be told to their owners: from which one on. A journal takes no entry until
    /// its owner was told.
    pub(crate) refused: BTreeMap<JournalId, Seq>,
    /// No segment could be had for bundles when the writer last tried.
    pub(crate) full: bool,
    pub(crate) closing: bool,
    pub(crate) failed: Option<WalFailure>,
    /// See [`crate::Recovered::lost_before`].
    pub(crate) lost_before: Option<JournalId>,
    pub(crate) stats: crate::wal::WalStats,
}

impl State {
    /// Takes the queued records of `journal` that its seal or drop overtakes. The bundles among them are refused.
    pub(crate) fn overtake(&mut self, journal: JournalId) {
        let mut first_refused: Option<Seq> = None;
        let queued_bytes = &mut self.queued_bytes;
        self.queue.retain(|record| match record {
            Pending::Bundle(bundle) if bundle.journal() == journal => {
                first_refused.get_or_insert_with(|| bundle.seq());
                *queued_bytes -= record.bytes();
                false
            }
            Pending::Open(opened, _) => *opened != journal,
            _ => true,
        });
        if let Some(seq) = first_refused {
            self.refuse(journal, seq);
        }
    }

    /// Notes that `journal`'s entries from `seq` on will not be written; the next one to be taken is `seq` again.
    pub(crate) fn refuse(&mut self, journal: JournalId, seq: Seq) {
        let from = self.refused.entry(journal).or_insert(seq);
        *from = seq.min(*from);
        if let Some(state) = self.journals.get_mut(&journal) {
            state.next = seq.min(state.next);
        }
    }

    /// Refuses every queued bundle: there is no space. Control records stay queued.
    pub(crate) fn refuse_bundles(&mut self) {
        let mut refused = Vec::new();
        let queued_bytes = &mut self.queued_bytes;
        self.queue.retain(|record| match record {
            Pending::Bundle(bundle) => {
                refused.push((bundle.journal(), bundle.seq()));
                *queued_bytes -= record.bytes();
                false
            }
            _ => true,
        });
        for (journal, seq) in refused {
            self.refuse(journal, seq);
        }
    }

    /// A record became durable at `position` of segment `number`.
    pub(crate) fn apply(&mut self, record: Pending, number: u64, position: u64) {
        let journal = record.journal();
        match record {
            Pending::Open(..) => {
                if let Some(state) = self.journals.get_mut(&journal) {
                    state.durable = true;
                }
            }
            Pending::Bundle(bundle) => {
                self.queued_bytes -= record_bytes(to_u64(bundle.len()));
                // Dropped journals keep their entry until the DROP itself is durable.
                let state = self.journals.get_mut(&journal).expect("a written journal is known");
                assert_eq!(bundle.seq(), state.last.next(), "entries of {journal:?} in order");
                state.last = bundle.seq();
                state.slots.push_back(Slot {
                    segment: number,
                    position: crate::num::to_u32(position),
                    len: crate::num::to_u32(to_u64(bundle.len())),
                });
                self.segments.get_mut(&number).expect("the active segment").live += 1;
            }
            Pending::Seal(_) => {
                let state = self.journals.get_mut(&journal).expect("a sealing journal is known");
                if !state.sealed {
                    // Entries that the seal overtook were refused; copies begin after what is here.
                    state.next = state.last.next();
                }
                state.durable = true;
                state.sealed = true;
            }
            Pending::Trim(_, upto) => self.give_up(journal, upto),
            Pending::Drop(_) => {
                let last = self.journals.get(&journal).map(|state| state.last);
                if let Some(last) = last {
                    self.give_up(journal, last);
                    self.journals.remove(&journal);
                }
            }
            Pending::Close => {}
        }
    }

    fn give_up(&mut self, journal: JournalId, upto: Seq) {
        let Some(state) = self.journals.get_mut(&journal) else { return };
        let upto = upto.min(state.last);
        while state.trimmed < upto {
            let slot = state.slots.pop_front().expect("a slot for every entry that is not trimmed");
            state.trimmed = state.trimmed.next();
            if !slot.is_lost() {
                self.segments.get_mut(&slot.segment).expect("a live entry's segment").live -= 1;
            }
        }
        state.trim_wanted = state.trim_wanted.max(state.trimmed);
    }

    /// Bytes that all journals take in a checkpoint.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.journals.values().map(Journal::checkpoint_bytes).sum()
    }

    /// What a checkpoint says now.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let durable = self.journals.iter().filter(|(_, journal)| journal.durable);
        Checkpoint {
            lost_before: self.lost_before,
            segments: self.segments.values().map(Segment::checkpoint).collect(),
            journals: durable.map(|(&id, journal)| journal.checkpoint(id)).collect(),
        }
    }

    /// What the files of the segments take that could not be recycled even after the next one has begun.
    pub(crate) fn live_bytes(&self) -> u64 {
        let live = self.segments.values().filter(|segment| segment.live > 0);
        live.map(|segment| segment.bytes).sum()
    }

    /// A segment that nothing needs any more.
    pub(crate) fn dead_segment(&self) -> Option<u64> {
        let dead = |(&number, segment): (&u64, &Segment)| {
            // Without an active segment the newest one still holds the state of all journals.
            (segment.live == 0 && number < self.active).then_some(number)
        };
        self.segments.iter().find_map(dead)
    }
}
