//! A request as handlers see it, and what becomes of it.

use crate::access::Access;
use crate::broker::Broker;
use crate::client_info::{ClientInfo, Principal, Software};
use crate::protocol_violation::ProtocolViolation;
use crate::throttled::Throttled;
use bytes::Bytes;
use esker_engine::Ack;
use esker_env::BoxFuture;
use esker_wire::{ErrorCode, Message, RequestHeader, encode_response_frame};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What goes back to the client.
#[derive(Debug)]
pub(crate) enum Response {
    /// A frame, length included. After it the client is left alone for `throttle`.
    Frame {
        /// Its pieces.
        segments: Vec<Bytes>,
        /// How long nothing more is read from this client.
        throttle: Duration,
    },
    /// Nothing: produce without acknowledgement.
    Nothing,
    /// The connection is closed.
    Close(ProtocolViolation),
}

/// What a handler makes of a request.
pub(crate) type Outcome = Result<Response, ProtocolViolation>;

impl From<Outcome> for Response {
    fn from(outcome: Outcome) -> Self {
        outcome.unwrap_or_else(Self::Close)
    }
}

/// A request that is being answered.
pub(crate) enum PendingResponse {
    /// The answer is there.
    Ready(Option<Response>),
    /// Appended; the answer is there when everything is committed.
    Produced {
        /// The wait.
        ack: Arc<Ack>,
        /// Makes the answer; `true` when everything is committed.
        finish: Option<Box<dyn FnOnce(bool) -> Response + Send>>,
        /// The longest wait.
        deadline: BoxFuture<'static, ()>,
    },
    /// Anything else.
    Running(BoxFuture<'static, Response>),
}

impl PendingResponse {
    /// Whether the next request has to wait until this one is answered.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response> {
        match self {
            Self::Ready(response) => {
                Poll::Ready(response.take().expect("it is dropped when it was ready"))
            }
            Self::Produced { ack, finish, deadline } => {
                let outcome = match std::pin::pin!(ack.wait()).poll(context) {
                    Poll::Ready(committed) => committed,
                    Poll::Pending => {
                        std::task::ready!(deadline.as_mut().poll(context));
                        false
                    }
                };
                let finish = finish.take().expect("it is dropped when it was ready");
                Poll::Ready(finish(outcome))
            }
            Self::Running(work) => work.as_mut().poll(context),
        }
    }
}

/// A request as handlers see it.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) client: &'a Arc<ClientInfo>,
    pub(crate) header: RequestHeader<'a>,
}

impl Call<'_> {
    /// The version that the client speaks.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Who asks.
    pub(crate) fn principal(&self) -> Principal {
        self.client.principal
    }

    /// The listener that the request came by.
    pub(crate) fn listener(&self) -> &'static str {
        self.client.listener
    }

    /// What the client says it is.
    pub(crate) fn software(&self) -> Option<Arc<Software>> {
        self.client.software()
    }

    /// Whether the client may do this. Everybody may do everything, until there are rules.
    pub(crate) fn authorize(&self, access: Access) -> Result<(), ErrorCode> {
        let everybody = self.principal() == Principal::ANONYMOUS;
        if everybody || access == Access::Anyone { Ok(()) } else { Err(access.refusal()) }
    }

    /// How long the client is to send nothing. Nobody but producers is slowed down, and those see to it themselves.
    fn throttle(&self) -> Duration {
        Duration::ZERO
    }

    /// The answer that `response` makes.
    pub(crate) fn answer<'b>(&self, response: impl Message<'b> + Throttled) -> Outcome {
        encode(&self.header, response, self.throttle())
    }
}

/// The frame of a response, and the rest that its client is given.
pub(crate) fn encode<'a>(
    header: &RequestHeader<'_>,
    mut response: impl Message<'a> + Throttled,
    throttle: Duration,
) -> Outcome {
    response.set_throttle(throttle);
    let frame = encode_response_frame(header, &response).map_err(ProtocolViolation::Unencodable)?;
    Ok(Response::Frame { segments: frame.into_segments(), throttle })
}
