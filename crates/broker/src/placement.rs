//! Which brokers lead the partitions of a topic that is made.

use esker_env::Entropy;
use esker_meta::{NewPartition, State};
use esker_types::BrokerId;

/// Leaders of `count` new partitions: all brokers that serve, one after the other, from one that is drawn, so that topics of one
/// partition do not all go to the first broker.
pub(crate) fn leaders(
    state: &State,
    entropy: &dyn Entropy,
    own: BrokerId,
    count: usize,
) -> Vec<NewPartition> {
    let mut brokers: Vec<BrokerId> = state.placeable().map(|(id, _)| id).collect();
    if brokers.is_empty() {
        brokers.push(own);
    }
    // One broker needs no dice.
    let first = match brokers.len() {
        1 => 0,
        many => usize::try_from(entropy.below(many as u64)).unwrap_or_default(),
    };
    let cycle = brokers.iter().cycle().skip(first);
    cycle.take(count).map(|leader| NewPartition { leader: *leader }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::real::OsEntropy;
    use esker_meta::{Command, Proposal};
    use esker_types::{StoreId, Timestamp};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn state(brokers: &[i32]) -> State {
        let mut state = State::default();
        for (index, broker) in (1..).zip(brokers) {
            let command = Command::RegisterBroker {
                broker: BrokerId(*broker),
                process: 1,
                host: "localhost".to_owned(),
                port: 9092,
                rack: None,
                stores: vec![StoreId(Uuid::from_u128(9))],
            };
            state.apply(index, &Proposal { now: Timestamp(0), command });
        }
        state
    }

    #[test]
    fn partitions_are_spread_over_all_brokers_alike() {
        let state = state(&[3, 5, 9]);
        let mut firsts = BTreeMap::new();
        for _ in 0..200 {
            let chosen = leaders(&state, &OsEntropy, BrokerId(5), 7);
            let of = |id| chosen.iter().filter(|new| new.leader == BrokerId(id)).count();
            let mut counts = [of(3), of(5), of(9)];
            counts.sort_unstable();
            assert_eq!(counts, [2, 2, 3]);
            *firsts.entry(chosen[0].leader).or_insert(0) += 1;
        }
        assert_eq!(firsts.len(), 3, "{firsts:?}");
    }

    #[test]
    fn the_only_broker_leads_everything() {
        let chosen = leaders(&state(&[4]), &OsEntropy, BrokerId(4), 3);
        assert_eq!(chosen, vec![NewPartition { leader: BrokerId(4) }; 3]);
    }
}
