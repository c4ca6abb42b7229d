//! What a failure means for the caller.

use esker_env::{BucketError, BucketErrorKind, ObjectKey};
use std::ops::Range;

/// Longest message that is kept of a store's words.
const MESSAGE_BYTES_MAX: usize = 600;

/// An object that ends before the range does.
pub(crate) fn short_object(key: &ObjectKey, range: &Range<u64>, len: u64) -> BucketError {
    BucketError {
        kind: BucketErrorKind::Invalid,
        operation: "get",
        key: key.to_string(),
        message: format!("bytes {}..{} of an object of {len} bytes", range.start, range.end),
    }
}

/// A range that this machine cannot address.
pub(crate) fn too_wide(
    operation: &'static str,
    key: &ObjectKey,
    range: &Range<u64>,
) -> BucketError {
    BucketError {
        kind: BucketErrorKind::Invalid,
        operation,
        key: key.to_string(),
        message: format!("range {}..{} is too wide", range.start, range.end),
    }
}

/// A failure that may pass.
pub(crate) fn retry(operation: &'static str, key: &str, message: String) -> BucketError {
    BucketError { kind: BucketErrorKind::Retry, operation, key: key.to_owned(), message }
}

/// Classifies an error of the client library.
///
/// The library tells a status only in the words of its errors, so they are read: `status code: NNN` comes before
/// anything that the store could have put there itself.
pub(crate) fn from_store(
    operation: &'static str,
    key: &str,
    error: &object_store::Error,
) -> BucketError {
    use object_store::Error;
    let words = error.to_string();
    let status = status_of(&words);
    let code = element(&words, "Code");
    let kind = match error {
        Error::NotImplemented { .. }
        | Error::NotSupported { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => BucketErrorKind::Invalid,
        _ => classify(operation, status, code, &words),
    };
    let kind = match error {
        // Some backends learn of an absent object without a status.
        Error::NotFound { .. } if status.is_none() => BucketErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => BucketErrorKind::Denied,
        _ => kind,
    };
    let mut message = match (status, code) {
        (Some(status), Some(code)) => {
            format!("{status} {code}: {}", element(&words, "Message").unwrap_or_default())
        }
        _ => words.clone(),
    };
    if let Some((end, _)) = message.char_indices().find(|(at, _)| *at >= MESSAGE_BYTES_MAX) {
        message.truncate(end);
        message.push('…');
    }
    if let Some(advice) = advice(status, code, &words) {
        message.push_str("; ");
        message.push_str(advice);
    }
    BucketError { kind, operation, key: key.to_owned(), message }
}

fn classify(
    operation: &'static str,
    status: Option<u16>,
    code: Option<&str>,
    words: &str,
) -> BucketErrorKind {
    match (status, code) {
        (_, Some("NoSuchBucket" | "InvalidBucketName" | "ContainerNotFound")) => {
            BucketErrorKind::Invalid
        }
        (Some(404), _) if operation == "get" || operation == "head" || operation == "delete" => {
            BucketErrorKind::NotFound
        }
        (Some(401 | 403), _) => BucketErrorKind::Denied,
        (
            Some(400),
            Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId"),
        ) => BucketErrorKind::Denied,
        // The body was damaged or cut on its way: the same request can succeed.
        (
            Some(400),
            Some("RequestTimeout" | "BadDigest" | "IncompleteBody" | "XAmzContentChecksumMismatch"),
        ) => BucketErrorKind::Retry,
        (Some(408 | 409 | 425 | 429), _) => BucketErrorKind::Retry,
        (Some(501 | 505), _) => BucketErrorKind::Invalid,
        (Some(300..=499), _) => BucketErrorKind::Invalid,
        (Some(_), _) => BucketErrorKind::Retry,
        (None, _) if is_missing_credentials(words) => BucketErrorKind::Denied,
        (None, _) if words.contains("redirect without LOCATION") => BucketErrorKind::Invalid,
        // A bulk deletion names the trouble of each key by its code alone.
        (None, _) if words.contains("AccessDenied") => BucketErrorKind::Denied,
        // No answer, or one that made no sense.
        (None, _) => BucketErrorKind::Retry,
    }
}

fn advice(status: Option<u16>, code: Option<&str>, words: &str) -> Option<&'static str> {
    match (status, code) {
        (_, Some("NoSuchBucket" | "ContainerNotFound")) => Some(
            "create it (`esker doctor --bucket URL --create`), or correct its name or the endpoint",
        ),
        (_, Some("RequestTimeTooSkewed")) => Some("set the clock of this machine"),
        (_, Some("AuthorizationHeaderMalformed" | "PermanentRedirect")) => {
            Some("set the region of the bucket")
        }
        (Some(301 | 307 | 308), _) => Some("set the region of the bucket, or its endpoint"),
        (None, _) if words.contains("redirect without LOCATION") => {
            Some("set the region of the bucket, or its endpoint")
        }
        (None, _) if is_missing_credentials(words) => Some(
            "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give \
             this machine a role",
        ),
        (Some(401 | 403), _) => Some("check the credentials and what they permit"),
        _ => None,
    }
}

/// Without other credentials the client asks the metadata service of the machine, which answers only in a cloud.
fn is_missing_credentials(words: &str) -> bool {
    words.contains("169.254.169.254") || words.contains("metadata.google.internal")
}

/// The status that the client library reports.
pub(crate) fn status_of(words: &str) -> Option<u16> {
    let (_, after) = words.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The text of an XML element, where the words contain one.
fn element<'a>(words: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = words.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(operation: &'static str, words: &str) -> BucketError {
        let source = std::io::Error::other(words.to_owned());
        from_store(
            operation,
            "k",
            &object_store::Error::Generic { store: "S3", source: Box::new(source) },
        )
    }

    #[test]
    fn each_answer_has_its_meaning() {
        use BucketErrorKind::{Denied, Invalid, NotFound, Retry};
        let xml = |status: &str, code: &str| {
            format!("non-2xx status code: {status}: <Error><Code>{code}</Code></Error>")
        };
        for (operation, words, kind) in [
            ("put", xml("503 Service Unavailable", "SlowDown"), Retry),
            ("put", xml("500 Internal Server Error", "InternalError"), Retry),
            ("put", xml("400 Bad Request", "BadDigest"), Retry),
            ("put", xml("400 Bad Request", "InvalidArgument"), Invalid),
            ("put", xml("400 Bad Request", "ExpiredToken"), Denied),
            ("put", xml("403 Forbidden", "SignatureDoesNotMatch"), Denied),
            ("put", xml("404 Not Found", "NoSuchBucket"), Invalid),
            ("get", xml("404 Not Found", "NoSuchBucket"), Invalid),
            ("get", xml("404 Not Found", "NoSuchKey"), NotFound),
            ("head", "non-2xx status code: 404 Not Found: ".to_owned(), NotFound),
            ("list", "non-2xx status code: 404 Not Found: ".to_owned(), Invalid),
            ("get", xml("416 Range Not Satisfiable", "InvalidRange"), Invalid),
            ("get", xml("429 Too Many Requests", "Slow"), Retry),
            ("delete", xml("501 Not Implemented", "NotImplemented"), Invalid),
            ("get", "error sending request: connection refused".to_owned(), Retry),
            ("get", "Error performing PUT http://169.254.169.254/latest in 1s".to_owned(), Denied),
        ] {
            assert_eq!(mapped(operation, &words).kind, kind, "{operation}: {words}");
        }
    }

    #[test]
    fn a_message_is_short_and_helps() {
        let error = mapped("put", &"é".repeat(5000));
        assert!(error.message.len() < MESSAGE_BYTES_MAX + 10);
        let words = "status code: 404 Not Found: <Code>NoSuchBucket</Code><Message>gone</Message>";
        let error = mapped("put", words).to_string();
        assert!(
            error.starts_with("put `k`: 404 NoSuchBucket: gone; create it (`esker doctor"),
            "{error}"
        );
    }
}
