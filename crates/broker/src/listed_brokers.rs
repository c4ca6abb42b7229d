//! Which brokers clients are told of.
//!
//! Those that are alive, as in Kafka, and for a little while those that have just died: some clients drop everything that they have in
//! mind about a broker when it is no longer listed, the new leaders of its partitions as well, and ask again only after a second.

use esker_meta::{Broker, State};
use esker_types::{BrokerId, Incarnation, MonoTime};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a broker that has died is listed.
const LISTED_FOR: Duration = Duration::from_secs(5);

/// When which registration was first seen to be dead.
#[derive(Debug, Default)]
pub(crate) struct ListedBrokers(Mutex<BTreeMap<BrokerId, (Incarnation, MonoTime)>>);

impl ListedBrokers {
    /// The brokers that a client is told of at `now`.
    pub(crate) fn of<'a>(&self, state: &'a State, now: MonoTime) -> Vec<(BrokerId, &'a Broker)> {
        let mut dead = self.0.lock();
        let listed = state.brokers.iter().filter(|(id, row)| {
            if row.is_alive() {
                return true;
            }
            let seen = dead.entry(**id).or_insert((row.incarnation, now));
            if seen.0 != row.incarnation {
                *seen = (row.incarnation, now);
            }
            now.since(seen.1) < LISTED_FOR
        });
        listed.map(|(id, row)| (*id, row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_meta::{Command, Proposal, Registration};
    use esker_types::{StoreId, Timestamp};
    use uuid::Uuid;

    fn apply(state: &mut State, command: Command) {
        let index = state.applied + 1;
        state.apply(index, &Proposal { now: Timestamp(0), command });
    }

    fn register(state: &mut State, broker: i32) {
        let registration = Box::new(Registration {
            process: u128::from(state.applied),
            host: "localhost".to_owned(),
            port: 9092,
            peer: None,
            rack: None,
            stores: vec![StoreId(Uuid::from_u128(u128::from(broker.unsigned_abs())))],
        });
        apply(state, Command::Register { broker: BrokerId(broker), registration });
    }

    fn fence(state: &mut State, broker: i32) {
        let incarnation = state.brokers[&BrokerId(broker)].incarnation;
        apply(state, Command::FenceBroker { broker: BrokerId(broker), incarnation });
    }

    #[test]
    fn the_dead_are_listed_for_a_while_each_time() {
        let mut state = State::default();
        register(&mut state, 1);
        register(&mut state, 2);
        let listed = ListedBrokers::default();
        let at = |seconds| MonoTime::default().plus(Duration::from_secs(seconds));
        let ids = |state: &State, seconds| -> Vec<i32> {
            listed.of(state, at(seconds)).iter().map(|(id, _)| id.get()).collect()
        };
        assert_eq!(ids(&state, 0), [1, 2]);
        fence(&mut state, 2);
        assert_eq!(ids(&state, 10), [1, 2]);
        assert_eq!(ids(&state, 14), [1, 2]);
        assert_eq!(ids(&state, 15), [1]);
        register(&mut state, 2);
        assert_eq!(ids(&state, 16), [1, 2]);
        fence(&mut state, 2);
        assert_eq!(ids(&state, 20), [1, 2]);
        assert_eq!(ids(&state, 25), [1]);
    }
}
