//! The printf of records: `-f` of produce and consume.
//!
//! Verbs: `%t` topic, `%k` key, `%v` value, `%h{…}` each header (with `%k` and `%v` inside), `%p` partition, `%o`
//! offset, `%e` leader epoch, `%d` time, `%a{…}` attributes, `%x` producer id, `%y` producer epoch, `%i` number of the
//! record; `%T %K %V %H` lengths and the count of headers; `%%`, `%{`, `%}`. `\n \t \r \\ \xNN` are escapes.
//!
//! Modifiers follow in braces. Numbers: `ascii` (default), `hex64 … hex4`, `big64 … big8`, `little64 … little8`,
//! `byte`, `bool`. Texts: `hex`, `base64`, `base64raw`, `unpack[…]`. Times: numbers, `iso`, `strftime[…]`.

mod number;
mod read;
mod text;
mod write;

pub(crate) use read::{ParseFormat, ReadError};
pub(crate) use text::base64;
pub(crate) use write::{PrintFormat, Printable};

use number::NumberForm;
use text::TextForm;

/// What a verb stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Topic,
    Key,
    Value,
}

/// A piece of a format.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(Vec<u8>),
    Text(Field, TextForm),
    Length(Field, NumberForm),
    HeaderCount(NumberForm),
    Headers(Vec<Self>),
    Number(Numeric, NumberForm),
    Time(TimeForm),
    Attribute(Attribute, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numeric {
    Partition,
    Offset,
    LeaderEpoch,
    ProducerId,
    ProducerEpoch,
    LogStart,
    LastStable,
    HighWatermark,
    Iteration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TimeForm {
    Number(NumberForm),
    Iso,
    Strftime(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Compression,
    TimestampType,
    Transactional,
    Control,
}

/// Reads a format.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut scanner = Scanner { text, at: 0 };
    let pieces = scanner.pieces(false)?;
    debug_assert_eq!(scanner.at, text.len());
    Ok(pieces)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<char> {
        let c = self.text[self.at..].chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn wrong(&self, what: &str) -> String {
        format!("format `{}`, at byte {}: {what}", self.text, self.at)
    }

    /// Pieces up to the end, or within headers up to the closing brace.
    fn pieces(&mut self, in_headers: bool) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let flush = |literal: &mut Vec<u8>, pieces: &mut Vec<Piece>| {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(literal)));
            }
        };
        loop {
            match self.next() {
                None if in_headers => return Err(self.wrong("a brace of %h is not closed")),
                None => break,
                Some('}') if in_headers => break,
                Some('\\') => literal.push(self.escape()?),
                Some('%') => match self.verb(in_headers)? {
                    Piece::Literal(bytes) => literal.extend(bytes),
                    piece => {
                        flush(&mut literal, &mut pieces);
                        pieces.push(piece);
                    }
                },
                Some(c) => literal.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        flush(&mut literal, &mut pieces);
        Ok(pieces)
    }

    fn escape(&mut self) -> Result<u8, String> {
        match self.next() {
            Some('n') => Ok(b'\n'),
            Some('t') => Ok(b'\t'),
            Some('r') => Ok(b'\r'),
            Some('\\') => Ok(b'\\'),
            Some('x') => {
                let digits = self.text.get(self.at..self.at + 2);
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                self.at += 2;
                byte.ok_or_else(|| "format: \\x needs two hexadecimal digits".to_owned())
            }
            _ => Err(self.wrong("an escape is one of \\n \\t \\r \\\\ \\xNN")),
        }
    }

    fn verb(&mut self, in_headers: bool) -> Result<Piece, String> {
        let letter = self.next().ok_or_else(|| self.wrong("a verb is missing after %"))?;
        if in_headers && !matches!(letter, 'k' | 'v' | 'K' | 'V' | '%' | '{' | '}') {
            return Err(self.wrong("within %h there are %k %v %K %V"));
        }
        let number = |scanner: &mut Self| scanner.number();
        Ok(match letter {
            '%' | '{' | '}' => Piece::Literal(letter.to_string().into_bytes()),
            't' => Piece::Text(Field::Topic, self.text_form()?),
            'k' => Piece::Text(Field::Key, self.text_form()?),
            'v' => Piece::Text(Field::Value, self.text_form()?),
            'T' => Piece::Length(Field::Topic, number(self)?),
            'K' => Piece::Length(Field::Key, number(self)?),
            'V' => Piece::Length(Field::Value, number(self)?),
            'H' => Piece::HeaderCount(number(self)?),
            'h' => {
                if self.next() != Some('{') {
                    return Err(self.wrong("%h needs its form in braces, such as %h{%k=%v }"));
                }
                Piece::Headers(self.pieces(true)?)
            }
            'p' => Piece::Number(Numeric::Partition, number(self)?),
            'o' => Piece::Number(Numeric::Offset, number(self)?),
            'e' => Piece::Number(Numeric::LeaderEpoch, number(self)?),
            'x' => Piece::Number(Numeric::ProducerId, number(self)?),
            'y' => Piece::Number(Numeric::ProducerEpoch, number(self)?),
            '[' => Piece::Number(Numeric::LogStart, number(self)?),
            '|' => Piece::Number(Numeric::LastStable, number(self)?),
            ']' => Piece::Number(Numeric::HighWatermark, number(self)?),
            'i' => Piece::Number(Numeric::Iteration, number(self)?),
            'd' => Piece::Time(self.time_form()?),
            'a' => self.attribute()?,
            other => return Err(self.wrong(&format!("there is no verb %{other}"))),
        })
    }

    /// A modifier in braces, if one follows; `[…]` inside it may hold anything.
    fn modifier(&mut self) -> Result<Option<&'a str>, String> {
        let rest = &self.text[self.at..];
        if !rest.starts_with('{') {
            return Ok(None);
        }
        let mut in_brackets = false;
        for (index, c) in rest.char_indices() {
            match c {
                '[' => in_brackets = true,
                ']' => in_brackets = false,
                '}' if !in_brackets => {
                    self.at += index + 1;
                    return Ok(Some(&rest[1..index]));
                }
                _ => {}
            }
        }
        Err(self.wrong("a brace is not closed"))
    }

    fn number(&mut self) -> Result<NumberForm, String> {
        match self.modifier()? {
            None => Ok(NumberForm::Ascii),
            Some(name) => NumberForm::from_name(name).ok_or_else(|| {
                self.wrong(&format!("`{name}` is no form of numbers: {}", NumberForm::NAMES))
            }),
        }
    }

    fn text_form(&mut self) -> Result<TextForm, String> {
        match self.modifier()? {
            None => Ok(TextForm::Plain),
            Some(name) => TextForm::from_name(name).map_err(|what| self.wrong(&what)),
        }
    }

    fn time_form(&mut self) -> Result<TimeForm, String> {
        let Some(name) = self.modifier()? else { return Ok(TimeForm::Number(NumberForm::Ascii)) };
        if name == "iso" {
            return Ok(TimeForm::Iso);
        }
        let inner =
            |prefix| name.strip_prefix(prefix).and_then(|rest: &str| rest.strip_suffix(']'));
        if let Some(pattern) = inner("strftime[") {
            return match crate::calendar::strftime(pattern, 0) {
                Ok(_) => Ok(TimeForm::Strftime(pattern.to_owned())),
                Err(letter) => Err(self.wrong(&format!("strftime has no %{letter}"))),
            };
        }
        NumberForm::from_name(name).map(TimeForm::Number).ok_or_else(|| {
            self.wrong(&format!(
                "`{name}` is no form of times: iso, strftime[…], {}",
                NumberForm::NAMES
            ))
        })
    }

    fn attribute(&mut self) -> Result<Piece, String> {
        let known = "compression, timestamp-type, transactional-bit or control-bit";
        let name = self.modifier()?.unwrap_or_default();
        let (name, form) = name.split_once(';').unwrap_or((name, ""));
        let attribute = match name {
            "compression" => Attribute::Compression,
            "timestamp-type" => Attribute::TimestampType,
            "transactional-bit" => Attribute::Transactional,
            "control-bit" => Attribute::Control,
            _ => return Err(self.wrong(&format!("%a needs one of {known} in braces"))),
        };
        match form {
            "" => Ok(Piece::Attribute(attribute, false)),
            "number" => Ok(Piece::Attribute(attribute, true)),
            _ => Err(self.wrong("an attribute's form is `number`, or none")),
        }
    }
}
