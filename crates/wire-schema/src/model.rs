//! What a schema file says, as data.

/// An inclusive range of versions; an open end means the parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versions {
    /// Oldest version, `None`: as old as the parent goes.
    pub oldest: Option<i16>,
    /// Newest version, `None`: as new as the parent goes.
    pub newest: Option<i16>,
}

impl Versions {
    /// Every version.
    pub const ALL: Self = Self { oldest: None, newest: None };

    /// Closed range.
    #[must_use]
    pub const fn new(oldest: i16, newest: i16) -> Self {
        Self { oldest: Some(oldest), newest: Some(newest) }
    }

    /// Whether `version` lies within.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        self.oldest.is_none_or(|v| v <= version) && self.newest.is_none_or(|v| version <= v)
    }
}

/// Who answers an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Served to clients by brokers.
    Broker,
    /// Served on the controllers' listener.
    Controller,
}

/// The heading of an API's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Kafka's name without the `Request` suffix.
    pub name: String,
    /// API key.
    pub key: i16,
    /// Who serves it.
    pub listeners: Vec<Listener>,
    /// The newest version is not stable: readable, yet not to be advertised by default.
    pub newest_unstable: bool,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Sent by a client.
    Request,
    /// The answer to a request.
    Response,
    /// Content of a record or of an opaque field.
    Data,
}

/// One message with all of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Request, response or data.
    pub kind: MessageKind,
    /// Full name, with `Request` or `Response` where it is one.
    pub name: String,
    /// Oldest version.
    pub oldest: i16,
    /// Newest version.
    pub newest: i16,
    /// First version with compact lengths and tagged fields, if any.
    pub flexible: Option<i16>,
    /// Fields in wire order.
    pub fields: Vec<Field>,
    /// Structs that more than one field uses.
    pub structs: Vec<StructDef>,
}

impl Message {
    /// Whether `version` uses compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|first| first <= version)
    }

    /// Fields of the struct called `name`, wherever in the message it is defined.
    #[must_use]
    pub fn struct_fields(&self, name: &str) -> Option<&[Field]> {
        fn find<'f>(fields: &'f [Field], name: &str) -> Option<&'f [Field]> {
            fields.iter().find_map(|field| {
                let inner = field.fields.as_deref()?;
                if field.ty.struct_name() == Some(name) { Some(inner) } else { find(inner, name) }
            })
        }
        find(&self.fields, name).or_else(|| {
            self.structs.iter().find_map(|def| {
                if def.name == name { Some(&def.fields[..]) } else { find(&def.fields, name) }
            })
        })
    }
}

/// A struct defined apart from the fields that use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructDef {
    /// Its name, unique within the file.
    pub name: String,
    /// Fields in wire order.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name in snake case.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// Versions that have the field.
    pub versions: Versions,
    /// Versions in which it may be null.
    pub nullable: Option<Versions>,
    /// Default, if it is not the type's own.
    pub default: Option<DefaultValue>,
    /// Tag number of a tagged field.
    pub tag: Option<u32>,
    /// May be dropped silently where the version has no room for it.
    pub ignorable: bool,
    /// Definition of the struct that the type names, when it is made here.
    pub fields: Option<Vec<Self>>,
}

/// Type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One byte, 0 is false.
    Bool,
    /// Signed byte.
    I8,
    /// Big-endian, like all that follow.
    I16,
    /// Unsigned 16 bits.
    U16,
    /// 32 bits.
    I32,
    /// Unsigned 32 bits.
    U32,
    /// 64 bits.
    I64,
    /// IEEE 754 double.
    F64,
    /// 16 bytes.
    Uuid,
    /// UTF-8 with a length.
    String,
    /// Opaque bytes with a length.
    Bytes,
    /// Record batches with a length.
    Records,
    /// A struct of the same message.
    Struct(String),
    /// A counted sequence.
    Array(Box<Self>),
}

impl Type {
    /// Name of the struct in it, if any.
    #[must_use]
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.struct_name(),
            _ => None,
        }
    }
}

/// A default other than the type's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultValue {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// A string.
    Text(String),
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaFile {
    /// Heading, absent in files of data messages.
    pub api: Option<Api>,
    /// Messages in the order written.
    pub messages: Vec<Message>,
}
