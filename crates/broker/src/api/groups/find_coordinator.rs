//! FindCoordinator: which broker coordinates a group.

use crate::access::{Access, Operation, Resource};
use crate::api_error::{ApiError, code_of, text_of};
use crate::broker::Broker;
use crate::call::{Call, Outcome};
use crate::lookup::find_row;
use crate::topic_creation::OFFSETS_TOPIC;
use esker_group::partition_for;
use esker_meta::State;
use esker_types::{GroupId, TopicName};
use esker_wire::ErrorCode;
use esker_wire::api::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Group);

/// Key types.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// First version that asks for several keys at once.
const BATCHED: i16 = 4;

pub(crate) async fn handle(call: &Call<'_>, request: FindCoordinatorRequest<'_>) -> Outcome {
    let kind = match request.key_type {
        GROUP => call.broker.topics.ensure_offsets_topic().await.map_err(|_| {
            let what = "the offsets topic cannot be created";
            ApiError::new(ErrorCode::CoordinatorNotAvailable, what)
        }),
        TRANSACTION => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "this broker coordinates no transactions"))
        }
        _ => Err(ApiError::new(ErrorCode::InvalidRequest, "unknown coordinator type")),
    };
    let state = call.broker.engine().meta().image();
    let nowhere = Place::nowhere();
    let find = |key: &str| match &kind {
        Ok(()) => coordinator_of(call.broker, &state, key),
        Err(error) => Err(error.clone()),
    };
    if call.version() >= BATCHED {
        let keys: Vec<_> = request.coordinator_keys.iter().collect();
        let found: Vec<_> = keys.iter().map(|key| find(key)).collect();
        let coordinators = keys.iter().zip(&found).map(|(key, found)| {
            let place = found.as_ref().unwrap_or(&nowhere);
            Coordinator {
                key,
                node_id: place.node,
                host: &place.host,
                port: place.port,
                error_code: code_of(found),
                error_message: Some(text_of(found).unwrap_or_default()),
            }
        });
        return call.answer(FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            error_message: None,
            ..Default::default()
        });
    }
    let found = find(request.key);
    let place = found.as_ref().unwrap_or(&nowhere);
    // Success is told in words, too, in the versions for one key.
    let message = if found.is_ok() { "NONE" } else { text_of(&found).unwrap_or_default() };
    call.answer(FindCoordinatorResponse {
        error_code: code_of(&found),
        error_message: Some(message).filter(|_| call.version() >= 1),
        node_id: place.node,
        host: &place.host,
        port: place.port,
        ..Default::default()
    })
}

/// Where a coordinator is reached.
struct Place {
    node: i32,
    host: String,
    port: i32,
}

impl Place {
    const fn nowhere() -> Self {
        Self { node: -1, host: String::new(), port: -1 }
    }
}

/// The broker that leads the partition of a group's records.
fn coordinator_of(broker: &Broker, state: &State, group: &str) -> Result<Place, ApiError> {
    let nobody = |what: &str| ApiError::new(ErrorCode::CoordinatorNotAvailable, what.to_owned());
    let topic = TopicName::new(OFFSETS_TOPIC).ok();
    let topic = topic.and_then(|name| state.topics.get(state.topic_names.get(&name)?));
    let topic = topic.ok_or_else(|| nobody("the offsets topic is not there"))?;
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let index = partition_for(&GroupId::new(group), count);
    let row = find_row(state, OFFSETS_TOPIC, index.get());
    let row = row.filter(|row| state.has_leader(row));
    let row = row.ok_or_else(|| nobody("the partition of the group has no leader"))?;
    if row.leader.get() == broker.id() {
        let host = broker.advertised_host().to_owned();
        return Ok(Place { node: broker.id(), host, port: broker.advertised_port() });
    }
    let leader = state.brokers.get(&row.leader);
    let leader = leader.ok_or_else(|| nobody("the coordinator is not registered"))?;
    Ok(Place { node: row.leader.get(), host: leader.host.clone(), port: i32::from(leader.port) })
}
