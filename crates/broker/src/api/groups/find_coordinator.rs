//! FindCoordinator: which broker coordinates a group.

use crate::access::{Access, Operation, Resource};
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
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
    let broker = call.broker;
    let found = match request.key_type {
        GROUP => match broker.topics.ensure_offsets_topic().await {
            Ok(()) => Ok(()),
            Err(_) => Err(ApiError::new(
                ErrorCode::CoordinatorNotAvailable,
                "the offsets topic cannot be created",
            )),
        },
        TRANSACTION => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "this broker coordinates no transactions"))
        }
        _ => Err(ApiError::new(ErrorCode::InvalidRequest, "unknown coordinator type")),
    };
    let host = broker.advertised_host();
    let known = found.is_ok();
    let (error_code, message) = (code_of(&found), text_of(&found).unwrap_or_default());
    let (node_id, host, port) =
        if known { (broker.id(), host, broker.advertised_port()) } else { (-1, "", -1) };
    if call.version() >= BATCHED {
        let coordinators = request.coordinator_keys.iter().map(|key| Coordinator {
            key,
            node_id,
            host,
            port,
            error_code,
            error_message: Some(message),
        });
        return call.answer(FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            error_message: None,
            ..Default::default()
        });
    }
    call.answer(FindCoordinatorResponse {
        error_code,
        // Success is told in words, too, in the versions for one key.
        error_message: Some(if known { "NONE" } else { message }).filter(|_| call.version() >= 1),
        node_id,
        host,
        port,
        ..Default::default()
    })
}
