//! How a verb fails: what failed and why, what to try, and the number for scripts.

use esker_client::{ClientError, ErrorKind};
use esker_wire::ErrorCode;
use std::process::ExitCode;

/// The numbers that the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nobody reads any more what is printed: no failure of ours.
    Quiet,
    Error,
    Usage,
    NotFound,
    Unhealthy,
    Timeout,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Quiet => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::Unhealthy => 4,
            Exit::Timeout => 5,
        })
    }
}

/// A verb that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What failed, where and why.
    pub(crate) what: String,
    /// What to try.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None }
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::TimedOut => Exit::Timeout,
            ErrorKind::Retriable | ErrorKind::Unreachable | ErrorKind::Final => match error {
                ClientError::Invalid(_) => Exit::Usage,
                _ => Exit::Error,
            },
        };
        let hint = match (&error, error.code()) {
            (ClientError::Connect { .. }, _) => Some(
                "is the broker running? Say where it is with --brokers HOST:PORT or ESKER_BROKERS",
            ),
            (_, Some(ErrorCode::UnknownTopicOrPartition)) => {
                Some("`esker topic list` shows the topics there are")
            }
            (_, Some(ErrorCode::GroupIdNotFound)) => {
                Some("`esker group list` shows the groups there are")
            }
            (_, Some(ErrorCode::NonEmptyGroup)) => {
                Some("stop the group's members first; `esker group describe` shows them")
            }
            (_, Some(ErrorCode::UnknownMemberId)) => {
                Some("offsets are set while a group has no members: stop them first")
            }
            (_, Some(ErrorCode::InvalidConfig)) => {
                Some("`esker config docs` explains the settings")
            }
            (_, Some(ErrorCode::MessageTooLarge)) => {
                Some("raise the topic's `max.message.bytes`, or send smaller records")
            }
            (ClientError::Timeout { .. } | ClientError::Deadline { .. }, _) => {
                Some("`esker doctor` looks for what is wrong")
            }
            _ => None,
        };
        Self { exit, what: error.to_string(), hint: hint.map(str::to_owned) }
    }
}
