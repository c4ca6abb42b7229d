//! A schema file as text, in the one canonical form.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::model::{
    Api, DefaultValue, Field, Listener, Message, MessageKind, SchemaFile, Type, Versions,
};

impl Display for Versions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.oldest, self.newest) {
            (Some(oldest), Some(newest)) if oldest == newest => write!(f, "{oldest}"),
            (oldest, newest) => {
                oldest.map_or(Ok(()), |v| write!(f, "{v}"))?;
                f.write_str("..")?;
                newest.map_or(Ok(()), |v| write!(f, "{v}"))
            }
        }
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Uuid => "uuid",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Struct(name) => name,
            Self::Array(element) => return write!(f, "[{element}]"),
        })
    }
}

impl Display for DefaultValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

impl Display for Listener {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
        })
    }
}

impl Display for Api {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "api {} key {} listeners", self.name, self.key)?;
        for listener in &self.listeners {
            write!(f, " {listener}")?;
        }
        if self.newest_unstable { f.write_str(" newest-unstable") } else { Ok(()) }
    }
}

impl Display for SchemaFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(api) = &self.api {
            writeln!(f, "{api}\n")?;
        }
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            print_message(message, f)?;
        }
        Ok(())
    }
}

fn print_message(message: &Message, f: &mut Formatter<'_>) -> fmt::Result {
    match message.kind {
        MessageKind::Request => f.write_str("request ")?,
        MessageKind::Response => f.write_str("response ")?,
        MessageKind::Data => write!(f, "data {} ", message.name)?,
    }
    write!(f, "{} flexible ", Versions::new(message.oldest, message.newest))?;
    match message.flexible {
        Some(first) => write!(f, "{first}..")?,
        None => f.write_str("none")?,
    }
    if message.fields.is_empty() && message.structs.is_empty() {
        return f.write_str(" {\n}\n");
    }
    f.write_str(" {\n")?;
    print_fields(&message.fields, 1, f)?;
    for def in &message.structs {
        writeln!(f, "    struct {} {{", def.name)?;
        print_fields(&def.fields, 2, f)?;
        f.write_str("    }\n")?;
    }
    f.write_str("}\n")
}

fn print_fields(fields: &[Field], depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for field in fields {
        write!(f, "{:indent$}{}: {}", "", field.name, field.ty, indent = 4 * depth)?;
        match field.nullable {
            Some(Versions::ALL) => f.write_char('?')?,
            Some(versions) => write!(f, "?{versions}")?,
            None => {}
        }
        if let Some(default) = &field.default {
            write!(f, " = {default}")?;
        }
        if field.versions != Versions::ALL {
            write!(f, " @{}", field.versions)?;
        }
        if let Some(tag) = field.tag {
            write!(f, " tag {tag}")?;
        }
        if field.ignorable {
            f.write_str(" ignorable")?;
        }
        match &field.fields {
            Some(inner) => {
                f.write_str(" {\n")?;
                print_fields(inner, depth + 1, f)?;
                writeln!(f, "{:indent$}}}", "", indent = 4 * depth)?;
            }
            None => f.write_char('\n')?,
        }
    }
    Ok(())
}
