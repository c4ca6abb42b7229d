//! Moves of partitions, and balance.

use super::*;

fn three_brokers() -> Log {
    let mut log = Log::new();
    for id in 1..=3 {
        log.register_as(BrokerId(id), id.unsigned_abs().into(), id.unsigned_abs().into());
    }
    log
}

fn leads(state: &State) -> Vec<usize> {
    let count = |id| state.partitions.values().filter(|row| row.leader == BrokerId(id)).count();
    (1..=3).map(count).collect()
}

#[test]
fn a_move_is_wanted_until_it_is_done_and_may_be_taken_back() {
    let mut log = three_brokers();
    let (topic, pids) = log.topic("t", 2);
    let to = |to: Option<i32>| Command::MoveLeaders {
        moves: vec![(pids[0], to.map(BrokerId)), (pids[1], Some(BrokerId(3)))],
    };
    assert_eq!(log.run(to(Some(9))), Reply::Rejected(Rejected::UnknownBroker(BrokerId(9))));
    assert!(log.state.moves.is_empty(), "whole or not at all");
    log.run(to(Some(2)));
    assert_eq!(log.state.moves.get(&pids[0]), Some(&BrokerId(2)));
    let restored = State::decode_snapshot(&log.state.encode_snapshot()).unwrap();
    assert_eq!(restored, log.state);
    log.run(to(None));
    assert_eq!(log.state.moves.len(), 1);
    let incarnation = log.state.brokers[&BROKER].incarnation;
    let transfer = LeaderTransfer {
        partition: pids[1],
        expect: LeaderEpoch(0),
        start: Offset(0),
        to: BrokerId(3),
    };
    log.run(Command::TransferLeaders { broker: BROKER, incarnation, partitions: vec![transfer] });
    assert_eq!(log.state.partitions[&pids[1]].leader, BrokerId(3));
    assert!(log.state.moves.is_empty(), "it is done");
    log.run(to(Some(2)));
    assert_eq!(log.state.moves.len(), 1, "the other one leads there already");
    log.run(Command::DeleteTopic { topic });
    assert!(log.state.moves.is_empty());
    let gone = Command::MoveLeaders { moves: vec![(pids[0], None)] };
    assert_eq!(log.run(gone), Reply::Rejected(Rejected::UnknownPartition(pids[0])));
}

#[test]
fn balance_moves_as_few_as_it_can_and_none_twice() {
    let mut log = three_brokers();
    log.topic("one", 7);
    log.topic("two", 3);
    assert_eq!(leads(&log.state), [10, 0, 0]);
    assert_eq!(log.state.imbalance_percent(), 150, "10 where it should be 4");
    let plan = log.state.plan_balance();
    assert_eq!(plan.len(), 6);
    let moves = plan.iter().map(|(id, to)| (*id, Some(*to))).collect();
    log.run(Command::MoveLeaders { moves });
    assert_eq!(log.state.plan_balance(), [], "they are under way");
    assert_eq!(log.state.imbalance_percent(), 0);
    let incarnation = log.state.brokers[&BROKER].incarnation;
    let transfer = |(partition, to): &(PartitionId, BrokerId)| LeaderTransfer {
        partition: *partition,
        expect: LeaderEpoch(0),
        start: Offset(0),
        to: *to,
    };
    log.run(Command::TransferLeaders {
        broker: BROKER,
        incarnation,
        partitions: plan.iter().map(transfer).collect(),
    });
    assert_eq!(leads(&log.state), [4, 3, 3]);
    // Who is drained gives all and is given none; that is not balance's affair.
    log.run(Command::DrainBroker { broker: BrokerId(2) });
    assert_eq!(log.state.plan_balance(), []);
}
