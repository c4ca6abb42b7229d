//! The writer of a journal: gives out sequence numbers and decides what counts as acknowledged.

use crate::quorum::{ENSEMBLE_MAX, Quorum};
use crate::rules::Rules;
use esker_types::Seq;

/// Where an owner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerPhase {
    /// Entries are appended and acknowledged.
    Open,
    /// A roll was proposed and its outcome is not known: nothing is appended, nothing beyond the end is
    /// acknowledged.
    Rolling {
        /// The proposed last entry.
        end: Seq,
    },
    /// The journal has ended; entries after `end` go to the successor again.
    Rolled {
        /// The last entry.
        end: Seq,
    },
    /// A store is sealed or the metadata has fenced us: nothing is acknowledged any more.
    Stopped,
}

/// The metadata's answer to a proposed roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollAnswer {
    /// The journal has ended there, the successor is open.
    Done,
    /// The journal was not open: we are fenced.
    NotOpen,
    /// No answer came; the proposal may take effect or have taken effect. Propose the same again.
    Unknown,
}

/// The owner's state of one journal. Stores are known by their place in the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    quorum: Quorum,
    rules: Rules,
    phase: OwnerPhase,
    last: Seq,
    durable: [Seq; ENSEMBLE_MAX],
    exposed: Seq,
    drained: Seq,
}

impl Owner {
    /// The owner of a new, empty journal.
    #[must_use]
    pub fn new(quorum: Quorum) -> Self {
        Self::with_rules(quorum, Rules::SOUND)
    }

    /// For the model.
    #[doc(hidden)]
    #[must_use]
    pub fn with_rules(quorum: Quorum, rules: Rules) -> Self {
        Self {
            quorum,
            rules,
            phase: OwnerPhase::Open,
            last: Seq::NONE,
            durable: [Seq::NONE; ENSEMBLE_MAX],
            exposed: Seq::NONE,
            drained: Seq::NONE,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> OwnerPhase {
        self.phase
    }

    /// The last entry that was given a number.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Everything up to here is acknowledged and visible.
    #[must_use]
    pub fn exposed(&self) -> Seq {
        self.exposed
    }

    /// Everything up to here is in the bucket.
    #[must_use]
    pub fn drained(&self) -> Seq {
        self.drained
    }

    /// Durable point of a store, as far as it has told us.
    #[must_use]
    pub fn durable(&self, store: usize) -> Seq {
        self.durable[store]
    }

    /// Gives the next entry its number; send it to every store. `None` while a roll is undecided and after the
    /// journal's end: the entry waits for the successor.
    pub fn append(&mut self) -> Option<Seq> {
        if self.phase != OwnerPhase::Open {
            return None;
        }
        self.last = self.last.next();
        Some(self.last)
    }

    /// A store has told its durable point (messages may come late, twice or out of order). Returns the new
    /// exposed point if it has moved: complete what was waiting for it.
    ///
    /// # Panics
    /// When the store claims entries that were never sent.
    pub fn on_durable(&mut self, store: usize, durable: Seq) -> Option<Seq> {
        assert!(store < self.quorum.stores(), "store {store} of {}", self.quorum.stores());
        assert!(durable <= self.last, "store {store} has {durable} of {}", self.last);
        self.durable[store] = self.durable[store].max(durable);
        let limit = match self.phase {
            OwnerPhase::Open => Seq(u64::MAX),
            OwnerPhase::Rolling { .. } if !self.rules.roll_freezes => Seq(u64::MAX),
            OwnerPhase::Rolling { end } | OwnerPhase::Rolled { end } => end,
            OwnerPhase::Stopped => return None,
        };
        let exposed = self.quorum.commit(&self.durable).min(limit);
        (exposed > self.exposed).then(|| {
            self.exposed = exposed;
            exposed
        })
    }

    /// A store has answered that the journal is sealed, or the metadata says so: everything stops. A journal that
    /// has rolled has its end already; sealing it takes nothing away.
    pub fn on_sealed(&mut self) {
        if !matches!(self.phase, OwnerPhase::Rolled { .. }) {
            self.phase = OwnerPhase::Stopped;
        }
    }

    /// Freezes the journal and returns the end to propose; `None` unless it is open. While an answer is missing
    /// the same end is returned again.
    pub fn roll(&mut self) -> Option<Seq> {
        match self.phase {
            OwnerPhase::Open => {
                let commit = self.quorum.commit(&self.durable);
                let end = match self.rules.roll_ends_at_commit {
                    true => commit,
                    false => Seq(commit.get().saturating_sub(1)),
                };
                self.phase = OwnerPhase::Rolling { end };
                Some(end)
            }
            OwnerPhase::Rolling { end } => Some(end),
            OwnerPhase::Rolled { .. } | OwnerPhase::Stopped => None,
        }
    }

    /// The metadata has answered a proposed roll. After [`RollAnswer::Done`] the entries after the end are cut
    /// again for the successor, with the same offsets.
    pub fn on_roll(&mut self, answer: RollAnswer) {
        if let OwnerPhase::Rolling { end } = self.phase {
            match answer {
                RollAnswer::Done => self.phase = OwnerPhase::Rolled { end },
                RollAnswer::NotOpen => self.phase = OwnerPhase::Stopped,
                RollAnswer::Unknown => {}
            }
        }
    }

    /// Entries that can be flushed now: after the first, up to the second.
    #[must_use]
    pub fn flushable(&self) -> Option<(Seq, Seq)> {
        (self.exposed > self.drained && self.phase != OwnerPhase::Stopped)
            .then_some((self.drained, self.exposed))
    }

    /// The metadata has committed a flush.
    pub fn on_drained(&mut self, upto: Seq) {
        self.drained = self.drained.max(upto);
    }
}
