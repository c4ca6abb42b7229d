//! Who takes over from the dead.

use super::*;

fn claim(by: RegistrationId, dead: RegistrationId) -> Command {
    Command::ClaimRescue { broker: by.broker, incarnation: by.incarnation, dead }
}

fn fence(id: RegistrationId) -> Command {
    Command::FenceBroker { broker: id.broker, incarnation: id.incarnation }
}

fn id(broker: i32, incarnation: Incarnation) -> RegistrationId {
    RegistrationId { broker: BrokerId(broker), incarnation }
}

#[test]
fn one_broker_takes_over_from_a_dead_one_and_from_whom_that_had_taken_over() {
    let mut log = Log::new();
    let one = id(1, log.register(1));
    let [two, three] = [2, 3].map(|broker| {
        id(broker, log.register_as(BrokerId(broker), 1, broker.unsigned_abs().into()))
    });
    log.topic("t", 1);
    log.journal(one.incarnation);
    assert_eq!(log.run(claim(two, one)), Reply::Rejected(Rejected::BrokerAlive(BROKER)));
    log.run(fence(one));
    assert_eq!(log.state.orphans(), vec![one]);
    assert_eq!(log.run(claim(two, one)), Reply::Done);
    assert_eq!(log.run(claim(two, one)), Reply::Done, "a repeat");
    assert_eq!(log.state.orphans(), vec![]);
    let taken = Reply::Rejected(Rejected::RescuedBy(BrokerId(2)));
    assert_eq!(log.run(claim(three, one)), taken);
    log.run(fence(two));
    assert_eq!(log.state.orphans(), vec![one], "the second has left nothing");
    assert_eq!(log.run(claim(three, two)), Reply::Done);
    assert_eq!(log.state.rescuers.get(&one), Some(&three), "what it had taken over comes along");
    assert_eq!(log.state.orphans(), vec![]);
}

#[test]
fn what_a_dead_broker_had_taken_over_is_not_given_to_another_than_what_it_led() {
    let mut log = Log::new();
    let one = id(1, log.register(1));
    let [two, three, four] = [2, 3, 4].map(|broker| {
        id(broker, log.register_as(BrokerId(broker), 1, broker.unsigned_abs().into()))
    });
    log.topic("t", 1);
    for id in [one, two] {
        log.run(Command::OpenJournal {
            broker: id.broker,
            incarnation: id.incarnation,
            shard: 0,
            ensemble: vec![],
            ack_quorum: 1,
            request: 7,
        });
    }
    log.run(fence(one));
    log.run(claim(two, one));
    log.run(fence(two));
    assert_eq!(log.state.orphans(), vec![two], "the first comes along");
    // Whose turn it is for the first may be another than for the second; and an old image may still have it alone.
    assert_eq!(log.run(claim(three, one)), Reply::Done);
    let by = |dead| log.state.rescuers.get(&dead).copied();
    assert_eq!((by(one), by(two)), (Some(three), Some(three)));
    assert_eq!(log.state.orphans(), vec![]);
    let taken = Reply::Rejected(Rejected::RescuedBy(BrokerId(3)));
    assert_eq!(log.run(claim(four, two)), taken);
    assert_eq!(log.run(claim(three, one)), Reply::Done, "a repeat");
}
