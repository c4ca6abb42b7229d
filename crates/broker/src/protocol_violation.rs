//! What ends a connection: a client that breaks the protocol, or that cannot be told what there is to tell.

use esker_wire::{ApiKey, DecodeError, EncodeError, ErrorCode};

/// Why a connection is closed. Its text goes to the log, never to the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolViolation {
    /// The length in front of a request is no length, or too large.
    #[error("a request of {0} bytes")]
    RequestSize(i32),
    /// The header of a request cannot be read.
    #[error("the header: {0}")]
    Header(DecodeError),
    /// The body of a request cannot be read.
    #[error("{}: {error}", .api.name())]
    Body { api: ApiKey, error: DecodeError },
    /// Nobody answers this API, or this version of it.
    #[error("{} version {version} is not supported", .api.name())]
    Unsupported { api: ApiKey, version: i16 },
    /// The lists of a request are longer together than any client's.
    #[error("the request names {items} items, more than {max}")]
    TooManyItems { items: usize, max: usize },
    /// A part of a filter has a value that nobody has defined; Kafka closes the connection, too.
    #[error("{}: a part of the filter is unknown", .0.name())]
    UnknownFilter(ApiKey),
    /// A client that wants no answer learns of trouble by losing its connection.
    #[error("Produce without acks was refused: {}", .0.name())]
    RefusedWithoutAcks(ErrorCode),
    /// Who asks may not.
    #[error("{} is not allowed", .0.name())]
    Denied(ApiKey),
    /// The answer has no form in the client's version.
    #[error("cannot answer: {0}")]
    Unencodable(EncodeError),
}
