//! Printing records by a format.

use super::number::NumberForm;
use super::text::TextForm;
use super::{Attribute, Field, Numeric, Piece, TimeForm, pieces};
use crate::calendar::{Moment, strftime};
use esker_client::Received;
use esker_record::{Codec, TimestampType};

/// A record and what surrounds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'a> {
    pub(crate) record: &'a Received,
    /// Number of the record among those that are printed, from 1.
    pub(crate) iteration: i64,
    pub(crate) log_start: i64,
    pub(crate) last_stable: i64,
    pub(crate) high_watermark: i64,
}

/// A format for printing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PrintFormat(Vec<Piece>);

impl PrintFormat {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        pieces(text).map(Self)
    }

    pub(crate) fn write(&self, printable: &Printable<'_>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            write_piece(piece, printable, out);
        }
    }
}

fn len(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(0, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

fn write_piece(piece: &Piece, printable: &Printable<'_>, out: &mut Vec<u8>) {
    let record = printable.record;
    let field = |field: Field| match field {
        Field::Topic => Some(record.topic.as_bytes()),
        Field::Key => record.key.as_deref(),
        Field::Value => record.value.as_deref(),
    };
    match piece {
        Piece::Literal(bytes) => out.extend(bytes),
        Piece::Text(which, form) => form.write(field(*which).unwrap_or_default(), out),
        Piece::Length(which, form) => form.write(len(field(*which)), out),
        Piece::HeaderCount(form) => {
            form.write(i64::try_from(record.headers.len()).unwrap_or(i64::MAX), out);
        }
        Piece::Headers(inner) => {
            for (key, value) in &record.headers {
                write_header(inner, key, value.as_deref(), out);
            }
        }
        Piece::Number(which, form) => {
            let number = match which {
                Numeric::Partition => record.partition.into(),
                Numeric::Offset => record.offset,
                Numeric::LeaderEpoch => record.leader_epoch.into(),
                Numeric::ProducerId => record.producer_id,
                Numeric::ProducerEpoch => record.producer_epoch.into(),
                Numeric::LogStart => printable.log_start,
                Numeric::LastStable => printable.last_stable,
                Numeric::HighWatermark => printable.high_watermark,
                Numeric::Iteration => printable.iteration,
            };
            form.write(number, out);
        }
        Piece::Time(TimeForm::Number(form)) => form.write(record.timestamp, out),
        Piece::Time(TimeForm::Iso) => {
            out.extend(Moment::from_millis(record.timestamp).rfc3339().bytes());
        }
        Piece::Time(TimeForm::Strftime(pattern)) => {
            let text =
                strftime(pattern, record.timestamp).expect("judged when the format was read");
            out.extend(text.bytes());
        }
        Piece::Attribute(attribute, as_number) => {
            let (number, name) = match attribute {
                Attribute::Compression => (codec_number(record.codec), record.codec.name()),
                Attribute::TimestampType => match record.timestamp_type {
                    TimestampType::CreateTime => (0, "CreateTime"),
                    TimestampType::LogAppendTime => (1, "LogAppendTime"),
                },
                Attribute::Transactional if record.is_transactional => (1, "transactional"),
                Attribute::Transactional => (0, "non-transactional"),
                Attribute::Control if record.is_control => (1, "control"),
                Attribute::Control => (0, "non-control"),
            };
            if *as_number {
                NumberForm::Ascii.write(number, out);
            } else {
                out.extend(name.bytes());
            }
        }
    }
}

const fn codec_number(codec: Codec) -> i64 {
    match codec {
        Codec::None => 0,
        Codec::Gzip => 1,
        Codec::Snappy => 2,
        Codec::Lz4 => 3,
        Codec::Zstd => 4,
    }
}

/// Within headers only keys and values stand.
fn write_header(pieces: &[Piece], key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    let field = |field: Field| if field == Field::Key { Some(key) } else { value };
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend(bytes),
            Piece::Text(which, form) => {
                TextForm::write(form, field(*which).unwrap_or_default(), out)
            }
            Piece::Length(which, form) => form.write(len(field(*which)), out),
            other => unreachable!("{other:?} was refused when the format was read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Received {
        Received {
            topic: "orders".into(),
            partition: 3,
            offset: 70_000,
            timestamp: 1_795_255_872_013,
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: 2,
            key: Some("k1".into()),
            value: Some(bytes::Bytes::from_static(b"\x00\x01v")),
            headers: vec![("a".into(), Some("1".into())), ("b".into(), None)],
            codec: Codec::Zstd,
            is_control: false,
            is_transactional: true,
            producer_id: 9,
            producer_epoch: 1,
        }
    }

    fn print(format: &str) -> Vec<u8> {
        let record = record();
        let (log_start, last_stable, high_watermark) = (1, 2, 3);
        let printable =
            Printable { record: &record, iteration: 5, log_start, last_stable, high_watermark };
        let mut out = Vec::new();
        PrintFormat::parse(format).unwrap().write(&printable, &mut out);
        out
    }

    #[test]
    fn every_verb_prints() {
        for (format, text) in [
            ("%t [%p] @%o e%e: %k = %v{hex}\\n", "orders [3] @70000 e2: k1 = 000176\n"),
            ("%T %K %V %H %i", "6 2 3 2 5"),
            ("%h{%k=%v;}", "a=1;b=;"),
            ("%h{%K%V{hex8}%}}", "101}100}"),
            ("%d %d{iso} %d{strftime[%F}]}", "1795255872013 2026-11-21T10:11:12.013Z 2026-11-21}"),
            ("%a{compression} %a{compression;number}", "zstd 4"),
            (
                "%a{timestamp-type} %a{transactional-bit} %a{control-bit;number}",
                "CreateTime transactional 0",
            ),
            ("%x %y %[ %| %]", "9 1 1 2 3"),
            ("%%%{%}\\\\\\t\\x41", "%{}\\\tA"),
            ("%o{hex16} %o{hex4} %o{bool}", "1170 0 true"),
            ("%v{base64} %v{base64raw} %v{unpack[bbc]}", "AAF2 AAF2 01v"),
        ] {
            assert_eq!(String::from_utf8(print(format)).unwrap(), text, "{format}");
        }
        assert_eq!(print("%o{big32}%o{little16}%p{byte}"), [0, 1, 0x11, 0x70, 0x70, 0x11, 3]);
    }

    #[test]
    fn what_is_no_format_is_named() {
        for (format, what) in [
            ("%", "a verb is missing"),
            ("%q", "no verb %q"),
            ("%h", "needs its form in braces"),
            ("%h{%k", "not closed"),
            ("%h{%p}", "within %h"),
            ("%o{octal}", "no form of numbers"),
            ("%v{rot13}", "no form of texts"),
            ("%v{unpack[z]}", "unpack has no `z`"),
            ("%d{strftime[%Q]}", "strftime has no %Q"),
            ("%a", "%a needs one of"),
            ("%o{hex", "a brace is not closed"),
            ("\\q", "an escape is one of"),
            ("\\x4", "two hexadecimal digits"),
        ] {
            let error = PrintFormat::parse(format).unwrap_err();
            assert!(error.contains(what), "{format}: {error}");
        }
    }
}
