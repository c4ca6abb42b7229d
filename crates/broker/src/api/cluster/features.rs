//! Features in Kafka's sense: levels that brokers agree upon, and by which clients choose how to speak.
//!
//! One is told when what it stands for is served. Transactions, the newer group protocols and the rest come with the
//! level that belongs to them.

use esker_wire::api::api_versions::{FinalizedFeatureKey, SupportedFeatureKey};

/// A feature that is served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    /// The oldest level that is spoken.
    pub(crate) oldest: i16,
    /// The level in force, which is the newest.
    pub(crate) level: i16,
}

/// Levels of the metadata that clients of Kafka 4.4 speak with: from 3.3-IV3 to 4.4-IV2.
pub(crate) const SUPPORTED: [Feature; 1] =
    [Feature { name: "metadata.version", oldest: 7, level: 33 }];

/// Whether Kafka has a feature of this name.
pub(crate) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "eligible.leader.replicas.version"
            | "group.version"
            | "kraft.version"
            | "metadata.version"
            | "share.version"
            | "streams.version"
            | "transaction.version"
    )
}

/// What is spoken, for ApiVersions.
pub(crate) fn supported() -> impl Iterator<Item = SupportedFeatureKey<'static>> {
    SUPPORTED.iter().map(|feature| SupportedFeatureKey {
        name: feature.name,
        min_version: feature.oldest,
        max_version: feature.level,
    })
}

/// What is in force, for ApiVersions.
pub(crate) fn finalized() -> impl Iterator<Item = FinalizedFeatureKey<'static>> {
    SUPPORTED.iter().map(|feature| FinalizedFeatureKey {
        name: feature.name,
        max_version_level: feature.level,
        min_version_level: feature.level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_not_told() {
        // A producer that sees transaction.version 2 speaks a protocol of transactions that nobody answers here.
        assert!(supported().all(|feature| feature.name == "metadata.version"));
        assert!(finalized().all(|feature| is_known(feature.name)));
    }
}
