//! SaslHandshake: nobody logs in on a listener without logins.

use crate::dispatch::{Answer, Call};
use esker_wire::ErrorCode;
use esker_wire::api::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};

pub(crate) async fn handle(
    call: &Call<'_>,
    _request: SaslHandshakeRequest<'_>,
) -> Result<Answer, String> {
    let error_code = ErrorCode::IllegalSaslState.code();
    call.answer(&SaslHandshakeResponse { error_code, ..Default::default() })
}
