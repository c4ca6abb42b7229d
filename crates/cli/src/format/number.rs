//! Numbers in formats.

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberForm {
    Ascii,
    /// So many hexadecimal digits.
    Hex(usize),
    /// So many bytes, the highest first.
    Big(usize),
    /// So many bytes, the lowest first.
    Little(usize),
    Bool,
}

impl NumberForm {
    pub(super) const NAMES: &str =
        "ascii, hex64 … hex4, big64 … big8, little64 … little8, byte, bool";

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ascii" | "number" => Self::Ascii,
            "hex64" => Self::Hex(16),
            "hex32" => Self::Hex(8),
            "hex16" => Self::Hex(4),
            "hex8" => Self::Hex(2),
            "hex4" => Self::Hex(1),
            "big64" => Self::Big(8),
            "big32" => Self::Big(4),
            "big16" => Self::Big(2),
            "big8" | "byte" => Self::Big(1),
            "little64" => Self::Little(8),
            "little32" => Self::Little(4),
            "little16" => Self::Little(2),
            "little8" => Self::Little(1),
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// Writes a number; what does not fit loses its high digits.
    pub(super) fn write(self, number: i64, out: &mut Vec<u8>) {
        match self {
            Self::Ascii => out.extend(number.to_string().bytes()),
            Self::Hex(digits) => {
                let text = format!("{number:016x}");
                out.extend(text[16 - digits..].bytes());
            }
            Self::Big(bytes) => out.extend(&number.to_be_bytes()[8 - bytes..]),
            Self::Little(bytes) => out.extend(&number.to_le_bytes()[..bytes]),
            Self::Bool => out.extend(if number == 0 { "false" } else { "true" }.bytes()),
        }
    }

    /// How many bytes it takes; `None` if what follows ends it.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::Ascii | Self::Bool => None,
            Self::Hex(count) | Self::Big(count) | Self::Little(count) => Some(count),
        }
    }

    /// Reads a number of which all bytes are there.
    pub(super) fn read(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Self::Ascii => std::str::from_utf8(bytes).ok()?.parse().ok(),
            Self::Bool => match bytes {
                b"true" => Some(1),
                b"false" => Some(0),
                _ => None,
            },
            Self::Hex(_) => i64::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok(),
            Self::Big(_) => {
                Some(bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte)))
            }
            Self::Little(_) => {
                Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | i64::from(*byte)))
            }
        }
    }
}
