//! InitProducerId: an id for an idempotent producer.

use crate::access::{Access, Operation, Resource};
use crate::broker::Broker;
use crate::call::{Call, Outcome};
use crate::error_code;
use esker_meta::{Command, Reply};
use esker_meta_client::MetaError;
use esker_wire::ErrorCode;
use esker_wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(crate) const ACCESS: Access = Access::Needs(Operation::IdempotentWrite, Resource::Cluster);

/// Ids reserved at once, as in Kafka.
const BLOCK: u32 = 1000;

pub(crate) async fn handle(call: &Call<'_>, request: InitProducerIdRequest<'_>) -> Outcome {
    let refuse = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    // Who has an id has an epoch.
    let is_half_known = (request.producer_id == -1) != (request.producer_epoch == -1);
    let response = match request.transactional_id {
        _ if is_half_known => refuse(ErrorCode::InvalidRequest),
        Some("") => refuse(ErrorCode::InvalidRequest),
        // There is no transaction coordinator; clients give up with a clear message instead of retrying.
        Some(_) => refuse(ErrorCode::TransactionalIdAuthorizationFailed),
        None => match next_producer_id(call.broker).await {
            Ok(producer_id) => {
                InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
            }
            Err(code) => refuse(code),
        },
    };
    call.answer(response)
}

async fn next_producer_id(broker: &Broker) -> Result<i64, ErrorCode> {
    let mut ids = broker.producer_ids.lock().await;
    if let Some(id) = ids.next() {
        return Ok(id);
    }
    let engine = broker.engine();
    let command = Command::AllocateProducerIds {
        broker: engine.options().broker,
        incarnation: engine.incarnation(),
        count: BLOCK,
    };
    match engine.meta().propose(command).await {
        Ok(Reply::ProducerIds(first)) => {
            *ids = first..first + i64::from(BLOCK);
            ids.next().ok_or(ErrorCode::UnknownServerError)
        }
        Ok(other) => panic!("a reservation is answered with ids, not {other:?}"),
        // Kafka's word for "no ids yet, ask again": clients retry it, and do not look for a coordinator that they have not.
        Err(MetaError::Unavailable(_)) => Err(ErrorCode::CoordinatorLoadInProgress),
        Err(error) => Err(error_code::of_meta(&error)),
    }
}
