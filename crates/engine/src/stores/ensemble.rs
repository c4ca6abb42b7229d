//! Which stores hold a journal.

use esker_meta::{Broker, BrokerState, State};
use esker_types::{BrokerId, StoreId};

/// How journals are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// N: stores of a journal, where there are so many brokers.
    pub stores: u8,
    /// A: stores that hold an entry before it is acknowledged, where a journal has so many.
    pub acks: u8,
}

/// The stores of one journal and how many of them acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ensemble {
    /// The owner's own store is the first.
    pub(crate) stores: Vec<StoreId>,
    pub(crate) acks: u8,
}

impl Ensemble {
    /// The owner's store alone.
    pub(crate) fn alone(own: StoreId) -> Self {
        Self { stores: vec![own], acks: 1 }
    }

    /// The stores for a new journal of `owner`: its own and those of others that take part, on other racks first, and from its
    /// own number on, so that all brokers hold alike. Those in `avoid` come last.
    pub(crate) fn choose(
        state: &State,
        owner: BrokerId,
        own: StoreId,
        copies: Copies,
        avoid: &[StoreId],
    ) -> Self {
        let rack = state.brokers.get(&owner).and_then(|row| row.rack.clone());
        let others = state.placeable().filter(|(id, row)| *id != owner && row.peer.is_some());
        let mut others: Vec<_> = others
            .filter_map(|(id, row)| {
                let store = *row.stores.first()?;
                let same_rack = rack.is_some() && row.rack == rack;
                let turn = id.get().wrapping_sub(owner.get()).cast_unsigned();
                Some((avoid.contains(&store), same_rack, turn, store))
            })
            .collect();
        others.sort_unstable();
        let wanted = usize::from(copies.stores).saturating_sub(1);
        let others = others.into_iter().take(wanted).map(|(.., store)| store);
        let stores: Vec<_> = std::iter::once(own).chain(others).collect();
        let acks = usize::from(copies.acks.max(1)).min(stores.len());
        Self { stores, acks: u8::try_from(acks).expect("a handful of stores") }
    }

    /// Whether a store besides the owner's is on a broker that is being drained.
    pub(crate) fn has_leaving(&self, state: &State) -> bool {
        let leaving = |row: &Broker| row.state == BrokerState::Draining;
        let brokers = state.brokers.values().filter(|row| leaving(row));
        let mut others = self.stores.iter().skip(1);
        let stores: Vec<_> = brokers.flat_map(|row| &row.stores).collect();
        others.any(|store| stores.contains(&store))
    }

    /// How many of the stores are on brokers that are thought alive and not in `lost`.
    pub(crate) fn alive(&self, state: &State, lost: &[StoreId]) -> usize {
        let is_alive = |store: &StoreId| {
            let broker = state.brokers.values().find(|row| row.stores.contains(store));
            broker.is_some_and(|row| row.is_alive()) && !lost.contains(store)
        };
        self.stores.iter().filter(|store| is_alive(store)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_meta::{Command, Proposal, Registration};
    use esker_types::{Incarnation, Timestamp};
    use uuid::Uuid;

    const COPIES: Copies = Copies { stores: 3, acks: 2 };

    fn store(broker: i32) -> StoreId {
        StoreId(Uuid::from_u128(broker.unsigned_abs().into()))
    }

    fn apply(state: &mut State, command: Command) {
        let index = state.applied + 1;
        state.apply(index, &Proposal { now: Timestamp(0), command });
    }

    fn state(brokers: &[(i32, Option<&str>)]) -> State {
        let mut state = State::default();
        for (broker, rack) in brokers {
            let registration = Box::new(Registration {
                process: 1,
                host: "localhost".to_owned(),
                port: 9092,
                peer: Some("localhost:1".to_owned()),
                rack: rack.map(str::to_owned),
                stores: vec![store(*broker)],
            });
            apply(&mut state, Command::Register { broker: BrokerId(*broker), registration });
        }
        state
    }

    fn of(state: &State, owner: i32, avoid: &[StoreId]) -> Ensemble {
        Ensemble::choose(state, BrokerId(owner), store(owner), COPIES, avoid)
    }

    fn stores(brokers: &[i32]) -> Vec<StoreId> {
        brokers.iter().map(|broker| store(*broker)).collect()
    }

    #[test]
    fn a_journal_is_on_as_many_stores_as_there_are_up_to_the_wanted() {
        assert_eq!(of(&state(&[(1, None)]), 1, &[]), Ensemble::alone(store(1)));
        let two = of(&state(&[(1, None), (2, None)]), 1, &[]);
        assert_eq!(two, Ensemble { stores: stores(&[1, 2]), acks: 2 });
        let four = state(&[(1, None), (2, None), (3, None), (4, None)]);
        assert_eq!(of(&four, 1, &[]).stores, stores(&[1, 2, 3]));
        assert_eq!(of(&four, 3, &[]).stores, stores(&[3, 4, 1]), "each holds for others");
        assert_eq!(of(&four, 1, &stores(&[2])).stores, stores(&[1, 3, 4]));
        assert_eq!(of(&four, 1, &stores(&[2, 3])).stores, stores(&[1, 4, 2]));
    }

    #[test]
    fn other_racks_come_first_and_the_dead_and_the_leaving_not_at_all() {
        let racks = [(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, Some("c"))];
        let mut state = state(&racks);
        assert_eq!(of(&state, 1, &[]).stores, stores(&[1, 3, 4]));
        apply(&mut state, Command::DrainBroker { broker: BrokerId(4) });
        let ensemble = of(&state, 1, &[]);
        assert_eq!(ensemble.stores, stores(&[1, 3, 2]));
        let incarnation = Incarnation(3);
        apply(&mut state, Command::FenceBroker { broker: BrokerId(3), incarnation });
        assert_eq!(of(&state, 1, &[]), Ensemble { stores: stores(&[1, 2]), acks: 2 });
        assert_eq!(ensemble.alive(&state, &[]), 2);
        assert_eq!(ensemble.alive(&state, &stores(&[2])), 1);
    }
}
