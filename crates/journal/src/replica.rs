//! One store's copy of a journal.

use crate::rules::Rules;
use esker_types::Seq;

/// Where a copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicaPhase {
    /// There is nothing here.
    Absent,
    /// Entries are taken.
    Open,
    /// Entries are not taken any more; the seal is being written.
    Sealing,
    /// Entries are never taken again. Durable, also where there was nothing before.
    Sealed,
    /// Durable data was lost: answers are positive only, never counted.
    Lost,
}

/// What the store's view of the metadata says about the journal. The view may be old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowSeen {
    /// Its opening is not in the view yet.
    NotYet,
    /// It has a row that lists this store.
    Listed,
    /// It had a row and has none any more.
    Gone,
}

/// Why an entry is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The journal is sealed here: the owner stops.
    Sealed,
    /// Another entry is the next one.
    Gap {
        /// The one that would be taken.
        expected: Seq,
    },
    /// The view of the metadata does not list the journal (yet, or any more).
    Unknown,
    /// The store has failed.
    Lost,
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Write it; report with [`Replica::on_durable`].
    Take,
    /// It is here already; the durable point is worth repeating.
    Have,
    /// Refuse it.
    Refuse(Refusal),
}

/// What to do about a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealStep {
    /// Write the seal, before anything that waits to be written; answer when [`Replica::on_sealed`] says so.
    Log,
    /// It is being written for somebody else; answer both.
    Wait,
    /// Answer at once.
    Answer(SealAnswer),
}

/// Answer to a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealAnswer {
    /// Sealed durably with this durable point.
    Sealed {
        /// The last durable entry.
        durable: Seq,
        /// Entries up to here were given up, because they are in the bucket.
        trimmed: Seq,
    },
    /// The store lost data: its answer counts for nothing.
    NotAuthoritative,
}

/// A store's state of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replica {
    rules: Rules,
    phase: ReplicaPhase,
    /// The last entry that was taken; entries after `durable` are being written.
    taken: Seq,
    durable: Seq,
    trimmed: Seq,
}

impl Replica {
    /// A store that does not know the journal.
    #[must_use]
    pub fn absent() -> Self {
        Self::with_rules(Rules::SOUND)
    }

    /// For the model.
    #[doc(hidden)]
    #[must_use]
    pub fn with_rules(rules: Rules) -> Self {
        let none = Seq::NONE;
        Self { rules, phase: ReplicaPhase::Absent, taken: none, durable: none, trimmed: none }
    }

    /// What the store's log had of the journal when it was opened.
    #[must_use]
    pub fn recovered(sealed: bool, damaged: bool, durable: Seq, trimmed: Seq) -> Self {
        Self::recovered_with_rules(Rules::SOUND, sealed, damaged, durable, trimmed)
    }

    /// For the model.
    #[doc(hidden)]
    #[must_use]
    pub fn recovered_with_rules(
        rules: Rules,
        sealed: bool,
        damaged: bool,
        durable: Seq,
        trimmed: Seq,
    ) -> Self {
        let phase = match (damaged, sealed) {
            (true, _) => ReplicaPhase::Lost,
            (false, true) => ReplicaPhase::Sealed,
            (false, false) => ReplicaPhase::Open,
        };
        Self { rules, phase, taken: durable, durable, trimmed }
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> ReplicaPhase {
        self.phase
    }

    /// The last entry that was taken; those after the durable point may still be lost.
    #[must_use]
    pub fn taken(&self) -> Seq {
        self.taken
    }

    /// The last durable entry.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.durable
    }

    /// Entries up to here were given up.
    #[must_use]
    pub fn trimmed(&self) -> Seq {
        self.trimmed
    }

    /// Whether the entry can be read here.
    #[must_use]
    pub fn holds(&self, seq: Seq) -> bool {
        self.phase != ReplicaPhase::Lost && seq > self.trimmed && seq <= self.durable
    }

    /// The owner sends an entry.
    pub fn on_append(&mut self, seq: Seq, row: RowSeen) -> Answer {
        match self.phase {
            ReplicaPhase::Lost => return Answer::Refuse(Refusal::Lost),
            ReplicaPhase::Sealing | ReplicaPhase::Sealed if self.rules.sealed_refuses => {
                return Answer::Refuse(Refusal::Sealed);
            }
            ReplicaPhase::Absent => {
                if row != RowSeen::Listed && self.rules.created_by_row {
                    return Answer::Refuse(Refusal::Unknown);
                }
                self.phase = ReplicaPhase::Open;
            }
            ReplicaPhase::Open | ReplicaPhase::Sealing | ReplicaPhase::Sealed => {}
        }
        if seq <= self.taken {
            return Answer::Have;
        }
        let expected = self.taken.next();
        if seq != expected && self.rules.no_gaps {
            return Answer::Refuse(Refusal::Gap { expected });
        }
        self.taken = seq;
        Answer::Take
    }

    /// Entries up to `upto` are durable. Returns the durable point to tell the owner; `None` once the journal is
    /// sealed: what a seal has not counted must not be acknowledged.
    pub fn on_durable(&mut self, upto: Seq) -> Option<Seq> {
        assert!(upto <= self.taken, "{upto} of {}", self.taken);
        self.durable = self.durable.max(upto);
        let silent = self.phase != ReplicaPhase::Open && self.rules.sealed_refuses;
        (!silent).then_some(self.durable)
    }

    /// Entries that were taken will not be written: the device is full, or a seal overtook them.
    pub fn on_refused(&mut self, from: Seq) {
        self.taken = self.taken.min(Seq(from.get().saturating_sub(1))).max(self.durable);
    }

    /// The device failed, or it lost what was durable.
    pub fn on_lost(&mut self) {
        self.phase = ReplicaPhase::Lost;
    }

    /// A rescuer asks for the seal. Obeyed whatever the view of the metadata says: a wrong seal costs one roll,
    /// never data.
    pub fn on_seal(&mut self) -> SealStep {
        match self.phase {
            ReplicaPhase::Lost if self.rules.lost_is_not_counted => {
                SealStep::Answer(SealAnswer::NotAuthoritative)
            }
            ReplicaPhase::Lost => {
                let none = Seq::NONE;
                SealStep::Answer(SealAnswer::Sealed { durable: none, trimmed: none })
            }
            ReplicaPhase::Sealed => SealStep::Answer(self.answer()),
            ReplicaPhase::Sealing => SealStep::Wait,
            ReplicaPhase::Open | ReplicaPhase::Absent if !self.rules.recovery_seals => {
                SealStep::Answer(self.answer())
            }
            ReplicaPhase::Open | ReplicaPhase::Absent => {
                self.phase = ReplicaPhase::Sealing;
                SealStep::Log
            }
        }
    }

    /// The seal is durable, and `durable` is the last entry that came before it: entries that were on their way
    /// may have. Returns what to answer to everybody who asked.
    pub fn on_sealed(&mut self, durable: Seq) -> SealAnswer {
        if self.phase == ReplicaPhase::Lost {
            return SealAnswer::NotAuthoritative;
        }
        assert!(durable >= self.durable, "{durable} after {}", self.durable);
        self.phase = ReplicaPhase::Sealed;
        (self.durable, self.taken) = (durable, durable);
        self.answer()
    }

    fn answer(&self) -> SealAnswer {
        SealAnswer::Sealed { durable: self.durable, trimmed: self.trimmed }
    }

    /// A rescuer brings entries that another sealed store of the journal has, up to `upto`. Only what continues
    /// this copy is taken; whether it was. The owner is never told of these entries.
    pub fn on_copy(&mut self, from: Seq, upto: Seq) -> bool {
        let fits = self.phase == ReplicaPhase::Sealed && from <= self.durable;
        if fits {
            self.durable = self.durable.max(upto);
            self.taken = self.durable;
        }
        fits
    }

    /// Entries up to `upto` are in the bucket, according to the metadata.
    pub fn on_trim(&mut self, upto: Seq) {
        self.trimmed = self.trimmed.max(upto.min(self.durable));
    }

    /// The store's view of the metadata has moved. Forgets the journal, and its seal, when the row is gone;
    /// whether it did.
    pub fn on_row(&mut self, row: RowSeen) -> bool {
        // A seal that is being written is forgotten once it is written.
        let known = matches!(self.phase, ReplicaPhase::Open | ReplicaPhase::Sealed);
        let forget = known && (row == RowSeen::Gone || !self.rules.forgotten_by_row);
        if forget {
            *self = Self::with_rules(self.rules);
        }
        forget
    }
}
