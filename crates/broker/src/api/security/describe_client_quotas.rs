//! DescribeClientQuotas: there are none. What nobody could mean is refused as Kafka refuses it.

use crate::access::{Access, Operation, Resource};
use crate::api_error::{ApiError, code_of, text_of};
use crate::call::{Call, Outcome};
use esker_wire::api::describe_client_quotas::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use esker_wire::{Array, ErrorCode};
use std::collections::BTreeSet;

pub(crate) const ACCESS: Access = Access::Needs(Operation::DescribeConfigs, Resource::Cluster);

/// How a component matches: this name, the default, or any name. Only the first has a name.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

pub(crate) async fn handle(call: &Call<'_>, request: DescribeClientQuotasRequest<'_>) -> Outcome {
    let outcome = judge(&request);
    call.answer(DescribeClientQuotasResponse {
        error_code: code_of(&outcome),
        error_message: Some(text_of(&outcome).unwrap_or_default()),
        entries: outcome.is_ok().then(Array::new),
        ..Default::default()
    })
}

fn judge(request: &DescribeClientQuotasRequest<'_>) -> Result<(), ApiError> {
    let refused = |message| Err(ApiError::new(ErrorCode::InvalidRequest, message));
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
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, "An entity type is unknown."));
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
