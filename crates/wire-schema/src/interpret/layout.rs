//! Values laid out as bytes.

use std::ops::Range;

use super::value::struct_fields;
use super::{Seeded, Value};
use crate::model::{Field, Message, Type};

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// Varint, one more than the length.
    Compact,
    /// Varint as it is: how many tagged fields, or the size of one.
    Varint,
}

/// Whether tagged fields that nobody knows are mixed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Just what the value says.
    None,
    /// Some in every struct of a flexible version: in no order, numbers repeated.
    UnknownTags,
}

/// A message as bytes, with the place of every length in it.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where each length begins and ends, and how it is written.
    pub lengths: Vec<(Range<usize>, LengthForm)>,
}

/// The version cannot express the value, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(pub String);

impl Layout {
    /// Lays out `value`, made for whatever version, at `version`.
    ///
    /// # Errors
    /// The version cannot express the value.
    pub fn message(
        message: &Message,
        value: &Value,
        version: i16,
        noise: Noise,
    ) -> Result<Self, Unfit> {
        let mut writer = Writer {
            message,
            version,
            flexible: message.is_flexible(version),
            noise,
            seeded: Seeded::new(version.unsigned_abs().into()),
        };
        let mut out = Self::default();
        writer.structure(&mut out, &message.fields, value)?;
        Ok(out)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn put_varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.bytes.push(low_byte(value));
    }

    fn put_length(&mut self, len: Option<usize>, form: LengthForm) {
        let start = self.bytes.len();
        let signed = len.map_or(-1, |len| i64::try_from(len).expect("fits memory"));
        match form {
            LengthForm::Short => self.put(&signed.to_be_bytes()[6..]),
            LengthForm::Int => self.put(&signed.to_be_bytes()[4..]),
            LengthForm::Compact => self.put_varint((signed + 1).cast_unsigned()),
            LengthForm::Varint => self.put_varint(signed.cast_unsigned()),
        }
        self.lengths.push((start..self.bytes.len(), form));
    }

    fn append(&mut self, other: Self) {
        let offset = self.bytes.len();
        self.put(&other.bytes);
        let moved = other.lengths.into_iter();
        self.lengths
            .extend(moved.map(|(range, form)| (range.start + offset..range.end + offset, form)));
    }
}

struct Writer<'m> {
    message: &'m Message,
    version: i16,
    flexible: bool,
    noise: Noise,
    seeded: Seeded,
}

impl Writer<'_> {
    fn structure(
        &mut self,
        out: &mut Layout,
        fields: &[Field],
        value: &Value,
    ) -> Result<(), Unfit> {
        let Value::Struct(values) = value else { panic!("`{value:?}` is no struct") };
        let mut tagged: Vec<(u64, Layout)> = Vec::new();
        for (field, value) in fields.iter().zip(values) {
            let default = Value::default_of(self.message, field);
            let value = value.as_ref().unwrap_or(&default);
            let is_default = value.same(&default, self.message, &field.ty);
            if !field.versions.contains(self.version) {
                if !is_default && !field.ignorable {
                    return Err(Unfit(format!("no `{}`", field.name)));
                }
            } else if let Some(tag) = field.tag {
                if !is_default {
                    let mut content = Layout::default();
                    self.field(&mut content, field, value)?;
                    tagged.push((tag.into(), content));
                }
            } else {
                self.field(out, field, value)?;
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, _)| *tag);
            self.put_tagged(out, tagged);
        }
        Ok(())
    }

    fn put_tagged(&mut self, out: &mut Layout, mut tagged: Vec<(u64, Layout)>) {
        if self.noise == Noise::UnknownTags {
            for _ in 0..self.seeded.below(4) {
                // Before and behind the others: readers do not care.
                let tag = 1000 + self.seeded.below(3);
                let content = (0..self.seeded.below(5)).map(|_| 0xff).collect();
                let content = Layout { bytes: content, lengths: Vec::new() };
                let place = if self.seeded.one_in(2) { 0 } else { tagged.len() };
                tagged.insert(place, (tag.into(), content));
            }
        }
        out.put_length(Some(tagged.len()), LengthForm::Varint);
        for (tag, content) in tagged {
            out.put_varint(tag);
            out.put_length(Some(content.bytes.len()), LengthForm::Varint);
            out.append(content);
        }
    }

    fn field(&mut self, out: &mut Layout, field: &Field, value: &Value) -> Result<(), Unfit> {
        let nullable = field.nullable.is_some_and(|versions| versions.contains(self.version));
        if *value == Value::Null && !nullable {
            return Err(Unfit(format!("`{}` may not be null", field.name)));
        }
        if let Type::Struct(_) = field.ty
            && nullable
        {
            let present = *value != Value::Null;
            out.put(&[if present { 1 } else { 0xff }]);
            if !present {
                return Ok(());
            }
        }
        self.value(out, &field.ty, value)
    }

    fn value(&mut self, out: &mut Layout, ty: &Type, value: &Value) -> Result<(), Unfit> {
        let form = match ty {
            _ if self.flexible => LengthForm::Compact,
            Type::String => LengthForm::Short,
            _ => LengthForm::Int,
        };
        match (ty, value) {
            (_, Value::Null) => out.put_length(None, form),
            (_, Value::Bool(value)) => out.put(&[u8::from(*value)]),
            (ty, Value::Int(value)) => {
                let width = match ty {
                    Type::I8 => 1,
                    Type::I16 | Type::U16 => 2,
                    Type::I32 | Type::U32 => 4,
                    _ => 8,
                };
                out.put(&value.to_be_bytes()[8 - width..]);
            }
            (_, Value::F64(value)) => out.put(&value.to_be_bytes()),
            (_, Value::Uuid(bytes)) => out.put(bytes),
            (_, Value::Text(text)) => {
                out.put_length(Some(text.len()), form);
                out.put(text.as_bytes());
            }
            (_, Value::Bytes(bytes)) => {
                out.put_length(Some(bytes.len()), form);
                out.put(bytes);
            }
            (Type::Array(element), Value::Array(values)) => {
                out.put_length(Some(values.len()), form);
                for value in values {
                    self.value(out, element, value)?;
                }
            }
            (Type::Struct(name), Value::Struct(_)) => {
                let message = self.message;
                self.structure(out, struct_fields(message, name), value)?;
            }
            (ty, value) => panic!("`{value:?}` is no `{ty}`"),
        }
        Ok(())
    }
}

fn low_byte(value: u64) -> u8 {
    let [.., low] = value.to_be_bytes();
    low & 0x7f
}
