//! Any message by its name: what the tests and the fuzz targets drive.

use std::cell::OnceCell;

use crate::api::dispatch;
use crate::error::{DecodeError, EncodeError};
use crate::message::Message;
use crate::reader::Reader;

/// Text of every schema file that the messages were generated from.
pub const SCHEMA: &[&str] = dispatch::SCHEMA;

/// Decodes at one version and encodes at another.
#[derive(Debug, Clone)]
pub struct Recode<'a> {
    bytes: &'a [u8],
    from: i16,
    to: i16,
    /// What was encoded, kept so that the second message can borrow as long as the first.
    encoded: OnceCell<Vec<u8>>,
}

/// What became of it.
pub type Recoded = Result<Done, DecodeError>;

/// A message that could be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Bytes that the message took.
    pub consumed: usize,
    /// The message at the other version.
    pub encoded: Result<Vec<u8>, EncodeError>,
    /// What was encoded decodes to an equal message.
    pub equal: bool,
    /// And that encodes to the same bytes.
    pub stable: bool,
}

impl<'a> Recode<'a> {
    /// `bytes` hold a message of version `from`, perhaps followed by others.
    #[must_use]
    pub fn new(bytes: &'a [u8], from: i16, to: i16) -> Self {
        Self { bytes, from, to, encoded: OnceCell::new() }
    }

    /// Runs on the message called `name`, such as `FetchRequest`; `None` if there is none.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Recoded> {
        dispatch::recode(name, self)
    }

    /// Runs on this type of message.
    pub(crate) fn run<'m, M: Message<'m>>(&'m self) -> Recoded {
        let mut r = Reader::new(self.bytes);
        let message = M::decode(&mut r, self.from)?;
        let consumed = r.position();
        let bytes = match message.to_bytes(self.to) {
            Ok(bytes) => self.encoded.get_or_init(|| bytes),
            Err(error) => {
                return Ok(Done { consumed, encoded: Err(error), equal: false, stable: false });
            }
        };
        let again = M::decode(&mut Reader::new(bytes), self.to);
        Ok(Done {
            consumed,
            encoded: Ok(bytes.clone()),
            equal: again.as_ref().is_ok_and(|again| *again == message),
            stable: again.is_ok_and(|again| again.to_bytes(self.to).as_ref() == Ok(bytes)),
        })
    }
}
