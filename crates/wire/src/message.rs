//! What every message can do, and what every element of an array can do.

use std::fmt::Debug;

use crate::api::api_key::ApiKey;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::reader::Reader;
use crate::sink::Sink;

/// How the message at hand is laid out: handed down from the message to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Version of the message.
    pub version: i16,
    /// Compact lengths and tagged fields.
    pub flexible: bool,
}

/// A value with a place in a message: a field's type or an element of an array.
///
/// Reading and writing report failure through the [`Reader`] and the [`Sink`], which remember the
/// first one; the whole message is then refused. This keeps the generated code free of branches.
pub trait Element<'a>: Sized + Clone + PartialEq + Debug {
    /// Size in bytes if it is the same for all values and versions.
    const FIXED_LEN: Option<usize> = None;

    /// Least size of a value, ≥ 1: bounds how many can be in the bytes that are left.
    fn min_len(encoding: Encoding) -> usize;

    /// Takes a value off the reader. After a failure the value means nothing.
    fn read(r: &mut Reader<'a>, encoding: Encoding) -> Self;

    /// Puts the value on the sink.
    fn write(&self, s: &mut Sink, encoding: Encoding);
}

/// A whole message.
pub trait Message<'a>: Element<'a> + Default {
    /// Kafka's name, such as `FetchRequest`.
    const NAME: &'static str;
    /// Oldest version that can be read and written.
    const OLDEST: i16;
    /// Newest version that can be read and written.
    const NEWEST: i16;
    /// First version with compact lengths and tagged fields; `i16::MAX` if none.
    const FIRST_FLEXIBLE: i16;

    /// Layout of `version`, `None` if there is no such version.
    #[must_use]
    fn encoding(version: i16) -> Option<Encoding> {
        let flexible = version >= Self::FIRST_FLEXIBLE;
        (Self::OLDEST..=Self::NEWEST).contains(&version).then_some(Encoding { version, flexible })
    }

    /// Takes the message off the reader, without allocating. Bytes that follow it stay on the
    /// reader and are no error, as in Kafka.
    ///
    /// # Errors
    /// The version does not exist or the bytes do not follow it.
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let Some(encoding) = Self::encoding(version) else {
            return Err(r.error_here(DecodeErrorKind::UnsupportedVersion(version)));
        };
        let message = Self::read(r, encoding);
        r.check().map(|()| message)
    }

    /// Puts the message on the sink, behind what is there.
    ///
    /// # Errors
    /// The version does not exist or cannot express the message.
    fn encode(&self, s: &mut Sink, version: i16) -> Result<(), EncodeError> {
        let encoding = Self::encoding(version)
            .ok_or(EncodeError::UnsupportedVersion { message: Self::NAME, version })?;
        self.write(s, encoding);
        s.check()
    }

    /// Size in bytes at `version`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encoded_len(&self, version: i16) -> Result<usize, EncodeError> {
        let mut s = Sink::measuring();
        self.encode(&mut s, version)?;
        Ok(s.len())
    }

    /// The message alone, as bytes.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn to_bytes(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut s = Sink::measuring();
        self.encode(&mut s, version)?;
        let mut s = s.writing();
        self.encode(&mut s, version)?;
        Ok(s.into_frame().to_vec())
    }
}

/// A message that a client sends and a server answers.
pub trait Request<'a>: Message<'a> {
    /// Its API.
    const API: ApiKey;
    /// The answer, at the version of the request.
    type Response<'b>: Message<'b>;
}

/// Who answers an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// Brokers, to clients.
    pub broker: bool,
    /// Controllers.
    pub controller: bool,
}
