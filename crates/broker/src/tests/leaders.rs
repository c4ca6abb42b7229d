//! A second broker: what clients are told of leaders and replicas, and moves by Kafka's own request.

use super::house::{self, House, batch};
use esker_meta::{Command, LeaderTransfer, Registration, Reply};
use esker_types::{BrokerId, Incarnation, Offset, PartitionId, StoreId};
use esker_wire::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use esker_wire::api::create_topics::{CreatableTopic, CreateTopicsRequest};
use esker_wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use esker_wire::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use esker_wire::api::metadata::{MetadataRequest, MetadataRequestTopic};
use esker_wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use uuid::Uuid;

const NOT_LEADER: i16 = 6;

async fn propose(house: &House, command: Command) -> Reply {
    let reply = house.broker.engine().meta().propose(command).await.unwrap();
    house.broker.engine().refresh();
    reply
}

/// Registers broker 2 and makes a topic of two copies, whose second partition broker 2 leads.
async fn two_brokers(house: &House) -> (PartitionId, Incarnation) {
    let registration = Registration {
        process: 7,
        host: "two.example".to_owned(),
        port: 9099,
        peer: None,
        rack: Some("r2".to_owned()),
        stores: vec![StoreId(Uuid::from_u128(2))],
    };
    let registration = Box::new(registration);
    let reply = propose(house, Command::Register { broker: BrokerId(2), registration }).await;
    let Reply::Registered(incarnation) = reply else { panic!("{reply:?}") };
    let topic = CreatableTopic {
        name: "t",
        num_partitions: 2,
        replication_factor: 2,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
    let code = house.ask(5, &request, |answer| answer.topics.first().unwrap().error_code).await;
    assert_eq!(code, 0);
    let image = house.broker.engine().meta().image();
    let pids = &image.topics.values().find(|topic| topic.name.as_str() == "t").unwrap().partitions;
    for (pid, to) in pids.iter().zip([BrokerId(1), BrokerId(2)]) {
        let row = &image.partitions[pid];
        if row.leader != to {
            transfer(house, *pid, to).await;
        }
    }
    (pids[1], incarnation)
}

async fn transfer(house: &House, partition: PartitionId, to: BrokerId) {
    let image = house.broker.engine().meta().image();
    let row = &image.partitions[&partition];
    let (broker, incarnation) = (row.leader, row.leader_incarnation);
    let (expect, start) = (row.leader_epoch, Offset(0));
    let partitions = vec![LeaderTransfer { partition, expect, start, to }];
    let reply = propose(house, Command::TransferLeaders { broker, incarnation, partitions }).await;
    assert_eq!(reply, Reply::Elected(vec![partition]));
}

#[test]
fn a_producer_at_the_wrong_broker_is_told_the_right_one_if_its_version_can_say_so() {
    house::run(async |house| {
        two_brokers(house).await;
        let records = batch(1);
        for version in [3, 9, 10, 12] {
            let part = PartitionProduceData { index: 1, records: Some((&*records).into()) };
            let partition_data = vec![part].into();
            let topic = TopicProduceData { name: "t", partition_data, ..Default::default() };
            let topic_data = vec![topic].into();
            let request =
                ProduceRequest { acks: -1, timeout_ms: 1000, topic_data, ..Default::default() };
            house
                .ask(version, &request, |answer| {
                    let topic = answer.responses.first().unwrap();
                    let part = topic.partition_responses.first().unwrap();
                    assert_eq!(part.error_code, NOT_LEADER, "version {version}");
                    let told = (part.current_leader.leader_id, answer.node_endpoints.len());
                    assert_eq!(told, if version >= 10 { (2, 1) } else { (-1, 0) });
                    if let Some(node) = answer.node_endpoints.first() {
                        let told = (node.node_id, node.host, node.port, node.rack);
                        assert_eq!(told, (2, "two.example", 9099, Some("r2")));
                    }
                })
                .await;
        }
    });
}

#[test]
fn a_consumer_at_the_wrong_broker_is_told_the_right_one_if_its_version_can_say_so() {
    house::run(async |house| {
        two_brokers(house).await;
        let image = house.broker.engine().meta().image();
        let id = *image.topics.iter().find(|(_, topic)| topic.name.as_str() == "t").unwrap().0;
        for version in [4, 11, 12, 16] {
            let partition = FetchPartition {
                partition: 1,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            };
            let mut topic = FetchTopic { partitions: vec![partition].into(), ..Default::default() };
            if version >= 13 {
                topic.topic_id = id.0;
            } else {
                topic.topic = "t";
            }
            let mut request = FetchRequest { topics: vec![topic].into(), ..Default::default() };
            (request.max_bytes, request.session_epoch, request.replica_id) = (1 << 20, -1, -1);
            house
                .ask(version, &request, |answer| {
                    let topic = answer.responses.first().unwrap();
                    let part = topic.partitions.first().unwrap();
                    assert_eq!(part.error_code, NOT_LEADER, "version {version}");
                    let told = (part.current_leader.leader_id, answer.node_endpoints.len());
                    let wanted = (if version >= 12 { 2 } else { -1 }, usize::from(version >= 16));
                    assert_eq!(told, wanted, "version {version}");
                })
                .await;
        }
    });
}

#[test]
fn replicas_are_as_many_as_were_asked_for_and_the_dead_are_not_in_sync() {
    house::run(async |house| {
        let (_, incarnation) = two_brokers(house).await;
        let replicas = async || {
            let topic = MetadataRequestTopic { name: Some("t"), ..Default::default() };
            let request =
                MetadataRequest { topics: Some(vec![topic].into()), ..Default::default() };
            house
                .ask(9, &request, |answer| {
                    let topic = answer.topics.first().unwrap();
                    let told = topic.partitions.iter();
                    told.map(|row| (row.replica_nodes.to_vec(), row.isr_nodes.to_vec()))
                        .collect::<Vec<_>>()
                })
                .await
        };
        assert_eq!(
            replicas().await,
            [(vec![1, 2], vec![1, 2]), (vec![2, 1], vec![2, 1])],
            "the leader is the first"
        );
        propose(house, Command::FenceBroker { broker: BrokerId(2), incarnation }).await;
        assert_eq!(replicas().await[0], (vec![1, 2], vec![1]));
        assert_eq!(replicas().await[1], (vec![2, 1], vec![1]), "its leader is dead");
    });
}

#[test]
fn a_reassignment_moves_the_leader_and_null_takes_it_back() {
    house::run(async |house| {
        let (second, _) = two_brokers(house).await;
        let ask = async |replicas: Option<&[i32]>| {
            let partition = ReassignablePartition {
                partition_index: 1,
                replicas: replicas.map(|ids| ids.to_vec().into()),
            };
            let topic = ReassignableTopic { name: "t", partitions: vec![partition].into() };
            let request = AlterPartitionReassignmentsRequest {
                timeout_ms: 1000,
                topics: vec![topic].into(),
                ..Default::default()
            };
            house
                .ask(0, &request, |answer| {
                    let topic = answer.responses.first().unwrap();
                    topic.partitions.first().unwrap().error_code
                })
                .await
        };
        let moves = || house.broker.engine().meta().image().moves.clone();
        assert_eq!(ask(None).await, 85, "nothing is under way");
        assert_eq!(ask(Some(&[2, 1])).await, 0);
        assert!(moves().is_empty(), "it is there");
        assert_eq!(ask(Some(&[1, 2])).await, 0);
        assert_eq!(moves().get(&second), Some(&BrokerId(1)));
        let listed = async |partition: i32| {
            let topic = ListPartitionReassignmentsTopics {
                name: "t",
                partition_indexes: vec![partition].into(),
            };
            let request = ListPartitionReassignmentsRequest {
                timeout_ms: 1000,
                topics: Some(vec![topic].into()),
            };
            house
                .ask(0, &request, |answer| {
                    let topic = answer.topics.first()?;
                    let moving = topic.partitions.first()?;
                    Some((moving.partition_index, moving.replicas.to_vec()))
                })
                .await
        };
        assert_eq!(listed(1).await, Some((1, vec![1, 2])));
        assert_eq!(listed(0).await, None, "it stays");
        assert_eq!(ask(None).await, 0);
        assert!(moves().is_empty());
        assert_eq!(ask(Some(&[1, 7])).await, 39, "nobody has this number");
        assert_eq!(ask(Some(&[1])).await, 38, "two copies were asked for");
    });
}
