//! SaslAuthenticate: as SaslHandshake.

use crate::access::Access;
use crate::call::{Call, Outcome};
use esker_wire::ErrorCode;
use esker_wire::api::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};

pub(crate) const ACCESS: Access = Access::Anyone;

pub(crate) async fn handle(call: &Call<'_>, _request: SaslAuthenticateRequest<'_>) -> Outcome {
    call.answer(SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some("This listener has no logins."),
        ..Default::default()
    })
}
