//! Groups, from the first member to the end, over the wire.

use super::house::{self, House};
use esker_wire::api::delete_groups::DeleteGroupsRequest;
use esker_wire::api::describe_groups::DescribeGroupsRequest;
use esker_wire::api::find_coordinator::FindCoordinatorRequest;
use esker_wire::api::heartbeat::HeartbeatRequest;
use esker_wire::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use esker_wire::api::leave_group::{LeaveGroupRequest, MemberIdentity};
use esker_wire::api::list_groups::ListGroupsRequest;
use esker_wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use esker_wire::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use esker_wire::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use esker_wire::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

const GROUP: &str = "g";

async fn find(house: &House, key: &str, key_type: i8) -> i16 {
    let request = FindCoordinatorRequest { key, key_type, ..Default::default() };
    house.ask(3, &request, |answer| answer.error_code).await
}

fn join<'a>(member_id: &'a str, protocols: &[&'a str]) -> JoinGroupRequest<'a> {
    let protocols = protocols.iter().map(|name| JoinGroupRequestProtocol { name, metadata: b"m" });
    JoinGroupRequest {
        group_id: GROUP,
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id,
        protocol_type: "consumer",
        protocols: protocols.collect(),
        ..Default::default()
    }
}

/// Code, member and generation.
async fn joined(house: &House, request: &JoinGroupRequest<'_>) -> (i16, String, i32) {
    let look = |answer: esker_wire::api::join_group::JoinGroupResponse<'_>| {
        (answer.error_code, answer.member_id.to_owned(), answer.generation_id)
    };
    house.ask(5, request, look).await
}

/// A member that has got its assignment.
async fn stable(house: &House) -> (String, i32) {
    assert_eq!(find(house, GROUP, 0).await, 0);
    let (code, member, _) = joined(house, &join("", &["range"])).await;
    assert_eq!(code, 79, "an id first");
    let (code, member, generation) = joined(house, &join(&member, &["range"])).await;
    assert_eq!(code, 0);
    let assignment = SyncGroupRequestAssignment { member_id: &member, assignment: b"all" };
    let sync = SyncGroupRequest {
        group_id: GROUP,
        generation_id: generation,
        member_id: &member,
        assignments: vec![assignment].into(),
        ..Default::default()
    };
    house
        .ask(3, &sync, |answer| {
            assert_eq!((answer.error_code, answer.assignment), (0, &b"all"[..]))
        })
        .await;
    (member, generation)
}

async fn commit(house: &House, member_id: &str, generation: i32, topic: &str) -> i16 {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: 7,
        committed_leader_epoch: -1,
        committed_metadata: Some("said"),
    };
    let topic = OffsetCommitRequestTopic {
        name: topic,
        partitions: vec![partition].into(),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP,
        generation_id_or_member_epoch: generation,
        member_id,
        retention_time_ms: -1,
        topics: vec![topic].into(),
        ..Default::default()
    };
    let code = |answer: esker_wire::api::offset_commit::OffsetCommitResponse<'_>| {
        answer.topics.first().unwrap().partitions.first().unwrap().error_code
    };
    house.ask(6, &request, code).await
}

async fn committed(house: &House) -> i64 {
    let topic = OffsetFetchRequestTopic { name: "t", partition_indexes: vec![0].into() };
    let request = OffsetFetchRequest {
        group_id: GROUP,
        topics: Some(vec![topic].into()),
        ..Default::default()
    };
    let offset = |answer: esker_wire::api::offset_fetch::OffsetFetchResponse<'_>| {
        answer.topics.first().unwrap().partitions.first().unwrap().committed_offset
    };
    house.ask(5, &request, offset).await
}

async fn state(house: &House) -> String {
    let request = DescribeGroupsRequest { groups: vec![GROUP].into(), ..Default::default() };
    let state = |answer: esker_wire::api::describe_groups::DescribeGroupsResponse<'_>| {
        answer.groups.first().unwrap().group_state.to_owned()
    };
    house.ask(5, &request, state).await
}

async fn heartbeat(house: &House, member_id: &str, generation_id: i32) -> i16 {
    let request =
        HeartbeatRequest { group_id: GROUP, generation_id, member_id, ..Default::default() };
    house.ask(3, &request, |answer| answer.error_code).await
}

#[test]
fn a_group_lives_from_its_first_member_to_its_end() {
    house::run(async |house| {
        house.create("t").await;
        let (member, generation) = stable(house).await;
        assert_eq!(state(house).await, "Stable");
        assert_eq!(heartbeat(house, &member, generation).await, 0);
        assert_eq!(heartbeat(house, &member, generation + 1).await, 22);
        assert_eq!(heartbeat(house, "nobody", generation).await, 25);
        assert_eq!(commit(house, &member, generation, "t").await, 0);
        assert_eq!(committed(house).await, 7);
        let identity = MemberIdentity { member_id: &member, ..Default::default() };
        let leave = LeaveGroupRequest {
            group_id: GROUP,
            members: vec![identity].into(),
            ..Default::default()
        };
        house.ask(3, &leave, |answer| assert_eq!(answer.error_code, 0)).await;
        assert_eq!(state(house).await, "Empty");
        let delete = DeleteGroupsRequest { groups_names: vec![GROUP, GROUP].into() };
        let codes = house
            .ask(1, &delete, |answer| {
                answer.results.iter().map(|one| one.error_code).collect::<Vec<_>>()
            })
            .await;
        assert_eq!(codes, [0], "once");
        assert_eq!((state(house).await.as_str(), committed(house).await), ("Dead", -1));
    });
}

#[test]
fn a_group_that_a_refused_request_asked_for_is_there_and_empty() {
    house::run(async |house| {
        house.create("t").await;
        assert_eq!(find(house, GROUP, 0).await, 0);
        assert_eq!(commit(house, "", 1, "t").await, 22, "nobody has heard of the group");
        assert_eq!(joined(house, &join("", &[])).await.0, 23);
        assert_eq!(state(house).await, "Empty");
        assert_eq!(commit(house, "", 1, "t").await, 25, "nobody has heard of the member");
        assert_eq!(commit(house, "", -1, "t").await, 0, "whoever is in no group may");
    });
}

#[test]
fn offsets_are_committed_for_topics_that_there_are() {
    house::run(async |house| {
        house.create("t").await;
        assert_eq!(find(house, GROUP, 0).await, 0);
        assert_eq!(commit(house, "", -1, "u").await, 3);
        assert_eq!(commit(house, "", -1, "t").await, 0);
        let request = OffsetFetchRequest { group_id: GROUP, topics: None, ..Default::default() };
        house
            .ask(5, &request, |answer| {
                let names = answer.topics.iter().map(|topic| topic.name).collect::<Vec<_>>();
                assert_eq!(names, ["t"], "null asks for all");
            })
            .await;
    });
}

#[test]
fn offsets_are_deleted() {
    house::run(async |house| {
        house.create("t").await;
        assert_eq!(find(house, GROUP, 0).await, 0);
        assert_eq!(commit(house, "", -1, "t").await, 0);
        let parts = [0, 9].map(|partition_index| OffsetDeleteRequestPartition { partition_index });
        let topic = OffsetDeleteRequestTopic { name: "t", partitions: parts.to_vec().into() };
        let request = OffsetDeleteRequest { group_id: GROUP, topics: vec![topic].into() };
        let codes = house
            .ask(0, &request, |answer| {
                let parts = answer.topics.first().unwrap().partitions;
                parts.iter().map(|part| part.error_code).collect::<Vec<_>>()
            })
            .await;
        assert_eq!((codes, committed(house).await), (vec![0, 3], -1));
    });
}

#[test]
fn groups_are_listed_by_state() {
    house::run(async |house| {
        stable(house).await;
        let listed = async |states: &[&str]| {
            let states_filter = states.to_vec().into();
            let request = ListGroupsRequest { states_filter, ..Default::default() };
            house.ask(4, &request, |answer| answer.groups.len()).await
        };
        assert_eq!(listed(&[]).await, 1);
        assert_eq!(listed(&["Stable"]).await, 1);
        assert_eq!(listed(&["Empty"]).await, 0);
    });
}

#[test]
fn coordinators_are_found_for_groups_only() {
    house::run(async |house| {
        assert_eq!(find(house, "g", 0).await, 0);
        assert_eq!(find(house, "x", 1).await, 42);
        assert_eq!(find(house, "x", 9).await, 42);
        let keys = vec!["a", "b"];
        let request =
            FindCoordinatorRequest { coordinator_keys: keys.into(), ..Default::default() };
        house
            .ask(4, &request, |answer| {
                let found = answer.coordinators.iter().map(|one| (one.key, one.node_id));
                assert_eq!(found.collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
            })
            .await;
    });
}

#[test]
fn a_missing_group_is_an_error_in_later_versions() {
    house::run(async |house| {
        assert_eq!(find(house, GROUP, 0).await, 0);
        let request = DescribeGroupsRequest { groups: vec![GROUP].into(), ..Default::default() };
        house
            .ask(5, &request, |answer| assert_eq!(answer.groups.first().unwrap().error_code, 0))
            .await;
        house
            .ask(6, &request, |answer| assert_eq!(answer.groups.first().unwrap().error_code, 69))
            .await;
    });
}
