//! Ids of things that live in the metadata log. None of them is ever used twice.

use crate::newtype::integer_newtype;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

integer_newtype! {
    /// A broker's number as clients see it (Kafka's `node.id`).
    BrokerId(i32)
}

integer_newtype! {
    /// One registration of a broker: the metadata log index of that registration, hence strictly increasing.
    ///
    /// Everything that a broker proposes carries it, and is refused when a newer registration exists.
    Incarnation(u64)
}

integer_newtype! {
    /// A partition for its whole life, under every leader: names and topic ids never enter storage.
    PartitionId(u64)
}

integer_newtype! {
    /// A journal: `(log index of the command that opened it) · 256 + ordinal`, so that it is never reused and
    /// the index of its creation can be read off it.
    JournalId(u64)
}

impl JournalId {
    /// The journal that command `index` opened as its `ordinal`-th.
    #[must_use]
    pub const fn new(index: u64, ordinal: u8) -> Self {
        Self((index << 8) | ordinal as u64)
    }

    /// Log index of the metadata command that opened this journal.
    #[must_use]
    pub const fn created_index(self) -> u64 {
        self.0 >> 8
    }
}

integer_newtype! {
    /// Position of a bundle in its journal: 1, 2, 3, … without gaps. 0 stands for "none yet".
    Seq(u64)
}

impl Seq {
    /// Before the first bundle.
    pub const NONE: Self = Self(0);

    /// The sequence number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

integer_newtype! {
    /// An object in the bucket. Allocated in blocks that belong to one broker incarnation.
    ObjectId(u64)
}

integer_newtype! {
    /// Kafka's producer id; `-1` where a batch has none.
    ProducerId(i64)
}

impl ProducerId {
    /// A batch of a producer without idempotence.
    pub const NONE: Self = Self(-1);
}

integer_newtype! {
    /// Kafka's producer epoch; `-1` where a batch has none.
    ProducerEpoch(i16)
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// All zero: "not set" on Kafka's wire.
            pub const ZERO: Self = Self(Uuid::nil());
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url(self.0.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

uuid_newtype! {
    /// A topic for its whole life; a topic created again under the same name has another one.
    TopicId
}

uuid_newtype! {
    /// A cluster. Written into data directories and buckets so that neither is mistaken for another's.
    ClusterId
}

uuid_newtype! {
    /// A device's write-ahead log: random, written once. A wiped disk gets a new one.
    StoreId
}

/// Kafka writes uuids as 22 characters of unpadded URL-safe base64.
fn base64url(bytes: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(22);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, &byte| (word << 8) | u32::from(byte))
            << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            let index = (word >> (18 - 6 * digit)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_as_kafka_prints_it() {
        // The id of Kafka's metadata topic, Uuid(0, 1).
        assert_eq!(TopicId(Uuid::from_u128(1)).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId(Uuid::from_u128(u128::MAX)).to_string(), "_____________________w");
    }

    #[test]
    fn a_journal_id_tells_when_it_was_created() {
        let id = JournalId::new(77, 3);
        assert_eq!(id.created_index(), 77);
        assert!(JournalId::new(78, 0) > id);
    }
}
