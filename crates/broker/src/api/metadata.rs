//! Metadata: brokers, topics, leaders.

use crate::broker::Broker;
use crate::dispatch::{Answer, Call};
use crate::once::once;
use crate::topics::is_led;
use esker_meta::State;
use esker_types::{TopicId, TopicName, is_internal_topic};
use esker_wire::api::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use esker_wire::{Array, ErrorCode, Uuid};

/// Every operation on a topic (read, write, create, delete, alter, describe, describe configs, alter configs), as a
/// bit set: without an authorizer all are allowed.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The same for the cluster (create, cluster action, describe configs, alter configs, idempotent write, alter,
/// describe).
const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// First version that asks by id.
const BY_ID: i16 = 12;
/// "Not asked for."
const OPERATIONS_UNKNOWN: i32 = i32::MIN;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: MetadataRequest<'_>,
) -> Result<Answer, String> {
    let broker = call.broker;
    // Version 0 says "all" by an empty list, later ones by null.
    let wanted = request.topics.as_ref().filter(|t| !(call.version() == 0 && t.is_empty()));
    if let Some(wanted) = wanted {
        let may_create = broker.options().auto_create_topics && request.allow_auto_topic_creation;
        for topic in wanted.iter().filter(|_| may_create) {
            if let Some(Ok(name)) = topic.name.map(TopicName::new)
                && topic.topic_id.is_nil()
            {
                // A failure shows below as a topic that is not there.
                let _failed = broker.auto_create_topic(&name).await;
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
        None => {
            state.topics.iter().map(|(id, _)| describe(broker, &state, *id, operations)).collect()
        }
        Some(wanted) => once(wanted.iter(), |topic| Some((topic.name, topic.topic_id)))
            .map(|topic| match topic.name {
                name if !topic.topic_id.is_nil() && call.version() < BY_ID => {
                    // These versions have the field and ask by name all the same, and they cannot say null.
                    let name = Some(name.unwrap_or_default());
                    unknown(name, topic.topic_id, ErrorCode::InvalidRequest)
                }
                // An id says which topic is meant, whatever name stands beside it.
                _ if state.topics.contains_key(&TopicId(topic.topic_id)) => {
                    describe(broker, &state, TopicId(topic.topic_id), operations)
                }
                _ if !topic.topic_id.is_nil() => {
                    unknown(None, topic.topic_id, ErrorCode::UnknownTopicId)
                }
                Some(name) => match state.topic_names.get(name) {
                    Some(id) => describe(broker, &state, *id, operations),
                    None if TopicName::new(name).is_err() => {
                        unknown(Some(name), Uuid::nil(), ErrorCode::InvalidTopicException)
                    }
                    None => unknown(Some(name), Uuid::nil(), ErrorCode::UnknownTopicOrPartition),
                },
                None => {
                    let name = (call.version() < BY_ID).then_some("");
                    unknown(name, Uuid::nil(), ErrorCode::InvalidRequest)
                }
            })
            .collect(),
    };
    let cluster_id = state.cluster.to_string();
    let brokers: Vec<_> = state
        .brokers
        .iter()
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
    call.answer(&MetadataResponse {
        brokers: brokers.into(),
        cluster_id: Some(&cluster_id),
        controller_id: broker.id(),
        topics: topics.into(),
        cluster_authorized_operations,
        ..Default::default()
    })
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

fn describe<'a>(
    broker: &Broker,
    state: &'a State,
    id: TopicId,
    operations: i32,
) -> MetadataResponseTopic<'a> {
    let topic = &state.topics[&id];
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .filter_map(|pid| state.partitions.get(pid))
        .map(|row| {
            let led = is_led(state, row);
            let replicas = replicas_of(broker, row.leader.get());
            MetadataResponsePartition {
                error_code: if led { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }
                    .code(),
                partition_index: row.index.get(),
                leader_id: if led { row.leader.get() } else { -1 },
                leader_epoch: row.leader_epoch.get(),
                replica_nodes: replicas.clone(),
                isr_nodes: replicas,
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

/// The brokers that a client sees as replicas: those whose stores hold the leader's journal. One, for now; clients and
/// tools read meaning into this list, so it is made in one place.
pub(crate) fn replicas_of(_broker: &Broker, leader: i32) -> Array<'static, i32> {
    Array::one(leader)
}
