//! UpdateFeatures: levels are what they are; asking for the one that is in force is fine.

use crate::access::{Access, Operation, Resource};
use crate::api::cluster::features::{SUPPORTED, is_known};
use crate::call::{Call, Outcome};
use esker_wire::ErrorCode;
use esker_wire::api::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

/// How a level is changed: up only, down where nothing is lost, or down whatever is lost.
const UPGRADE: i8 = 1;
const UNSAFE_DOWNGRADE: i8 = 3;

pub(crate) async fn handle(call: &Call<'_>, request: UpdateFeaturesRequest<'_>) -> Outcome {
    let problem = request.feature_updates.iter().find_map(|update| judge(&update).err());
    if let Some(problem) = problem {
        let message = format!(
            "The update failed for all features since the following feature had an error: {problem}"
        );
        return call.answer(UpdateFeaturesResponse {
            error_code: ErrorCode::InvalidUpdateVersion.code(),
            error_message: Some(&message),
            ..Default::default()
        });
    }
    let results = request
        .feature_updates
        .iter()
        .filter(|_| call.version() < 2)
        .map(|update| UpdatableFeatureResult { feature: update.feature, ..Default::default() });
    call.answer(UpdateFeaturesResponse {
        error_message: None,
        results: results.collect(),
        ..Default::default()
    })
}

fn judge(update: &FeatureUpdateKey<'_>) -> Result<(), String> {
    let level = update.max_version_level;
    let refused = |why: &str| {
        Err(format!("Invalid update version {level} for feature {}. {why}", update.feature))
    };
    if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&update.upgrade_type) {
        return refused("The upgrade type is unknown.");
    }
    match SUPPORTED.iter().find(|feature| feature.name == update.feature) {
        Some(feature) if feature.level == level => Ok(()),
        Some(feature) if !(feature.oldest..=feature.level).contains(&level) => {
            refused(&format!("Supported are the versions {}-{}.", feature.oldest, feature.level))
        }
        Some(_) => refused("It cannot be lowered."),
        // What is not there is at level 0.
        None if level == 0 && is_known(update.feature) => Ok(()),
        None => refused("It is not supported."),
    }
}
