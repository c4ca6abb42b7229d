//! What a caller is told.

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection to the peer, or it broke before the response came: the request may have been executed.
    #[error("peer {address} is not reachable: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What failed.
        reason: String,
    },
    /// The peer's machine says that no process listens there.
    #[error("peer {address} is not reachable: nobody listens there")]
    NobodyListens {
        /// Where it was looked for.
        address: String,
    },
    /// The peer belongs to another cluster, is another node than the one meant, or speaks another protocol.
    #[error("peer {address} is not the one that is meant: {reason}")]
    Stranger {
        /// Where it was met.
        address: String,
        /// What does not fit.
        reason: String,
    },
    /// The peer executed the request, and it failed there.
    #[error("peer {address} refused: {reason}")]
    Refused {
        /// Who.
        address: String,
        /// Its words.
        reason: String,
    },
    /// The request is longer than a frame may be.
    #[error("a request of {0} bytes is longer than a frame may be")]
    TooLong(usize),
}

/// Why a service did not do what was asked; the caller gets the text as [`CallError::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(pub String);

impl ServiceError {
    /// A service that refuses with these words.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}
