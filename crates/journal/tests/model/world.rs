//! One owner, three stores, some rescuers, two rows of the metadata, and everything that can happen to them.

use crate::search::Fingerprint;
use esker_journal::{
    Answer, Next, Owner, Quorum, Refusal, Replica, ReplicaPhase, Rescuer, RollAnswer, Row, RowSeen,
    RowState, Rules, SealAnswer, SealStep,
};
use esker_types::Seq;
use std::hash::{Hash, Hasher};

const STORES: usize = 3;
const RESCUERS: usize = 2;

/// How large the instance is and what may happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Entries of the journal and of its successor.
    pub(crate) entries: [u64; 2],
    /// Stores that acknowledge.
    pub(crate) ack: u8,
    /// Rescuers of the first journal; the successor has at most one.
    pub(crate) rescuers: usize,
    /// Entries are taken and become durable in separate steps, and so do seals; stores crash in between.
    pub(crate) in_flight: bool,
    /// Stores that may lose their disk.
    pub(crate) wipes: u8,
    /// The owner may roll once.
    pub(crate) roll: bool,
    /// The owner flushes.
    pub(crate) flushes: bool,
    /// The stores' views of the metadata lag.
    pub(crate) images: bool,
    /// Stores start anew, and see of the metadata what their first image tells.
    pub(crate) restarts: bool,
    /// Stores trim.
    pub(crate) trims: bool,
    /// Idle partitions get a new leader as soon as a seal quorum has answered.
    pub(crate) release: bool,
    /// A mistake: they get it as soon as the owner is fenced.
    pub(crate) release_early: bool,
    /// What to look for besides violations: shows that the search gets there.
    pub(crate) goal: Goal,
}

/// A state that a sound instance has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    None,
    /// The journal was sealed with entries, all of them are in the bucket, and the partitions were given away.
    Rescued,
    /// Entries of both journals were acknowledged, and both have ended.
    Rolled,
    /// A store has forgotten the journal, and others have not.
    Forgotten,
    /// A rescuer drained before the tail was fixed.
    DrainedFirst,
}

/// Something that happens; numbers are journal, rescuer and store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Append(usize),
    Send { journal: usize, store: usize, seq: Seq },
    Sync { journal: usize, store: usize },
    Full { journal: usize, store: usize },
    Crash(usize),
    SealWritten { journal: usize, store: usize, durable: Seq },
    Acknowledge { journal: usize, store: usize, durable: Seq },
    ProposeRoll,
    ApplyRoll,
    AnswerRoll,
    Fence,
    Seal { journal: usize, rescuer: usize, store: usize },
    Rescue { journal: usize, rescuer: usize },
    ReadForDrain { journal: usize, rescuer: usize, upto: Seq },
    CommitDrain { journal: usize, rescuer: usize },
    StartFlush,
    CommitFlush,
    Image(usize),
    Restart(usize),
    Trim { journal: usize, store: usize },
    Wipe(usize),
    GiveAway,
    Release,
}

/// What came of an action. The searches show that each kind happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Other,
    Taken,
    HadAlready,
    Gap,
    RefusedSealed,
    RefusedUnknown,
    RefusedLost,
    /// A durable point that was told; one that a seal keeps from being told.
    Told,
    Silent,
    /// A durable point that reaches the owner late or twice.
    ToldAgain,
    /// Entries, or a seal, that were on their way and are gone.
    LostInFlight,
    SealBegun,
    SealAwaited,
    SealAnswered,
    NotCounted,
    /// A seal that came after entries which nobody was told of.
    SealCounted,
    Copied,
    TailFixed,
    TailFixedBefore,
    DrainedFirst,
    /// A part of what had to be drained, all of it, or what somebody else had drained.
    Chunk,
    LastChunk,
    DrainRefused,
    Rolled,
    RollRefused,
    Trimmed,
    Forgotten,
    /// A store started anew, and had to wait for what it had seen before.
    Restarted,
    Released,
    GivenAway,
}

/// A proposed roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Roll {
    None,
    Proposed(Seq),
    Answered(bool),
    Known,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    bounds: Bounds,
    rules: Rules,
    rows: [Row; 2],
    /// The successor exists: in the metadata, and for the owner.
    successor: (bool, bool),
    owners: [Owner; 2],
    replicas: [[Replica; STORES]; 2],
    /// What stores have in truth, a bit for each entry: not only what they claim.
    written: [[u64; STORES]; 2],
    /// The largest durable point that a store has ever told the owner; any up to it may still arrive.
    told: [[Seq; STORES]; 2],
    /// The stores' views of the first journal's row.
    views: [RowSeen; STORES],
    wiped: [bool; STORES],
    rescuers: [[Rescuer; RESCUERS]; 2],
    /// Objects that a rescuer has written and not committed: after, up to.
    drains: [[Option<(Seq, Seq)>; RESCUERS]; 2],
    flush: Option<(Seq, Seq)>,
    roll: Roll,
    fenced: bool,
    /// The successor existed when the owner was fenced.
    successor_fenced: bool,
    given_away: bool,
    /// Idle partitions were released when this was the last entry that anything could still be acknowledged for.
    released: Option<Seq>,
    /// The last entry that was acknowledged or became visible.
    visible: [Seq; 2],
    /// What the last action did; no part of the state.
    event: Event,
}

/// The entry's bit.
fn bit(seq: Seq) -> u64 {
    1 << seq.get()
}

/// Bits of the entries up to `upto`.
fn bits(upto: Seq) -> u64 {
    bit(upto.next()) - 1
}

impl World {
    pub(crate) fn new(bounds: Bounds, rules: Rules) -> Self {
        let quorum = Quorum::new(3, bounds.ack).expect("bounds are sound");
        let view = if bounds.images { RowSeen::NotYet } else { RowSeen::Listed };
        Self {
            bounds,
            rules,
            rows: [Row::with_rules(rules); 2],
            successor: (false, false),
            owners: [Owner::with_rules(quorum, rules); 2],
            replicas: [[Replica::with_rules(rules); STORES]; 2],
            written: [[0; STORES]; 2],
            told: [[Seq::NONE; STORES]; 2],
            views: [view; STORES],
            wiped: [false; STORES],
            rescuers: [[Rescuer::with_rules(quorum, rules); RESCUERS]; 2],
            drains: [[None; RESCUERS]; 2],
            flush: None,
            roll: Roll::None,
            fenced: false,
            successor_fenced: false,
            given_away: false,
            released: None,
            visible: [Seq::NONE; 2],
            event: Event::Other,
        }
    }

    /// What the last action did.
    pub(crate) fn event(&self) -> Event {
        self.event
    }

    /// Stores are interchangeable: the fingerprint does not depend on their order.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut stores = [0; STORES];
        for (store, fingerprint) in stores.iter_mut().enumerate() {
            let mut hasher = Fingerprint::new();
            for journal in 0..2 {
                let replica = &self.replicas[journal][store];
                let phase = replica.phase() as u8;
                (phase, replica.taken().get(), replica.durable().get()).hash(&mut hasher);
                (replica.trimmed().get(), self.written[journal][store]).hash(&mut hasher);
                self.told[journal][store].get().hash(&mut hasher);
                self.owners[journal].durable(store).get().hash(&mut hasher);
                for rescuer in &self.rescuers[journal] {
                    rescuer.answer(store).hash(&mut hasher);
                }
            }
            (self.views[store] as u8, self.wiped[store]).hash(&mut hasher);
            *fingerprint = hasher.value();
        }
        stores.sort_unstable();
        let mut hasher = Fingerprint::new();
        for store in stores {
            hasher.write(&store.to_le_bytes());
        }
        for journal in 0..2 {
            let owner = &self.owners[journal];
            (owner.phase(), owner.last(), owner.exposed(), owner.drained()).hash(&mut hasher);
            (self.rows[journal].state(), self.rows[journal].drained()).hash(&mut hasher);
            for rescuer in &self.rescuers[journal] {
                rescuer.tail().hash(&mut hasher);
            }
        }
        (self.successor, self.drains, self.flush, self.roll).hash(&mut hasher);
        (self.fenced, self.successor_fenced, self.given_away).hash(&mut hasher);
        (self.released, self.visible).hash(&mut hasher);
        hasher.value()
    }

    fn rescuers_of(&self, journal: usize) -> usize {
        self.bounds.rescuers.min(if journal == 0 { RESCUERS } else { 1 })
    }

    fn being_rescued(&self, journal: usize) -> bool {
        self.rows[journal].state() == RowState::Sealing
    }

    fn readable(&self, journal: usize, seq: Seq) -> bool {
        (0..STORES).any(|store| self.has(journal, store, seq))
    }

    fn has(&self, journal: usize, store: usize, seq: Seq) -> bool {
        let written = self.written[journal][store] & bit(seq) != 0;
        written && self.replicas[journal][store].holds(seq)
    }

    fn can_give_away(&self) -> bool {
        let ended = |journal: usize| self.rows[journal].last().is_some();
        self.fenced && ended(0) && (!self.successor_fenced || ended(1))
    }

    /// Everything that may happen now.
    pub(crate) fn actions(&self, out: &mut Vec<Action>) {
        for journal in 0..2 {
            if journal == 1 && !self.successor.0 {
                continue;
            }
            self.owner_actions(journal, out);
            self.rescue_actions(journal, out);
            for store in 0..STORES {
                self.store_actions(journal, store, out);
                let trim = self.trim_point(journal);
                let replica = &self.replicas[journal][store];
                if self.bounds.trims && replica.trimmed() < trim.min(replica.durable()) {
                    out.push(Action::Trim { journal, store });
                }
            }
        }
        match self.roll {
            Roll::None if self.bounds.roll => out.push(Action::ProposeRoll),
            Roll::Proposed(_) => out.push(Action::ApplyRoll),
            Roll::Answered(_) => out.push(Action::AnswerRoll),
            Roll::None | Roll::Known => {}
        }
        if self.bounds.flushes {
            if self.flush.is_none() && self.owners[0].flushable().is_some() {
                out.push(Action::StartFlush);
            }
            if self.flush.is_some() {
                out.push(Action::CommitFlush);
            }
        }
        if self.bounds.rescuers > 0 && !self.fenced {
            out.push(Action::Fence);
        }
        for store in 0..STORES {
            let next = match self.views[store] {
                RowSeen::NotYet => true,
                RowSeen::Listed => matches!(self.rows[0].state(), RowState::Closed { .. }),
                RowSeen::Gone => false,
            };
            if self.bounds.images && next {
                out.push(Action::Image(store));
            }
            if self.bounds.restarts && self.views[store] != RowSeen::NotYet {
                out.push(Action::Restart(store));
            }
            if self.bounds.in_flight && (0..2).any(|journal| self.is_in_flight(journal, store)) {
                out.push(Action::Crash(store));
            }
            let wipes = self.wiped.iter().filter(|&&wiped| wiped).count();
            if wipes < usize::from(self.bounds.wipes) {
                out.push(Action::Wipe(store));
            }
        }
        if !self.given_away && self.can_give_away() {
            out.push(Action::GiveAway);
        }
        if self.bounds.release && self.released.is_none() && self.fenced {
            out.push(Action::Release);
        }
    }

    fn owner_actions(&self, journal: usize, out: &mut Vec<Action>) {
        if journal == 1 && !self.successor.1 {
            return;
        }
        let owner = &self.owners[journal];
        if owner.last().get() < self.bounds.entries[journal] {
            out.push(Action::Append(journal));
        }
        for store in 0..STORES {
            // Whatever was sent may arrive now, again, before what was sent earlier, or never.
            for seq in 1..=owner.last().get() {
                out.push(Action::Send { journal, store, seq: Seq(seq) });
            }
            for durable in 1..=self.told[journal][store].get() {
                out.push(Action::Acknowledge { journal, store, durable: Seq(durable) });
            }
        }
    }

    fn is_in_flight(&self, journal: usize, store: usize) -> bool {
        let replica = &self.replicas[journal][store];
        replica.taken() > replica.durable() || replica.phase() == ReplicaPhase::Sealing
    }

    /// What a store's log does by itself.
    fn store_actions(&self, journal: usize, store: usize, out: &mut Vec<Action>) {
        let replica = &self.replicas[journal][store];
        if !self.bounds.in_flight || replica.phase() == ReplicaPhase::Lost {
            return;
        }
        if replica.taken() > replica.durable() {
            out.push(Action::Sync { journal, store });
            out.push(Action::Full { journal, store });
        }
        if replica.phase() == ReplicaPhase::Sealing {
            // Entries that were on their way come before the seal or never.
            for durable in replica.durable().get()..=replica.taken().get() {
                out.push(Action::SealWritten { journal, store, durable: Seq(durable) });
            }
        }
    }

    fn rescue_actions(&self, journal: usize, out: &mut Vec<Action>) {
        for rescuer in 0..self.rescuers_of(journal) {
            if self.being_rescued(journal) {
                let state = &self.rescuers[journal][rescuer];
                let unasked = (0..STORES).filter(|&store| state.answer(store).is_none());
                out.extend(unasked.map(|store| Action::Seal { journal, rescuer, store }));
                if state.next(self.rows[journal].drained()) != Next::Seal {
                    out.push(Action::Rescue { journal, rescuer });
                }
            }
            // A proposal that comes after another one has decided.
            let state = &self.rescuers[journal][rescuer];
            let late = matches!(self.rows[journal].state(), RowState::Sealed { .. });
            if late && matches!(state.next(self.rows[journal].drained()), Next::Fix { .. }) {
                out.push(Action::Rescue { journal, rescuer });
            }
            if self.drains[journal][rescuer].is_some() {
                out.push(Action::CommitDrain { journal, rescuer });
                continue;
            }
            let drained = self.rows[journal].drained();
            let last = match self.rows[journal].state() {
                RowState::Rolled { end } if self.fenced => end,
                RowState::Sealed { tail } => tail,
                _ => continue,
            };
            // Chunks of any length.
            let mut upto = drained;
            while upto < last && self.readable(journal, upto.next()) {
                upto = upto.next();
                out.push(Action::ReadForDrain { journal, rescuer, upto });
            }
        }
    }

    fn trim_point(&self, journal: usize) -> Seq {
        match self.rules.trim_after_drain {
            true => self.rows[journal].drained(),
            false => self.owners[journal].exposed(),
        }
    }

    /// Does it; an error names what it broke.
    pub(crate) fn act(&mut self, action: Action) -> Result<(), &'static str> {
        self.event = Event::Other;
        match action {
            Action::Append(journal) => {
                self.owners[journal].append();
            }
            Action::Send { journal, store, seq } => self.send(journal, store, seq),
            Action::Sync { journal, store } => {
                let next = self.replicas[journal][store].durable().next();
                self.sync(journal, store, next);
            }
            Action::Full { journal, store } => {
                let replica = &mut self.replicas[journal][store];
                replica.on_refused(replica.durable().next());
                self.written[journal][store] &= bits(replica.taken());
                self.event = Event::LostInFlight;
            }
            Action::Crash(store) => self.crash(store),
            Action::SealWritten { journal, store, durable } => {
                let replica = &mut self.replicas[journal][store];
                if durable > replica.durable() {
                    self.event = Event::SealCounted;
                }
                replica.on_sealed(durable);
                self.written[journal][store] &= bits(durable);
            }
            Action::Acknowledge { journal, store, durable } => {
                if durable <= self.owners[journal].durable(store) {
                    self.event = Event::ToldAgain;
                }
                if let Some(exposed) = self.owners[journal].on_durable(store, durable) {
                    return self.acknowledge(journal, exposed);
                }
            }
            Action::ProposeRoll => {
                if let Some(end) = self.owners[0].roll() {
                    self.roll = Roll::Proposed(end);
                }
            }
            Action::ApplyRoll => {
                let Roll::Proposed(end) = self.roll else { unreachable!("offered only then") };
                let done = self.rows[0].roll(end).is_ok();
                self.successor.0 |= done;
                self.event = if done { Event::Rolled } else { Event::RollRefused };
                self.roll = Roll::Answered(done);
            }
            Action::AnswerRoll => {
                let done = self.roll == Roll::Answered(true);
                self.owners[0].on_roll(if done { RollAnswer::Done } else { RollAnswer::NotOpen });
                self.successor.1 |= done;
                self.roll = Roll::Known;
            }
            Action::Fence => {
                self.fenced = true;
                self.successor_fenced = self.successor.0;
                self.rows[0].fence();
                if self.successor.0 {
                    self.rows[1].fence();
                }
            }
            Action::Seal { journal, rescuer, store } => self.seal(journal, rescuer, store),
            Action::Rescue { journal, rescuer } => self.rescue(journal, rescuer)?,
            Action::ReadForDrain { journal, rescuer, upto } => {
                self.drains[journal][rescuer] = Some((self.rows[journal].drained(), upto));
            }
            Action::CommitDrain { journal, rescuer } => {
                let (after, upto) =
                    self.drains[journal][rescuer].take().expect("offered only then");
                self.drain(journal, after, upto, false)?;
            }
            Action::StartFlush => self.flush = self.owners[0].flushable(),
            Action::CommitFlush => {
                let (after, upto) = self.flush.take().expect("offered only then");
                if self.drain(0, after, upto, true)? {
                    self.owners[0].on_drained(upto);
                }
            }
            Action::Image(store) => {
                self.views[store] = match self.views[store] {
                    RowSeen::NotYet => RowSeen::Listed,
                    _ => RowSeen::Gone,
                };
                self.follow(store);
            }
            Action::Restart(store) => self.restart(store),
            Action::Trim { journal, store } => {
                let upto = self.trim_point(journal);
                self.replicas[journal][store].on_trim(upto);
                self.event = Event::Trimmed;
            }
            Action::Wipe(store) => {
                self.wiped[store] = true;
                for journal in 0..2 {
                    self.replicas[journal][store].on_lost();
                }
            }
            Action::GiveAway => {
                self.given_away = true;
                self.event = Event::GivenAway;
            }
            Action::Release => {
                self.event = Event::Released;
                let found = self.rescuers[0].iter().find_map(Rescuer::tail);
                self.released = match self.bounds.release_early {
                    true => Some(self.visible[0]),
                    false => found.or_else(|| self.rows[0].last()),
                };
            }
        }
        Ok(())
    }

    fn send(&mut self, journal: usize, store: usize, seq: Seq) {
        let replica = &mut self.replicas[journal][store];
        let view = if journal == 0 { self.views[store] } else { RowSeen::Listed };
        self.event = match replica.on_append(seq, view) {
            Answer::Take => Event::Taken,
            Answer::Have => Event::HadAlready,
            Answer::Refuse(Refusal::Gap { .. }) => Event::Gap,
            Answer::Refuse(Refusal::Sealed) => Event::RefusedSealed,
            Answer::Refuse(Refusal::Unknown) => Event::RefusedUnknown,
            Answer::Refuse(Refusal::Lost) => Event::RefusedLost,
        };
        match self.event {
            Event::Taken => {
                self.written[journal][store] |= bit(seq);
                if !self.bounds.in_flight {
                    self.sync(journal, store, seq);
                    self.event = Event::Taken;
                }
            }
            // The durable point is repeated.
            Event::HadAlready => self.tell(journal, store, self.replicas[journal][store].durable()),
            _ => {}
        }
    }

    /// Entries up to `upto` become durable; with a gap the store believes that it has what is in it.
    fn sync(&mut self, journal: usize, store: usize, upto: Seq) {
        match self.replicas[journal][store].on_durable(upto) {
            Some(durable) => {
                self.tell(journal, store, durable);
                self.event = Event::Told;
            }
            None => self.event = Event::Silent,
        }
    }

    fn tell(&mut self, journal: usize, store: usize, durable: Seq) {
        let told = &mut self.told[journal][store];
        *told = durable.max(*told);
    }

    /// The store does what its view of the metadata asks for.
    fn follow(&mut self, store: usize) {
        if self.replicas[0][store].on_row(self.views[store]) {
            self.written[0][store] = 0;
            self.event = Event::Forgotten;
        }
    }

    /// The store's process starts anew. Its own registration is a fact of the metadata from then on: a view that has it has
    /// everything that came before. Without that any controller's image will do, also one of long ago.
    fn restart(&mut self, store: usize) {
        let closed = matches!(self.rows[0].state(), RowState::Closed { .. });
        self.event = Event::Restarted;
        self.views[store] = match closed && self.rules.registered_first {
            true => RowSeen::Gone,
            false => RowSeen::Listed,
        };
        self.follow(store);
    }

    /// The store starts anew with what is durable. What was on its way and came to be durable unseen is a sync that
    /// nobody hears of.
    fn crash(&mut self, store: usize) {
        for journal in 0..2 {
            let replica = &mut self.replicas[journal][store];
            let (durable, trimmed) = (replica.durable(), replica.trimmed());
            *replica = match replica.phase() {
                ReplicaPhase::Lost => continue,
                ReplicaPhase::Open | ReplicaPhase::Sealing if durable == Seq::NONE => {
                    Replica::with_rules(self.rules)
                }
                ReplicaPhase::Absent => continue,
                phase => {
                    let sealed = phase == ReplicaPhase::Sealed;
                    Replica::recovered_with_rules(self.rules, sealed, false, durable, trimmed)
                }
            };
            self.written[journal][store] &= bits(durable);
        }
        self.event = Event::LostInFlight;
    }

    fn seal(&mut self, journal: usize, rescuer: usize, store: usize) {
        let replica = &mut self.replicas[journal][store];
        let answer = match replica.on_seal() {
            SealStep::Answer(answer) => answer,
            // Whoever waits asks again once the seal is written: an answer may be lost anyway.
            SealStep::Log if self.bounds.in_flight => return self.event = Event::SealBegun,
            SealStep::Wait if self.bounds.in_flight => return self.event = Event::SealAwaited,
            SealStep::Log | SealStep::Wait => replica.on_sealed(replica.durable()),
        };
        self.event = match answer {
            SealAnswer::Sealed { .. } => Event::SealAnswered,
            SealAnswer::NotAuthoritative => Event::NotCounted,
        };
        self.rescuers[journal][rescuer].on_seal(store, answer);
    }

    fn rescue(&mut self, journal: usize, rescuer: usize) -> Result<(), &'static str> {
        let drained = self.rows[journal].drained();
        match self.rescuers[journal][rescuer].next(drained) {
            Next::Seal => {}
            Next::Copy(copy) => {
                let mut seq = copy.after;
                while seq < copy.upto {
                    seq = seq.next();
                    if !self.has(journal, copy.from, seq) {
                        return Ok(());
                    }
                }
                let copied = self.written[journal][copy.from] & bits(copy.upto);
                let target = &mut self.replicas[journal][copy.to];
                if target.on_copy(copy.after, copy.upto) {
                    let durable = target.durable();
                    self.written[journal][copy.to] |= copied & !bits(copy.after);
                    self.event = Event::Copied;
                    self.rescuers[journal][rescuer].on_copied(copy.to, durable);
                    if !self.rules.copies_are_silent {
                        self.told[journal][copy.to] = durable;
                    }
                }
            }
            Next::Fix { tail } => {
                self.event = Event::TailFixedBefore;
                if self.rows[journal].fix_tail(tail).is_ok() {
                    self.event = Event::TailFixed;
                    let last = self.rows[journal].last().expect("it was just fixed");
                    self.visible[journal] = self.visible[journal].max(last);
                }
            }
            Next::DrainFirst { from, tail } => {
                let next = drained.next();
                if next <= tail && self.has(journal, from, next) {
                    self.drain(journal, drained, next, false)?;
                    self.event = Event::DrainedFirst;
                }
            }
        }
        Ok(())
    }

    fn drain(
        &mut self,
        journal: usize,
        after: Seq,
        upto: Seq,
        by_owner: bool,
    ) -> Result<bool, &'static str> {
        let before = self.rows[journal].drained();
        let done = self.rows[journal].drain(after, upto, by_owner).is_ok();
        self.event = match (done, self.rows[journal].last()) {
            (false, _) => Event::DrainRefused,
            (true, Some(last)) if upto == last => Event::LastChunk,
            (true, _) => Event::Chunk,
        };
        if done && before != after { Err("entries reached the bucket twice") } else { Ok(done) }
    }

    fn acknowledge(&mut self, journal: usize, exposed: Seq) -> Result<(), &'static str> {
        let last = self.rows[journal].last();
        if self.given_away && last.is_none_or(|last| exposed > last) {
            return Err("acknowledged after the partitions were given away");
        }
        if journal == 0 && self.released.is_some_and(|last| exposed > last) {
            return Err("acknowledged after an idle partition was released");
        }
        self.visible[journal] = self.visible[journal].max(exposed);
        Ok(())
    }

    fn at_goal(&self) -> bool {
        let closed = matches!(self.rows[0].state(), RowState::Closed { last } if last == Seq(2));
        match self.bounds.goal {
            Goal::None => false,
            Goal::Rescued => closed && self.given_away && self.owners[0].exposed() == Seq(1),
            Goal::Rolled => {
                let visible = self.visible.iter().all(|&visible| visible > Seq::NONE);
                visible && self.rows.iter().all(|row| row.last().is_some())
            }
            Goal::Forgotten => {
                let gone = self.views.iter().filter(|&&view| view == RowSeen::Gone).count();
                gone == 1 && self.visible[0] > Seq::NONE
            }
            Goal::DrainedFirst => self.being_rescued(0) && self.rows[0].drained() > Seq::NONE,
        }
    }

    /// What must hold in every state.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.at_goal() {
            return Err("reached");
        }
        for journal in 0..2 {
            let (row, visible) = (&self.rows[journal], self.visible[journal]);
            if row.last().is_some_and(|last| visible > last) {
                return Err("a visible entry is after the journal's end");
            }
            let mut seq = row.drained();
            while seq < visible {
                seq = seq.next();
                if !self.readable(journal, seq) {
                    return Err("a visible entry is nowhere");
                }
            }
            for replica in &self.replicas[journal] {
                let known = replica.phase() != ReplicaPhase::Lost;
                if known && replica.taken() > self.owners[journal].last() {
                    return Err("a store has an entry that nobody wrote");
                }
            }
        }
        Ok(())
    }
}
