//! The bytes that Kafka's own classes make, and what becomes of damaged ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId};
use proptest::prelude::*;
use uuid::Uuid;

use super::world::{World, topic};
use crate::offsets::CommittedOffset;
use crate::records::*;
use crate::subscription::add_topics;
use crate::*;

const KAFKA: &str = include_str!("../../testdata/kafka-4.3.1.hex");

fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (text != "-").then(|| (0..text.len()).step_by(2).map(byte).collect())
}

/// Every line of that name: key and value.
fn kafka(name: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let lines = KAFKA.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let found = words.next() == Some(name);
        let key = words.next().filter(|_| found)?;
        Some((unhex(key).unwrap_or_default(), words.next().and_then(unhex)))
    });
    let lines: Vec<_> = lines.collect();
    assert!(!lines.is_empty(), "{name}");
    lines
}

fn record(name: &str) -> (Bytes, Option<Bytes>) {
    let (key, value) = kafka(name).remove(0);
    (key.into(), value.map(Bytes::from))
}

fn committed(offset: i64, epoch: i32, metadata: &str) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(epoch),
        metadata: metadata.into(),
        commit_timestamp: Timestamp(1_700_000_000_000),
        expire_timestamp: None,
        topic_id: TopicId::ZERO,
    }
}

fn stored_group() -> GroupRecord {
    let subscription: Bytes = kafka("subscription-v3").remove(0).0.into();
    let member = |id: &str, instance: Option<&str>, assignment: &'static [u8]| MemberRecord {
        member_id: MemberId::new(id),
        group_instance_id: instance.map(InstanceId::from),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 300_000,
        session_timeout_ms: 45_000,
        subscription: subscription.clone(),
        assignment: Bytes::from_static(assignment),
    };
    GroupRecord {
        protocol_type: "consumer".to_owned(),
        generation: 3,
        protocol: Some("range".to_owned()),
        leader: Some(MemberId::new("m1")),
        state_timestamp: Some(Timestamp(1_700_000_000_000)),
        members: vec![member("m1", None, &[1, 2, 3]), member("m2", Some("inst"), &[])],
    }
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    let group = GroupId::new("group");
    let id = TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0fed_cba9_8765_4321));
    let expire_timestamp = Some(Timestamp(1_700_000_009_999));
    let full = CommittedOffset { topic_id: id, ..committed(1234, 5, "méta") };
    let expiring = CommittedOffset { expire_timestamp, ..committed(9, 5, "m") };
    for (name, partition, value) in [
        ("offset", 7, Some(full)),
        ("offset-no-epoch", 0, Some(committed(0, -1, ""))),
        ("offset-expire", 1, Some(expiring)),
        ("offset-tombstone", 7, None),
    ] {
        let (key, bytes) = record(name);
        let partition = PartitionIndex(partition);
        assert_eq!(offset_key(&group, &topic("topic"), partition), key, "{name}");
        assert_eq!(parse_key(&key), Ok(Key::Offset(group.clone(), topic("topic"), partition)));
        assert_eq!(value.as_ref().map(offset_value), bytes, "{name}");
        if let (Some(value), Some(bytes)) = (value, bytes) {
            // The version with an expiry time has no room for the leader epoch.
            let expected = match value.expire_timestamp {
                Some(_) => CommittedOffset { leader_epoch: LeaderEpoch::NONE, ..value },
                None => value,
            };
            assert_eq!(parse_offset_value(&bytes), Ok(expected), "{name}");
        }
    }
}

#[test]
fn words_of_any_length_come_back() {
    for length in [0, 126, 127, 128, 300, 16_383, 20_000] {
        let written = committed(7, 1, &"x".repeat(length));
        assert_eq!(parse_offset_value(&offset_value(&written)), Ok(written), "{length}");
    }
}

#[test]
fn groups_are_written_as_kafka_writes_them() {
    let (key, value) = record("group");
    assert_eq!(group_key(&GroupId::new("group")), key);
    assert_eq!(parse_key(&key), Ok(Key::Group(GroupId::new("group"))));
    assert_eq!(Some(group_value(&stored_group())), value);
    let empty = GroupRecord {
        protocol_type: String::new(),
        generation: 0,
        protocol: None,
        leader: None,
        members: vec![],
        ..stored_group()
    };
    assert_eq!(Some(group_value(&empty)), record("group-empty").1);
    assert_eq!(record("group-tombstone"), (key, None));
}

#[test]
fn every_version_that_kafka_reads_is_read() {
    for version in 0..=4 {
        let (_, value) = record(&format!("group-v{version}"));
        let mut expected = stored_group();
        for member in &mut expected.members {
            if version < 1 {
                member.rebalance_timeout_ms = -1;
            }
            if version < 3 {
                member.group_instance_id = None;
            }
        }
        if version < 2 {
            expected.state_timestamp = None;
        }
        assert_eq!(parse_group_value(&value.unwrap()), Ok(expected), "version {version}");

        let (_, value) = record(&format!("offset-v{version}"));
        let mut expected = committed(42, if version < 3 { -1 } else { 6 }, "x");
        expected.expire_timestamp = (version == 1).then_some(Timestamp(1_700_000_005_000));
        assert_eq!(parse_offset_value(&value.unwrap()), Ok(expected), "version {version}");
    }
    for version in 0..=3 {
        let (metadata, _) = record(&format!("subscription-v{version}"));
        let mut topics = BTreeSet::new();
        assert_eq!(add_topics(&metadata, &mut topics), Ok(()));
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["other", "topic"]);
    }
}

#[test]
fn groups_live_where_kafka_puts_them() {
    for (name, partition) in kafka("partition-of") {
        let group = GroupId::new(std::str::from_utf8(&name).unwrap());
        let expected = i32::from(partition.unwrap()[0]);
        assert_eq!(partition_for(&group, 50), PartitionIndex(expected), "{group}");
    }
}

#[test]
fn what_kafka_stored_is_loaded() {
    let mut world = World::unloaded(Options::default());
    for name in ["group", "offset", "offset-no-epoch", "offset-tombstone"] {
        let (key, value) = record(name);
        world.shard.replay(&key, value.as_deref(), Offset(0)).unwrap();
    }
    world.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
    let group = world.shard.describe_group("group").unwrap().unwrap();
    assert_eq!((group.state, group.members.len()), (GroupState::Stable, 2));
    assert_eq!(group.members[1].group_instance_id.as_deref(), Some("inst"));
    assert_eq!(group.members[0].assignment, [1, 2, 3][..]);
    assert_eq!(world.shard.fetch_offset("group", "topic", PartitionIndex(7)), Ok(None));
    let found = world.shard.fetch_offset("group", "topic", PartitionIndex(0)).unwrap();
    assert_eq!(found, Some(&committed(0, -1, "")));
}

#[test]
fn records_of_later_kinds_survive_a_snapshot() {
    let mut world = World::unloaded(Options::default());
    let (key, value) = record("group");
    world.shard.replay(&key, value.as_deref(), Offset(0)).unwrap();
    for (key, value) in [(3u8, Some("a")), (4, Some("b")), (4, None)] {
        let key = [0, key, 1, 2, 3];
        world.shard.replay(&key, value.map(str::as_bytes), Offset(1)).unwrap();
    }
    world.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
    let snapshot = world.shard.snapshot(Offset(77));
    let mut other = World::unloaded(Options::default());
    assert_eq!(other.shard.load_snapshot(&snapshot), Ok(Offset(77)));
    assert_eq!(other.shard.opaque, world.shard.opaque);
    assert_eq!(other.shard.opaque.len(), 1);
    other.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
    assert_eq!(other.shard.snapshot(Offset(77)), snapshot);
}

#[test]
fn damaged_records_and_snapshots_are_refused() {
    let mut world = World::unloaded(Options::default());
    let (key, value) = record("group");
    let value = value.unwrap();
    let error = |part| Err(ReplayError { part, offset: Offset(5) });
    assert_eq!(world.shard.replay(&key[..5], Some(&value), Offset(5)), error("key"));
    assert_eq!(world.shard.replay(&key, Some(&value[..50]), Offset(5)), error("value"));
    let mut later = value.to_vec();
    later[1] = 5;
    assert_eq!(world.shard.replay(&key, Some(&later), Offset(5)), error("value"));
    // The same member twice.
    let mut twice = stored_group();
    twice.members[1].member_id = MemberId::new("m1");
    let twice = group_value(&twice);
    assert_eq!(world.shard.replay(&key, Some(&twice), Offset(5)), error("value"));
    // As many members as a number can say, in few bytes.
    let mut many = group_value(&GroupRecord { members: vec![], ..stored_group() }).to_vec();
    let at = many.len() - 4;
    many[at..].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(world.shard.replay(&key, Some(&many), Offset(5)), error("value"));

    world.shard.replay(&key, Some(&value), Offset(5)).unwrap();
    world.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
    let snapshot = world.shard.snapshot(Offset(6));
    let load = |bytes: &[u8]| GroupShard::new(Options::default()).load_snapshot(bytes);
    for cut in 0..snapshot.len() {
        assert!(load(&snapshot[..cut]).is_err(), "{cut}");
    }
    assert_eq!(load(&[0, 9, 1]), Err(SnapshotError::Version(9)));
    assert_eq!(load(&[snapshot, vec![0]].concat()), Err(SnapshotError::Damaged));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(
        kind in 0i16..4,
        version in 0i16..5,
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::collection::vec(any::<u8>(), 0..120),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut shard = GroupShard::new(Options::default());
        let key = [&kind.to_be_bytes()[..], &key].concat();
        let value = [&version.to_be_bytes()[..], &value].concat();
        let _garbage = shard.replay(&key, Some(&value), Offset(0));
        for name in ["group-v0", "group-v3", "group-v4", "offset-v1", "offset-v4"] {
            let (key, value) = record(name);
            let mut value = value.expect("not a tombstone").to_vec();
            for (at, with) in &flips {
                let at = at.index(value.len());
                value[at] ^= with;
            }
            let _damaged = shard.replay(&key, Some(&value), Offset(1));
        }
        let mut topics = BTreeSet::new();
        let _unread = add_topics(&value, &mut topics);
        // Whatever was taken in can be served: members time out, the group rebalances and empties.
        let mut out = Effects::new();
        shard.on_loaded(esker_types::MonoTime(0), Timestamp(0), &mut out);
        for group in shard.groups.values() {
            group.assert_consistent();
        }
        for step in 1..5u64 {
            let now = esker_types::MonoTime(step * 3_000_000_000_000_000);
            shard.on_tick(now, Timestamp(0), &mut out);
        }
    }
}
