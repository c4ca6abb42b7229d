//! A refusal as clients see it: Kafka's code, and words for people.

use crate::error_code;
use esker_meta_client::MetaError;
use esker_wire::ErrorCode;
use std::borrow::Cow;

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    /// Empty where the code says it all.
    pub(crate) message: Cow<'static, str>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A code that says it all.
    pub(crate) fn bare(code: ErrorCode) -> Self {
        Self::new(code, "")
    }

    /// The code with Kafka's own words for it.
    pub(crate) fn of_code(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }

    /// The message, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        Some(&*self.message).filter(|text| !text.is_empty())
    }
}

impl From<MetaError> for ApiError {
    fn from(error: MetaError) -> Self {
        Self::new(error_code::of_meta(&error), error.to_string())
    }
}

/// The code of an outcome.
pub(crate) fn code_of<T>(outcome: &Result<T, ApiError>) -> i16 {
    outcome.as_ref().err().map_or(ErrorCode::None, |error| error.code).code()
}

/// The message of an outcome.
pub(crate) fn text_of<T>(outcome: &Result<T, ApiError>) -> Option<&str> {
    outcome.as_ref().err().and_then(ApiError::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_has_neither_code_nor_words() {
        let outcome: Result<(), ApiError> = Ok(());
        assert_eq!((code_of(&outcome), text_of(&outcome)), (0, None));
    }

    #[test]
    fn a_refusal_has_both_unless_its_code_says_it_all() {
        let outcome: Result<(), _> = Err(ApiError::new(ErrorCode::InvalidConfig, "no number"));
        assert_eq!((code_of(&outcome), text_of(&outcome)), (40, Some("no number")));
        let outcome: Result<(), _> = Err(ApiError::bare(ErrorCode::InvalidConfig));
        assert_eq!((code_of(&outcome), text_of(&outcome)), (40, None));
    }

    #[test]
    fn codes_have_words_of_their_own() {
        assert_eq!(ApiError::of_code(ErrorCode::None).code, ErrorCode::None);
        assert!(ApiError::of_code(ErrorCode::UnknownTopicId).text().is_some());
    }

    #[test]
    fn the_metadata_is_away_and_the_client_asks_again() {
        let error = ApiError::from(MetaError::Unavailable("no leader".to_owned()));
        assert_eq!(error.code, ErrorCode::RequestTimedOut);
    }
}
