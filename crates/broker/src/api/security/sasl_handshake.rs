//! SaslHandshake: nobody logs in on a listener without logins.

use crate::access::Access;
use crate::call::{Call, Outcome};
use esker_wire::ErrorCode;
use esker_wire::api::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

pub(crate) const ACCESS: Access = Access::Anyone;

pub(crate) async fn handle(call: &Call<'_>, _request: SaslHandshakeRequest<'_>) -> Outcome {
    let error_code = ErrorCode::IllegalSaslState.code();
    call.answer(SaslHandshakeResponse { error_code, ..Default::default() })
}
