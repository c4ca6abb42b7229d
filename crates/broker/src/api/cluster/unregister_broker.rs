//! UnregisterBroker: only a broker that has gone can be struck off, and there is none.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use esker_types::BrokerId;
use esker_wire::ErrorCode;
use esker_wire::api::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

pub(crate) async fn handle(call: &Call<'_>, request: UnregisterBrokerRequest) -> Outcome {
    let id = request.broker_id;
    let state = call.broker.engine().meta().image();
    let (code, message) = if state.brokers.contains_key(&BrokerId(id)) {
        (ErrorCode::InvalidRequest, format!("Broker ID {id} serves this cluster"))
    } else {
        (ErrorCode::BrokerIdNotRegistered, format!("Broker ID {id} is not currently registered"))
    };
    call.answer(UnregisterBrokerResponse {
        error_code: code.code(),
        error_message: Some(&message),
        ..Default::default()
    })
}
