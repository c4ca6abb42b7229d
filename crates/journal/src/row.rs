//! A journal's row in the metadata log: what happened first, decided by one total order.

use crate::rules::Rules;
use esker_types::Seq;

/// Life of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// The owner appends.
    Open,
    /// The owner has gone on to the successor.
    Rolled {
        /// Last entry.
        end: Seq,
    },
    /// The owner is fenced; the tail is being looked for.
    Sealing,
    /// The tail is known; partitions have new leaders, the drain goes on behind them.
    Sealed {
        /// Last entry.
        tail: Seq,
    },
    /// Everything is in the bucket; the row goes.
    Closed {
        /// Last entry.
        last: Seq,
    },
}

/// The row is in another state, or somebody else was first. Read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// A journal's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    rules: Rules,
    state: RowState,
    drained: Seq,
}

impl Row {
    /// The row of a new journal.
    #[must_use]
    pub fn open() -> Self {
        Self::with_rules(Rules::SOUND)
    }

    /// For the model.
    #[doc(hidden)]
    #[must_use]
    pub fn with_rules(rules: Rules) -> Self {
        Self { rules, state: RowState::Open, drained: Seq::NONE }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> RowState {
        self.state
    }

    /// Everything up to here is in committed objects.
    #[must_use]
    pub fn drained(&self) -> Seq {
        self.drained
    }

    /// The last entry, once it is decided.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        match self.state {
            RowState::Open | RowState::Sealing => None,
            RowState::Rolled { end: last }
            | RowState::Sealed { tail: last }
            | RowState::Closed { last } => Some(last),
        }
    }

    /// The owner ends the journal at `end`.
    ///
    /// # Errors
    /// [`Refused`] unless it is open: a fenced owner must not get a successor.
    pub fn roll(&mut self, end: Seq) -> Result<(), Refused> {
        let may = self.state == RowState::Open
            || (self.state == RowState::Sealing && !self.rules.sealing_does_not_roll);
        if !may || end < self.drained {
            return Err(Refused);
        }
        self.state = RowState::Rolled { end };
        self.close_if_drained();
        Ok(())
    }

    /// The owner is fenced.
    pub fn fence(&mut self) {
        if self.state == RowState::Open {
            self.state = RowState::Sealing;
        }
    }

    /// A rescuer has found the tail. The first one decides; the tail is never before what is drained.
    ///
    /// # Errors
    /// [`Refused`] unless the tail is being looked for.
    pub fn fix_tail(&mut self, tail: Seq) -> Result<(), Refused> {
        if self.state != RowState::Sealing {
            return Err(Refused);
        }
        self.state = RowState::Sealed { tail: tail.max(self.drained) };
        self.close_if_drained();
        Ok(())
    }

    /// Entries after `after` up to `upto` are in objects; `by_owner` tells whose flush it was.
    ///
    /// # Errors
    /// [`Refused`] when another flush came first, beyond the end, or from an owner that is fenced.
    pub fn drain(&mut self, after: Seq, upto: Seq, by_owner: bool) -> Result<(), Refused> {
        let allowed = match self.state {
            RowState::Open => by_owner,
            RowState::Rolled { end } => upto <= end,
            RowState::Sealing => !by_owner,
            RowState::Sealed { tail } => upto <= tail && !by_owner,
            RowState::Closed { .. } => false,
        };
        let in_order = after == self.drained || !self.rules.drain_in_order;
        if !allowed || !in_order || upto <= after {
            return Err(Refused);
        }
        self.drained = upto;
        self.close_if_drained();
        Ok(())
    }

    fn close_if_drained(&mut self) {
        if let Some(last) = self.last().filter(|&last| self.drained >= last) {
            self.state = RowState::Closed { last };
        }
    }
}
