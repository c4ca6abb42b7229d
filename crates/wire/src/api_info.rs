//! What is known of each API.

use crate::api::api_key::ApiKey;
use crate::message::Listeners;

/// A row of the table of APIs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiInfo {
    pub(crate) name: &'static str,
    pub(crate) oldest: i16,
    pub(crate) newest: i16,
    pub(crate) newest_unstable: bool,
    pub(crate) first_flexible: i16,
    pub(crate) listeners: Listeners,
}

impl ApiKey {
    /// Key on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `Fetch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Oldest version.
    #[must_use]
    pub const fn oldest(self) -> i16 {
        self.info().oldest
    }

    /// Newest version, stable or not.
    #[must_use]
    pub const fn newest(self) -> i16 {
        self.info().newest
    }

    /// Newest version that may be advertised without being asked to.
    #[must_use]
    pub const fn newest_stable(self) -> i16 {
        let info = self.info();
        if info.newest_unstable { info.newest - 1 } else { info.newest }
    }

    /// Whether the codec has this version, stable or not.
    #[must_use]
    pub const fn supports(self, version: i16) -> bool {
        self.oldest() <= version && version <= self.newest()
    }

    /// Who answers it.
    #[must_use]
    pub const fn listeners(self) -> Listeners {
        self.info().listeners
    }

    /// Version of the header in front of a request of this version.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.info().first_flexible { 2 } else { 1 }
    }

    /// Version of the header in front of a response of this version. `ApiVersions` keeps the
    /// oldest: its client cannot know yet what the broker speaks.
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        let flexible = version >= self.info().first_flexible;
        if flexible && !matches!(self, Self::ApiVersions) { 1 } else { 0 }
    }
}
