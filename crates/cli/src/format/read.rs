//! Reading records by a format: a verb's text runs up to the literal behind it, or is as long as a length before it
//! says.

use super::number::NumberForm;
use super::{Field, Numeric, Piece, TimeForm, pieces};
use bytes::Bytes;
use esker_client::Outgoing;

/// Why input does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The record may be whole when more is there.
    Incomplete,
    /// It does not follow the format.
    Wrong(String),
}

/// A format for reading.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParseFormat(Vec<Piece>);

/// Lengths that were read and wait for their texts.
#[derive(Default)]
struct Lengths {
    topic: Option<usize>,
    key: Option<usize>,
    value: Option<usize>,
    headers: Option<usize>,
}

impl Lengths {
    fn of(&mut self, field: Field) -> &mut Option<usize> {
        match field {
            Field::Topic => &mut self.topic,
            Field::Key => &mut self.key,
            Field::Value => &mut self.value,
        }
    }
}

impl ParseFormat {
    /// Reads a format. Each text in it must end somewhere: by a length, or by what follows.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        check(text, &pieces, false)?;
        Ok(Self(pieces))
    }

    /// Reads one record at the beginning of `input`. Returns it and its length; at the `end` of all input the last
    /// literal may be missing.
    pub(crate) fn read(&self, input: &[u8], end: bool) -> Result<(Outgoing, usize), ReadError> {
        let mut cursor = Cursor { input, at: 0, end };
        let mut record = Outgoing::default();
        let mut lengths = Lengths::default();
        for (index, piece) in self.0.iter().enumerate() {
            let behind = literal(self.0.get(index + 1));
            let is_last = index + 1 == self.0.len();
            match piece {
                Piece::Literal(bytes) => cursor.literal(bytes, is_last)?,
                Piece::Text(field, form) => {
                    let bytes = cursor.text(lengths.of(*field).take(), behind)?;
                    let bytes = form.read(bytes).map_err(ReadError::Wrong)?;
                    match field {
                        Field::Topic => {
                            let name = String::from_utf8(bytes).map_err(|_| {
                                ReadError::Wrong("a topic's name is no UTF-8".to_owned())
                            })?;
                            record.topic = name;
                        }
                        Field::Key => record.key = Some(bytes.into()),
                        Field::Value => record.value = Some(bytes.into()),
                    }
                }
                Piece::Length(field, form) => {
                    *lengths.of(*field) = Some(cursor.count(*form, behind)?);
                }
                Piece::HeaderCount(form) => lengths.headers = Some(cursor.count(*form, behind)?),
                Piece::Headers(inner) => {
                    for _ in 0..lengths.headers.take().unwrap_or(0) {
                        record.headers.push(header(inner, &mut cursor)?);
                    }
                }
                Piece::Number(Numeric::Partition, form) => {
                    let number = cursor.number(*form, behind)?;
                    record.partition = Some(
                        i32::try_from(number)
                            .map_err(|_| ReadError::Wrong(format!("{number} is no partition")))?,
                    );
                }
                Piece::Time(TimeForm::Number(form)) => {
                    record.timestamp = Some(cursor.number(*form, behind)?);
                }
                other => unreachable!("{other:?} was refused when the format was read"),
            }
        }
        if cursor.at == 0 {
            // A format of texts that may all be empty would read for ever.
            return Err(ReadError::Incomplete);
        }
        Ok((record, cursor.at))
    }
}

fn header(pieces: &[Piece], cursor: &mut Cursor<'_>) -> Result<(Bytes, Option<Bytes>), ReadError> {
    let mut lengths = Lengths::default();
    let (mut key, mut value) = (Bytes::new(), None);
    for (index, piece) in pieces.iter().enumerate() {
        let behind = literal(pieces.get(index + 1));
        match piece {
            Piece::Literal(bytes) => cursor.literal(bytes, false)?,
            Piece::Length(field, form) => {
                *lengths.of(*field) = Some(cursor.count(*form, behind)?);
            }
            Piece::Text(field, form) => {
                let bytes = cursor.text(lengths.of(*field).take(), behind)?;
                let bytes = form.read(bytes).map_err(ReadError::Wrong)?.into();
                match field {
                    Field::Key => key = bytes,
                    _ => value = Some(bytes),
                }
            }
            other => unreachable!("{other:?} was refused when the format was read"),
        }
    }
    Ok((key, value))
}

fn literal(piece: Option<&Piece>) -> Option<&[u8]> {
    match piece {
        Some(Piece::Literal(bytes)) => Some(bytes),
        _ => None,
    }
}

fn check(text: &str, pieces: &[Piece], in_headers: bool) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("format `{text}`: {what}"));
    let mut sized = [false; 3];
    let mut counted = false;
    let slot = |field: Field| match field {
        Field::Topic => 0,
        Field::Key => 1,
        Field::Value => 2,
    };
    for (index, piece) in pieces.iter().enumerate() {
        let ends = literal(pieces.get(index + 1)).is_some();
        let number_ends = |form: &NumberForm| form.width().is_some() || ends;
        match piece {
            Piece::Literal(_) => {}
            Piece::Text(field, _) if sized[slot(*field)] || ends => {}
            Piece::Text(..) => {
                return wrong("a text needs a length before it, or something fixed behind it");
            }
            Piece::Length(field, form) if number_ends(form) => sized[slot(*field)] = true,
            Piece::HeaderCount(form) if number_ends(form) => counted = true,
            Piece::Number(Numeric::Partition, form) | Piece::Time(TimeForm::Number(form))
                if number_ends(form) => {}
            Piece::Length(..)
            | Piece::HeaderCount(_)
            | Piece::Number(Numeric::Partition, _)
            | Piece::Time(TimeForm::Number(_)) => {
                return wrong("a number needs something fixed behind it, or a form of fixed size");
            }
            Piece::Headers(inner) if counted && !in_headers => check(text, inner, true)?,
            Piece::Headers(_) => return wrong("%h needs the number of headers, %H, before it"),
            _ => return wrong("records are read from %t %k %v %h %p %d and %T %K %V %H only"),
        }
    }
    if !in_headers && pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
        return wrong("nothing of a record is in it");
    }
    Ok(())
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
    end: bool,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let taken = self.rest().get(..count).ok_or(ReadError::Incomplete)?;
        self.at += count;
        Ok(taken)
    }

    fn literal(&mut self, bytes: &[u8], is_last: bool) -> Result<(), ReadError> {
        let rest = self.rest();
        if rest.starts_with(bytes) {
            self.at += bytes.len();
            Ok(())
        } else if rest.len() < bytes.len() && bytes.starts_with(rest) {
            if self.end && is_last {
                self.at += rest.len();
                return Ok(());
            }
            Err(ReadError::Incomplete)
        } else {
            let (expected, found) = (bytes.escape_ascii(), rest.get(..bytes.len()));
            let found = found.unwrap_or(rest).escape_ascii();
            Err(ReadError::Wrong(format!("expected `{expected}`, found `{found}`")))
        }
    }

    /// A text of `len` bytes, or one that ends before `behind`.
    fn text(&mut self, len: Option<usize>, behind: Option<&[u8]>) -> Result<&'a [u8], ReadError> {
        if let Some(len) = len {
            return self.take(len);
        }
        let behind = behind.unwrap_or_default();
        let rest = self.rest();
        match rest.windows(behind.len().max(1)).position(|window| window == behind) {
            Some(at) => self.take(at),
            None if self.end => self.take(rest.len()),
            None => Err(ReadError::Incomplete),
        }
    }

    fn number(&mut self, form: NumberForm, behind: Option<&[u8]>) -> Result<i64, ReadError> {
        let bytes = self.text(form.width(), behind)?;
        form.read(bytes)
            .ok_or_else(|| ReadError::Wrong(format!("`{}` is no number", bytes.escape_ascii())))
    }

    fn count(&mut self, form: NumberForm, behind: Option<&[u8]>) -> Result<usize, ReadError> {
        let number = self.number(form, behind)?;
        usize::try_from(number).map_err(|_| ReadError::Wrong(format!("{number} is no length")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(format: &str, input: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        let format = ParseFormat::parse(format).unwrap();
        let (mut at, mut records) = (0, Vec::new());
        while at < input.len() {
            let (record, len) = format.read(&input[at..], true)?;
            records.push(record);
            at += len;
        }
        Ok(records)
    }

    fn texts(records: &[Outgoing]) -> Vec<(&[u8], &[u8])> {
        records
            .iter()
            .map(|record| {
                (record.key.as_deref().unwrap_or(b"-"), record.value.as_deref().unwrap_or(b"-"))
            })
            .collect()
    }

    #[test]
    fn texts_end_at_literals_and_the_last_line_may_lack_its_end() {
        let records = all("%k %v\\n", b"a 1\nb 2 3\n 4\nc 5").unwrap();
        assert_eq!(
            texts(&records),
            [(&b"a"[..], &b"1"[..]), (b"b", b"2 3"), (b"", b"4"), (b"c", b"5")]
        );
        assert_eq!(texts(&all("%v\\n", b"x\n\ny\n").unwrap()).len(), 3);
    }

    #[test]
    fn lengths_headers_partitions_and_topics_read() {
        let records = all("%K{big16}%k%V{hex8}%v", b"\x00\x02ab03xyz\x00\x0000").unwrap();
        assert_eq!(texts(&records), [(&b"ab"[..], &b"xyz"[..]), (b"", b"")]);
        let records = all("%t/%p/%d %H %h{%k=%v,}%v{hex}\\n", b"t/7/99 2 a=1,b=,0aff\n").unwrap();
        let record = &records[0];
        assert_eq!(
            (record.topic.as_str(), record.partition, record.timestamp),
            ("t", Some(7), Some(99))
        );
        assert_eq!(record.headers, [("a".into(), Some("1".into())), ("b".into(), Some("".into()))]);
        assert_eq!(record.value.as_deref(), Some(&b"\x0a\xff"[..]));
    }

    #[test]
    fn part_of_a_record_waits_for_the_rest() {
        let format = ParseFormat::parse("%K{big32}%k%v\\n").unwrap();
        let whole = b"\x00\x00\x00\x03abcdef\n";
        for len in 0..whole.len() {
            assert_eq!(format.read(&whole[..len], false), Err(ReadError::Incomplete), "{len}");
        }
        assert_eq!(format.read(whole, false).unwrap().1, whole.len());
        // A length that lies asks for more input, not for memory.
        assert_eq!(format.read(b"\x7f\xff\xff\xffab", true), Err(ReadError::Incomplete));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (format, what) in [
            ("%k%v\\n", "a length before it"),
            ("%v", "a length before it"),
            ("%p%v\\n", "a form of fixed size"),
            ("%h{%k=%v,}%v\\n", "%H, before it"),
            ("%o %v\\n", "only"),
            ("lines\\n", "nothing of a record"),
        ] {
            let error = ParseFormat::parse(format).unwrap_err();
            assert!(error.contains(what), "{format}: {error}");
        }
        for (format, input) in [
            ("%v{hex}\\n", &b"xx\n"[..]),
            ("%p %v\\n", b"one v\n"),
            ("%t %v\\n", b"\xff v\n"),
            ("%K{hex4}%k\\n", b"zabc\n"),
        ] {
            assert!(matches!(all(format, input), Err(ReadError::Wrong(_))), "{format}");
        }
        assert!(matches!(all("a%v\\n", b"b\n"), Err(ReadError::Wrong(_))));
    }
}
