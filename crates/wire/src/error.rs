//! Why bytes are no message, and why a message cannot be bytes.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// Bytes that do not follow the protocol. The connection they came from is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Position in the bytes that the reader was made for.
    pub position: usize,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// They end too early, or a length or count claims more than is left.
    Truncated,
    /// A length below −1, or a string of more than 32767 bytes.
    InvalidLength,
    /// An array of more elements than Kafka reads.
    TooManyElements,
    /// Null for what may not be null in this version.
    UnexpectedNull,
    /// A variable-length integer of more than 32 bits.
    InvalidVarint,
    /// A string that is not UTF-8. (Java clients replace such bytes; we do not guess.)
    InvalidUtf8,
    /// A tagged field whose content is shorter or longer than it says.
    InvalidTag,
    /// An API key that Kafka does not have or no longer serves.
    UnknownApi(i16),
    /// A version that the message does not have.
    UnsupportedVersion(i16),
}

impl Display for DecodeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::Truncated => f.write_str("length exceeds the bytes left")?,
            DecodeErrorKind::InvalidLength => f.write_str("length is out of range")?,
            DecodeErrorKind::TooManyElements => f.write_str("array has too many elements")?,
            DecodeErrorKind::UnexpectedNull => f.write_str("null is not allowed")?,
            DecodeErrorKind::InvalidVarint => f.write_str("varint exceeds 32 bits")?,
            DecodeErrorKind::InvalidUtf8 => f.write_str("string is not UTF-8")?,
            DecodeErrorKind::InvalidTag => f.write_str("tagged field contradicts its length")?,
            DecodeErrorKind::UnknownApi(key) => write!(f, "unknown API key `{key}`")?,
            DecodeErrorKind::UnsupportedVersion(version) => {
                write!(f, "unsupported version `{version}`")?;
            }
        }
        write!(f, " at byte {}", self.position)
    }
}

impl Error for DecodeError {}

/// A message that this version cannot express. The sender of the message is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// The field has a value, the version does not have the field, and it may not be dropped.
    UnsupportedField(&'static str),
    /// The field is null and the version does not allow it.
    UnexpectedNull(&'static str),
    /// A string, array or frame exceeds what its length field can say.
    TooLong,
    /// The message does not have this version.
    UnsupportedVersion {
        /// Name of the message.
        message: &'static str,
        /// Version asked for.
        version: i16,
    },
}

impl Display for EncodeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedField(field) => write!(f, "this version has no `{field}`"),
            Self::UnexpectedNull(field) => write!(f, "this version does not allow null `{field}`"),
            Self::TooLong => f.write_str("value exceeds its length field"),
            Self::UnsupportedVersion { message, version } => {
                write!(f, "`{message}` has no version {version}")
            }
        }
    }
}

impl Error for EncodeError {}
