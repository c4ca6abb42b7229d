//! Keys, values and names in formats.

use std::fmt::Write;

/// How bytes are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextForm {
    /// As they are.
    Plain,
    Hex,
    Base64 {
        padded: bool,
    },
    /// As numbers, by a pattern.
    Unpack(String),
}

impl TextForm {
    pub(super) fn from_name(name: &str) -> Result<Self, String> {
        let inner = name.strip_prefix("unpack[").and_then(|rest| rest.strip_suffix(']'));
        match (name, inner) {
            ("hex", _) => Ok(Self::Hex),
            ("base64", _) => Ok(Self::Base64 { padded: true }),
            ("base64raw", _) => Ok(Self::Base64 { padded: false }),
            (_, Some(pattern)) => {
                match pattern.chars().find(|c| !"x<>bBhHiIqQc.s$ ".contains(*c)) {
                    None => Ok(Self::Unpack(pattern.to_owned())),
                    Some(c) => Err(format!("unpack has no `{c}`: x < > b B h H i I q Q c . s $")),
                }
            }
            _ => Err(format!("`{name}` is no form of texts: hex, base64, base64raw, unpack[…]")),
        }
    }

    pub(super) fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend(bytes),
            Self::Hex => out.extend(hex(bytes).bytes()),
            Self::Base64 { padded } => out.extend(base64(bytes, *padded).bytes()),
            Self::Unpack(pattern) => out.extend(unpack(pattern, bytes)),
        }
    }

    /// Turns bytes back that were written in this form.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Plain => Ok(bytes.to_vec()),
            Self::Hex => unhex(bytes).ok_or_else(|| "expected hexadecimal digits".to_owned()),
            Self::Base64 { .. } => unbase64(bytes).ok_or_else(|| "expected base64".to_owned()),
            Self::Unpack(_) => Err("unpack is for printing only".to_owned()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 base64.
pub(crate) fn base64(bytes: &[u8], padded: bool) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for index in 0..4 {
            if index <= chunk.len() {
                let sextet = usize::try_from(bits >> (18 - 6 * index) & 63).expect("6 bits");
                text.push(char::from(ALPHABET[sextet]));
            } else if padded {
                text.push('=');
            }
        }
    }
    text
}

fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            let sextet = ALPHABET.iter().position(|letter| letter == byte)?;
            bits = bits << 6 | u32::try_from(sextet).expect("below 64");
        }
        bits <<= 6 * (4 - chunk.len());
        bytes.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

/// Numbers of a binary layout, as Python's `struct` names them; `$` asks that nothing is left.
fn unpack(pattern: &str, bytes: &[u8]) -> Vec<u8> {
    let (mut rest, mut big, mut out) = (bytes, true, Vec::new());
    for letter in pattern.chars() {
        let width = match letter {
            'x' | 'b' | 'B' | 'c' | '.' => 1,
            'h' | 'H' => 2,
            'i' | 'I' => 4,
            'q' | 'Q' => 8,
            _ => 0,
        };
        match letter {
            '<' => big = false,
            '>' => big = true,
            ' ' => out.push(b' '),
            's' => out.extend(std::mem::take(&mut rest)),
            '$' if rest.is_empty() => {}
            '$' => out.extend(b"unpack: bytes are left over"),
            _ => {
                let Some((field, after)) = rest.split_at_checked(width) else {
                    out.extend(b"unpack: bytes are missing");
                    return out;
                };
                rest = after;
                let mut wide = [0; 16];
                wide[16 - width..].copy_from_slice(field);
                if !big {
                    wide[16 - width..].reverse();
                }
                let unsigned = u128::from_be_bytes(wide);
                let shift = 128 - 8 * u32::try_from(width).expect("at most 8");
                let signed = (unsigned << shift).cast_signed() >> shift;
                match letter {
                    'x' => {}
                    'c' | '.' => out.extend(field),
                    'b' | 'h' | 'i' | 'q' => out.extend(signed.to_string().bytes()),
                    _ => out.extend(unsigned.to_string().bytes()),
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_both_ways() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"\xff\xfe\xfd", "//79"),
        ] {
            assert_eq!(base64(bytes, true), text);
            assert_eq!(unbase64(text.as_bytes()).as_deref(), Some(bytes));
            assert_eq!(unbase64(base64(bytes, false).as_bytes()).as_deref(), Some(bytes));
            assert_eq!(unhex(hex(bytes).as_bytes()).as_deref(), Some(bytes));
        }
        for text in ["=", "A", "Zg=", "Z===", "Zg!="] {
            assert_eq!(unbase64(text.as_bytes()), None, "{text}");
        }
        assert_eq!((unhex(b"abc"), unhex(b"zz")), (None, None));
    }

    #[test]
    fn layouts_unpack() {
        let bytes = b"\xff\xff\xfe\x00\x01rest";
        assert_eq!(unpack("b B x <H s$", bytes), b"-1 255  256 rest");
        assert_eq!(unpack("i", b"\xff\xff\xff\xff"), b"-1");
        assert_eq!(
            unpack("Q", b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            u64::MAX.to_string().as_bytes()
        );
        assert_eq!(unpack("h", b"\x01"), b"unpack: bytes are missing");
        assert_eq!(unpack("b$", b"\x01\x02"), b"1unpack: bytes are left over");
    }
}
