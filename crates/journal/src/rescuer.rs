//! Finding a journal's end after its owner was fenced.
//!
//! The rescuer seals stores until S have answered. The tail is the largest durable point among them: whatever was
//! acknowledged is on A stores, and one of those is among the S. Then it makes sure that every entry up to the tail
//! is on A sealed stores, by copying the few last ones, and only then fixes the tail: from that moment entries up
//! to it are visible and partitions build on them, so one store that dies must not take them away.
//!
//! Where too few stores are left for A copies, the entries go to the bucket first, and the tail is fixed after.

use crate::quorum::{ENSEMBLE_MAX, Quorum};
use crate::replica::SealAnswer;
use crate::rules::Rules;
use esker_types::Seq;

/// Entries that one sealed store has and another one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Store that has them.
    pub from: usize,
    /// Store that needs them.
    pub to: usize,
    /// They begin after this entry.
    pub after: Seq,
    /// The last one.
    pub upto: Seq,
}

/// What a rescuer does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Seal the stores that have not answered; fewer than S have.
    Seal,
    /// Copy entries; report with [`Rescuer::on_copied`]. Where the target does not answer, seal others.
    Copy(Copy),
    /// Propose the tail.
    Fix {
        /// The last entry.
        tail: Seq,
    },
    /// Not enough stores for A copies: seal more of them, or drain after the first up to the second entry and
    /// propose the tail then. `from` has them.
    DrainFirst {
        /// A store that has the entries.
        from: usize,
        /// The last entry.
        tail: Seq,
    },
}

/// The rescue of one journal. Stores are known by their place in the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rescuer {
    quorum: Quorum,
    rules: Rules,
    /// Durable points of the stores that are sealed and may be counted.
    sealed: [Option<Seq>; ENSEMBLE_MAX],
    /// They gave up the entries up to here, because these are in the bucket.
    trimmed: [Seq; ENSEMBLE_MAX],
    /// The tail, from the moment a seal quorum has answered.
    tail: Option<Seq>,
}

impl Rescuer {
    /// A rescue that has asked nobody yet.
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
            sealed: [None; ENSEMBLE_MAX],
            trimmed: [Seq::NONE; ENSEMBLE_MAX],
            tail: None,
        }
    }

    /// What a store has answered with authority: its durable point and its trim point.
    #[must_use]
    pub fn answer(&self, store: usize) -> Option<(Seq, Seq)> {
        self.sealed[store].map(|durable| (durable, self.trimmed[store]))
    }

    /// The tail, once a seal quorum has answered. From then on no entry after it can be acknowledged.
    #[must_use]
    pub fn tail(&self) -> Option<Seq> {
        self.tail
    }

    /// A store has answered. Later answers do not move a tail that has been found.
    pub fn on_seal(&mut self, store: usize, answer: SealAnswer) {
        let SealAnswer::Sealed { durable, trimmed } = answer else { return };
        assert!(store < self.quorum.stores(), "store {store} of {}", self.quorum.stores());
        let known = self.sealed[store].unwrap_or(Seq::NONE);
        self.sealed[store] = Some(durable.max(known));
        self.trimmed[store] = self.trimmed[store].max(trimmed);
        let answers = self.sealed.iter().flatten();
        let needed = self.quorum.seal() - usize::from(!self.rules.seal_quorum);
        if self.tail.is_none() && answers.clone().count() >= needed {
            self.tail = match self.rules.tail_is_max {
                true => answers.max().copied(),
                false => answers.min().copied(),
            };
        }
    }

    /// A store has taken copied entries durably.
    pub fn on_copied(&mut self, store: usize, upto: Seq) {
        let durable = self.sealed[store].get_or_insert(upto);
        *durable = upto.max(*durable);
    }

    /// What to do next, given how far the metadata says that the journal is drained.
    #[must_use]
    pub fn next(&self, drained: Seq) -> Next {
        let Some(tail) = self.tail else { return Next::Seal };
        let holders = self.sealed.iter().flatten().filter(|&&durable| durable >= tail).count();
        if tail <= drained || holders >= self.quorum.ack() || !self.rules.tail_is_copied {
            return Next::Fix { tail };
        }
        let has = |durable: &Option<Seq>| durable.is_some_and(|durable| durable >= tail);
        let Some(from) = self.sealed.iter().position(has) else {
            // With `tail_is_max` one of the answers gave the tail.
            return Next::Fix { tail };
        };
        // What a target lacks has to be at the source: not given up there.
        let target = self.sealed.iter().enumerate().find_map(|(to, durable)| {
            let after = durable.filter(|&durable| durable < tail)?;
            (after >= self.trimmed[from]).then_some(Copy { from, to, after, upto: tail })
        });
        match target {
            Some(copy) => Next::Copy(copy),
            None => Next::DrainFirst { from, tail },
        }
    }
}
