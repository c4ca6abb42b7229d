//! From a frame to an answer.

use crate::api::{self, records::produce};
use crate::broker::Broker;
use crate::call::{Call, Outcome, PendingResponse, Response, encode};
use crate::client_info::ClientInfo;
use crate::protocol_violation::ProtocolViolation;
use bytes::{Bytes, BytesMut};
use esker_wire::{ApiKey, RequestHeader, decode_request_header};
use std::sync::Arc;
use std::time::Duration;

/// Takes up a request. Produce appends before this returns; the rest happens when what comes back is polled.
pub(crate) fn start(
    broker: &Arc<Broker>,
    client: &Arc<ClientInfo>,
    frame: BytesMut,
) -> PendingResponse {
    // Key 0 is Produce: it takes the frame apart instead of borrowing from it.
    if frame.starts_with(&[0, 0]) {
        return produce::start(broker, client, frame);
    }
    let (broker, client) = (Arc::clone(broker), Arc::clone(client));
    let frame = frame.freeze();
    PendingResponse::Running(Box::pin(async move {
        Response::from(answer(&broker, &client, &frame).await)
    }))
}

async fn answer(broker: &Arc<Broker>, client: &Arc<ClientInfo>, frame: &Bytes) -> Outcome {
    let (header, body) = decode_request_header(frame).map_err(ProtocolViolation::Header)?;
    let call = Call { broker, client, header };
    let key = call.header.api_key;
    if !key.listeners().broker || !key.supports(call.version()) {
        return unsupported(&call);
    }
    match api::route(&call, body).await {
        Some(outcome) => outcome,
        None => unsupported(&call),
    }
}

/// Kafka closes the connection, except where the client asks what is supported.
fn unsupported(call: &Call<'_>) -> Outcome {
    let RequestHeader { api_key: api, api_version: version, .. } = call.header;
    if api != ApiKey::ApiVersions {
        let (listener, software) = (call.listener(), call.software());
        tracing::debug!(api = api.name(), version, listener, ?software, "not supported");
        return Err(ProtocolViolation::Unsupported { api, version });
    }
    let header = RequestHeader { api_version: 0, ..call.header };
    encode(&header, api::cluster::api_versions::of_another_version(), Duration::ZERO)
}
