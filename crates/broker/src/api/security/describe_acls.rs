//! DescribeAcls: no authorizer, no rules.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::protocol_violation::ProtocolViolation;
use esker_wire::api::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
use esker_wire::{ApiKey, ErrorCode};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

/// The first that is known of each kind, and the last of resources, patterns, operations and permissions.
const ANY: i8 = 1;
const USER: i8 = 7;
const PREFIXED: i8 = 4;
const TWO_PHASE_COMMIT: i8 = 15;
const ALLOW: i8 = 3;

pub(crate) async fn handle(call: &Call<'_>, request: DescribeAclsRequest<'_>) -> Outcome {
    // Kafka reads no filter that nobody could mean; what it does not know it takes for "unknown".
    let is_known = (ANY..=USER).contains(&request.resource_type_filter)
        && (ANY..=PREFIXED).contains(&request.pattern_type_filter)
        && (ANY..=TWO_PHASE_COMMIT).contains(&request.operation)
        && (ANY..=ALLOW).contains(&request.permission_type);
    if !is_known {
        return Err(ProtocolViolation::UnknownFilter(ApiKey::DescribeAcls));
    }
    call.answer(DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured on the broker"),
        ..Default::default()
    })
}
