//! Sizes in bytes, with the text form that people write.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of bytes. Reads `1048576`, `1MiB`, `64 KiB`, `2GB`; prints the shortest exact binary form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Repr", into = "String")]
pub struct ByteCount(pub u64);

/// What a configuration file may hold: a number or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Repr {
    Number(u64),
    Text(String),
}

impl TryFrom<Repr> for ByteCount {
    type Error = String;

    fn try_from(value: Repr) -> Result<Self, String> {
        match value {
            Repr::Number(bytes) => Ok(Self(bytes)),
            Repr::Text(text) => text.parse(),
        }
    }
}

impl From<ByteCount> for String {
    fn from(value: ByteCount) -> Self {
        value.to_string()
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteCount {
    /// The count as the length of something in memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// `count` times 1024 bytes.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` times 1024² bytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` times 1024³ bytes.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The bare number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| {
                let rest = trimmed.len().checked_sub(unit.len())?;
                let tail = trimmed.get(rest..)?;
                tail.eq_ignore_ascii_case(unit).then(|| (&trimmed[..rest], *factor))
            })
            .unwrap_or((trimmed, 1));
        digits
            .trim()
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is no size; write for example 512KiB, 64MiB or 1048576")
            })
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in &UNITS[..4] {
            if self.0 != 0 && self.0.is_multiple_of(*factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Debug for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in
            [("0", 0), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("2GB", 2_000_000_000), ("7b", 7)]
        {
            assert_eq!(text.parse::<ByteCount>().unwrap().get(), bytes, "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "99999999999TiB"] {
            assert!(text.parse::<ByteCount>().is_err(), "{text}");
        }
        assert_eq!(ByteCount::mib(3).to_string(), "3MiB");
        assert_eq!(ByteCount(1500).to_string(), "1500B");
    }
}
