//! Values for messages, made up for one version.

use super::Seeded;
use crate::model::{DefaultValue, Field, Message, Type};

/// A value of any of the schema's types.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// Any integer, within the bounds of its type.
    Int(i64),
    /// A double, never NaN.
    F64(f64),
    /// An id.
    Uuid([u8; 16]),
    /// A string.
    Text(String),
    /// Bytes or records.
    Bytes(Vec<u8>),
    /// One value a field; `None` where the version has no such field.
    Struct(Vec<Option<Self>>),
    /// Elements.
    Array(Vec<Self>),
}

/// How to make up values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The defaults.
    Default,
    /// Something in every field, two elements in every array.
    Full,
    /// By chance, nulls and defaults and extremes included.
    Random,
}

impl Value {
    /// A message of `version`.
    #[must_use]
    pub fn message(message: &Message, version: i16, fill: Fill, seeded: &mut Seeded) -> Self {
        Maker { message, version, fill, seeded }.structure(&message.fields)
    }

    /// What a field is where nobody said otherwise.
    #[must_use]
    pub fn default_of(message: &Message, field: &Field) -> Self {
        match (&field.default, &field.ty) {
            (Some(DefaultValue::Null), _) => Self::Null,
            (Some(DefaultValue::Bool(value)), _) => Self::Bool(*value),
            (Some(DefaultValue::Int(value)), _) => Self::Int(*value),
            (Some(DefaultValue::Text(text)), _) => Self::Text(text.clone()),
            (None, Type::Bool) => Self::Bool(false),
            (None, Type::F64) => Self::F64(0.0),
            (None, Type::Uuid) => Self::Uuid([0; 16]),
            (None, Type::String) => Self::Text(String::new()),
            (None, Type::Records) if field.nullable.is_some() => Self::Null,
            (None, Type::Bytes | Type::Records) => Self::Bytes(Vec::new()),
            (None, Type::Array(_)) => Self::Array(Vec::new()),
            (None, Type::Struct(name)) => {
                let fields = struct_fields(message, name).iter();
                Self::Struct(fields.map(|f| Some(Self::default_of(message, f))).collect())
            }
            (None, _) => Self::Int(0),
        }
    }

    /// Whether the two mean the same: a field that a version lacks has its default.
    #[must_use]
    pub fn same(&self, other: &Self, message: &Message, ty: &Type) -> bool {
        match (self, other, ty) {
            (Self::Struct(a), Self::Struct(b), Type::Struct(name)) => {
                let fields = struct_fields(message, name);
                fields.iter().zip(a.iter().zip(b)).all(|(field, (a, b))| {
                    let default = Self::default_of(message, field);
                    let (a, b) = (a.as_ref().unwrap_or(&default), b.as_ref().unwrap_or(&default));
                    a.same(b, message, &field.ty)
                })
            }
            _ => self == other,
        }
    }
}

struct Maker<'m> {
    message: &'m Message,
    version: i16,
    fill: Fill,
    seeded: &'m mut Seeded,
}

impl Maker<'_> {
    fn structure(&mut self, fields: &[Field]) -> Value {
        let make = |field| self.field(field);
        Value::Struct(fields.iter().map(make).collect())
    }

    fn field(&mut self, field: &Field) -> Option<Value> {
        if !field.versions.contains(self.version) {
            return None;
        }
        let nullable = field.nullable.is_some_and(|versions| versions.contains(self.version));
        Some(match self.fill {
            Fill::Random if nullable && self.seeded.one_in(4) => Value::Null,
            Fill::Random if !self.seeded.one_in(4) => self.value(&field.ty),
            Fill::Full => self.value(&field.ty),
            Fill::Random | Fill::Default => {
                let default = Value::default_of(self.message, field);
                match (&field.ty, default) {
                    // The default of some version, null in one that does not allow it.
                    (ty, Value::Null) if !nullable => self.value(ty),
                    (Type::Struct(name), Value::Struct(_)) => self.inner(name),
                    (_, default) => default,
                }
            }
        })
    }

    fn inner(&mut self, name: &str) -> Value {
        let message = self.message;
        self.structure(struct_fields(message, name))
    }

    fn value(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Bool => Value::Bool(self.fill == Fill::Full || self.seeded.one_in(2)),
            Type::I8 => self.signed(8),
            Type::I16 => self.signed(16),
            Type::I32 => self.signed(32),
            Type::I64 => self.signed(64),
            Type::U16 => Value::Int((self.seeded.next_u64() >> 48).cast_signed()),
            Type::U32 => Value::Int((self.seeded.next_u64() >> 32).cast_signed()),
            Type::F64 => Value::F64(f64::from(self.seeded.below(1 << 20)) / 7.0 + 1.0),
            Type::Uuid => {
                let mut bytes = [1; 16];
                bytes[..8].copy_from_slice(&self.seeded.next_u64().to_be_bytes());
                Value::Uuid(bytes)
            }
            Type::String => {
                let len = 1 + self.len();
                Value::Text((0..len).map(|_| self.letter()).collect())
            }
            Type::Bytes | Type::Records => {
                let len = 1 + self.len();
                Value::Bytes((0..len).map(|_| self.seeded.next_u64().to_be_bytes()[0]).collect())
            }
            Type::Struct(name) => self.inner(name),
            Type::Array(element) => {
                let count = match self.fill {
                    Fill::Default => 0,
                    Fill::Full => 2,
                    Fill::Random => self.seeded.below(4),
                };
                Value::Array((0..count).map(|_| self.value(element)).collect())
            }
        }
    }

    /// An integer of so many bits, often an extreme one.
    fn signed(&mut self, bits: u32) -> Value {
        let raw = match self.seeded.below(8) {
            0 => i64::MAX,
            1 => i64::MIN,
            _ => self.seeded.next_u64().cast_signed(),
        };
        Value::Int(raw >> (64 - bits))
    }

    /// A letter of one to four bytes.
    fn letter(&mut self) -> char {
        match self.seeded.below(6) {
            0 => 'é',
            1 => '漢',
            2 => '🦀',
            3 => '.',
            4 => 'Z',
            _ => 'a',
        }
    }

    /// Mostly short, sometimes past the point where a length takes a second byte.
    fn len(&mut self) -> u32 {
        let long = self.fill == Fill::Random && self.seeded.one_in(16);
        if long { 200 } else { self.seeded.below(9) }
    }
}

/// The fields of a struct that some field names.
pub(super) fn struct_fields<'m>(message: &'m Message, name: &str) -> &'m [Field] {
    message.struct_fields(name).expect("a struct that a field names is defined")
}
