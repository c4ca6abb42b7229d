//! DescribeAcls: no authorizer, no rules.

use crate::dispatch::{Answer, Call};
use esker_wire::ErrorCode;
use esker_wire::api::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

pub(crate) async fn handle(
    call: &Call<'_>,
    _request: DescribeAclsRequest<'_>,
) -> Result<Answer, String> {
    call.answer(&DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured on the broker"),
        ..Default::default()
    })
}
