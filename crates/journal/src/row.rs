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

/// Why a row does not change. Read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is in another state, or the state has no room for this.
    State,
    /// It is drained up to somewhere else: somebody was first.
    Drained,
}

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

    /// The row that was stored in this state.
    #[must_use]
    pub fn stored(state: RowState, drained: Seq) -> Self {
        Self { rules: Rules::SOUND, state, drained }
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
    /// [`Refused::State`] unless it is open: a fenced owner must not get a successor. [`Refused::Drained`] when it is
    /// drained beyond the end.
    pub fn roll(&mut self, end: Seq) -> Result<(), Refused> {
        let may = self.state == RowState::Open
            || (self.state == RowState::Sealing && !self.rules.sealing_does_not_roll);
        if !may {
            return Err(Refused::State);
        }
        if end < self.drained {
            return Err(Refused::Drained);
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
    /// [`Refused::State`] unless the tail is being looked for.
    pub fn fix_tail(&mut self, tail: Seq) -> Result<(), Refused> {
        if self.state != RowState::Sealing {
            return Err(Refused::State);
        }
        self.state = RowState::Sealed { tail: tail.max(self.drained) };
        self.close_if_drained();
        Ok(())
    }

    /// Entries after `after` up to `upto` are in objects; `by_owner` tells whose flush it was.
    ///
    /// # Errors
    /// [`Refused::Drained`] when another flush came first; [`Refused::State`] for one beyond the end, of nothing, or
    /// from an owner that is fenced.
    pub fn drain(&mut self, after: Seq, upto: Seq, by_owner: bool) -> Result<(), Refused> {
        let allowed = match self.state {
            RowState::Open => by_owner,
            RowState::Rolled { .. } => true,
            RowState::Sealing | RowState::Sealed { .. } => !by_owner,
            RowState::Closed { .. } => false,
        };
        if !allowed {
            return Err(Refused::State);
        }
        if after != self.drained && self.rules.drain_in_order {
            return Err(Refused::Drained);
        }
        if upto <= after || self.last().is_some_and(|last| upto > last) {
            return Err(Refused::State);
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
