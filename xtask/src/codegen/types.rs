//! The schema's types in Rust: how they are called, read, written and what they default to.

use esker_wire_schema::{DefaultValue, Field, Type};

use super::layout::Layout;

/// Name of a field in Rust.
pub(super) fn ident(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "self" | "use" | "move" | "where" | "final" => {
            format!("r#{name}")
        }
        name => name.to_owned(),
    }
}

/// `FetchTopic<'a>`, or without the lifetime if it does not borrow.
pub(super) fn struct_type(layout: &Layout<'_>, name: &str) -> String {
    if layout.get(name).borrows { format!("{name}<'a>") } else { name.to_owned() }
}

/// Type of a field, without regard to null.
fn plain_type(layout: &Layout<'_>, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::I8 => "i8".into(),
        Type::I16 => "i16".into(),
        Type::U16 => "u16".into(),
        Type::I32 => "i32".into(),
        Type::U32 => "u32".into(),
        Type::I64 => "i64".into(),
        Type::F64 => "f64".into(),
        Type::Uuid => "Uuid".into(),
        Type::String => "&'a str".into(),
        Type::Bytes => "&'a [u8]".into(),
        Type::Records => "Records<'a>".into(),
        Type::Struct(name) => struct_type(layout, name),
        Type::Array(element) => format!("Array<'a, {}>", plain_type(layout, element)),
    }
}

/// Type of a field.
pub(super) fn field_type(layout: &Layout<'_>, field: &Field) -> String {
    let plain = plain_type(layout, &field.ty);
    if field.nullable.is_some() { format!("Option<{plain}>") } else { plain }
}

/// Whether the default is that of the Rust type.
pub(super) fn has_natural_default(field: &Field) -> bool {
    if field.nullable.is_some() { default_value(field) == "None" } else { field.default.is_none() }
}

/// The default as an expression.
pub(super) fn default_value(field: &Field) -> String {
    let plain = match (&field.default, &field.ty) {
        (Some(DefaultValue::Null), _) => return "None".into(),
        (Some(DefaultValue::Bool(value)), _) => value.to_string(),
        (Some(DefaultValue::Int(i64::MAX)), Type::I64) => "i64::MAX".into(),
        (Some(DefaultValue::Int(value)), Type::I32) if *value == i64::from(i32::MAX) => {
            "i32::MAX".into()
        }
        (Some(DefaultValue::Int(value)), Type::I32) if *value == i64::from(i32::MIN) => {
            "i32::MIN".into()
        }
        (Some(DefaultValue::Int(value)), _) => value.to_string(),
        (Some(DefaultValue::Text(text)), _) => format!("{text:?}"),
        (None, ty) => match ty {
            Type::Bool => "false".into(),
            Type::F64 => "0.0".into(),
            Type::Uuid => "Uuid::nil()".into(),
            Type::String => "\"\"".into(),
            Type::Bytes => "&[]".into(),
            Type::Records if field.nullable.is_some() => return "None".into(),
            Type::Records => "Records::EMPTY".into(),
            Type::Struct(name) => format!("{name}::default()"),
            Type::Array(_) => "Array::new()".into(),
            _ => "0".into(),
        },
    };
    if field.nullable.is_some() { format!("Some({plain})") } else { plain }
}

/// Whether the field differs from its default, as an expression.
pub(super) fn differs_from_default(field: &Field) -> String {
    let name = format!("self.{}", ident(&field.name));
    let default = default_value(field);
    if field.nullable.is_some() {
        return match (&default[..], &field.ty) {
            ("None", _) => format!("{name}.is_some()"),
            (_, Type::Array(_)) => format!("{name}.as_ref().is_none_or(|array| !array.is_empty())"),
            _ => format!("{name} != {default}"),
        };
    }
    match (&default[..], &field.ty) {
        ("true", _) => format!("!{name}"),
        ("false", _) => name,
        ("Uuid::nil()", _) => format!("!{name}.is_nil()"),
        ("\"\"" | "&[]" | "Records::EMPTY" | "Array::new()", _) => format!("!{name}.is_empty()"),
        _ => format!("{name} != {default}"),
    }
}

/// Reads a value that is not null.
pub(super) fn read_plain(ty: &Type) -> String {
    match ty {
        Type::String => "r.string(e)".into(),
        Type::Bytes => "r.bytes(e)".into(),
        Type::Records => "r.records(e)".into(),
        Type::Array(_) => "r.array(e)".into(),
        Type::Struct(name) => format!("{name}::read(r, e)"),
        fixed => format!("r.{fixed}()"),
    }
}

/// Reads a value or null.
pub(super) fn read_nullable(ty: &Type) -> String {
    format!("r.{}_nullable(e)", word(ty))
}

/// Writes a value that is not null. `value` is a reference where the type is not `Copy`.
pub(super) fn put_plain(sink: &str, ty: &Type, value: &str) -> String {
    match ty {
        Type::String | Type::Bytes | Type::Records | Type::Array(_) => {
            format!("{sink}.put_{}({value}, e);", word(ty))
        }
        Type::Struct(_) => format!("{value}.write({sink_ref}, e);", sink_ref = reference(sink)),
        fixed => format!("{sink}.put_{fixed}({value});"),
    }
}

/// Writes an option.
pub(super) fn put_nullable(sink: &str, ty: &Type, value: &str) -> String {
    let as_ref = if is_copy(ty) { "" } else { ".as_ref()" };
    format!("{sink}.put_{}_nullable({value}{as_ref}, e);", word(ty))
}

/// Whether values are passed on as they are.
pub(super) fn is_copy(ty: &Type) -> bool {
    !matches!(ty, Type::Records | Type::Struct(_) | Type::Array(_))
}

fn reference(sink: &str) -> &str {
    if sink == "s" { "s" } else { "&mut measured" }
}

fn word(ty: &Type) -> &'static str {
    match ty {
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Records => "records",
        Type::Array(_) => "array",
        Type::Struct(_) => "struct",
        other => unreachable!("`{other}` has no length"),
    }
}
