//! Metadata: brokers, topics, leaders.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use esker_meta::{Partition, State};
use esker_types::{TopicId, TopicName, is_internal_topic};
use esker_wire::api::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use esker_wire::{Array, ErrorCode, Uuid};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeInclusive;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Topic);

/// Every operation on a topic (read, write, create, delete, alter, describe, describe configs, alter configs), as a
/// bit set: without an authorizer all are allowed.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The same for the cluster (create, cluster action, describe configs, alter configs, idempotent write, alter,
/// describe).
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// Versions that have ids in the request, and ask by name all the same.
const KNOWS_IDS: RangeInclusive<i16> = 10..=11;
/// "Not asked for."
const OPERATIONS_UNKNOWN: i32 = i32::MIN;

pub(crate) async fn handle(call: &Call<'_>, request: MetadataRequest<'_>) -> Outcome {
    let broker = call.broker;
    // Version 0 says "all" by an empty list, later ones by null.
    let wanted = request.topics.as_ref().filter(|t| !(call.version() == 0 && t.is_empty()));
    if let Some(refused) = wanted.filter(|_| KNOWS_IDS.contains(&call.version())).and_then(refused)
    {
        return call.answer(refused);
    }
    let by_id = wanted.is_some_and(|t| t.iter().any(|topic| !topic.topic_id.is_nil()));
    if let Some(wanted) = wanted.filter(|_| !by_id) {
        let may_create = broker.options().auto_create_topics && request.allow_auto_topic_creation;
        for topic in wanted.iter().filter(|_| may_create) {
            if let Some(Ok(name)) = topic.name.map(TopicName::new) {
                // A failure shows below as a topic that is not there.
                let _failed = broker.topics.create_automatically(&name).await;
            }
        }
    }
    let state = broker.engine().meta().image();
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        OPERATIONS_UNKNOWN
    };
    let topics: Vec<_> = match wanted {
        None => state.topics.iter().map(|(id, _)| describe(&state, *id, operations)).collect(),
        // Where one is asked for by id, as in Kafka all are, and names say nothing.
        Some(wanted) => {
            once(wanted.iter().filter(|topic| !(by_id && topic.topic_id.is_nil())), |topic| {
                Some((topic.name.filter(|_| !by_id), topic.topic_id))
            })
            .map(|topic| match topic.name {
                // An id says which topic is meant, whatever name stands beside it.
                _ if state.topics.contains_key(&TopicId(topic.topic_id)) => {
                    describe(&state, TopicId(topic.topic_id), operations)
                }
                _ if !topic.topic_id.is_nil() => {
                    unknown(None, topic.topic_id, ErrorCode::UnknownTopicId)
                }
                Some(name) => match state.topic_names.get(name) {
                    Some(id) => describe(&state, *id, operations),
                    None if TopicName::new(name).is_err() => {
                        unknown(Some(name), Uuid::nil(), ErrorCode::InvalidTopicException)
                    }
                    None => unknown(Some(name), Uuid::nil(), ErrorCode::UnknownTopicOrPartition),
                },
                None => unknown(None, Uuid::nil(), ErrorCode::InvalidRequest),
            })
            .collect()
        }
    };
    let cluster_id = state.cluster.to_string();
    let listed = broker.listed_brokers.of(&state, broker.engine().env().clock.now());
    let brokers: Vec<_> = listed
        .into_iter()
        .map(|(id, row)| MetadataResponseBroker {
            node_id: id.get(),
            host: &row.host,
            port: if id.get() == broker.id() {
                broker.advertised_port()
            } else {
                i32::from(row.port)
            },
            rack: row.rack.as_deref(),
        })
        .collect();
    let cluster_authorized_operations = if request.include_cluster_authorized_operations {
        CLUSTER_OPERATIONS
    } else {
        OPERATIONS_UNKNOWN
    };
    call.answer(MetadataResponse {
        brokers: brokers.into(),
        cluster_id: Some(&cluster_id),
        controller_id: broker.id(),
        topics: topics.into(),
        cluster_authorized_operations,
        ..Default::default()
    })
}

/// What a request by id is told in a version that asks by name: nothing about any topic, nor about the cluster, as in Kafka.
fn refused<'a>(wanted: &Array<'a, MetadataRequestTopic<'a>>) -> Option<MetadataResponse<'a>> {
    let is_by_name =
        |topic: MetadataRequestTopic<'_>| topic.name.is_some() && topic.topic_id.is_nil();
    if wanted.iter().all(is_by_name) {
        return None;
    }
    let topics = wanted.iter().map(|topic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    });
    Some(MetadataResponse { topics: topics.collect(), ..Default::default() })
}

fn unknown(name: Option<&str>, topic_id: Uuid, code: ErrorCode) -> MetadataResponseTopic<'_> {
    MetadataResponseTopic {
        error_code: code.code(),
        name,
        topic_id,
        is_internal: name.is_some_and(is_internal_topic),
        ..Default::default()
    }
}

fn describe<'a>(state: &'a State, id: TopicId, operations: i32) -> MetadataResponseTopic<'a> {
    let topic = &state.topics[&id];
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .filter_map(|pid| state.partitions.get(pid))
        .map(|row| {
            let led = state.has_leader(row);
            let replicas = Replicas::of(state, row, topic.replication_factor);
            MetadataResponsePartition {
                error_code: if led { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }
                    .code(),
                partition_index: row.index.get(),
                leader_id: if led { row.leader.get() } else { -1 },
                leader_epoch: row.leader_epoch.get(),
                replica_nodes: replicas.all.into(),
                isr_nodes: replicas.in_sync.into(),
                ..Default::default()
            }
        })
        .collect();
    MetadataResponseTopic {
        name: Some(topic.name.as_str()),
        topic_id: id.0,
        is_internal: is_internal_topic(topic.name.as_str()),
        partitions: partitions.into(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}

/// The brokers that a client sees as replicas of a partition, as many as the topic was made with: its leader, and those that
/// follow it by number, any of which could lead it, as records are in the bucket and in journals that are copied. In sync
/// are those that are alive. Tools read meaning into these lists, so they are made in one place.
pub(crate) struct Replicas {
    pub(crate) all: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

impl Replicas {
    pub(crate) fn of(state: &State, row: &Partition, copies: i16) -> Self {
        let wanted = usize::try_from(copies).unwrap_or_default().max(1);
        let leader = row.leader;
        let after = state.brokers.range((Excluded(leader), Unbounded));
        let before = state.brokers.range(..leader);
        let others = after.chain(before).map(|(id, row)| (*id, row.is_alive()));
        let is_alive = state.brokers.get(&leader).is_some_and(|row| row.is_alive());
        let all: Vec<_> = std::iter::once((leader, is_alive)).chain(others).take(wanted).collect();
        let alive = all.iter().filter(|(_, alive)| *alive);
        Self {
            in_sync: alive.map(|(id, _)| id.get()).collect(),
            all: all.iter().map(|(id, _)| id.get()).collect(),
        }
    }
}
