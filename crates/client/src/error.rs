//! What can go wrong between a client and its brokers.

use esker_wire::{ApiKey, DecodeError, EncodeError, ErrorCode};
use std::io;
use std::time::Duration;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// None of the brokers could be reached.
    #[error("connect to {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// A connection broke while an answer was awaited.
    #[error("{address} closed the connection during {api}")]
    Closed {
        /// Whose.
        address: String,
        /// What was asked.
        api: &'static str,
    },
    /// An answer did not come in time.
    #[error("{address} did not answer {api} within {after:?}")]
    Timeout {
        /// Who.
        address: String,
        /// What was asked.
        api: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The deadline passed while an error lasted that may pass.
    #[error("{what} did not succeed within {after:?}: {last}")]
    Deadline {
        /// What was to be done.
        what: String,
        /// How long it was tried.
        after: Duration,
        /// The last error.
        last: Box<Self>,
    },
    /// The broker said no.
    #[error("{what}: {code}{}", detail(message.as_deref(), *code))]
    Broker {
        /// What was to be done, with its subject.
        what: String,
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's words.
        message: Option<String>,
    },
    /// The broker does not serve a request.
    #[error("{address} serves no version of {} that this client speaks", api.name())]
    Unsupported {
        /// Who.
        address: String,
        /// What.
        api: ApiKey,
    },
    /// An answer that does not follow the protocol.
    #[error("{address} sent an answer to {api} that does not read: {problem}")]
    Malformed {
        /// Who.
        address: String,
        /// To what.
        api: &'static str,
        /// How it fails.
        problem: String,
    },
    /// A request cannot be expressed in the version that the broker serves.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// Records that do not read.
    #[error("records of {topic}-{partition} at offset {offset}: {problem}")]
    Records {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where.
        offset: i64,
        /// How they fail.
        problem: String,
    },
    /// Something was asked of this client that cannot be.
    #[error("{0}")]
    Invalid(String),
}

fn detail(message: Option<&str>, code: ErrorCode) -> String {
    format!(" ({})", message.unwrap_or_else(|| code.message()))
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may pass.
    Retriable,
    /// Time ran out.
    TimedOut,
    /// What was asked for does not exist.
    NotFound,
    /// No broker could be reached.
    Unreachable,
    /// It will not pass by itself.
    Final,
}

impl ClientError {
    pub(crate) fn broker(what: impl Into<String>, code: i16, message: Option<&str>) -> Self {
        let known = ErrorCode::from_code(code);
        let message = match (known, message) {
            (_, Some(text)) if !text.is_empty() => Some(text.to_owned()),
            (None, _) => Some(format!("code {code}, which this client does not know")),
            _ => None,
        };
        let code = known.unwrap_or(ErrorCode::UnknownServerError);
        Self::Broker { what: what.into(), code, message }
    }

    pub(crate) fn malformed(
        address: &str,
        api: &'static str,
        problem: impl std::fmt::Display,
    ) -> Self {
        Self::Malformed { address: address.to_owned(), api, problem: problem.to_string() }
    }

    pub(crate) fn decode(address: &str, api: &'static str) -> impl Fn(DecodeError) -> Self {
        move |error| Self::malformed(address, api, error)
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } => ErrorKind::Unreachable,
            Self::Closed { .. } => ErrorKind::Retriable,
            Self::Timeout { .. } | Self::Deadline { .. } => ErrorKind::TimedOut,
            Self::Broker { code, .. } => match code {
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::GroupIdNotFound
                | ErrorCode::ResourceNotFound => ErrorKind::NotFound,
                code if code.is_retriable() => ErrorKind::Retriable,
                _ => ErrorKind::Final,
            },
            _ => ErrorKind::Final,
        }
    }

    /// Kafka's code, if a broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Deadline { last, .. } => last.code(),
            _ => None,
        }
    }

    /// Whether another attempt may succeed. A topic that is not known may be one that was just made.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Broker { code, .. } => code.is_retriable(),
            Self::Connect { .. } | Self::Closed { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }
}

/// An error unless `code` says that all is well.
pub(crate) fn check(
    code: i16,
    message: Option<&str>,
    what: impl FnOnce() -> String,
) -> Result<(), ClientError> {
    if code == 0 { Ok(()) } else { Err(ClientError::broker(what(), code, message)) }
}
