//! `cargo xtask import-schema <dir>`: Kafka's message definitions, rewritten in our notation.
//!
//! Run once for a new Kafka release; the result is reviewed as a diff of `crates/wire/schema`.
//! Versions are narrowed to those that the release still accepts, names become snake case, and a
//! struct name that the request and the response of one API both use gets the prefix `Request` or
//! `Response`, since both live in one module. Prose is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use esker_wire_schema::{
    Api, DefaultValue, Field, Listener, Message, MessageKind, SchemaFile, StructDef, Type, Versions,
};
use serde_json::Value;

use crate::files;

/// Messages outside requests that Esker reads or writes, and the file each goes to.
const DATA: [(&str, &str); 4] = [
    ("ConsumerProtocolSubscription", "consumer_protocol_subscription"),
    ("ConsumerProtocolAssignment", "consumer_protocol_assignment"),
    ("ControlRecordTypeSchema", "control_record_type"),
    ("EndTxnMarker", "end_txn_marker"),
];

pub(crate) fn run(dir: &Path) -> Result<()> {
    let mut definitions = BTreeMap::new();
    for path in files::list(dir, "json")? {
        let text = strip_comments(&files::read(&path)?);
        let json: Value =
            serde_json::from_str(&text).with_context(|| format!("parse `{}`", path.display()))?;
        let name = text_of(&json, "name")?.to_owned();
        definitions.insert(name, json);
    }

    let mut out: BTreeMap<String, SchemaFile> = BTreeMap::new();
    for (name, request) in &definitions {
        let Some(api_name) = name.strip_suffix("Request") else { continue };
        if request["type"] != "request" || request["validVersions"] == "none" {
            continue;
        }
        let response = definitions
            .get(&format!("{api_name}Response"))
            .with_context(|| format!("`{api_name}` has no response"))?;
        let file = import_api(api_name, request, response)
            .with_context(|| format!("import `{api_name}`"))?;
        out.insert(snake_case(api_name), file);
    }
    for (name, file) in DATA {
        let json = definitions.get(name).with_context(|| format!("`{name}` is missing"))?;
        let message = import_message(MessageKind::Data, json, &BTreeSet::new())
            .with_context(|| format!("import `{name}`"))?;
        out.entry(file.to_owned()).or_default().messages.push(message);
    }

    let schema = files::root().join("crates/wire/schema");
    for path in files::list(&schema, "schema")? {
        files::remove(&path)?;
    }
    for (name, file) in &out {
        files::write(&schema.join(format!("{name}.schema")), &file.to_string())?;
    }
    files::say(&format!("{} files written", out.len()));
    Ok(())
}

fn import_api(name: &str, request: &Value, response: &Value) -> Result<SchemaFile> {
    let key = request["apiKey"].as_i64().context("`apiKey` is missing")?;
    let mut listeners = Vec::new();
    for listener in array_of(request, "listeners") {
        match listener.as_str() {
            Some("broker") => listeners.push(Listener::Broker),
            Some("controller") => listeners.push(Listener::Controller),
            other => bail!("unknown listener `{other:?}`"),
        }
    }
    listeners.sort_by_key(|listener| *listener == Listener::Controller);
    let shared = &struct_names(request) & &struct_names(response);
    Ok(SchemaFile {
        api: Some(Api {
            name: name.to_owned(),
            key: i16::try_from(key)?,
            listeners,
            newest_unstable: request["latestVersionUnstable"] == true,
        }),
        messages: vec![
            import_message(MessageKind::Request, request, &shared)?,
            import_message(MessageKind::Response, response, &shared)?,
        ],
    })
}

/// Names of all structs that a message defines.
fn struct_names(json: &Value) -> BTreeSet<String> {
    fn walk(fields: &[Value], names: &mut BTreeSet<String>) {
        for field in fields {
            let inner = array_of(field, "fields");
            if !inner.is_empty() {
                let ty = field["type"].as_str().unwrap_or_default();
                names.insert(ty.trim_start_matches("[]").to_owned());
            }
            walk(inner, names);
        }
    }
    let mut names = BTreeSet::new();
    walk(array_of(json, "fields"), &mut names);
    for def in array_of(json, "commonStructs") {
        names.insert(def["name"].as_str().unwrap_or_default().to_owned());
        walk(array_of(def, "fields"), &mut names);
    }
    names
}

fn import_message(kind: MessageKind, json: &Value, shared: &BTreeSet<String>) -> Result<Message> {
    let whole = parse_range(text_of(json, "validVersions")?)?;
    let flexible = parse_range(text_of(json, "flexibleVersions")?)?;
    let (oldest, newest) = (whole.0, whole.1);
    let importer = Importer { kind, shared };
    let mut structs = Vec::new();
    for def in array_of(json, "commonStructs") {
        structs.push(StructDef {
            name: importer.struct_name(text_of(def, "name")?),
            fields: importer.fields(array_of(def, "fields"), whole)?,
        });
    }
    Ok(Message {
        kind,
        name: text_of(json, "name")?.to_owned(),
        oldest,
        newest,
        flexible: (flexible.0 <= newest).then_some(flexible.0),
        fields: importer.fields(array_of(json, "fields"), whole)?,
        structs,
    })
}

struct Importer<'i> {
    kind: MessageKind,
    shared: &'i BTreeSet<String>,
}

impl Importer<'_> {
    fn struct_name(&self, name: &str) -> String {
        match self.kind {
            MessageKind::Request if self.shared.contains(name) => format!("Request{name}"),
            MessageKind::Response if self.shared.contains(name) => format!("Response{name}"),
            _ => name.to_owned(),
        }
    }

    fn fields(&self, json: &[Value], parent: (i16, i16)) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        for field in json {
            let name = text_of(field, "name")?;
            fields.extend(self.field(field, parent).with_context(|| format!("field `{name}`"))?);
        }
        Ok(fields)
    }

    /// `None` for a field that no version left has.
    fn field(&self, json: &Value, parent: (i16, i16)) -> Result<Option<Field>> {
        let own = intersect(parse_range(text_of(json, "versions")?)?, parent);
        if own.0 > own.1 {
            return Ok(None);
        }
        if !json["flexibleVersions"].is_null() {
            bail!("a field with flexible versions of its own is not supported");
        }
        let ty = self.parse_type(text_of(json, "type")?)?;
        let nullable = match json["nullableVersions"].as_str() {
            None => None,
            Some(text) => {
                let range = intersect(parse_range(text)?, own);
                (range.0 <= range.1).then(|| relative(range, own))
            }
        };
        let tag = json["tag"].as_u64().map(u32::try_from).transpose()?;
        if tag.is_some() && json["versions"] != json["taggedVersions"] {
            bail!("a field that is tagged in a part of its versions is not supported");
        }
        let inner = array_of(json, "fields");
        Ok(Some(Field {
            name: snake_case(text_of(json, "name")?),
            versions: relative(own, parent),
            nullable,
            default: parse_default(&ty, &json["default"])?,
            tag,
            ignorable: json["ignorable"] == true,
            fields: if inner.is_empty() { None } else { Some(self.fields(inner, own)?) },
            ty,
        }))
    }

    fn parse_type(&self, name: &str) -> Result<Type> {
        if let Some(element) = name.strip_prefix("[]") {
            return Ok(Type::Array(Box::new(self.parse_type(element)?)));
        }
        Ok(match name {
            "bool" => Type::Bool,
            "int8" => Type::I8,
            "int16" => Type::I16,
            "uint16" => Type::U16,
            "int32" => Type::I32,
            "uint32" => Type::U32,
            "int64" => Type::I64,
            "float64" => Type::F64,
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                Type::Struct(self.struct_name(name))
            }
            other => bail!("unknown type `{other}`"),
        })
    }
}

/// The default if it is not the type's own. Kafka writes most of them as strings.
fn parse_default(ty: &Type, json: &Value) -> Result<Option<DefaultValue>> {
    let text = match json {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(match (ty, text.as_str()) {
        (_, "null") => Some(DefaultValue::Null),
        (Type::Bool, text) => {
            text.to_lowercase().parse::<bool>()?.then_some(DefaultValue::Bool(true))
        }
        (Type::String, "") => None,
        (Type::String, text) => Some(DefaultValue::Text(text.to_owned())),
        (_, text) => {
            let value = match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16)?,
                None => text.parse()?,
            };
            (value != 0).then_some(DefaultValue::Int(value))
        }
    })
}

/// `"3+"`, `"2-5"`, `"4"` or `"none"`.
fn parse_range(text: &str) -> Result<(i16, i16)> {
    Ok(if text == "none" {
        (i16::MAX, i16::MIN)
    } else if let Some(oldest) = text.strip_suffix('+') {
        (oldest.parse()?, i16::MAX)
    } else if let Some((oldest, newest)) = text.split_once('-') {
        (oldest.parse()?, newest.parse()?)
    } else {
        (text.parse()?, text.parse()?)
    })
}

fn intersect(a: (i16, i16), b: (i16, i16)) -> (i16, i16) {
    (a.0.max(b.0), a.1.min(b.1))
}

/// `range` with the ends left open that it shares with `parent`.
fn relative(range: (i16, i16), parent: (i16, i16)) -> Versions {
    Versions {
        oldest: (range.0 != parent.0).then_some(range.0),
        newest: (range.1 != parent.1).then_some(range.1),
    }
}

fn text_of<'j>(json: &'j Value, key: &str) -> Result<&'j str> {
    json[key].as_str().with_context(|| format!("`{key}` is missing"))
}

fn array_of<'j>(json: &'j Value, key: &str) -> &'j [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

/// `TopicId` and `clusterID` as `topic_id` and `cluster_id`.
fn snake_case(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft");
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 8);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_lower = i > 0 && !chars[i - 1].is_ascii_uppercase();
            let before_lower = i > 0 && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_lower || before_lower {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// Blanks out `//` comments outside strings.
fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut previous = ' ';
        let mut end = line.len();
        for (i, c) in line.char_indices() {
            match c {
                '"' if previous != '\\' => in_string = !in_string,
                '/' if previous == '/' && !in_string => {
                    end = i - 1;
                    break;
                }
                _ => {}
            }
            previous = c;
        }
        out.push_str(&line[..end]);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (kafka, ours) in [
            ("TopicId", "topic_id"),
            ("timeoutMs", "timeout_ms"),
            ("V3AndBelowTopics", "v3_and_below_topics"),
            ("KRaftVersionFeature", "kraft_version_feature"),
            ("ISRList", "isr_list"),
        ] {
            assert_eq!(snake_case(kafka), ours);
        }
    }

    #[test]
    fn comments_go_and_strings_stay() {
        let text = "// all\n{ \"a\": \"http://x\" } // tail\n";
        assert_eq!(strip_comments(text), "\n{ \"a\": \"http://x\" } \n");
    }

    #[test]
    fn ranges_lose_the_ends_they_share_with_the_parent() {
        assert_eq!(relative((4, 12), (4, 18)).to_string(), "..12");
        assert_eq!(relative((13, 18), (4, 18)).to_string(), "13..");
        assert_eq!(relative((4, 18), (4, 18)), Versions::ALL);
        assert_eq!(intersect(parse_range("none").unwrap(), (0, 9)), (i16::MAX, i16::MIN));
    }
}
