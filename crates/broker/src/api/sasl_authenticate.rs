//! SaslAuthenticate: as SaslHandshake.

use crate::dispatch::{Answer, Call};
use esker_wire::ErrorCode;
use esker_wire::api::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};

pub(crate) async fn handle(
    call: &Call<'_>,
    _request: SaslAuthenticateRequest<'_>,
) -> Result<Answer, String> {
    call.answer(&SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some("This listener has no logins."),
        ..Default::default()
    })
}
