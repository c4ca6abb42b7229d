//! Scenarios of dynamic members: joining, syncing, living, leaving, being dropped.

use super::world::{World, join_request, protocol};
use crate::*;

const ENDS: u64 = 60_000; // the rebalance timeout of test clients

#[test]
fn a_first_member_waits_for_others_then_leads() {
    let mut world = World::new(Options::default());
    let first = world.join(join_request(""));
    world.advance(2_999);
    assert!(!world.is_answered(first));
    // A second one within the delay prolongs it, up to the rebalance timeout.
    let second = world.join(join_request(""));
    world.advance(1);
    assert!(!world.is_answered(first));
    world.advance(3_000);
    let (first, second) = (world.joined(first), world.joined(second));
    assert_eq!((first.error, first.generation_id), (None, 1));
    assert_eq!(first.protocol_name.as_deref(), Some("range"));
    assert_eq!(first.leader, first.member_id);
    assert_eq!(second.leader, first.member_id);
    assert_eq!(first.members.len(), 2);
    assert!(second.members.is_empty());
    assert_eq!(world.state(), GroupState::CompletingRebalance);
}

#[test]
fn the_initial_delay_is_bounded_by_the_rebalance_timeout() {
    let mut world = World::new(Options::default());
    let request = || JoinGroup { rebalance_timeout_ms: 7_000, ..join_request("") };
    let first = world.join(request());
    for _ in 0..6 {
        world.advance(1_000);
        world.join(request());
    }
    assert!(!world.is_answered(first));
    world.advance(1_000);
    assert_eq!(world.joined(first).members.len(), 7);
}

#[test]
fn the_leader_s_assignment_reaches_everybody_once_it_is_committed() {
    let mut world = World::eager();
    let a = world.join(join_request(""));
    let b = world.join(join_request(""));
    world.advance(0);
    let (a, b) = (world.joined(a).member_id, world.joined(b).member_id);
    world.commits_at_once = false;
    let follower = world.sync(&b, 1, &[]);
    let leader = world.sync(&a, 1, &[(&a, "A"), (&b, "B")]);
    assert_eq!(world.appends.len(), 1);
    assert!(!world.is_answered(leader) && !world.is_answered(follower));
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    world.commit();
    assert_eq!(world.synced(leader).as_deref(), Ok("A"));
    assert_eq!(world.synced(follower).as_deref(), Ok("B"));
    assert_eq!(world.state(), GroupState::Stable);
    // Late and repeated requests get the same.
    let again = world.sync(&b, 1, &[]);
    assert_eq!(world.synced(again).as_deref(), Ok("B"));
}

#[test]
fn an_impatient_leader_is_stored_once() {
    let mut world = World::eager();
    let a = world.join(join_request(""));
    world.advance(0);
    let a = world.joined(a).member_id;
    world.commits_at_once = false;
    let first = world.sync(&a, 1, &[(&a, "first")]);
    let second = world.sync(&a, 1, &[(&a, "second")]);
    assert_eq!(world.synced(first), Err(GroupError::RebalanceInProgress));
    world.commit();
    assert_eq!(world.synced(second).as_deref(), Ok("first"));
    assert_eq!(world.shard.describe_group("g"), world.reloaded().shard.describe_group("g"));
}

#[test]
fn a_member_that_leaves_is_answered_everywhere() {
    let mut world = World::eager();
    let replies = [world.join(join_request("")), world.join(join_request(""))];
    world.advance(0);
    let follower = replies.map(|reply| world.joined(reply)).into_iter();
    let follower = follower.map(|join| join.member_id).max().unwrap();
    let sync = world.sync(&follower, 1, &[]);
    world.leave(&[(follower.as_str(), None)]);
    assert_eq!(world.synced(sync), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_failed_append_sends_everybody_back_to_join() {
    for (failure, error) in [
        (AppendFailure::Unavailable, GroupError::CoordinatorNotAvailable),
        (AppendFailure::NotLeader, GroupError::NotCoordinator),
        (AppendFailure::TooLarge, GroupError::UnknownServerError),
    ] {
        let mut world = World::eager();
        let a = world.join(join_request(""));
        world.advance(0);
        let a = world.joined(a).member_id;
        world.commits_at_once = false;
        let sync = world.sync(&a, 1, &[(&a, "A")]);
        world.fail_one(failure);
        assert_eq!(world.synced(sync), Err(error));
        assert_eq!(world.state(), GroupState::PreparingRebalance);
        let again = world.join(join_request(a.as_str()));
        assert_eq!(world.joined(again).generation_id, 2);
    }
}

#[test]
fn an_assignment_that_is_overtaken_by_a_rebalance_changes_nothing() {
    let mut world = World::eager();
    let a = world.join(join_request(""));
    world.advance(0);
    let a = world.joined(a).member_id;
    world.commits_at_once = false;
    let sync = world.sync(&a, 1, &[(&a, "A")]);
    let b = world.join(join_request(""));
    assert_eq!(world.synced(sync), Err(GroupError::RebalanceInProgress));
    let again = world.join(join_request(a.as_str()));
    world.commit();
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    assert_eq!((world.joined(again).generation_id, world.joined(b).generation_id), (2, 2));
    let described = world.shard.describe_group("g").unwrap().unwrap();
    assert!(described.members.iter().all(|member| member.assignment.is_empty()));
}

#[test]
fn a_new_member_has_to_come_back_with_its_id_from_version_4_on() {
    let mut world = World::eager();
    let request = JoinGroup { requires_known_member_id: true, ..join_request("") };
    let refused = world.join_now(request.clone());
    assert_eq!(refused.error, Some(GroupError::MemberIdRequired));
    let id = refused.member_id;
    assert!(id.as_str().starts_with("client-") && id.as_str().len() == "client-".len() + 36);
    assert_eq!(world.state(), GroupState::Empty);
    let joining = world.join(JoinGroup { member_id: id.clone(), ..request.clone() });
    world.advance(0);
    assert_eq!(world.joined(joining).member_id, id);

    // A promised id that nobody comes back with is forgotten after the session timeout.
    let forgotten = world.join_now(request.clone()).member_id;
    world.sync(&id, 1, &[]);
    for _ in 0..3 {
        world.advance(4_000);
        assert_eq!(world.heartbeat(&id, 1), Ok(()));
    }
    let late = world.join_now(JoinGroup { member_id: forgotten, ..request });
    assert_eq!(late.error, Some(GroupError::UnknownMemberId));
}

#[test]
fn a_rebalance_waits_for_promised_members() {
    let mut world = World::eager();
    let (ids, _) = world.stable(1);
    let request = JoinGroup { requires_known_member_id: true, ..join_request("") };
    let promised = world.join_now(request.clone()).member_id;
    let third = world.join(join_request(""));
    let again = world.join(join_request(ids[0].as_str()));
    assert!(!world.is_answered(again), "the promised member is missing");
    let second = world.join(JoinGroup { member_id: promised, ..request });
    for reply in [again, second, third] {
        assert_eq!(world.joined(reply).generation_id, 2);
    }
}

#[test]
fn members_that_do_not_rejoin_in_time_are_out() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    let third = world.join(join_request(""));
    // One rejoins, the other only sends heartbeats.
    let again = world.join(join_request(ids[1].as_str()));
    for _ in 0..(ENDS / 5_000) {
        assert!(!world.is_answered(again));
        let beat = world.heartbeat(&ids[0], generation);
        assert_eq!(beat, Err(GroupError::RebalanceInProgress));
        world.advance(5_000);
    }
    let again = world.joined(again);
    assert_eq!(again.generation_id, generation + 1);
    assert_eq!(world.joined(third).leader, again.leader);
    assert!(again.leader != ids[0], "a leader that is gone does not lead");
    assert_eq!(world.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
}

#[test]
fn silence_ends_a_membership_and_heartbeats_keep_it() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    for _ in 0..5 {
        world.advance(9_000);
        for id in &ids {
            assert_eq!(world.heartbeat(id, generation), Ok(()));
        }
    }
    world.advance(9_000);
    assert_eq!(world.heartbeat(&ids[1], generation), Ok(()));
    world.advance(2_000);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
    let alone = world.join(join_request(ids[1].as_str()));
    assert_eq!(world.joined(alone).members.len(), 1);
    world.advance(20_000);
    assert_eq!(world.state(), GroupState::Empty);
    let empty = world.log.last().unwrap().value.clone().unwrap();
    let stored = records::parse_group_value(&empty).unwrap();
    assert_eq!((stored.generation, stored.members.len()), (generation + 2, 0));
}

#[test]
fn a_member_that_waits_is_not_silent_but_a_new_one_gives_up_after_five_minutes() {
    let mut world = World::eager();
    let slow = |id: &str| JoinGroup {
        rebalance_timeout_ms: 1_000_000,
        session_timeout_ms: 1_000_000,
        ..join_request(id)
    };
    let a = world.join(slow(""));
    world.advance(0);
    let a = world.joined(a).member_id;
    world.sync(&a, 1, &[]);
    let new = world.join(join_request(""));
    world.advance(299_999);
    assert!(!world.is_answered(new));
    world.advance(1);
    assert_eq!(world.joined(new).error, Some(GroupError::UnknownMemberId));
    // The old member's session goes on.
    assert_eq!(world.heartbeat(&a, 1), Err(GroupError::RebalanceInProgress));
}

#[test]
fn members_that_never_sync_are_dropped_after_the_rebalance_timeout() {
    let mut world = World::eager();
    let a = world.join(join_request(""));
    let b = world.join(join_request(""));
    world.advance(0);
    let (a, b) = (world.joined(a).member_id, world.joined(b).member_id);
    let sync = world.sync(&a, 1, &[(&a, "A")]);
    assert_eq!(world.synced(sync).as_deref(), Ok("A"));
    for _ in 0..(ENDS / 5_000) {
        assert_eq!(world.state(), GroupState::Stable);
        assert_eq!(world.heartbeat(&a, 1), Ok(()));
        assert_eq!(world.heartbeat(&b, 1), Ok(()));
        world.advance(5_000);
    }
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&b, 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn protocols_are_voted_for_among_the_common_ones() {
    let mut world = World::eager();
    let with = |names: &[&str]| JoinGroup {
        protocols: names.iter().map(|name| protocol(name, &["t"])).collect(),
        ..join_request("")
    };
    let replies = [
        world.join(with(&["range", "sticky", "odd"])),
        world.join(with(&["sticky", "range"])),
        world.join(with(&["other", "sticky", "range"])),
    ];
    world.advance(0);
    for reply in replies {
        assert_eq!(world.joined(reply).protocol_name.as_deref(), Some("sticky"));
    }
    let refused = world.join_now(with(&["odd"]));
    assert_eq!(refused.error, Some(GroupError::InconsistentGroupProtocol));
    let refused =
        world.join_now(JoinGroup { protocol_type: "connect".to_owned(), ..with(&["range"]) });
    assert_eq!(refused.error, Some(GroupError::InconsistentGroupProtocol));
    // An empty group takes anybody, except with nothing to offer; it is there from then on, and empty.
    let mut world = World::eager();
    let refused = world.join_now(with(&[]));
    assert_eq!(refused.error, Some(GroupError::InconsistentGroupProtocol));
    assert_eq!(world.state(), GroupState::Empty);
    let commit = world.commit_offset("", 1, "t", 5);
    assert_eq!(
        world.committed(commit),
        Err(GroupError::UnknownMemberId),
        "as in Kafka: the group is known"
    );
}

#[test]
fn the_same_join_again_gets_the_same_generation() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    // A follower that lost the answer.
    let again = world.join_now(join_request(ids[1].as_str()));
    assert_eq!((again.error, again.generation_id), (None, generation));
    assert_eq!(world.state(), GroupState::Stable);
    // A follower with another subscription, or the leader in any case, begins a rebalance.
    let changed = JoinGroup {
        protocols: vec![protocol("range", &["t", "u"])],
        ..join_request(ids[1].as_str())
    };
    let changed = world.join(changed);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let leader = world.join(join_request(ids[0].as_str()));
    assert_eq!(world.joined(changed).generation_id, generation + 1);
    // While the assignment is awaited, the leader gets the members again.
    let repeated = world.join_now(join_request(ids[0].as_str()));
    assert_eq!(repeated, world.joined(leader));
    assert_eq!(repeated.members.len(), 2);
}

#[test]
fn a_repeated_join_supersedes_the_parked_one() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    let first = world.join(join_request(ids[0].as_str()));
    let second = world.join(join_request(ids[0].as_str()));
    assert_eq!(world.joined(first).error, Some(GroupError::RebalanceInProgress));
    world.join(join_request(ids[1].as_str()));
    assert_eq!(world.joined(second).generation_id, generation + 1);
}

#[test]
fn requests_of_the_wrong_member_generation_or_protocol_are_refused() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(1);
    let nobody = MemberId::new("nobody");
    assert_eq!(world.heartbeat(&nobody, generation), Err(GroupError::UnknownMemberId));
    assert_eq!(world.heartbeat(&ids[0], generation - 1), Err(GroupError::IllegalGeneration));
    assert_eq!(world.heartbeat(&ids[0], generation + 1), Err(GroupError::IllegalGeneration));
    let cases = [
        (nobody.clone(), generation, None, None, GroupError::UnknownMemberId),
        (ids[0].clone(), generation + 1, None, None, GroupError::IllegalGeneration),
        (ids[0].clone(), generation, Some("connect"), None, GroupError::InconsistentGroupProtocol),
        (ids[0].clone(), generation, None, Some("sticky"), GroupError::InconsistentGroupProtocol),
    ];
    for (member_id, generation_id, kind, name, error) in cases {
        let sync = world.sync_request(SyncGroup {
            group_id: esker_types::GroupId::new("g"),
            generation_id,
            member_id,
            group_instance_id: None,
            protocol_type: kind.map(str::to_owned),
            protocol_name: name.map(str::to_owned),
            assignments: vec![],
        });
        assert_eq!(world.synced(sync), Err(error));
    }
    let unknown = world.join_now(join_request("nobody"));
    assert_eq!(unknown.error, Some(GroupError::UnknownMemberId));
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        let refused = world.join_now(JoinGroup { session_timeout_ms, ..join_request("") });
        assert_eq!(refused.error, Some(GroupError::InvalidSessionTimeout));
    }
    let unnamed = JoinGroup { group_id: esker_types::GroupId::new(""), ..join_request("") };
    assert_eq!(world.join_now(unnamed).error, Some(GroupError::InvalidGroupId));
    let endless = "x".repeat(40_000);
    let unstorable = JoinGroup { client_id: endless.clone(), ..join_request("") };
    let refused = world.join_now(unstorable).error;
    assert_eq!(refused, Some(GroupError::InconsistentGroupProtocol));
    let unnamed = JoinGroup { group_id: esker_types::GroupId::new(&endless), ..join_request("") };
    assert_eq!(world.join_now(unnamed).error, Some(GroupError::InvalidGroupId));
}

#[test]
fn leaving_rebalances_the_rest_and_the_last_one_empties_the_group() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    assert_eq!(
        world.leave(&[("nobody", None), (ids[0].as_str(), None)]),
        [Some(GroupError::UnknownMemberId), None]
    );
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let beat = world.heartbeat(&ids[1], generation);
    assert_eq!(beat, Err(GroupError::RebalanceInProgress));
    let rest = world.join(join_request(ids[1].as_str()));
    assert_eq!(world.joined(rest).leader, ids[1]);
    assert_eq!(world.leave(&[(ids[1].as_str(), None)]), [None]);
    assert_eq!(world.state(), GroupState::Empty);
    assert_eq!(world.leave(&[(ids[1].as_str(), None)]), [Some(GroupError::UnknownMemberId)]);
    // Leaving while a request is parked answers it.
    let mut world = World::new(Options::default());
    let parked = world.join(join_request(""));
    let id = world.shard.describe_group("g").unwrap().unwrap().members[0].member_id.clone();
    world.leave(&[(id.as_str(), None)]);
    assert_eq!(world.joined(parked).error, Some(GroupError::UnknownMemberId));
    world.advance(3_000);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn leaving_of_unknown_groups_and_promised_members() {
    let mut world = World::eager();
    assert_eq!(world.leave(&[("x", None)]), [Some(GroupError::UnknownMemberId)]);
    let request = JoinGroup { requires_known_member_id: true, ..join_request("") };
    let promised = world.join_now(request.clone()).member_id;
    assert_eq!(world.leave(&[(promised.as_str(), None)]), [None]);
    let late = world.join_now(JoinGroup { member_id: promised, ..request });
    assert_eq!(late.error, Some(GroupError::UnknownMemberId));
}

#[test]
fn a_full_group_lets_nobody_in_but_keeps_its_members() {
    let mut world = World::new(Options {
        group_max_size: 2,
        group_initial_rebalance_delay_ms: 0,
        ..Options::default()
    });
    let (ids, generation) = world.stable(2);
    let refused = world.join_now(join_request(""));
    assert_eq!(refused.error, Some(GroupError::GroupMaxSizeReached));
    assert!(refused.member_id.is_empty());
    assert_eq!(world.state(), GroupState::Stable);
    let leader = world.join(join_request(ids[0].as_str()));
    let other = world.join(join_request(ids[1].as_str()));
    assert_eq!(world.joined(leader).generation_id, generation + 1);
    assert_eq!(world.joined(other).error, None);
}

#[test]
fn a_shard_that_does_not_serve_says_so() {
    let mut world = World::unloaded(Options::default());
    let loading = world.join_now(join_request("")).error;
    assert_eq!(loading, Some(GroupError::CoordinatorLoadInProgress));
    let id = MemberId::new("m");
    assert_eq!(world.heartbeat(&id, 1), Err(GroupError::CoordinatorLoadInProgress));
    assert_eq!(world.shard.list_groups(&[], &[]), Err(GroupError::CoordinatorLoadInProgress));

    let mut world = World::eager();
    let (ids, generation) = world.stable(2);
    world.commits_at_once = false;
    let join = world.join(join_request(ids[0].as_str()));
    let commit = world.commit_offset(ids[1].as_str(), generation, "t", 5);
    world.run(|shard, now, wall, out| shard.on_unload(now, wall, out));
    assert_eq!(world.joined(join).error, Some(GroupError::NotCoordinator));
    assert_eq!(world.committed(commit), Err(GroupError::NotCoordinator));
    assert_eq!(world.heartbeat(&ids[1], generation), Err(GroupError::NotCoordinator));
    assert_eq!(world.shard.next_deadline(), None);
}

#[test]
fn a_group_survives_its_coordinator() {
    let mut world = World::eager();
    let (ids, generation) = world.stable(3);
    world.advance(9_000);
    let mut other = world.reloaded();
    assert_eq!(other.state(), GroupState::Stable);
    assert_eq!(world.shard.describe_group("g"), other.shard.describe_group("g"));
    // Everybody has a full session again.
    other.advance(9_000);
    for id in &ids {
        assert_eq!(other.heartbeat(id, generation), Ok(()));
        let sync = other.sync(id, generation, &[]);
        assert_eq!(other.synced(sync).as_deref(), Ok("assigned"));
    }
    other.advance(10_001);
    assert_eq!(other.state(), GroupState::Empty);
}

#[test]
fn a_group_that_has_become_too_large_rebalances_on_loading() {
    let mut world = World::eager();
    let (ids, _) = world.stable(3);
    world.shard.options.group_max_size = 2;
    let mut other = world.reloaded();
    assert_eq!(other.state(), GroupState::PreparingRebalance);
    let replies: Vec<_> = ids.iter().map(|id| other.join(join_request(id.as_str()))).collect();
    let refused = other.joined(replies[2]).error;
    assert_eq!(refused, Some(GroupError::GroupMaxSizeReached));
}

#[test]
fn lists_and_descriptions() {
    let mut world = World::eager();
    let (ids, _) = world.stable(1);
    let described = world.shard.describe_group("g").unwrap().unwrap();
    assert_eq!(
        (described.protocol_type.as_str(), described.protocol_data.as_str()),
        ("consumer", "range")
    );
    assert_eq!(described.members[0].member_id, ids[0]);
    assert_eq!(described.members[0].client_host, "/127.0.0.1");
    assert_eq!(described.members[0].metadata, protocol("range", &["t"]).metadata);
    assert_eq!(world.shard.describe_group("none"), Ok(None));
    let list = |states: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        world.shard.list_groups(&owned(states), &owned(types)).unwrap().len()
    };
    assert_eq!(list(&[], &[]), 1);
    assert_eq!(list(&["stable"], &["Classic"]), 1);
    assert_eq!(list(&["Empty", "Dead"], &[]), 0);
    assert_eq!(list(&[], &["consumer"]), 0);
}
