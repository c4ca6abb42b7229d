//! Records in and out: produce, fetch with and without sessions, offsets, deletion, producers.

use super::house::{self, House, NOW, batch};
use esker_wire::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use esker_wire::api::describe_producers::{DescribeProducersRequest, TopicRequest};
use esker_wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use esker_wire::api::init_producer_id::InitProducerIdRequest;
use esker_wire::api::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use esker_wire::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use esker_wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

const PRODUCE: i16 = 9;
const FETCH: i16 = 11;

fn topic_of<'a>(name: &'a str, batches: &[(i32, &'a [u8])]) -> TopicProduceData<'a> {
    let partitions = batches.iter().map(|(index, batch)| PartitionProduceData {
        index: *index,
        records: Some((*batch).into()),
    });
    TopicProduceData { name, partition_data: partitions.collect(), ..Default::default() }
}

/// Produces to one partition; answers its code and offset.
async fn produce(house: &House, name: &str, index: i32, acks: i16, batch: &[u8]) -> (i16, i64) {
    let request = ProduceRequest {
        acks,
        timeout_ms: 1000,
        topic_data: vec![topic_of(name, &[(index, batch)])].into(),
        ..Default::default()
    };
    house
        .ask(PRODUCE, &request, |answer| {
            let topic = answer.responses.first().unwrap();
            let part = topic.partition_responses.first().unwrap();
            (part.error_code, part.base_offset)
        })
        .await
}

fn fetch_of(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    }
}

fn fetch_topic(topic: &str, partitions: Vec<FetchPartition>) -> FetchTopic<'_> {
    FetchTopic { topic, partitions: partitions.into(), ..Default::default() }
}

fn fetch(topics: Vec<FetchTopic<'_>>) -> FetchRequest<'_> {
    FetchRequest {
        max_wait_ms: 0,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: topics.into(),
        ..Default::default()
    }
}

/// Of each partition in an answer: index, code, high watermark, bytes of records.
async fn fetched(
    house: &House,
    request: &FetchRequest<'_>,
) -> (i16, i32, Vec<(i32, i16, i64, usize)>) {
    house
        .ask(FETCH, request, |answer| {
            let mut parts = Vec::new();
            for topic in &answer.responses {
                for part in &topic.partitions {
                    let records = part.records.as_ref().and_then(|r| r.as_slice());
                    let bytes = records.map_or(0, <[u8]>::len);
                    parts.push((part.partition_index, part.error_code, part.high_watermark, bytes));
                }
            }
            (answer.error_code, answer.session_id, parts)
        })
        .await
}

#[test]
fn what_is_produced_is_fetched() {
    house::run(async |house| {
        house.create("t").await;
        let batch = batch(3);
        assert_eq!(produce(house, "t", 0, -1, &batch).await, (0, 0));
        assert_eq!(produce(house, "t", 0, 1, &batch).await, (0, 3));
        let request = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0), fetch_of(1, 0)])]);
        let (_, _, parts) = fetched(house, &request).await;
        assert_eq!(parts, [(0, 0, 6, 2 * batch.len()), (1, 0, 0, 0)]);
    });
}

#[test]
fn produce_is_refused_partition_by_partition() {
    house::run(async |house| {
        house.create("t").await;
        let batch = batch(1);
        assert_eq!(produce(house, "t", 7, -1, &batch).await, (3, -1), "no such partition");
        assert_eq!(produce(house, "u", 0, -1, &batch).await, (3, -1), "no such topic");
        assert_eq!(produce(house, "t", 0, 2, &batch).await, (21, -1), "no such acks");
        assert_eq!(produce(house, "u", 0, 2, &batch).await, (3, -1), "the topic comes first");
        let mut damaged = batch.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(produce(house, "t", 0, -1, &damaged).await, (2, -1), "its checksum is wrong");
        assert_eq!(produce(house, "t", 0, -1, &batch).await, (0, 0), "nothing of that was kept");
    });
}

#[test]
fn a_topic_without_partitions_is_not_in_the_answer() {
    house::run(async |house| {
        house.create("t").await;
        let batch = batch(1);
        let topics = vec![topic_of("t", &[]), topic_of("t", &[(1, &batch)])];
        let request = ProduceRequest { acks: -1, topic_data: topics.into(), ..Default::default() };
        let count = house.ask(PRODUCE, &request, |answer| answer.responses.len()).await;
        assert_eq!(count, 1);
    });
}

#[test]
fn nobody_writes_to_internal_topics() {
    house::run(async |house| {
        house.broker.topics.ensure_offsets_topic().await.unwrap();
        assert_eq!(produce(house, "__consumer_offsets", 0, -1, &batch(1)).await, (17, -1));
    });
}

#[test]
fn fetches_are_refused_for_what_is_not_there() {
    house::run(async |house| {
        house.create("t").await;
        let codes = async |topic: &str, partition| {
            let request = fetch(vec![fetch_topic(topic, vec![partition])]);
            fetched(house, &request).await.2[0].1
        };
        assert_eq!(codes("u", fetch_of(0, 0)).await, 3);
        assert_eq!(codes("t", fetch_of(5, 0)).await, 3);
        assert_eq!(codes("t", fetch_of(0, 1)).await, 1, "behind the end");
        assert_eq!(codes("t", fetch_of(0, -1)).await, 1);
        let ahead = FetchPartition { current_leader_epoch: 1000, ..fetch_of(0, 0) };
        assert_eq!(codes("t", ahead).await, 75);
        let mut follower = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0)])]);
        follower.replica_id = 2;
        assert_eq!(fetched(house, &follower).await.2[0].1, 6, "there are no followers");
    });
}

#[test]
fn a_session_tells_what_changed() {
    house::run(async |house| {
        house.create("t").await;
        let mut request = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0), fetch_of(1, 0)])]);
        request.session_epoch = 0;
        let (code, session, parts) = fetched(house, &request).await;
        assert!(code == 0 && session > 0 && parts.len() == 2);
        let mut next = FetchRequest { session_id: session, session_epoch: 1, ..fetch(vec![]) };
        assert_eq!(fetched(house, &next).await, (0, session, vec![]), "nothing changed");
        let batch = batch(2);
        produce(house, "t", 1, -1, &batch).await;
        next.session_epoch = 2;
        assert_eq!(fetched(house, &next).await.2, [(1, 0, 2, batch.len())]);
        assert_eq!(fetched(house, &next).await.0, 71, "an epoch comes once");
    });
}

#[test]
fn a_partition_that_a_session_forgets_is_not_told_any_more() {
    house::run(async |house| {
        house.create("t").await;
        let mut request = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0), fetch_of(1, 0)])]);
        request.session_epoch = 0;
        let (_, session, _) = fetched(house, &request).await;
        produce(house, "t", 0, -1, &batch(1)).await;
        produce(house, "t", 1, -1, &batch(1)).await;
        let forgotten =
            ForgottenTopic { topic: "t", partitions: vec![0].into(), ..Default::default() };
        let next = FetchRequest {
            session_id: session,
            session_epoch: 1,
            forgotten_topics_data: vec![forgotten].into(),
            ..fetch(vec![])
        };
        let parts = fetched(house, &next).await.2;
        assert_eq!(parts.iter().map(|part| part.0).collect::<Vec<_>>(), [1]);
        assert_eq!(house.broker.fetch_session_count(), 1);
    });
}

#[test]
fn what_is_asked_for_and_forgotten_at_once_is_forgotten() {
    house::run(async |house| {
        house.create("t").await;
        let mut request = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0), fetch_of(1, 0)])]);
        request.session_epoch = 0;
        let (_, session, _) = fetched(house, &request).await;
        produce(house, "t", 0, -1, &batch(1)).await;
        let forgotten =
            ForgottenTopic { topic: "t", partitions: vec![0].into(), ..Default::default() };
        let both = FetchRequest {
            session_id: session,
            session_epoch: 1,
            forgotten_topics_data: vec![forgotten].into(),
            ..fetch(vec![fetch_topic("t", vec![fetch_of(0, 0)])])
        };
        assert_eq!(fetched(house, &both).await.2, []);
        let anew = FetchRequest { session_epoch: 0, ..both };
        assert_eq!(fetched(house, &anew).await.2.len(), 1, "a new session forgets nothing");
    });
}

#[test]
fn sessions_end() {
    house::run(async |house| {
        house.create("t").await;
        let mut request = fetch(vec![fetch_topic("t", vec![fetch_of(0, 0)])]);
        request.session_epoch = 0;
        let (_, session, _) = fetched(house, &request).await;
        assert_eq!(house.broker.fetch_session_count(), 1);
        let last = FetchRequest { session_id: session, session_epoch: -1, ..fetch(vec![]) };
        assert_eq!(fetched(house, &last).await.0, 0);
        assert_eq!(house.broker.fetch_session_count(), 0);
        let late = FetchRequest { session_id: session, session_epoch: 1, ..fetch(vec![]) };
        assert_eq!(fetched(house, &late).await.0, 70, "it is not known any more");
    });
}

/// Code and offset of each partition that is asked for.
async fn offsets(house: &House, asked: &[(&str, &[(i32, i64)])]) -> Vec<(i32, i16, i64)> {
    let topics = asked.iter().map(|(name, partitions)| ListOffsetsTopic {
        name,
        partitions: partitions
            .iter()
            .map(|(partition_index, timestamp)| ListOffsetsPartition {
                partition_index: *partition_index,
                timestamp: *timestamp,
                current_leader_epoch: -1,
            })
            .collect(),
    });
    let request =
        ListOffsetsRequest { replica_id: -1, topics: topics.collect(), ..Default::default() };
    house
        .ask(7, &request, |answer| {
            let topics = answer.topics.to_vec();
            let parts = topics.iter().flat_map(|topic| topic.partitions.to_vec());
            parts.map(|part| (part.partition_index, part.error_code, part.offset)).collect()
        })
        .await
}

#[test]
fn offsets_are_found_by_time() {
    house::run(async |house| {
        house.create("t").await;
        produce(house, "t", 0, -1, &batch(4)).await;
        let found = offsets(house, &[("t", &[(0, -1)])]).await;
        assert_eq!(found, [(0, 0, 4)], "the latest");
        assert_eq!(offsets(house, &[("t", &[(0, -2)])]).await, [(0, 0, 0)], "the earliest");
        assert_eq!(offsets(house, &[("t", &[(0, -3)])]).await[0].1, 0, "the largest time");
        assert_eq!(offsets(house, &[("t", &[(0, NOW)])]).await, [(0, 0, 0)]);
        assert_eq!(offsets(house, &[("t", &[(0, NOW + 1)])]).await, [(0, 0, -1)], "nothing yet");
        assert_eq!(offsets(house, &[("t", &[(0, -4)])]).await[0].1, 35, "of a later version");
    });
}

#[test]
fn a_partition_that_is_asked_for_twice_is_refused_once() {
    house::run(async |house| {
        house.create("t").await;
        let found = offsets(house, &[("t", &[(0, -1), (0, -2), (1, -1)]), ("u", &[])]).await;
        assert_eq!(found, [(0, 42, -1), (1, 0, 0)]);
    });
}

/// Index, code and low watermark of each partition in the answer.
async fn delete(house: &House, asked: &[(&str, &[(i32, i64)])]) -> Vec<(i32, i16, i64)> {
    let topics = asked.iter().map(|(name, partitions)| DeleteRecordsTopic {
        name,
        partitions: partitions
            .iter()
            .map(|(partition_index, offset)| DeleteRecordsPartition {
                partition_index: *partition_index,
                offset: *offset,
            })
            .collect(),
    });
    let request = DeleteRecordsRequest { topics: topics.collect(), ..Default::default() };
    house
        .ask(2, &request, |answer| {
            let topics = answer.topics.to_vec();
            let parts = topics.iter().flat_map(|topic| topic.partitions.to_vec());
            parts.map(|part| (part.partition_index, part.error_code, part.low_watermark)).collect()
        })
        .await
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    house::run(async |house| {
        house.create("t").await;
        produce(house, "t", 0, -1, &batch(5)).await;
        assert_eq!(delete(house, &[("t", &[(0, 2)])]).await, [(0, 0, 2)]);
        assert_eq!(delete(house, &[("t", &[(0, 1)])]).await, [(0, 0, 2)], "never back");
        assert_eq!(delete(house, &[("t", &[(0, 6)])]).await, [(0, 1, -1)], "behind the end");
        assert_eq!(delete(house, &[("t", &[(0, -1)])]).await, [(0, 0, 5)], "up to the end");
        assert_eq!(delete(house, &[("u", &[(0, 0)])]).await, [(0, 3, -1)]);
    });
}

#[test]
fn of_a_partition_that_is_named_twice_the_last_word_counts() {
    house::run(async |house| {
        house.create("t").await;
        produce(house, "t", 0, -1, &batch(5)).await;
        let answer = delete(house, &[("t", &[(0, 4), (0, 2)]), ("t", &[])]).await;
        assert_eq!(answer, [(0, 0, 2)]);
        let answer = delete(house, &[("t", &[(0, 2)]), ("t", &[(0, 3), (9, 0)])]).await;
        assert_eq!(answer, [(0, 0, 3), (9, 3, -1)]);
    });
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    house::run(async |house| {
        house.create("t").await;
        produce(house, "t", 0, -1, &batch(5)).await;
        let asked = async |leader_epoch| {
            let partition =
                OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch };
            let topic = OffsetForLeaderTopic { topic: "t", partitions: vec![partition].into() };
            let request =
                OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic].into() };
            house
                .ask(3, &request, |answer| {
                    let part = answer.topics.first().unwrap().partitions.first().unwrap();
                    (part.error_code, part.leader_epoch, part.end_offset)
                })
                .await
        };
        let current = asked(0).await;
        assert_eq!((current.0, current.2), (0, 5));
        assert_eq!(asked(-1).await, (0, -1, -1), "no epoch, no end");
        assert_eq!(asked(1000).await, (0, -1, -1), "it has not begun");
    });
}

#[test]
fn producers_get_ids_of_their_own() {
    house::run(async |house| {
        let asked = async |request: InitProducerIdRequest<'_>| {
            house
                .ask(4, &request, |answer| {
                    (answer.error_code, answer.producer_id, answer.producer_epoch)
                })
                .await
        };
        let blank = InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let first = asked(blank.clone()).await;
        let second = asked(blank.clone()).await;
        assert_eq!((first.0, first.2, second.1), (0, 0, first.1 + 1));
        let half = InitProducerIdRequest { producer_id: 5, ..blank.clone() };
        assert_eq!(asked(half).await, (42, -1, -1));
        let transactional = InitProducerIdRequest { transactional_id: Some("x"), ..blank };
        assert_eq!(asked(transactional).await.0, 53);
    });
}

#[test]
fn a_partition_remembers_its_producers() {
    use esker_record::BatchBuilder;
    use esker_types::{Offset, ProducerEpoch, ProducerId, Timestamp};
    house::run(async |house| {
        house.create("t").await;
        let mut builder = BatchBuilder::new(Offset::ZERO);
        builder.append(Timestamp(NOW), None, Some(b"v"), &[]);
        let batch = builder.producer(ProducerId(9), ProducerEpoch(2), 0).build().to_vec();
        assert_eq!(produce(house, "t", 0, -1, &batch).await, (0, 0));
        assert_eq!(produce(house, "t", 0, -1, &batch).await, (0, 0), "a repeat is the same");
        let topic = TopicRequest { name: "t", partition_indexes: vec![0, 5].into() };
        let request = DescribeProducersRequest { topics: vec![topic].into() };
        house
            .ask(0, &request, |answer| {
                let parts = answer.topics.first().unwrap().partitions.to_vec();
                let active = parts[0].active_producers.first().unwrap();
                assert_eq!((active.producer_id, active.producer_epoch), (9, 2));
                assert_eq!((parts[1].partition_index, parts[1].error_code), (5, 3));
            })
            .await;
    });
}
