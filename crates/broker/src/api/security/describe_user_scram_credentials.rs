//! DescribeUserScramCredentials: there are no users.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use esker_wire::ErrorCode;
use esker_wire::api::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use std::collections::BTreeMap;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DescribeUserScramCredentialsRequest<'_>,
) -> Outcome {
    let users = request.users.unwrap_or_default();
    let mut asked = BTreeMap::new();
    for user in &users {
        *asked.entry(user.name).or_insert(0) += 1;
    }
    let results = once(users.iter(), |user| Some(user.name)).map(|user| {
        let (code, message) = if asked[user.name] > 1 {
            (ErrorCode::DuplicateResource, "The user is named more than once.")
        } else {
            (ErrorCode::ResourceNotFound, "The user has no credentials.")
        };
        DescribeUserScramCredentialsResult {
            user: user.name,
            error_code: code.code(),
            error_message: Some(message),
            ..Default::default()
        }
    });
    call.answer(DescribeUserScramCredentialsResponse {
        results: results.collect(),
        ..Default::default()
    })
}
