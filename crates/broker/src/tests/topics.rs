//! Topics, their settings, and what is told of the cluster.

use super::house::{self, House};
use esker_wire::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use esker_wire::api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use esker_wire::api::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use esker_wire::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use esker_wire::api::describe_acls::DescribeAclsRequest;
use esker_wire::api::describe_cluster::DescribeClusterRequest;
use esker_wire::api::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use esker_wire::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, RequestCursor, TopicRequest,
};
use esker_wire::api::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use esker_wire::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use esker_wire::api::list_config_resources::ListConfigResourcesRequest;
use esker_wire::api::metadata::{MetadataRequest, MetadataRequestTopic};
use esker_wire::api::unregister_broker::UnregisterBrokerRequest;
use uuid::Uuid;

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic<'_> {
    CreatableTopic { name, num_partitions, replication_factor, ..Default::default() }
}

/// Codes and ids.
async fn create(
    house: &House,
    topics: Vec<CreatableTopic<'_>>,
    validate_only: bool,
) -> Vec<(i16, Uuid)> {
    let request =
        CreateTopicsRequest { topics: topics.into(), validate_only, ..Default::default() };
    house
        .ask(7, &request, |answer| {
            answer.topics.iter().map(|one| (one.error_code, one.topic_id)).collect()
        })
        .await
}

#[test]
fn a_dry_run_tells_what_creation_would_and_makes_nothing() {
    house::run(async |house| {
        let dry = create(house, vec![topic("t", 2, 1)], true).await;
        assert!(dry[0].0 == 0 && !dry[0].1.is_nil(), "an id that nothing has");
        assert!(house.broker.engine().topics().by_name("t").is_none());
        let made = create(house, vec![topic("t", 2, 1)], false).await;
        assert!(made[0].0 == 0 && made[0].1 != dry[0].1);
        assert_eq!(create(house, vec![topic("t", 2, 1)], true).await[0].0, 36);
    });
}

#[test]
fn topics_are_refused_one_by_one() {
    house::run(async |house| {
        let codes = async |topics| {
            let made = create(house, topics, true).await;
            made.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
        };
        let topics =
            vec![topic("a/b", 1, 1), topic("n", 0, 1), topic("r", 1, 3), topic("ok", 1, 1)];
        assert_eq!(codes(topics).await, [17, 37, 38, 0]);
        assert_eq!(codes(vec![topic("t", 1, 1), topic("t", 2, 1)]).await, [42], "once, for both");
        assert_eq!(codes(vec![topic("__cluster_metadata", 1, 1)]).await, [42]);
        let null = CreatableTopicConfig { name: "retention.ms", value: None };
        let with_null = CreatableTopic { configs: vec![null].into(), ..topic("t", 1, 1) };
        assert_eq!(codes(vec![with_null]).await, [40]);
    });
}

#[test]
fn assignments_name_brokers_that_there_are() {
    house::run(async |house| {
        let assigned = |brokers: Vec<i32>, count| {
            let one = CreatableReplicaAssignment { partition_index: 0, broker_ids: brokers.into() };
            CreatableTopic { assignments: vec![one].into(), ..topic("t", count, -1) }
        };
        let code = async |topic| create(house, vec![topic], true).await[0].0;
        assert_eq!(code(assigned(vec![1, 1], -1)).await, 39);
        assert_eq!(code(assigned(vec![], -1)).await, 39);
        assert_eq!(code(assigned(vec![1], 1)).await, 42, "the count is said twice");
    });
}

fn by_id(topic_id: Uuid) -> MetadataRequestTopic<'static> {
    MetadataRequestTopic { topic_id, name: None }
}

fn by_name(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic { name: Some(name), ..Default::default() }
}

/// Topics with codes, and the number of brokers.
async fn metadata(
    house: &House,
    version: i16,
    topics: Vec<MetadataRequestTopic<'_>>,
) -> (Vec<(i16, Option<String>)>, usize) {
    let request = MetadataRequest { topics: Some(topics.into()), ..Default::default() };
    house
        .ask(version, &request, |answer| {
            let topics = answer.topics.iter();
            let topics = topics.map(|one| (one.error_code, one.name.map(str::to_owned)));
            (topics.collect(), answer.brokers.len())
        })
        .await
}

#[test]
fn metadata_is_found_by_name_and_by_id() {
    house::run(async |house| {
        house.create("t").await;
        house.create("u").await;
        let id = house.broker.engine().topics().by_name("t").unwrap().id.0;
        let t = Some("t".to_owned());
        assert_eq!(metadata(house, 12, vec![by_name("t")]).await, (vec![(0, t.clone())], 1));
        let both = vec![by_id(id), by_name("u")];
        let told = metadata(house, 12, both).await;
        assert_eq!(told, (vec![(0, t)], 1), "names say nothing beside an id");
        let unknown = metadata(house, 12, vec![by_id(Uuid::from_u128(5))]).await;
        assert_eq!(unknown, (vec![(100, None)], 1));
        assert_eq!(metadata(house, 12, vec![by_name("a/b")]).await.0[0].0, 17);
    });
}

#[test]
fn versions_that_ask_by_name_tell_nothing_to_who_asks_by_id() {
    house::run(async |house| {
        house.create("t").await;
        let id = house.broker.engine().topics().by_name("t").unwrap().id.0;
        for version in [10, 11] {
            let (topics, brokers) = metadata(house, version, vec![by_name("t"), by_id(id)]).await;
            assert_eq!((topics[0].0, topics[1].0, brokers), (42, 42, 0), "{version}");
            let named = metadata(house, version, vec![by_name("t")]).await;
            assert_eq!((named.0[0].0, named.1), (0, 1));
        }
    });
}

#[test]
fn metadata_makes_a_topic_where_the_client_lets_it() {
    house::run(async |house| {
        let ask = async |name: &'static str, allow_auto_topic_creation| {
            let topics = Some(vec![by_name(name)].into());
            let request =
                MetadataRequest { topics, allow_auto_topic_creation, ..Default::default() };
            house.ask(9, &request, |answer| answer.topics.first().unwrap().error_code).await
        };
        assert_eq!(ask("made", false).await, 3);
        assert_eq!(ask("made", true).await, 0);
        assert_eq!(ask("made", false).await, 0);
        assert_eq!(ask("__transaction_state", true).await, 3, "nobody keeps it yet");
        assert_eq!(ask("__consumer_offsets", true).await, 0);
    });
}

#[test]
fn topics_grow_and_never_shrink() {
    house::run(async |house| {
        house.create("t").await;
        let grow = async |name: &'static str, count| {
            let topic = CreatePartitionsTopic { name, count, assignments: None };
            let topics = vec![topic].into();
            let request = CreatePartitionsRequest { topics, ..Default::default() };
            house.ask(2, &request, |answer| answer.results.first().unwrap().error_code).await
        };
        assert_eq!(grow("t", 3).await, 0);
        assert_eq!(grow("t", 3).await, 37);
        assert_eq!(grow("t", 1).await, 37);
        assert_eq!(grow("u", 3).await, 3);
        assert_eq!(house.broker.engine().topics().by_name("t").unwrap().partitions.len(), 3);
    });
}

#[test]
fn topics_are_deleted_by_name_or_id_and_not_by_both() {
    house::run(async |house| {
        house.create("t").await;
        house.create("u").await;
        let id = |name: &str| house.broker.engine().topics().by_name(name).unwrap().id.0;
        let delete = async |topics: Vec<DeleteTopicState<'_>>| {
            let request = DeleteTopicsRequest { topics: topics.into(), ..Default::default() };
            let codes = house.ask(6, &request, |answer| {
                answer.responses.iter().map(|one| one.error_code).collect::<Vec<_>>()
            });
            codes.await
        };
        let named = |name| DeleteTopicState { name: Some(name), topic_id: Uuid::nil() };
        let twice = vec![named("t"), DeleteTopicState { name: None, topic_id: id("t") }];
        assert_eq!(delete(twice).await, [42]);
        assert_eq!(delete(vec![DeleteTopicState::default()]).await, [42], "neither");
        let unknown = DeleteTopicState { name: None, topic_id: Uuid::from_u128(9) };
        assert_eq!(delete(vec![unknown, named("v")]).await, [100, 3]);
        let by_id = DeleteTopicState { name: None, topic_id: id("t") };
        assert_eq!(delete(vec![by_id, named("u")]).await, [0, 0]);
        assert!(house.broker.engine().topics().by_name("t").is_none());
    });
}

#[test]
fn partitions_are_told_in_pages() {
    house::run(async |house| {
        house.create("a").await;
        house.create("b").await;
        let page = async |cursor: Option<(&'static str, i32)>, limit| {
            let names = ["a", "b", "missing"].map(|name| TopicRequest { name });
            let request = DescribeTopicPartitionsRequest {
                topics: names.to_vec().into(),
                response_partition_limit: limit,
                cursor: cursor.map(|(topic_name, partition_index)| RequestCursor {
                    topic_name,
                    partition_index,
                }),
            };
            house
                .ask(0, &request, |answer| {
                    let parts = answer.topics.iter().map(|topic| topic.partitions.len()).sum();
                    let next = answer
                        .next_cursor
                        .map(|one| (one.topic_name.to_owned(), one.partition_index));
                    let codes = answer.topics.iter().map(|topic| topic.error_code).collect();
                    (parts, next, codes)
                })
                .await
        };
        let first: (usize, _, Vec<i16>) = page(None, 3).await;
        assert_eq!(first, (3, Some(("b".to_owned(), 1)), vec![0, 0]));
        assert_eq!(page(Some(("b", 1)), 3).await, (1, None, vec![0, 3]));
        assert_eq!(page(Some(("a", -1)), 3).await.2, [42, 42, 42]);
        assert_eq!(page(Some(("zoo", 0)), 3).await.2, [42, 42, 42], "nobody asks for it");
    });
}

async fn alter(house: &House, resource: (i8, &str), change: (&str, i8, Option<&str>)) -> i16 {
    let (name, config_operation, value) = change;
    let config = AlterableConfig { name, config_operation, value };
    let resource = AlterConfigsResource {
        resource_type: resource.0,
        resource_name: resource.1,
        configs: vec![config].into(),
    };
    let resources = vec![resource].into();
    let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
    house.ask(1, &request, |answer| answer.responses.first().unwrap().error_code).await
}

async fn described(house: &House, resource: (i8, &str), key: &str) -> (i16, Option<String>) {
    let resource = DescribeConfigsResource {
        resource_type: resource.0,
        resource_name: resource.1,
        configuration_keys: Some(vec![key].into()),
    };
    let resources = vec![resource].into();
    let request = DescribeConfigsRequest { resources, ..Default::default() };
    house
        .ask(4, &request, |answer| {
            let result = answer.results.first().unwrap();
            let value = result.configs.first().and_then(|one| one.value.map(str::to_owned));
            (result.error_code, value)
        })
        .await
}

#[test]
fn settings_are_changed_and_told() {
    house::run(async |house| {
        house.create("t").await;
        let t = (2, "t");
        assert_eq!(alter(house, t, ("retention.ms", 0, Some("5000"))).await, 0);
        assert_eq!(described(house, t, "retention.ms").await, (0, Some("5000".to_owned())));
        assert_eq!(alter(house, t, ("retention.ms", 1, None)).await, 0);
        assert_ne!(described(house, t, "retention.ms").await.1.as_deref(), Some("5000"));
        assert_eq!(alter(house, t, ("cleanup.policy", 2, Some("compact"))).await, 0);
        let policy = described(house, t, "cleanup.policy").await.1;
        assert_eq!(policy.as_deref(), Some("delete,compact"));
    });
}

#[test]
fn settings_that_are_none_are_refused() {
    house::run(async |house| {
        house.create("t").await;
        let t = (2, "t");
        assert_eq!(alter(house, t, ("retention.ms", 0, Some("soon"))).await, 40);
        assert_eq!(alter(house, t, ("retention.ms", 0, None)).await, 42);
        assert_eq!(alter(house, t, ("retention.ms", 9, Some("1"))).await, 42);
        assert_eq!(alter(house, t, ("nonsense", 0, Some("1"))).await, 40);
        assert_eq!(alter(house, (2, "u"), ("retention.ms", 0, Some("1"))).await, 3);
        assert_eq!(alter(house, (99, "u"), ("retention.ms", 0, Some("1"))).await, 42);
        assert_eq!(described(house, (2, "u"), "retention.ms").await.0, 3);
        assert_eq!(described(house, (4, "7"), "num.partitions").await.0, 42);
        assert_eq!(described(house, (4, "1"), "num.partitions").await.0, 0);
        assert_eq!(described(house, (32, ""), "x").await.0, 42);
    });
}

#[test]
fn what_has_settings_is_listed() {
    house::run(async |house| {
        house.create("t").await;
        let list = async |types: Vec<i8>| {
            let request = ListConfigResourcesRequest { resource_types: types.into() };
            house
                .ask(1, &request, |answer| (answer.error_code, answer.config_resources.len()))
                .await
        };
        assert_eq!(list(vec![2]).await, (0, 1));
        assert_eq!(list(vec![4]).await, (0, 1));
        assert_eq!(list(vec![]).await, (0, 2));
        assert_eq!(list(vec![3]).await, (35, 0));
    });
}

#[test]
fn partitions_stay_where_they_are() {
    house::run(async |house| {
        house.create("t").await;
        let reassign = async |replicas: Option<Vec<i32>>, partition_index| {
            let replicas = replicas.map(Into::into);
            let partition = ReassignablePartition { partition_index, replicas };
            let topic = ReassignableTopic { name: "t", partitions: vec![partition].into() };
            let topics = vec![topic].into();
            let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
            let code = |answer: esker_wire::api::alter_partition_reassignments::AlterPartitionReassignmentsResponse<'_>| {
                answer.responses.first().unwrap().partitions.first().unwrap().error_code
            };
            house.ask(0, &request, code).await
        };
        assert_eq!(reassign(Some(vec![1]), 0).await, 0);
        assert_eq!(reassign(Some(vec![2]), 0).await, 39);
        assert_eq!(reassign(Some(vec![]), 0).await, 39);
        assert_eq!(reassign(None, 0).await, 85);
        assert_eq!(reassign(Some(vec![1]), 9).await, 3);
    });
}

#[test]
fn elections_are_not_needed() {
    house::run(async |house| {
        house.create("t").await;
        let elect = async |election_type| {
            let topic = TopicPartitions { topic: "t", partitions: vec![0, 9].into() };
            let topic_partitions = Some(vec![topic].into());
            let request =
                ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
            house
                .ask(2, &request, |answer| {
                    let results = answer.replica_election_results.first().unwrap();
                    results.partition_result.iter().map(|one| one.error_code).collect::<Vec<_>>()
                })
                .await
        };
        assert_eq!(elect(0).await, [84, 3]);
        assert_eq!(elect(9).await, [42, 42]);
        let all =
            ElectLeadersRequest { election_type: 9, topic_partitions: None, ..Default::default() };
        let told = |answer: esker_wire::api::elect_leaders::ElectLeadersResponse<'_>| {
            (answer.error_code, answer.replica_election_results.len())
        };
        assert_eq!(house.ask(2, &all, told).await, (42, 0), "nothing of any partition");
    });
}

#[test]
fn the_cluster_is_told_to_who_asks_a_broker() {
    house::run(async |house| {
        let ask = async |endpoint_type| {
            let request = DescribeClusterRequest { endpoint_type, ..Default::default() };
            house.ask(1, &request, |answer| (answer.error_code, answer.brokers.len())).await
        };
        assert_eq!(ask(1).await, (0, 1));
        assert_eq!(ask(2).await.0, 114);
        assert_eq!(ask(9).await.0, 115);
    });
}

#[test]
fn a_broker_that_serves_is_not_struck_off() {
    house::run(async |house| {
        let strike = async |broker_id| {
            let request = UnregisterBrokerRequest { broker_id };
            house.ask(0, &request, |answer| answer.error_code).await
        };
        assert_eq!(strike(1).await, 42);
        assert_eq!(strike(7).await, 102);
    });
}

#[test]
fn there_are_no_rules_and_odd_filters_close_the_connection() {
    house::run(async |house| {
        let any = DescribeAclsRequest {
            resource_type_filter: 1,
            pattern_type_filter: 1,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        };
        house.ask(3, &any, |answer| assert_eq!(answer.error_code, 54)).await;
        let odd = DescribeAclsRequest { operation: 99, ..any };
        let violation = house.violation(&super::frames::frame(&odd, 3)).await;
        assert!(matches!(
            violation,
            crate::protocol_violation::ProtocolViolation::UnknownFilter(_)
        ));
    });
}
