//! Names that people choose: topics and groups.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A legal Kafka topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`.
///
/// It never becomes a path or an object key: storage knows topics by id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTopicName {
    /// What to tell the person who chose it.
    pub reason: String,
}

impl fmt::Display for InvalidTopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for InvalidTopicName {}

impl TopicName {
    /// Longest legal name; Kafka appends a partition number and still fits a file name.
    pub const LEN_MAX: usize = 249;

    /// Parses a name.
    ///
    /// # Errors
    /// [`InvalidTopicName`] with a sentence for the user.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let reason = if name.is_empty() {
            "the empty string is not allowed".to_owned()
        } else if name == "." || name == ".." {
            "'.' or '..' is not allowed".to_owned()
        } else if name.len() > Self::LEN_MAX {
            format!(
                "the length of '{name}' is longer than the max allowed length {}",
                Self::LEN_MAX
            )
        } else if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        } else {
            return Ok(Self(name.into()));
        };
        // Apache Kafka's words: tools show them, and people search for them.
        Err(InvalidTopicName { reason: format!("Topic name is invalid: {reason}") })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names that differ only in `.` against `_` collide in Kafka's metric names; Kafka refuses the second one.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        let fold = |b: u8| if b == b'.' { b'_' } else { b };
        self.0.len() == other.0.len() && self.0.bytes().map(fold).eq(other.0.bytes().map(fold))
    }
}

impl TryFrom<String> for TopicName {
    type Error = InvalidTopicName;

    fn try_from(name: String) -> Result<Self, InvalidTopicName> {
        Self::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.as_str().to_owned()
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Whether clients treat the topic as the broker's own.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// A consumer group's name. Any text that Kafka accepts; never a path or a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(Arc<str>);

impl GroupId {
    /// Wraps a name; emptiness is judged by the requests, which differ in it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for GroupId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_and_illegal_names() {
        for name in ["a", "A.b_c-9", "__consumer_offsets", &"x".repeat(249)] {
            assert!(TopicName::new(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "ä", "a\0", "a\n", &"x".repeat(250)] {
            assert!(TopicName::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        let name = |text| TopicName::new(text).unwrap();
        assert!(name("a.b").collides_with(&name("a_b")));
        assert!(!name("a.b").collides_with(&name("a-b")));
    }
}
