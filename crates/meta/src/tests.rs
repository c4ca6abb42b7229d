//! Stories and random histories.

mod moves;
mod rescue;

use crate::*;
use esker_types::*;
use proptest::prelude::*;
use uuid::Uuid;

const BROKER: BrokerId = BrokerId(1);

/// A state with a log index that goes on.
struct Log {
    state: State,
    index: u64,
}

impl Log {
    fn new() -> Self {
        Self { state: State::default(), index: 0 }
    }

    fn run(&mut self, command: Command) -> Reply {
        self.index += 1;
        let now = Timestamp(i64::try_from(self.index).unwrap() * 1000);
        let proposal = Proposal { now, command };
        let bytes = Envelope::encode(&proposal);
        assert_eq!(Envelope::decode(&bytes).unwrap(), proposal);
        let reply = self.state.apply(self.index, &proposal);
        self.state.check().unwrap_or_else(|problem| panic!("{problem} after {proposal:?}"));
        reply
    }

    fn register(&mut self, process: u128) -> Incarnation {
        self.register_as(BROKER, process, 1)
    }

    fn register_as(&mut self, broker: BrokerId, process: u128, store: u128) -> Incarnation {
        let reply = self.run(registration(broker, process, store));
        let Reply::Registered(incarnation) = reply else { panic!("{reply:?}") };
        incarnation
    }

    fn topic(&mut self, name: &str, partitions: usize) -> (TopicId, Vec<PartitionId>) {
        let topic = TopicId(Uuid::from_u128(u128::from(self.index) + 1000));
        let reply = self.run(Command::CreateTopic {
            topic,
            name: TopicName::new(name).unwrap(),
            partitions: vec![NewPartition { leader: BROKER }; partitions],
            replication_factor: 1,
            configs: vec![],
        });
        assert_eq!(reply, Reply::Done);
        (topic, self.state.topics[&topic].partitions.clone())
    }

    fn journal(&mut self, incarnation: Incarnation) -> JournalId {
        let reply = self.run(Command::OpenJournal {
            broker: BROKER,
            incarnation,
            shard: 0,
            ensemble: vec![StoreId(Uuid::from_u128(1))],
            ack_quorum: 1,
            request: self.index,
        });
        let Reply::Journal(journal) = reply else { panic!("{reply:?}") };
        journal
    }

    fn ids(&mut self, incarnation: Incarnation, count: u32) -> ObjectId {
        let reply = self.run(Command::AllocateObjectIds { broker: BROKER, incarnation, count });
        let Reply::ObjectIds(first) = reply else { panic!("{reply:?}") };
        first
    }
}

fn registration(broker: BrokerId, process: u128, store: u128) -> Command {
    let registration = Registration {
        process,
        host: "localhost".into(),
        port: 9092,
        peer: None,
        rack: None,
        stores: vec![StoreId(Uuid::from_u128(store))],
    };
    Command::Register { broker, registration: Box::new(registration) }
}

fn object(id: ObjectId, kind: ObjectKind) -> FlushedObject {
    FlushedObject { object: id, kind, len: 1000, meta_position: 900 }
}

fn part(partition: PartitionId, base: i64, end: i64, object: ObjectId) -> FlushPart {
    FlushPart {
        partition,
        base: Offset(base),
        end: Offset(end),
        bytes: 10 * u64::try_from(end - base).unwrap(),
        max_timestamp: Timestamp(end),
        object,
        flags: ExtentFlags::default(),
    }
}

fn flush(
    incarnation: Incarnation,
    journal: JournalId,
    span: (u64, u64),
    objects: Vec<FlushedObject>,
    parts: Vec<FlushPart>,
) -> Command {
    Command::CommitFlush {
        broker: BROKER,
        incarnation,
        journal,
        after: Seq(span.0),
        upto: Seq(span.1),
        objects,
        parts,
    }
}

#[test]
fn a_flush_commits_once_in_order_and_only_by_the_owner() {
    let mut log = Log::new();
    let inc = log.register(1);
    let (_, pids) = log.topic("t", 2);
    let jid = log.journal(inc);
    let oid = log.ids(inc, 8);
    let first = flush(
        inc,
        jid,
        (0, 5),
        vec![object(oid, ObjectKind::Flush)],
        vec![part(pids[0], 0, 10, oid), part(pids[1], 0, 3, oid)],
    );
    assert_eq!(log.run(first.clone()), Reply::Done);
    assert_eq!(log.run(first), Reply::Done, "a repeat after a lost reply");
    assert_eq!(log.state.partitions[&pids[0]].tiered_end, Offset(10));
    assert_eq!(log.state.objects[&oid].references[0].1, 2);

    let second = ObjectId(oid.0 + 1);
    let gap = vec![part(pids[0], 11, 12, second)];
    let objects = vec![object(second, ObjectKind::Flush)];
    assert_eq!(
        log.run(flush(inc, jid, (5, 6), objects.clone(), gap)),
        Reply::Rejected(Rejected::NotContiguous(pids[0], Offset(10)))
    );
    assert_eq!(
        log.run(flush(inc, jid, (4, 6), objects.clone(), vec![])),
        Reply::Rejected(Rejected::Drained(Seq(5)))
    );
    let foreign = ObjectId(oid.0 + 100);
    assert_eq!(
        log.run(flush(inc, jid, (5, 6), vec![object(foreign, ObjectKind::Flush)], vec![])),
        Reply::Rejected(Rejected::ForeignObject(foreign))
    );
    let newer = log.register(2);
    assert!(newer > inc);
    assert_eq!(
        log.run(flush(inc, jid, (5, 6), objects, vec![])),
        Reply::Rejected(Rejected::Fenced(BROKER))
    );
}

#[test]
fn a_restart_seals_fixes_the_tail_elects_and_drains_behind() {
    let mut log = Log::new();
    let old = log.register(1);
    let (_, pids) = log.topic("t", 1);
    let jid = log.journal(old);
    let new = log.register(2);
    assert_eq!(log.register(2), new, "the same process is the same registration");
    assert_eq!(log.state.journals[&jid].state, JournalState::Sealing);
    let elect = |log: &Log| Command::ElectLeaders {
        broker: BROKER,
        incarnation: new,
        partitions: vec![PartitionElection {
            partition: pids[0],
            expect: log.state.partitions[&pids[0]].leader_epoch,
            start: Offset(7),
        }],
    };
    let early = elect(&log);
    assert_eq!(log.run(early), Reply::Elected(vec![]), "no leader before the tail is known");
    assert_eq!(log.run(Command::FixTail { journal: jid, tail: Seq(3) }), Reply::Done);
    assert_eq!(log.run(Command::FixTail { journal: jid, tail: Seq(9) }), Reply::Done);
    assert_eq!(log.state.journals[&jid].state, JournalState::Sealed { tail: Seq(3) });
    let now = elect(&log);
    assert_eq!(log.run(now), Reply::Elected(vec![pids[0]]));
    let epochs = &log.state.partitions[&pids[0]].epochs;
    assert_eq!(epochs[1], EpochStart { epoch: LeaderEpoch(1), start: Offset(7) });

    let oid = log.ids(new, 4);
    let drain = flush(
        new,
        jid,
        (0, 3),
        vec![object(oid, ObjectKind::Flush)],
        vec![part(pids[0], 0, 7, oid)],
    );
    assert_eq!(log.run(drain.clone()), Reply::Done);
    assert!(!log.state.journals.contains_key(&jid), "a drained journal is forgotten");
    assert_eq!(log.run(drain), Reply::Done, "a repeat after a lost reply");
}

#[test]
fn a_journals_row_is_changed_by_the_first_to_come_and_says_why_not_to_others() {
    let mut log = Log::new();
    let old = log.register(1);
    let first = log.journal(old);
    let roll = |incarnation, journal, end, request| Command::RollJournal {
        broker: BROKER,
        incarnation,
        journal,
        end: Seq(end),
        ensemble: vec![StoreId(Uuid::from_u128(1))],
        ack_quorum: 1,
        request,
    };
    let state = |journal| Reply::Rejected(Rejected::JournalState(journal));
    let drained = |seq| Reply::Rejected(Rejected::Drained(Seq(seq)));
    let drain = |by, journal, span| flush(by, journal, span, vec![], vec![]);
    assert_eq!(log.run(Command::FixTail { journal: first, tail: Seq(1) }), state(first), "open");
    assert_eq!(log.run(drain(old, first, (0, 2))), Reply::Done);
    assert_eq!(log.run(drain(old, first, (1, 3))), drained(2), "somebody was first");
    assert_eq!(log.run(drain(old, first, (2, 2))), state(first), "nothing");
    assert_eq!(log.run(roll(old, first, 1, 90)), drained(2), "below what is drained");
    let Reply::Journal(second) = log.run(roll(old, first, 4, 91)) else { panic!("not rolled") };
    assert_eq!(log.run(roll(old, first, 4, 91)), Reply::Journal(second), "a repeat");
    assert_eq!(log.run(roll(old, first, 5, 91)), state(first), "another end");
    assert_eq!(log.run(drain(old, first, (2, 5))), state(first), "beyond the end");

    let new = log.register(2);
    assert_eq!(log.state.journals[&first].state, JournalState::Rolled { end: Seq(4) });
    assert_eq!(log.state.journals[&second].state, JournalState::Sealing);
    assert_eq!(log.run(roll(new, second, 1, 92)), state(second), "it is being sealed");
    assert_eq!(log.run(drain(new, second, (0, 1))), state(second), "its tail is not known");
    assert_eq!(log.run(drain(new, first, (2, 4))), Reply::Done);
    assert!(!log.state.journals.contains_key(&first), "drained to its end");
    assert_eq!(log.run(Command::FixTail { journal: second, tail: Seq(3) }), Reply::Done);
    assert_eq!(log.run(drain(new, second, (0, 4))), state(second), "beyond the tail");
    assert_eq!(log.run(drain(new, second, (0, 2))), Reply::Done);
    assert_eq!(log.run(drain(new, second, (2, 3))), Reply::Done);
    assert_eq!(log.state.journals.len(), 0);
}

#[test]
fn ids_that_were_never_committed_become_garbage_and_spilled_ones_do_not() {
    let mut log = Log::new();
    let inc = log.register(1);
    let (topic, pids) = log.topic("t", 1);
    let jid = log.journal(inc);
    let oid = log.ids(inc, 4);
    let segment = object(oid, ObjectKind::Segment);
    log.run(flush(inc, jid, (0, 1), vec![segment], vec![part(pids[0], 0, 5, oid)]));
    let extent = log.state.partitions[&pids[0]].extents[0];
    let manifest = ManifestRef {
        object: ObjectId(oid.0 + 1),
        base: Offset(0),
        end: Offset(5),
        count: 1,
        bytes: 50,
        max_timestamp: Timestamp(5),
    };
    let spill = Command::SpillManifest {
        broker: BROKER,
        incarnation: inc,
        partition: pids[0],
        expect: vec![extent],
        manifest,
        len: 100,
    };
    assert_eq!(log.run(spill.clone()), Reply::Done);
    assert_eq!(log.run(spill), Reply::Done);
    assert!(!log.state.objects.contains_key(&oid), "the manifest stands for it");
    log.run(Command::ExpireBlock { first: oid });
    let garbage: Vec<_> = log.state.garbage.keys().copied().collect();
    assert_eq!(garbage, [ObjectId(oid.0 + 2), ObjectId(oid.0 + 3)]);
    log.run(Command::DeleteTopic { topic });
    assert!(log.state.garbage.contains_key(&manifest.object));
}

#[test]
fn an_id_that_is_given_up_becomes_garbage_and_can_no_longer_be_committed() {
    let mut log = Log::new();
    let inc = log.register(1);
    let (_, pids) = log.topic("t", 1);
    let jid = log.journal(inc);
    let oid = log.ids(inc, 4);
    let used = object(oid, ObjectKind::Segment);
    log.run(flush(inc, jid, (0, 1), vec![used], vec![part(pids[0], 0, 5, oid)]));
    let lost = ObjectId(oid.0 + 1);
    let give_up =
        |incarnation, objects| Command::GiveUpObjectIds { broker: BROKER, incarnation, objects };
    let foreign = ObjectId(oid.0 + 100);
    assert_eq!(log.run(give_up(inc, vec![oid, lost, foreign])), Reply::Done);
    assert!(log.state.objects.contains_key(&oid), "a committed one stays");
    let garbage = |log: &Log| log.state.garbage.keys().copied().collect::<Vec<_>>();
    assert_eq!(garbage(&log), [lost]);
    // What was on its way all the while.
    let late = flush(
        inc,
        jid,
        (1, 2),
        vec![object(lost, ObjectKind::Segment)],
        vec![part(pids[0], 5, 9, lost)],
    );
    log.run(late);
    assert_eq!(log.state.partitions[&pids[0]].tiered_end, Offset(5));
    assert!(!log.state.objects.contains_key(&lost));
    // Deleted, and neither a repeat nor the end of the block brings it back.
    log.run(Command::ConfirmDeleted { objects: vec![lost] });
    log.run(give_up(inc, vec![lost]));
    assert_eq!(garbage(&log), []);
    let newer = log.register(2);
    let left = ObjectId(oid.0 + 2);
    let refused = log.run(give_up(inc, vec![left]));
    assert_eq!(refused, Reply::Rejected(Rejected::Fenced(BROKER)));
    log.run(give_up(newer, vec![left]));
    assert_eq!(garbage(&log), [], "another's ids are not its own to give up");
    log.run(Command::ExpireBlock { first: oid });
    assert_eq!(garbage(&log), [left, ObjectId(oid.0 + 3)]);
}

#[test]
fn a_part_below_its_log_start_does_not_bury_the_object_of_the_others() {
    let mut log = Log::new();
    let inc = log.register(1);
    let (_, pids) = log.topic("t", 2);
    let jid = log.journal(inc);
    let oid = log.ids(inc, 2);
    // Trimmed before it is flushed: the first partition's extent is dead on arrival.
    let trim = vec![(pids[0], Offset(10))];
    log.run(Command::SetLogStart { broker: BROKER, incarnation: inc, partitions: trim });
    let parts = vec![part(pids[0], 0, 10, oid), part(pids[1], 0, 3, oid)];
    let objects = vec![object(oid, ObjectKind::Flush)];
    assert_eq!(log.run(flush(inc, jid, (0, 1), objects, parts)), Reply::Done);
    assert_eq!(log.state.partitions[&pids[0]].extents, []);
    assert_eq!(log.state.objects[&oid].references[0].1, 1);
    // The same where extents are replaced.
    let extents = log.state.partitions[&pids[1]].extents.clone();
    let merged = Extent { object: ObjectId(oid.0 + 1), ..extents[0] };
    let reply = log.run(Command::ReplaceExtents {
        broker: BROKER,
        incarnation: inc,
        objects: vec![object(merged.object, ObjectKind::Segment)],
        swaps: vec![ExtentSwap { partition: pids[1], expect: extents, new: vec![merged] }],
    });
    assert_eq!(reply, Reply::Skipped(vec![]));
    assert!(log.state.objects.contains_key(&merged.object));
}

const SAYS: ExtentFlags = ExtentFlags::HAS_PRODUCERS;
const SAYS_ALL: ExtentFlags = ExtentFlags(SAYS.0 | ExtentFlags::PRODUCERS_FULL.0);

/// A log whose one partition has extents of ten offsets each, with these flags, each in an object of its own.
fn with_extents(flags: &[ExtentFlags]) -> (Log, Incarnation, JournalId, PartitionId) {
    let mut log = Log::new();
    let inc = log.register(1);
    let (_, pids) = log.topic("t", 1);
    let jid = log.journal(inc);
    for flags in flags {
        log.flush_one(inc, jid, pids[0], *flags);
    }
    (log, inc, jid, pids[0])
}

impl Log {
    fn flush_one(
        &mut self,
        inc: Incarnation,
        jid: JournalId,
        pid: PartitionId,
        flags: ExtentFlags,
    ) {
        let oid = self.ids(inc, 1);
        let base = self.state.partitions[&pid].tiered_end.get();
        let parts = vec![FlushPart { flags, ..part(pid, base, base + 10, oid) }];
        let drained = self.state.journals[&jid].drained.0;
        let objects = vec![object(oid, ObjectKind::Flush)];
        assert_eq!(self.run(flush(inc, jid, (drained, drained + 1), objects, parts)), Reply::Done);
    }

    /// Raises the log start, and answers where extents begin then.
    fn trim(&mut self, inc: Incarnation, pid: PartitionId, start: i64) -> i64 {
        let partitions = vec![(pid, Offset(start))];
        self.run(Command::SetLogStart { broker: BROKER, incarnation: inc, partitions });
        assert_eq!(self.state.partitions[&pid].log_start, Offset(start));
        self.state.partitions[&pid].tiered_start().get()
    }

    /// Says the producers below `upto` in a new object, or that there are none, and answers where extents begin then.
    fn keep(&mut self, inc: Incarnation, pid: PartitionId, upto: i64, some: bool) -> i64 {
        let oid = self.ids(inc, 1);
        let object = some.then_some(oid);
        let command = Command::KeepProducers {
            broker: BROKER,
            incarnation: inc,
            objects: object.map(object_of_producers).into_iter().collect(),
            partitions: vec![(pid, ProducerSnapshotRef { object, upto: Offset(upto) })],
        };
        assert_eq!(self.run(command.clone()), Reply::Done);
        let after = self.state.clone();
        assert_eq!(self.run(command), Reply::Done, "a repeat after a lost reply");
        assert_eq!(self.state.producers, after.producers);
        assert_eq!(self.state.objects, after.objects);
        self.state.partitions[&pid].tiered_start().get()
    }
}

fn object_of_producers(id: ObjectId) -> FlushedObject {
    object(id, ObjectKind::Producers)
}

#[test]
fn what_extents_say_of_producers_outlives_the_log_start() {
    let plain = ExtentFlags::default();
    let (mut log, inc, jid, pid) = with_extents(&[plain, SAYS, plain, SAYS_ALL, SAYS, plain]);
    assert_eq!(log.trim(inc, pid, 25), 20, "an extent later on says everything");
    assert_eq!(log.trim(inc, pid, 40), 30, "this one");
    assert_eq!(log.trim(inc, pid, 60), 30, "though no record of it is there any more");
    assert_eq!(log.keep(inc, pid, 40, true), 40, "what is said up to 40 may go");
    assert_eq!(log.keep(inc, pid, 30, true), 40, "older news are none");
    assert_eq!(log.state.objects.len(), 3);
    assert_eq!(log.keep(inc, pid, 60, true), 60);
    assert_eq!(log.state.objects.len(), 1, "the object of the producers");
    // What comes later adds to it, until it says everything itself.
    log.flush_one(inc, jid, pid, SAYS);
    assert_eq!(log.trim(inc, pid, 70), 60);
    let row = &log.state.partitions[&pid];
    let sources = log.state.producer_sources(pid, row);
    assert_eq!(sources.snapshot.map(|snapshot| snapshot.upto), Some(Offset(60)));
    assert_eq!(sources.extents, row.extents);
    log.flush_one(inc, jid, pid, SAYS_ALL);
    assert!(log.state.producers.is_empty());
    assert_eq!(log.state.partitions[&pid].tiered_start(), Offset(70));
    assert_eq!(log.state.objects.len(), 1, "the extent's");
}

#[test]
fn extents_of_forgotten_producers_go_without_an_object() {
    let (mut log, inc, _, pid) = with_extents(&[SAYS, SAYS]);
    assert_eq!(log.trim(inc, pid, 10), 0);
    assert_eq!(log.keep(inc, pid, 20, false), 10, "nothing below the log start, and nothing above");
    assert_eq!(log.trim(inc, pid, 20), 20);
    assert!(log.state.objects.is_empty());
    let topic = log.state.partitions[&pid].topic;
    assert_eq!(log.run(Command::DeleteTopic { topic }), Reply::Done);
    assert!(log.state.producers.is_empty());
}

#[test]
fn merged_extents_that_begin_before_what_was_kept_still_tell_what_comes_after_it() {
    let (mut log, inc, jid, pid) = with_extents(&[SAYS, SAYS]);
    log.trim(inc, pid, 10);
    assert_eq!(log.keep(inc, pid, 20, true), 10);
    log.flush_one(inc, jid, pid, SAYS);
    let expect = log.state.partitions[&pid].extents.clone();
    let merged = Extent { end: Offset(30), object: log.ids(inc, 1), ..expect[0] };
    let reply = log.run(Command::ReplaceExtents {
        broker: BROKER,
        incarnation: inc,
        objects: vec![object(merged.object, ObjectKind::Segment)],
        swaps: vec![ExtentSwap { partition: pid, expect, new: vec![merged] }],
    });
    assert_eq!(reply, Reply::Skipped(vec![]));
    assert_eq!(log.state.producer_sources(pid, &log.state.partitions[&pid]).extents, [merged]);
    assert_eq!(log.trim(inc, pid, 30), 10);
    assert_eq!(log.keep(inc, pid, 30, true), 30);
}

#[test]
fn producers_are_told_only_in_objects_of_the_proposer_and_where_there_are_offsets() {
    let (mut log, inc, _, pid) = with_extents(&[SAYS]);
    let oid = log.ids(inc, 2);
    let run = |log: &mut Log, incarnation, object: Option<ObjectId>, upto| {
        log.run(Command::KeepProducers {
            broker: BROKER,
            incarnation,
            objects: vec![object_of_producers(oid)],
            partitions: vec![(pid, ProducerSnapshotRef { object, upto: Offset(upto) })],
        })
    };
    let other = ObjectId(oid.0 + 1);
    for (incarnation, object, upto, expected) in [
        (Incarnation(99), oid, 10, Rejected::Fenced(BROKER)),
        (inc, other, 10, Rejected::ForeignObject(other)),
        (inc, oid, 11, Rejected::NotContiguous(pid, Offset(10))),
    ] {
        assert_eq!(run(&mut log, incarnation, Some(object), upto), Reply::Rejected(expected));
    }
    assert!(log.state.producers.is_empty());
    // Of a topic that is deleted meanwhile nothing is to be said.
    let topic = log.state.partitions[&pid].topic;
    log.run(Command::DeleteTopic { topic });
    assert_eq!(run(&mut log, inc, Some(oid), 10), Reply::Done);
    assert!(log.state.producers.is_empty() && log.state.objects.is_empty());
    assert!(log.state.garbage.contains_key(&oid));
}

#[test]
fn a_broker_that_is_thought_dead_proposes_nothing_and_its_partitions_go_to_others() {
    let mut log = Log::new();
    let (dead, alive) = (log.register(1), log.register_as(BrokerId(2), 2, 2));
    let (_, pids) = log.topic("t", 2);
    let journal = log.journal(dead);
    log.run(Command::FenceBroker { broker: BROKER, incarnation: Incarnation(dead.0 + 1) });
    assert_eq!(log.state.brokers[&BROKER].state, BrokerState::Active, "another registration");
    log.run(Command::FenceBroker { broker: BROKER, incarnation: dead });
    assert_eq!(log.state.brokers[&BROKER].state, BrokerState::Fenced);
    assert_eq!(log.state.journals[&journal].state, JournalState::Sealing);
    assert!(!log.state.has_leader(&log.state.partitions[&pids[0]]));
    let fenced = Reply::Rejected(Rejected::Fenced(BROKER));
    assert_eq!(log.run(flush(dead, journal, (0, 1), vec![], vec![])), fenced);
    let roll = Command::RollJournal {
        broker: BROKER,
        incarnation: dead,
        journal,
        end: Seq(1),
        ensemble: vec![],
        ack_quorum: 1,
        request: 9,
    };
    assert_eq!(log.run(roll), fenced);

    let elect = |start| Command::ElectLeaders {
        broker: BrokerId(2),
        incarnation: alive,
        partitions: vec![PartitionElection {
            partition: pids[0],
            expect: LeaderEpoch(0),
            start: Offset(start),
        }],
    };
    assert_eq!(log.run(elect(5)), Reply::Elected(vec![]), "the tail is not known");
    log.run(Command::FixTail { journal, tail: Seq(3) });
    assert_eq!(log.run(elect(5)), Reply::Elected(vec![pids[0]]));
    assert_eq!(log.run(elect(5)), Reply::Elected(vec![pids[0]]), "a repeat");
    let row = &log.state.partitions[&pids[0]];
    assert_eq!((row.leader, row.leader_epoch), (BrokerId(2), LeaderEpoch(1)));
    assert!(log.state.has_leader(row));

    let remove = Command::RemoveBroker { broker: BROKER };
    let holds = Rejected::BrokerHolds { broker: BROKER, partitions: 1, journals: 1 };
    assert_eq!(log.run(remove), Reply::Rejected(holds));
    let two = Command::RemoveBroker { broker: BrokerId(2) };
    assert_eq!(log.run(two), Reply::Rejected(Rejected::BrokerAlive(BrokerId(2))));
}

#[test]
fn a_number_is_taken_while_its_broker_is_thought_alive_and_its_disk_may_come_back_at_once() {
    let mut log = Log::new();
    let first = log.register_as(BROKER, 1, 1);
    let other = registration(BROKER, 2, 2);
    assert_eq!(log.run(other.clone()), Reply::Rejected(Rejected::BrokerIdInUse(BROKER)));
    let second = log.register_as(BROKER, 3, 1);
    assert_ne!(first, second, "the same disk");
    log.run(Command::FenceBroker { broker: BROKER, incarnation: second });
    assert!(
        matches!(log.run(other.clone()), Reply::Registered(_)),
        "a new disk, once the old is dead"
    );
    assert!(matches!(log.run(other), Reply::Registered(_)), "a repeat");
}

#[test]
fn what_an_operator_drains_stays_drained_over_restarts() {
    let mut log = Log::new();
    log.register_as(BROKER, 1, 1);
    assert_eq!(log.run(Command::DrainBroker { broker: BROKER }), Reply::Done);
    assert_eq!(log.state.placeable().count(), 0);
    log.register_as(BROKER, 2, 1);
    assert_eq!(log.state.brokers[&BROKER].state, BrokerState::Draining);
    let incarnation = log.state.brokers[&BROKER].incarnation;
    log.run(Command::FenceBroker { broker: BROKER, incarnation });
    log.run(Command::ResumeBroker { broker: BROKER });
    assert_eq!(log.state.brokers[&BROKER].state, BrokerState::Fenced, "dead is not resumed");
    log.register_as(BROKER, 3, 1);
    assert_eq!(log.state.brokers[&BROKER].state, BrokerState::Active);
    let unknown = Command::DrainBroker { broker: BrokerId(9) };
    assert_eq!(log.run(unknown), Reply::Rejected(Rejected::UnknownBroker(BrokerId(9))));
}

#[test]
fn a_leader_gives_away_only_what_is_in_the_bucket_and_only_to_who_may_lead() {
    let mut log = Log::new();
    let inc = log.register(1);
    log.register_as(BrokerId(2), 2, 2);
    let (_, pids) = log.topic("t", 1);
    let journal = log.journal(inc);
    let oid = log.ids(inc, 8);
    let objects = vec![object(oid, ObjectKind::Flush)];
    log.run(flush(inc, journal, (0, 5), objects, vec![part(pids[0], 0, 10, oid)]));
    let transfer = |start, to| Command::TransferLeaders {
        broker: BROKER,
        incarnation: inc,
        partitions: vec![LeaderTransfer {
            partition: pids[0],
            expect: LeaderEpoch(0),
            start: Offset(start),
            to,
        }],
    };
    let nothing = Reply::Elected(vec![]);
    assert_eq!(log.run(transfer(11, BrokerId(2))), nothing, "one record is not in the bucket");
    assert_eq!(log.run(transfer(10, BrokerId(3))), nothing, "nobody has this number");
    log.run(Command::DrainBroker { broker: BrokerId(2) });
    assert_eq!(log.run(transfer(10, BrokerId(2))), nothing, "it is leaving");
    log.run(Command::ResumeBroker { broker: BrokerId(2) });
    for _repeat in 0..2 {
        assert_eq!(log.run(transfer(10, BrokerId(2))), Reply::Elected(vec![pids[0]]));
    }
    let row = &log.state.partitions[&pids[0]];
    assert_eq!(
        (row.leader, row.leader_epoch, row.epochs.last().unwrap().start),
        (BrokerId(2), LeaderEpoch(1), Offset(10))
    );
}

#[test]
fn topics_collide_by_name_and_metric_name() {
    let mut log = Log::new();
    log.register(1);
    log.topic("a.b", 1);
    for (name, expected) in [
        ("a.b", Rejected::TopicExists("a.b".into())),
        ("a_b", Rejected::TopicCollides("a.b".into())),
    ] {
        let reply = log.run(Command::CreateTopic {
            topic: TopicId(Uuid::from_u128(1)),
            name: TopicName::new(name).unwrap(),
            partitions: vec![],
            replication_factor: 1,
            configs: vec![],
        });
        assert_eq!(reply, Reply::Rejected(expected));
    }
}

#[test]
fn no_id_is_given_out_twice_whoever_asks_and_whatever_was_restarted_between() {
    let mut log = Log::new();
    let (mut producers, mut objects) = (0, 0);
    for (process, count) in [(1, 1000), (2, 1), (2, 1000), (3, 3)] {
        let incarnation = log.register(process);
        for _ in 0..2 {
            let command = Command::AllocateProducerIds { broker: BROKER, incarnation, count };
            let Reply::ProducerIds(first) = log.run(command) else { panic!("no ids") };
            assert!(first >= producers, "{first} was in a block that ended at {producers}");
            producers = first + i64::from(count);
            let first = log.ids(incarnation, count).get();
            assert!(first >= objects, "{first} was in a block that ended at {objects}");
            objects = first + u64::from(count);
        }
        log.state = State::decode_snapshot(&log.state.encode_snapshot()).unwrap();
    }
}

#[test]
fn damage_to_a_snapshot_is_noticed() {
    let mut log = Log::new();
    let inc = log.register(1);
    log.topic("t", 3);
    log.ids(inc, 10);
    let bytes = log.state.encode_snapshot();
    assert_eq!(State::decode_snapshot(&bytes).unwrap(), log.state);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // The two reserved bytes of a section header are covered by its checksum too.
            assert!(State::decode_snapshot(&damaged).is_err(), "byte {at} bit {bit}");
        }
        assert!(State::decode_snapshot(&bytes[..at]).is_err());
    }
}

/// A random step, made legal enough by the state it meets.
#[derive(Debug, Clone)]
enum Step {
    Restart,
    Topic(usize),
    Delete(usize),
    Flush { parts: Vec<(usize, u8, ExtentFlags)>, segment: bool },
    Trim(usize, u8),
    Merge(usize, usize),
    Keep { partitions: Vec<(usize, usize)>, some: bool },
    Expire,
    Confirm,
}

/// What an extent may say of producers.
fn flags() -> impl Strategy<Value = ExtentFlags> {
    let plain = ExtentFlags::default();
    prop_oneof![4 => Just(plain), 4 => Just(SAYS), 1 => Just(SAYS_ALL), 1 => Just(ExtentFlags::PRODUCERS_FULL)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Restart),
        2 => (1usize..4).prop_map(Step::Topic),
        1 => any::<usize>().prop_map(Step::Delete),
        8 => (prop::collection::vec((any::<usize>(), 1u8..20, flags()), 1..5), any::<bool>())
            .prop_map(|(parts, segment)| Step::Flush { parts, segment }),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(p, o)| Step::Trim(p, o)),
        3 => (any::<usize>(), 1usize..4).prop_map(|(p, n)| Step::Merge(p, n)),
        3 => (prop::collection::vec((any::<usize>(), 0usize..3), 1..4), any::<bool>())
            .prop_map(|(partitions, some)| Step::Keep { partitions, some }),
        1 => Just(Step::Expire),
        1 => Just(Step::Confirm),
    ]
}

proptest! {
    #[test]
    fn any_history_keeps_the_invariants_and_survives_a_snapshot(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut log = Log::new();
        let mut inc = log.register(0);
        let mut jid = log.journal(inc);
        let mut seq = 0;
        // Ends of extents that said something of producers, after the last one that said everything.
        let mut said: std::collections::BTreeMap<PartitionId, Vec<Offset>> = Default::default();
        for (turn, step) in steps.into_iter().enumerate() {
            let pids: Vec<_> = log.state.partitions.keys().copied().collect();
            match step {
                Step::Restart => {
                    inc = log.register(turn as u128 + 1);
                    log.run(Command::FixTail { journal: jid, tail: Seq(seq) });
                    let partitions = pids.iter().map(|pid| PartitionElection {
                        partition: *pid,
                        expect: log.state.partitions[pid].leader_epoch,
                        start: log.state.partitions[pid].tiered_end,
                    }).collect::<Vec<_>>();
                    let reply = log.run(Command::ElectLeaders { broker: BROKER, incarnation: inc, partitions });
                    prop_assert_eq!(reply, Reply::Elected(pids));
                    jid = log.journal(inc);
                    seq = 0;
                }
                Step::Topic(count) => { log.topic(&format!("t{turn}"), count); }
                Step::Delete(nth) => {
                    let topics: Vec<_> = log.state.topics.keys().copied().collect();
                    if !topics.is_empty() {
                        log.run(Command::DeleteTopic { topic: topics[nth % topics.len()] });
                    }
                }
                Step::Flush { parts, segment } if !pids.is_empty() => {
                    let oid = log.ids(inc, 2);
                    let kind = if segment { ObjectKind::Segment } else { ObjectKind::Flush };
                    let mut flushed = Vec::new();
                    for (nth, count, flags) in parts {
                        let pid = pids[nth % pids.len()];
                        if flushed.iter().all(|p: &FlushPart| p.partition != pid) {
                            let base = log.state.partitions[&pid].tiered_end.get();
                            flushed.push(FlushPart { flags, ..part(pid, base, base + i64::from(count), oid) });
                        }
                    }
                    for part in &flushed {
                        let ends = said.entry(part.partition).or_default();
                        if part.flags.has(ExtentFlags::PRODUCERS_FULL) {
                            ends.clear();
                        }
                        if part.flags.has(SAYS) {
                            ends.push(part.end);
                        }
                    }
                    let reply = log.run(flush(inc, jid, (seq, seq + 1), vec![object(oid, kind)], flushed));
                    prop_assert_eq!(reply, Reply::Done);
                    seq += 1;
                }
                Step::Trim(nth, by) if !pids.is_empty() => {
                    let pid = pids[nth % pids.len()];
                    let row = &log.state.partitions[&pid];
                    let start = Offset((row.log_start.get() + i64::from(by)).min(row.tiered_end.get()));
                    log.run(Command::SetLogStart { broker: BROKER, incarnation: inc, partitions: vec![(pid, start)] });
                }
                Step::Merge(nth, count) if !pids.is_empty() => {
                    let pid = pids[nth % pids.len()];
                    let expect: Vec<_> = log.state.partitions[&pid].extents.iter().take(count).copied().collect();
                    if let (Some(first), Some(last)) = (expect.first(), expect.last()) {
                        let oid = log.ids(inc, 1);
                        let flags = expect.iter().fold(ExtentFlags::default(), |all, e| all.with(e.flags));
                        let merged = Extent { end: last.end, object: oid, bytes: 1, flags, ..*first };
                        let swap = ExtentSwap { partition: pid, expect, new: vec![merged] };
                        let reply = log.run(Command::ReplaceExtents {
                            broker: BROKER,
                            incarnation: inc,
                            objects: vec![object(oid, ObjectKind::Segment)],
                            swaps: vec![swap],
                        });
                        prop_assert_eq!(reply, Reply::Skipped(vec![]));
                    }
                }
                Step::Keep { partitions, some } if !pids.is_empty() => {
                    let oid = log.ids(inc, 1);
                    let refs: Vec<_> = partitions.iter().map(|(nth, back)| {
                        let pid = pids[nth % pids.len()];
                        let row = &log.state.partitions[&pid];
                        let ends = row.extents.iter().rev().map(|e| e.end);
                        let upto = ends.chain([Offset::ZERO]).nth((*back).min(row.extents.len())).unwrap();
                        (pid, ProducerSnapshotRef { object: some.then_some(oid), upto })
                    }).collect();
                    let reply = log.run(Command::KeepProducers {
                        broker: BROKER,
                        incarnation: inc,
                        objects: vec![object_of_producers(oid)],
                        partitions: refs,
                    });
                    prop_assert_eq!(reply, Reply::Done);
                }
                Step::Expire => {
                    let old: Vec<_> = log.state.blocks.iter()
                        .filter(|(_, block)| block.incarnation != inc).map(|(first, _)| *first).collect();
                    for first in old {
                        log.run(Command::ExpireBlock { first });
                    }
                }
                Step::Confirm => {
                    let objects: Vec<_> = log.state.garbage.keys().copied().collect();
                    log.run(Command::ConfirmDeleted { objects });
                }
                _ => {}
            }
            for (pid, ends) in &mut said {
                let Some(row) = log.state.partitions.get(pid) else { continue };
                let sources = log.state.producer_sources(*pid, row);
                // An extent that says everything stands for all before it.
                let kept = sources.snapshot.map_or(Offset::ZERO, |snapshot| snapshot.upto);
                let from = sources.extents.iter().filter(|e| e.flags.has(ExtentFlags::PRODUCERS_FULL)).map(|e| e.end).max();
                for end in ends.iter().filter(|end| **end > kept.max(from.unwrap_or_default())) {
                    let is_told = sources.extents.iter().any(|e| e.base < *end && *end <= e.end && e.flags.has(SAYS));
                    prop_assert!(is_told, "partition {}: what was said up to {} is forgotten", pid, end);
                }
            }
            let copy = State::decode_snapshot(&log.state.encode_snapshot()).unwrap();
            prop_assert_eq!(&copy, &log.state);
        }
    }

    #[test]
    fn foreign_bytes_are_no_command_and_no_snapshot(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes);
        prop_assert!(State::decode_snapshot(&bytes).is_err());
    }
}
