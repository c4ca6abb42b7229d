//! Scenarios of static members: those that come back as who they were.

use super::world::{World, join_request, protocol};
use crate::*;

fn as_instance(instance: &str) -> JoinGroup {
    JoinGroup {
        group_instance_id: Some(instance.into()),
        requires_known_member_id: true,
        ..join_request("")
    }
}

/// Two static members, stable at generation 1; the first one leads.
fn pair() -> (World, MemberId, MemberId) {
    let mut world = World::eager();
    let (a, b) = (world.join(as_instance("one")), world.join(as_instance("two")));
    world.advance(0);
    let (a, b) = (world.joined(a), world.joined(b));
    assert_eq!((a.error, a.generation_id, b.generation_id), (None, 1, 1));
    assert!(a.member_id.as_str().starts_with("one-"), "static members need no second round");
    world.sync(&a.member_id, 1, &[(&a.member_id, "A"), (&b.member_id, "B")]);
    world.sync(&b.member_id, 1, &[]);
    assert_eq!(world.state(), GroupState::Stable);
    (world, a.member_id, b.member_id)
}

#[test]
fn a_restart_within_the_session_changes_only_the_id() {
    let (mut world, _, old) = pair();
    let back = world.join_now(as_instance("two"));
    assert_eq!((back.error, back.generation_id), (None, 1));
    assert_ne!(back.member_id, old);
    assert_eq!(world.state(), GroupState::Stable);
    let sync = world.sync(&back.member_id, 1, &[]);
    assert_eq!(world.synced(sync).as_deref(), Ok("B"));
    // Whoever still uses the old id is fenced, or unknown without naming the instance.
    let fenced = world.heartbeat_as(&old, 1, Some("two"));
    assert_eq!(fenced, Err(GroupError::FencedInstanceId));
    assert_eq!(world.heartbeat(&old, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(world.heartbeat_as(&back.member_id, 1, Some("two")), Ok(()));
    let stranger = world.heartbeat_as(&back.member_id, 1, Some("three"));
    assert_eq!(stranger, Err(GroupError::UnknownMemberId));
    // The new id survives the coordinator.
    let other = world.reloaded();
    assert_eq!(world.shard.describe_group("g"), other.shard.describe_group("g"));
}

#[test]
fn a_leader_that_restarts_is_told_to_skip_the_assignment() {
    let (mut world, old, other) = pair();
    let back = world.join_now(as_instance("one"));
    assert!(back.skip_assignment);
    assert_eq!(back.leader, back.member_id);
    assert_eq!(back.members.len(), 2);
    // Clients that know nothing of that are told of the old leader.
    let request = JoinGroup { supports_skipping_assignment: false, ..as_instance("one") };
    let again = world.join_now(request);
    assert!(!again.skip_assignment && again.members.is_empty());
    assert_eq!(again.leader, back.member_id);
    assert_ne!(again.leader, old);
    // Followers have nothing to skip.
    let follower = world.join_now(as_instance("two"));
    assert!(!follower.skip_assignment && follower.members.is_empty());
    assert_eq!(world.heartbeat(&other, 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_restart_that_could_not_be_stored_did_not_happen() {
    let (mut world, _, old) = pair();
    world.commits_at_once = false;
    let back = world.join(as_instance("two"));
    assert!(!world.is_answered(back));
    assert_eq!(world.heartbeat(&old, 1), Err(GroupError::UnknownMemberId));
    world.fail_one(AppendFailure::Unavailable);
    assert_eq!(world.joined(back).error, Some(GroupError::CoordinatorNotAvailable));
    assert_eq!(world.heartbeat_as(&old, 1, Some("two")), Ok(()));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn a_rebalance_during_a_restart_answers_for_it() {
    let (mut world, a, _) = pair();
    world.commits_at_once = false;
    let back = world.join(as_instance("two"));
    let third = world.join(join_request(""));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    world.commit();
    assert!(!world.is_answered(back), "the old generation is over");
    world.join(JoinGroup { member_id: a, ..as_instance("one") });
    assert_eq!((world.joined(back).generation_id, world.joined(third).generation_id), (2, 2));
}

#[test]
fn a_restart_before_the_assignment_was_fetched_owes_nothing_under_the_old_id() {
    let mut world = World::eager();
    let (a, b) = (world.join(as_instance("one")), world.join(as_instance("two")));
    world.advance(0);
    let a = world.joined(a).member_id;
    assert_eq!(world.joined(b).error, None);
    world.sync(&a, 1, &[]);
    let back = world.join_now(as_instance("two")).member_id;
    for _ in 0..20 {
        world.advance(5_000);
        assert_eq!(world.heartbeat(&a, 1), Ok(()));
        assert_eq!(world.heartbeat(&back, 1), Ok(()));
    }
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn a_restart_with_another_protocol_rebalances() {
    let (mut world, _, _) = pair();
    // Both learn a second protocol, which both prefer: the second change moves the vote.
    let both = |instance| JoinGroup {
        protocols: vec![protocol("sticky", &["t"]), protocol("range", &["t"])],
        ..as_instance(instance)
    };
    let first = world.join_now(both("two"));
    assert_eq!((first.error, first.generation_id), (None, 1));
    let second = world.join(both("one"));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert!(!world.is_answered(second));
    let again = JoinGroup { member_id: first.member_id, ..both("two") };
    let again = world.join(again);
    assert_eq!(world.joined(again).protocol_name.as_deref(), Some("sticky"));
    assert_eq!(world.joined(second).generation_id, 2);
}

#[test]
fn a_duplicate_fences_the_request_that_is_parked() {
    let mut world = World::new(Options::default());
    let first = world.join(as_instance("one"));
    let second = world.join(as_instance("one"));
    assert_eq!(world.joined(first).error, Some(GroupError::FencedInstanceId));
    world.advance(6_000);
    assert_eq!(world.joined(second).error, None);
    // While the assignment is awaited, a duplicate begins a rebalance.
    let third = world.join(as_instance("one"));
    assert_eq!(world.joined(third).generation_id, 2);
    let old = world.joined(second).member_id;
    assert_eq!(world.heartbeat_as(&old, 1, Some("one")), Err(GroupError::FencedInstanceId));
}

#[test]
fn static_members_keep_their_place_through_a_rebalance_until_their_session_ends() {
    let (mut world, a, b) = pair();
    let third = world.join(join_request(""));
    let again = JoinGroup { member_id: a, ..as_instance("one") };
    let again = world.join(again);
    // Only heartbeats of b come; at the end of the rebalance it is still a member.
    for _ in 0..12 {
        assert_eq!(world.heartbeat_as(&b, 1, Some("two")), Err(GroupError::RebalanceInProgress));
        world.advance(5_000);
    }
    assert_eq!(world.joined(again).members.len(), 3);
    assert_eq!(world.joined(third).generation_id, 2);
    // Nobody syncs for it; its session ends.
    world.advance(10_000);
    assert_eq!(world.heartbeat_as(&b, 2, Some("two")), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_rebalance_that_nobody_joins_goes_on_while_static_members_have_a_session() {
    let slow = |instance, id: &MemberId| JoinGroup {
        session_timeout_ms: 100_000,
        member_id: id.clone(),
        ..as_instance(instance)
    };
    let none = MemberId::none();
    let mut world = World::eager();
    let (a, b) = (world.join(slow("one", &none)), world.join(slow("two", &none)));
    world.advance(0);
    let (a, b) = (world.joined(a).member_id, world.joined(b).member_id);
    world.sync(&a, 1, &[]);
    world.sync(&b, 1, &[]);
    // A third one begins a rebalance and leaves; at the end of it nobody has joined.
    world.join(join_request(""));
    let members = world.shard.describe_group("g").unwrap().unwrap().members;
    let third = members.into_iter().find(|member| member.group_instance_id.is_none()).unwrap();
    world.leave(&[(third.member_id.as_str(), None)]);
    world.advance(60_000);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let again = world.join(slow("two", &b));
    world.advance(39_999);
    assert!(!world.is_answered(again));
    // The other one's session ends, and with it the reason to wait.
    world.advance(1);
    let again = world.joined(again);
    assert_eq!((again.generation_id, again.members.len(), &again.leader), (2, 1, &b));
}

#[test]
fn static_members_leave_by_instance() {
    let (mut world, a, b) = pair();
    let outcome = world.leave(&[
        ("", Some("nobody")),
        ("", None),
        (a.as_str(), Some("two")),
        ("", Some("one")),
        (b.as_str(), Some("two")),
    ]);
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(outcome, [unknown, unknown, Some(GroupError::FencedInstanceId), None, None]);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn commits_and_syncs_of_a_fenced_member_are_refused() {
    let (mut world, _, old) = pair();
    let back = world.join_now(as_instance("two"));
    for (id, error) in [(&old, Err(GroupError::FencedInstanceId)), (&back.member_id, Ok(()))] {
        let request = OffsetCommit {
            group_id: esker_types::GroupId::new("g"),
            generation_id: 1,
            member_id: id.clone(),
            group_instance_id: Some("two".into()),
            retention_time_ms: None,
            tells_missing_group: true,
            topics: vec![CommitTopic {
                topic: super::world::topic("t"),
                topic_id: esker_types::TopicId::ZERO,
                partitions: vec![CommitPartition {
                    partition: esker_types::PartitionIndex(0),
                    offset: esker_types::Offset(1),
                    leader_epoch: esker_types::LeaderEpoch::NONE,
                    metadata: None,
                }],
            }],
        };
        let commit = world.offset_commit(request);
        assert_eq!(world.committed(commit), error);
        let sync = world.sync_request(SyncGroup {
            group_id: esker_types::GroupId::new("g"),
            generation_id: 1,
            member_id: id.clone(),
            group_instance_id: Some("two".into()),
            protocol_type: None,
            protocol_name: None,
            assignments: vec![],
        });
        assert_eq!(world.synced(sync).map(drop), error);
    }
}
