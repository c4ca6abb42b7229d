//! Which brokers are dead, from what is seen of them: a state machine.

use esker_meta::{Broker, State};
use esker_peer::{ProcessId, Sign};
use esker_types::{BrokerId, Incarnation, MonoTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of the brokers that take part.
#[derive(Debug)]
pub(crate) struct FailureDetector {
    /// Silence that means death.
    session_timeout: Duration,
    watched: BTreeMap<BrokerId, Watched>,
    /// When time was last looked at.
    looked: MonoTime,
}

#[derive(Debug)]
struct Watched {
    incarnation: Incarnation,
    process: ProcessId,
    address: String,
    /// When it last answered; before it has, when it was first watched.
    heard: MonoTime,
    gone: bool,
}

/// A broker to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) broker: BrokerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) process: ProcessId,
    pub(crate) address: String,
}

/// A broker that is thought dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) broker: BrokerId,
    pub(crate) incarnation: Incarnation,
    /// Its process has ended, as its machine says; else it was silent for so long.
    pub(crate) gone: bool,
}

impl FailureDetector {
    /// Has seen nothing yet: every broker has a whole session from now.
    pub(crate) fn new(session_timeout: Duration, now: MonoTime) -> Self {
        Self { session_timeout, watched: BTreeMap::new(), looked: now }
    }

    /// Follows the metadata: who takes part, and where it is reached. `own`, this process, is not watched: who could not
    /// answer itself could not ask either. A new registration begins with a whole session.
    pub(crate) fn follow(&mut self, state: &State, own: ProcessId, now: MonoTime) {
        let mut before = std::mem::take(&mut self.watched);
        let others = |row: &Broker| row.process != own && row.is_alive();
        for (broker, row) in state.brokers.iter().filter(|(_, row)| others(row)) {
            let Some(address) = row.peer.clone() else { continue };
            let known = before.remove(broker).filter(|known| known.incarnation == row.incarnation);
            let new = Watched {
                incarnation: row.incarnation,
                process: row.process,
                address,
                heard: now,
                gone: false,
            };
            self.watched.insert(*broker, known.unwrap_or(new));
        }
    }

    /// All that are watched.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Target> {
        self.watched.iter().map(|(broker, watched)| Target {
            broker: *broker,
            incarnation: watched.incarnation,
            process: watched.process,
            address: watched.address.clone(),
        })
    }

    /// Takes note of what was seen of a registration.
    pub(crate) fn saw(&mut self, target: &Target, sign: Sign, now: MonoTime) {
        let watched = self.watched.get_mut(&target.broker);
        let Some(watched) = watched.filter(|w| w.incarnation == target.incarnation) else { return };
        match sign {
            Sign::Alive => (watched.heard, watched.gone) = (now, false),
            Sign::Gone => watched.gone = true,
            Sign::Silent => {}
        }
    }

    /// Who is dead by now. Where this process itself stood still, it has heard nothing, and that means nothing.
    pub(crate) fn dead(&mut self, now: MonoTime) -> Vec<Death> {
        if now.since(self.looked) > self.session_timeout / 2 {
            self.watched.values_mut().for_each(|watched| watched.heard = now);
        }
        self.looked = now;
        let dead = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.gone || now.since(watched.heard) > self.session_timeout);
        dead.map(|(broker, watched)| Death {
            broker: *broker,
            incarnation: watched.incarnation,
            gone: watched.gone,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_meta::{Command, Proposal, Registration};
    use esker_types::{StoreId, Timestamp};
    use uuid::Uuid;

    fn at(millis: u64) -> MonoTime {
        MonoTime::default().plus(Duration::from_millis(millis))
    }

    fn register(state: &mut State, broker: i32, peer: Option<&str>) -> Incarnation {
        let registration = Registration {
            process: process_of(state.applied + 1),
            host: "localhost".to_owned(),
            port: 9092,
            peer: peer.map(str::to_owned),
            rack: None,
            stores: vec![StoreId(Uuid::from_u128(u128::from(broker.unsigned_abs())))],
        };
        let registration = Box::new(registration);
        let command = Command::Register { broker: BrokerId(broker), registration };
        let index = state.applied + 1;
        state.apply(index, &Proposal { now: Timestamp(0), command });
        Incarnation(index)
    }

    fn process_of(index: u64) -> ProcessId {
        u128::from(index) << 64
    }

    fn target(detector: &FailureDetector, broker: i32) -> Target {
        detector.targets().find(|target| target.broker == BrokerId(broker)).unwrap()
    }

    /// Three brokers, watched by the first, and one without an address.
    fn watching() -> (State, FailureDetector) {
        let mut state = State::default();
        for broker in 1..=3 {
            register(&mut state, broker, Some("a:1"));
        }
        register(&mut state, 4, None);
        let mut detector = FailureDetector::new(Duration::from_secs(1), at(0));
        detector.follow(&state, process_of(1), at(0));
        (state, detector)
    }

    /// Looks each 100 ms from `from` on, as the controller does.
    fn first_dead(detector: &mut FailureDetector, from: u64, to: u64) -> Option<(u64, Vec<Death>)> {
        (from..to).step_by(100).find_map(|now| {
            let dead = detector.dead(at(now));
            (!dead.is_empty()).then_some((now, dead))
        })
    }

    #[test]
    fn silence_for_a_session_is_death_and_an_ended_process_at_once() {
        let (state, mut detector) = watching();
        assert_eq!(detector.targets().count(), 2);
        let (two, three) = (target(&detector, 2), target(&detector, 3));
        detector.saw(&two, Sign::Alive, at(500));
        detector.saw(&two, Sign::Silent, at(900));
        let death = |target: &Target, gone| Death {
            broker: target.broker,
            incarnation: target.incarnation,
            gone,
        };
        assert_eq!(first_dead(&mut detector, 0, 5000), Some((1100, vec![death(&three, false)])));
        detector.saw(&three, Sign::Alive, at(1150));
        assert_eq!(first_dead(&mut detector, 1200, 5000), Some((1600, vec![death(&two, false)])));
        detector.saw(&two, Sign::Alive, at(1650));
        detector.saw(&three, Sign::Gone, at(1660));
        assert_eq!(detector.dead(at(1700)), vec![death(&three, true)]);
        detector.follow(&state, process_of(1), at(1700));
        assert_eq!(detector.dead(at(1701)), vec![death(&three, true)], "until it is fenced");
    }

    #[test]
    fn what_was_seen_of_an_earlier_registration_means_nothing_for_the_next() {
        let (mut state, mut detector) = watching();
        let before = target(&detector, 2);
        register(&mut state, 2, Some("b:2"));
        detector.follow(&state, process_of(1), at(400));
        detector.saw(&before, Sign::Gone, at(410));
        detector.saw(&target(&detector, 3), Sign::Alive, at(900));
        assert_eq!(detector.dead(at(420)), vec![]);
        assert_eq!(target(&detector, 2).address, "b:2");
        let (when, dead) = first_dead(&mut detector, 500, 5000).unwrap();
        assert_eq!((when, dead[0].broker), (1500, BrokerId(2)), "a whole session from 400 on");
        let fence = Command::FenceBroker { broker: BrokerId(2), incarnation: dead[0].incarnation };
        let index = state.applied + 1;
        state.apply(index, &Proposal { now: Timestamp(0), command: fence });
        detector.follow(&state, process_of(1), at(1500));
        assert_eq!(detector.dead(at(1510)), vec![]);
    }

    #[test]
    fn who_watches_does_not_watch_itself_but_the_process_before_it() {
        let (state, mut detector) = watching();
        assert!(detector.targets().all(|target| target.broker != BrokerId(1)));
        detector.follow(&state, process_of(9), at(0));
        let before = target(&detector, 1);
        assert_eq!(before.process, process_of(1));
        detector.saw(&before, Sign::Gone, at(10));
        assert_eq!(detector.dead(at(10))[0].broker, BrokerId(1));
    }

    #[test]
    fn who_stood_still_accuses_nobody() {
        let (_, mut detector) = watching();
        assert_eq!(detector.dead(at(100)), vec![]);
        assert_eq!(detector.dead(at(60_000)), vec![]);
        assert_eq!(first_dead(&mut detector, 60_100, 70_000).unwrap().0, 61_100);
    }
}
