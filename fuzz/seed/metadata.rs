//! `metadata_snapshot`: a state with something of everything, whole and section by section.

use std::io;

use esker_fuzz::sections;
use esker_meta::{
    Command, ConfigChange, ConfigResource, ExtentFlags, FlushPart, FlushedObject, NewPartition,
    ObjectKind, PartitionElection, ProducerSnapshotRef, Proposal, Reply, State,
};
use esker_types::{
    BrokerId, ClusterId, JournalId, ObjectId, Offset, PartitionId, Seq, StoreId, Timestamp,
    TopicId, TopicName,
};
use uuid::Uuid;

use crate::Corpus;

const BROKER: BrokerId = BrokerId(1);

pub(crate) fn write(corpus: &Corpus) -> io::Result<()> {
    let mut history = History::default();
    corpus.put("metadata_snapshot", "nothing", &history.0.encode_snapshot())?;
    history.live();
    let snapshot = history.0.encode_snapshot();
    corpus.put("metadata_snapshot", "whole", &snapshot)?;
    let plain = sections(&snapshot);
    corpus.put("metadata_snapshot", "sections", &joined(&plain))?;
    for (index, (number, body)) in plain.iter().enumerate() {
        let mut one = vec![(0, Vec::new()); plain.len()];
        one[index].1.clone_from(body);
        corpus.put("metadata_snapshot", &format!("section-{number}"), &joined(&one))?;
    }
    Ok(())
}

/// As the target cuts them again.
fn joined(sections: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, section) in sections {
        let len = u16::try_from(section.len()).expect("a small state");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(section);
    }
    out
}

#[derive(Default)]
struct History(State);

impl History {
    fn run(&mut self, command: Command) -> Reply {
        let index = self.0.applied + 1;
        let now = Timestamp(i64::try_from(index).expect("few commands") * 1000);
        let reply = self.0.apply(index, &Proposal { now, command });
        assert!(!matches!(reply, Reply::Rejected(_)), "{reply:?}");
        reply
    }

    fn live(&mut self) {
        self.run(Command::FoundCluster { cluster: ClusterId(Uuid::from_u128(5)) });
        let store = StoreId(Uuid::from_u128(9));
        let Reply::Registered(incarnation) = self.run(Command::RegisterBroker {
            broker: BROKER,
            process: 1,
            host: "localhost".into(),
            port: 9092,
            rack: Some("rack".into()),
            stores: vec![store],
        }) else {
            unreachable!("a registration is answered so")
        };
        for number in 1..=2 {
            self.run(Command::CreateTopic {
                topic: TopicId(Uuid::from_u128(number)),
                name: TopicName::new(&format!("topic-{number}")).expect("a legal name"),
                partitions: vec![NewPartition { leader: BROKER }; 2],
                replication_factor: 1,
                configs: vec![("retention.ms".into(), "1000".into())],
            });
        }
        let resource = ConfigResource::Broker(Some(BROKER));
        let change = ConfigChange::Resource(resource, "log.retention.ms".into(), Some("7".into()));
        self.run(Command::AlterConfigs { changes: vec![change] });
        let Reply::Journal(journal) = self.run(Command::OpenJournal {
            broker: BROKER,
            incarnation,
            shard: 0,
            ensemble: vec![store],
            ack_quorum: 1,
            request: 1,
        }) else {
            unreachable!("a journal is answered so")
        };
        let partitions: Vec<PartitionId> = self.0.partitions.keys().copied().collect();
        let elected = partitions.iter().map(|partition| PartitionElection {
            partition: *partition,
            expect: self.0.partitions[partition].leader_epoch,
            start: Offset(0),
        });
        let elected =
            Command::ElectLeaders { broker: BROKER, incarnation, partitions: elected.collect() };
        self.run(elected);
        let Reply::ObjectIds(first) =
            self.run(Command::AllocateObjectIds { broker: BROKER, incarnation, count: 8 })
        else {
            unreachable!("ids are answered so")
        };
        self.flush(incarnation, journal, first, &partitions);
        let (object, kind) = (ObjectId(first.0 + 1), ObjectKind::Producers);
        self.run(Command::KeepProducers {
            broker: BROKER,
            incarnation,
            objects: vec![FlushedObject { object, kind, len: 500, meta_position: 32 }],
            partitions: vec![
                (partitions[0], ProducerSnapshotRef { object: Some(object), upto: Offset(10) }),
                (partitions[1], ProducerSnapshotRef { object: None, upto: Offset(5) }),
            ],
        });
        self.run(Command::BindVoter { node: BROKER, directory: Uuid::from_u128(11) });
        self.run(Command::ProveTimes { broker: BROKER, incarnation });
        self.run(Command::AllocateProducerIds { broker: BROKER, incarnation, count: 10 });
        self.run(Command::DeleteTopic { topic: TopicId(Uuid::from_u128(2)) });
    }

    fn flush(
        &mut self,
        incarnation: esker_types::Incarnation,
        journal: JournalId,
        object: ObjectId,
        partitions: &[PartitionId],
    ) {
        let part = |partition: &PartitionId| FlushPart {
            partition: *partition,
            base: Offset(0),
            end: Offset(10),
            bytes: 100,
            max_timestamp: Timestamp(3),
            object,
            flags: ExtentFlags::default(),
        };
        self.run(Command::CommitFlush {
            broker: BROKER,
            incarnation,
            journal,
            after: Seq(0),
            upto: Seq(1),
            objects: vec![FlushedObject {
                object,
                kind: ObjectKind::Flush,
                len: 1000,
                meta_position: 900,
            }],
            parts: partitions.iter().map(part).collect(),
        });
    }
}
