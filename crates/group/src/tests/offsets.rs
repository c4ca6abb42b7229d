//! Scenarios of offsets: committing, reading, deleting, expiring.

use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, TopicId};

use super::world::{World, join_request, topic};
use crate::*;

const DAY: u64 = 86_400_000;

fn commit_of(metadata: Option<String>, retention_time_ms: Option<i64>) -> OffsetCommit {
    let partition = CommitPartition {
        partition: PartitionIndex(0),
        offset: Offset(1),
        leader_epoch: LeaderEpoch::NONE,
        metadata,
    };
    OffsetCommit {
        group_id: GroupId::new("g"),
        generation_id: -1,
        member_id: MemberId::none(),
        group_instance_id: None,
        retention_time_ms,
        tells_missing_group: true,
        topics: vec![CommitTopic {
            topic: topic("t"),
            topic_id: TopicId::ZERO,
            partitions: vec![partition],
        }],
    }
}

#[test]
fn a_commit_is_read_back_once_it_is_in_the_log() {
    let mut world = World::eager();
    assert_eq!(world.offset("t"), None);
    world.commits_at_once = false;
    let first = world.commit_offset("", -1, "t", 10);
    let second = world.commit_offset("", -1, "t", 20);
    assert_eq!(world.offset("t"), None);
    assert!(!world.is_answered(first));
    world.commit_one();
    assert_eq!(world.committed(first), Ok(()));
    assert!(!world.is_answered(second));
    assert_eq!(world.offset("t"), Some(10));
    world.commit();
    assert_eq!(world.offset("t"), Some(20));
    let found = world.shard.fetch_offset("g", "t", PartitionIndex(0)).unwrap().unwrap();
    assert_eq!((&*found.metadata, found.leader_epoch), ("meta", LeaderEpoch(3)));
    let all: Vec<_> = world.shard.fetch_all_offsets("g").unwrap().collect();
    assert_eq!(all, [(&topic("t"), PartitionIndex(0), found)]);
    assert_eq!(world.shard.fetch_all_offsets("unknown").unwrap().count(), 0);
    assert_eq!(world.shard.fetch_offset("g", "t", PartitionIndex(1)), Ok(None));
    assert_eq!(world.shard.fetch_offset("g", "..", PartitionIndex(0)), Ok(None));
}

#[test]
fn one_commitment_can_cover_several_appends() {
    let mut world = World::eager();
    world.commits_at_once = false;
    let replies = [1, 2, 3].map(|offset| world.commit_offset("", -1, "t", offset));
    let ids: Vec<_> = world.appends.drain(..).map(|(id, _)| id).collect();
    world.run(|shard, now, wall, out| shard.on_committed(now, wall, ids[1], out));
    assert_eq!(world.offset("t"), Some(2));
    assert!(world.is_answered(replies[1]) && !world.is_answered(replies[2]));
    assert!(world.shard.has_pending_appends());
}

#[test]
fn a_failed_commit_leaves_what_was_there() {
    let mut world = World::eager();
    world.commit_offset("", -1, "t", 10);
    world.commits_at_once = false;
    let failing = world.commit_offset("", -1, "t", 20);
    let next = world.commit_offset("", -1, "t", 30);
    world.fail_one(AppendFailure::Unavailable);
    assert_eq!(world.committed(failing), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(world.offset("t"), Some(10));
    world.commit();
    assert_eq!(world.committed(next), Ok(()));
    assert_eq!(world.offset("t"), Some(30));
}

#[test]
fn members_commit_for_their_generation_only() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    let me = ids[0].as_str();
    let cases = [
        (me, generation, Ok(())),
        (me, generation - 1, Err(GroupError::IllegalGeneration)),
        (me, generation + 1, Err(GroupError::IllegalGeneration)),
        ("nobody", generation, Err(GroupError::UnknownMemberId)),
        // Without a generation, only into a group without members.
        ("", -1, Err(GroupError::UnknownMemberId)),
        (me, -1, Err(GroupError::IllegalGeneration)),
    ];
    for (member, generation, outcome) in cases {
        let commit = world.commit_offset(member, generation, "t", 1);
        assert_eq!(world.committed(commit), outcome, "{member} {generation}");
    }
    // During the first half of a rebalance members still commit what they did, in the second they do not.
    let third = world.join(join_request(""));
    let commit = world.commit_offset(me, generation, "t", 2);
    assert_eq!(world.committed(commit), Ok(()));
    for id in &ids {
        world.join(join_request(id.as_str()));
    }
    let generation = world.joined(third).generation_id;
    let commit = world.commit_offset(me, generation, "t", 3);
    assert_eq!(world.committed(commit), Err(GroupError::RebalanceInProgress));
    // Who has lost its place cannot commit.
    world.leave(&[(me, None)]);
    let commit = world.commit_offset(me, generation, "t", 4);
    assert_eq!(world.committed(commit), Err(GroupError::UnknownMemberId));
    assert_eq!(world.offset("t"), Some(2));
}

#[test]
fn a_commit_shows_that_a_member_lives() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(1);
    for _ in 0..4 {
        world.advance(9_000);
        let commit = world.commit_offset(ids[0].as_str(), generation, "t", 1);
        assert_eq!(world.committed(commit), Ok(()));
    }
    assert_eq!(world.heartbeat(&ids[0], generation), Ok(()));
}

#[test]
fn a_generation_of_a_group_that_does_not_exist() {
    let mut world = World::eager();
    for (tells_missing_group, error) in
        [(true, GroupError::GroupIdNotFound), (false, GroupError::IllegalGeneration)]
    {
        let request = OffsetCommit {
            generation_id: 3,
            member_id: MemberId::new("m"),
            tells_missing_group,
            ..commit_of(None, None)
        };
        let commit = world.offset_commit(request);
        assert_eq!(world.committed(commit), Err(error));
    }
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn metadata_are_kept_up_to_their_limit() {
    let mut world = World::eager();
    // 4096 UTF-16 units, although twice as many bytes.
    let longest = "é".repeat(4_096);
    let commit = world.offset_commit(commit_of(Some(longest.clone()), None));
    assert_eq!(world.committed(commit), Ok(()));
    let found = world.shard.fetch_offset("g", "t", PartitionIndex(0)).unwrap().unwrap();
    assert_eq!(*found.metadata, *longest);
    let commit = world.offset_commit(commit_of(Some("x".repeat(4_097)), None));
    assert_eq!(world.committed(commit), Err(GroupError::OffsetMetadataTooLarge));
    let commit = world.offset_commit(commit_of(None, None));
    assert_eq!(world.committed(commit), Ok(()));
    let found = world.shard.fetch_offset("g", "t", PartitionIndex(0)).unwrap().unwrap();
    assert_eq!(*found.metadata, *"");
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut world = World::eager();
    let missing = world.delete_offsets(&["t"]);
    assert_eq!(missing.error, Some(GroupError::GroupIdNotFound));
    let (ids, generation) = world.stable(1);
    for name in ["t", "u"] {
        world.commit_offset(ids[0].as_str(), generation, name, 5);
    }
    let response = world.delete_offsets(&["t", "u", "never"]);
    assert_eq!(response.error, None);
    let results: Vec<_> = response.topics.iter().map(|(_, results)| results[0].1).collect();
    assert_eq!(results, [Err(GroupError::GroupSubscribedToTopic), Ok(()), Ok(())]);
    assert_eq!((world.offset("t"), world.offset("u")), (Some(5), None));
    // Without members nothing is subscribed.
    world.leave(&[(ids[0].as_str(), None)]);
    world.delete_offsets(&["t"]);
    assert_eq!(world.offset("t"), None);
    // A group of another kind keeps its topics to itself.
    let connect = || JoinGroup { protocol_type: "connect".to_owned(), ..join_request("") };
    let mut world = World::eager();
    let reply = world.join(connect());
    world.advance(0);
    assert_eq!(world.joined(reply).error, None);
    assert_eq!(world.delete_offsets(&["t"]).error, Some(GroupError::NonEmptyGroup));
}

#[test]
fn a_subscription_that_cannot_be_read_counts_as_one_to_everything() {
    let mut world = World::eager();
    let garbled = Protocol { name: "range".to_owned(), metadata: vec![0, 0, 0xff].into() };
    let reply = world.join(JoinGroup { protocols: vec![garbled], ..join_request("") });
    world.advance(0);
    assert_eq!(world.joined(reply).error, None);
    let response = world.delete_offsets(&["t"]);
    assert_eq!(response.topics[0].1[0].1, Err(GroupError::GroupSubscribedToTopic));
}

#[test]
fn groups_without_members_are_deleted_with_their_offsets() {
    let mut world = World::eager();
    let missing = world.delete_group("g");
    assert_eq!(world.deleted(missing), Err(GroupError::GroupIdNotFound));
    // Old clients commit under the empty name, which can be deleted like any other.
    let unnamed = OffsetCommit { group_id: GroupId::new(""), ..commit_of(None, None) };
    let unnamed = world.offset_commit(unnamed);
    assert_eq!(world.committed(unnamed), Ok(()));
    let deleted = world.delete_group("");
    assert_eq!(world.deleted(deleted), Ok(()));
    let deleted = world.delete_group("");
    assert_eq!(world.deleted(deleted), Err(GroupError::GroupIdNotFound));
    let (ids, generation) = world.stable(1);
    world.commit_offset(ids[0].as_str(), generation, "t", 5);
    let refused = world.delete_group("g");
    assert_eq!(world.deleted(refused), Err(GroupError::NonEmptyGroup));
    world.leave(&[(ids[0].as_str(), None)]);
    world.commits_at_once = false;
    // A commit that is under way when the group goes, goes with it.
    world.commit_offset("", -1, "u", 6);
    let deleted = world.delete_group("g");
    assert!(!world.is_answered(deleted));
    assert_eq!(world.offset("t"), Some(5), "readers see what is in the log");
    world.commit();
    assert_eq!(world.deleted(deleted), Ok(()));
    assert_eq!((world.offset("t"), world.offset("u")), (None, None));
    assert_eq!(world.state(), GroupState::Dead);
    let other = world.reloaded();
    assert_eq!(other.state(), GroupState::Dead);
    assert_eq!(other.offset("t"), None);
}

#[test]
fn a_deletion_that_failed_did_not_happen() {
    let mut world = World::eager();
    world.commit_offset("", -1, "t", 5);
    world.commits_at_once = false;
    let failing = world.delete_group("g");
    world.fail_one(AppendFailure::NotLeader);
    assert_eq!(world.deleted(failing), Err(GroupError::NotCoordinator));
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.offset("t"), Some(5));
}

#[test]
fn offsets_of_an_empty_group_expire_with_it() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(1);
    world.commit_offset(ids[0].as_str(), generation, "t", 5);
    for _ in 0..8 {
        // Kept alive for a week and a day: a topic that is subscribed to does not expire.
        world.shard.options.group_max_session_timeout_ms = i32::MAX;
        let request = JoinGroup { session_timeout_ms: i32::MAX, ..join_request(ids[0].as_str()) };
        let again = world.join(request);
        let generation = world.joined(again).generation_id;
        world.sync(&ids[0], generation, &[]);
        world.advance(DAY);
    }
    assert_eq!(world.offset("t"), Some(5));
    world.leave(&[(ids[0].as_str(), None)]);
    world.advance(7 * DAY - 1);
    assert_eq!(world.offset("t"), Some(5));
    world.advance(600_001);
    assert_eq!(world.offset("t"), None);
    assert_eq!(world.state(), GroupState::Dead);
    assert_eq!(world.log.last().unwrap().value, None);
    assert_eq!(world.reloaded().state(), GroupState::Dead);
}

#[test]
fn offsets_of_topics_that_a_stable_group_has_left_expire() {
    let mut world = World::eager();
    let request = JoinGroup { session_timeout_ms: 1_800_000, ..join_request("") };
    let reply = world.join(request);
    world.advance(0);
    let (id, generation) = (world.joined(reply).member_id, 1);
    world.sync(&id, generation, &[]);
    for name in ["t", "left"] {
        world.commit_offset(id.as_str(), generation, name, 5);
    }
    for _ in 0..(7 * 24 * 4) {
        world.advance(900_000);
        assert_eq!(world.heartbeat(&id, generation), Ok(()));
    }
    world.advance(600_000);
    assert_eq!((world.offset("t"), world.offset("left")), (Some(5), None));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn a_client_may_choose_when_its_offset_expires() {
    let mut world = World::eager();
    world.offset_commit(commit_of(None, Some(3_600_000)));
    world.advance(3_500_000);
    assert_eq!(world.offset("t"), Some(1));
    world.advance(700_000);
    assert_eq!(world.offset("t"), None);
    // A newer commit, even one that is under way, keeps the group.
    world.offset_commit(commit_of(None, Some(1)));
    world.commits_at_once = false;
    let late = world.commit_offset("", -1, "t", 7);
    world.advance(700_000);
    world.commit();
    assert_eq!(world.committed(late), Ok(()));
    assert_eq!(world.offset("t"), Some(7));
}

#[test]
fn offsets_go_with_their_topic() {
    let mut world = World::eager();
    world.commit_offset("", -1, "t", 5);
    world.commit_offset("", -1, "u", 6);
    world.run(|shard, now, wall, out| shard.on_topics_deleted(now, wall, &[topic("t")], out));
    assert_eq!((world.offset("t"), world.offset("u")), (None, Some(6)));
    assert_eq!(world.log.last().unwrap().value, None);
}
