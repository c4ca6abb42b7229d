//! The parts one by one: what they answer, in the order in which a store's log reports.

use esker_journal::{
    Answer, Copy, Next, Owner, OwnerPhase, Quorum, Refusal, Refused, Replica, ReplicaPhase,
    Rescuer, RollAnswer, Row, RowSeen, RowState, SealAnswer, SealStep,
};
use esker_types::Seq;

fn quorum() -> Quorum {
    Quorum::new(3, 2).expect("two of three")
}

#[test]
fn an_entry_is_exposed_by_the_second_store() {
    let mut owner = Owner::new(quorum());
    assert_eq!((owner.append(), owner.append()), (Some(Seq(1)), Some(Seq(2))));
    assert_eq!(owner.on_durable(0, Seq(2)), None);
    assert_eq!(owner.on_durable(2, Seq(1)), Some(Seq(1)));
    assert_eq!(owner.on_durable(2, Seq(1)), None, "told twice");
    assert_eq!(owner.on_durable(1, Seq(2)), Some(Seq(2)));
    assert_eq!(owner.on_durable(1, Seq(1)), None, "told late");
    assert_eq!(owner.flushable(), Some((Seq(0), Seq(2))));
    owner.on_drained(Seq(2));
    assert_eq!(owner.flushable(), None);
}

#[test]
fn a_roll_freezes_until_its_outcome_is_known() {
    let mut owner = Owner::new(quorum());
    owner.append();
    owner.append();
    owner.on_durable(0, Seq(2));
    owner.on_durable(1, Seq(1));
    assert_eq!(owner.roll(), Some(Seq(1)));
    assert_eq!(owner.append(), None);
    assert_eq!(owner.on_durable(1, Seq(2)), None, "frozen");
    owner.on_roll(RollAnswer::Unknown);
    assert_eq!(owner.roll(), Some(Seq(1)), "the same proposal again");
    owner.on_roll(RollAnswer::Done);
    assert_eq!(owner.phase(), OwnerPhase::Rolled { end: Seq(1) });
    owner.on_sealed();
    assert_eq!(owner.flushable(), Some((Seq(0), Seq(1))), "what has an end is still flushed");
}

#[test]
fn a_fenced_owner_stops() {
    let mut owner = Owner::new(quorum());
    owner.append();
    owner.on_durable(0, Seq(1));
    owner.roll();
    owner.on_roll(RollAnswer::NotOpen);
    assert_eq!(owner.phase(), OwnerPhase::Stopped);
    assert_eq!(owner.on_durable(1, Seq(1)), None);
    assert_eq!((owner.append(), owner.roll(), owner.flushable()), (None, None, None));
}

#[test]
fn a_replica_takes_entries_in_order_and_only_where_it_is_listed() {
    let mut replica = Replica::absent();
    let unknown = Answer::Refuse(Refusal::Unknown);
    assert_eq!(replica.on_append(Seq(1), RowSeen::NotYet), unknown);
    assert_eq!(replica.on_append(Seq(1), RowSeen::Gone), unknown);
    assert_eq!(replica.on_append(Seq(1), RowSeen::Listed), Answer::Take);
    assert_eq!(replica.on_append(Seq(1), RowSeen::Listed), Answer::Have);
    let gap = Answer::Refuse(Refusal::Gap { expected: Seq(2) });
    assert_eq!(replica.on_append(Seq(3), RowSeen::Listed), gap);
    assert_eq!(replica.on_append(Seq(2), RowSeen::Listed), Answer::Take);
    assert_eq!(replica.on_durable(Seq(1)), Some(Seq(1)));
    replica.on_refused(Seq(2));
    assert_eq!(replica.on_append(Seq(2), RowSeen::Listed), Answer::Take, "it was never written");
}

#[test]
fn a_seal_counts_what_was_written_before_it() {
    let mut replica = Replica::absent();
    for seq in 1..=3 {
        replica.on_append(Seq(seq), RowSeen::Listed);
    }
    assert_eq!(replica.on_durable(Seq(1)), Some(Seq(1)));
    assert_eq!(replica.on_seal(), SealStep::Log);
    assert_eq!(replica.on_seal(), SealStep::Wait);
    let sealed = Answer::Refuse(Refusal::Sealed);
    assert_eq!(replica.on_append(Seq(4), RowSeen::Listed), sealed);
    // A commit that was under way comes before the seal; the rest is refused by the log.
    assert_eq!(replica.on_durable(Seq(2)), None);
    let answer = SealAnswer::Sealed { durable: Seq(2), trimmed: Seq(0) };
    assert_eq!(replica.on_sealed(Seq(2)), answer);
    assert_eq!(replica.on_seal(), SealStep::Answer(answer));
    assert_eq!(replica.on_append(Seq(3), RowSeen::Listed), sealed);
    assert!(!replica.on_copy(Seq(3), Seq(4)), "a copy continues what is here");
    assert!(replica.on_copy(Seq(2), Seq(4)));
    assert_eq!(replica.durable(), Seq(4));
    assert!(!replica.on_row(RowSeen::Listed));
    assert!(replica.on_row(RowSeen::Gone));
    assert_eq!(replica.phase(), ReplicaPhase::Absent);
}

#[test]
fn a_seal_of_nothing_is_a_seal_and_a_lost_store_has_no_say() {
    let mut replica = Replica::absent();
    assert_eq!(replica.on_seal(), SealStep::Log);
    replica.on_sealed(Seq(0));
    let sealed = Answer::Refuse(Refusal::Sealed);
    assert_eq!(replica.on_append(Seq(1), RowSeen::Listed), sealed);
    let mut lost = Replica::recovered(true, true, Seq(9), Seq(0));
    assert_eq!(lost.on_seal(), SealStep::Answer(SealAnswer::NotAuthoritative));
    assert!(!lost.on_row(RowSeen::Gone));
}

fn sealed(durable: u64, trimmed: u64) -> SealAnswer {
    SealAnswer::Sealed { durable: Seq(durable), trimmed: Seq(trimmed) }
}

#[test]
fn a_rescuer_copies_before_it_fixes() {
    let mut rescuer = Rescuer::new(quorum());
    rescuer.on_seal(0, SealAnswer::NotAuthoritative);
    rescuer.on_seal(1, sealed(5, 2));
    assert_eq!(rescuer.next(Seq(0)), Next::Seal);
    rescuer.on_seal(2, sealed(3, 0));
    let copy = Copy { from: 1, to: 2, after: Seq(3), upto: Seq(5) };
    assert_eq!(rescuer.next(Seq(0)), Next::Copy(copy));
    assert_eq!(rescuer.next(Seq(5)), Next::Fix { tail: Seq(5) }, "all of it is in the bucket");
    rescuer.on_copied(2, Seq(5));
    assert_eq!(rescuer.next(Seq(0)), Next::Fix { tail: Seq(5) });
}

#[test]
fn a_rescuer_with_too_few_stores_drains_first() {
    let mut rescuer = Rescuer::new(Quorum::new(3, 3).unwrap());
    rescuer.on_seal(2, sealed(4, 0));
    assert_eq!(rescuer.next(Seq(1)), Next::DrainFirst { from: 2, tail: Seq(4) });
    assert_eq!(rescuer.next(Seq(4)), Next::Fix { tail: Seq(4) });
    // The source has given up what the target lacks.
    let mut rescuer = Rescuer::new(quorum());
    rescuer.on_seal(0, sealed(5, 4));
    rescuer.on_seal(1, sealed(3, 0));
    assert_eq!(rescuer.next(Seq(4)), Next::DrainFirst { from: 0, tail: Seq(5) });
    // One store is all there is.
    let mut rescuer = Rescuer::new(Quorum::new(1, 1).unwrap());
    rescuer.on_seal(0, sealed(7, 0));
    assert_eq!(rescuer.next(Seq(0)), Next::Fix { tail: Seq(7) });
}

#[test]
fn a_row_decides_once() {
    let mut row = Row::open();
    row.drain(Seq(0), Seq(2), true).unwrap();
    assert_eq!(row.drain(Seq(0), Seq(3), true), Err(Refused::Drained), "somebody was first");
    assert_eq!(row.roll(Seq(1)), Err(Refused::Drained), "entries after it are drained");
    row.fence();
    assert_eq!(row.roll(Seq(5)), Err(Refused::State));
    assert_eq!(row.drain(Seq(2), Seq(3), true), Err(Refused::State), "the owner is fenced");
    row.fix_tail(Seq(5)).unwrap();
    assert!(row.fix_tail(Seq(7)).is_err());
    assert_eq!(row.drain(Seq(2), Seq(6), false), Err(Refused::State), "beyond the tail");
    row.drain(Seq(2), Seq(4), false).unwrap();
    row.drain(Seq(4), Seq(5), false).unwrap();
    assert_eq!(row.state(), RowState::Closed { last: Seq(5) });
    let mut row = Row::open();
    row.fence();
    row.drain(Seq(0), Seq(3), false).unwrap();
    row.fix_tail(Seq(2)).unwrap();
    assert_eq!(row.state(), RowState::Closed { last: Seq(3) }, "never before what is drained");
}
