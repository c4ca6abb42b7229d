//! DescribeClientQuotas: there are none. What nobody could mean is refused as Kafka refuses it.

use crate::dispatch::{Answer, Call};
use esker_wire::api::describe_client_quotas::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use esker_wire::{Array, ErrorCode};
use std::collections::BTreeSet;

/// How a component matches: this name, the default, or any name. Only the first has a name.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DescribeClientQuotasRequest<'_>,
) -> Result<Answer, String> {
    let refusal = judge(&request).err();
    call.answer(&DescribeClientQuotasResponse {
        error_code: refusal.map_or(ErrorCode::None, |(code, _)| code).code(),
        error_message: Some(refusal.map_or("", |(_, message)| message)),
        entries: refusal.is_none().then(Array::new),
        ..Default::default()
    })
}

fn judge(request: &DescribeClientQuotasRequest<'_>) -> Result<(), (ErrorCode, &'static str)> {
    let refused = |message| Err((ErrorCode::InvalidRequest, message));
    let mut seen = BTreeSet::new();
    for component in &request.components {
        let kind = component.entity_type;
        if kind.is_empty() {
            return refused("An entity type is empty.");
        }
        if !seen.insert(kind) {
            return refused("An entity type appears more than once in the filter.");
        }
        if !matches!(kind, "user" | "client-id" | "ip") {
            return Err((ErrorCode::UnsupportedVersion, "An entity type is unknown."));
        }
        match (component.match_type, component.r#match) {
            (EXACT, Some(_)) | (DEFAULT | ANY, None) => {}
            (EXACT, None) => return refused("A name is to match and is not given."),
            (DEFAULT | ANY, Some(_)) => return refused("A name is given that is not to match."),
            _ => return refused("A way to match is unknown."),
        }
    }
    if seen.contains("ip") && seen.len() > 1 {
        return refused("An address is not filtered together with a user or client.");
    }
    Ok(())
}
