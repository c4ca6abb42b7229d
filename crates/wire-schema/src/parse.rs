//! A schema file from text: line by line, `#` begins a comment.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::iter::Peekable;
use std::str::{FromStr, Lines, SplitWhitespace};

use crate::model::{
    Api, DefaultValue, Field, Listener, Message, MessageKind, SchemaFile, StructDef, Type, Versions,
};

/// Why a text is no schema, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

impl Display for ParseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Error for ParseError {}

impl FromStr for SchemaFile {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { lines: text.lines(), number: 0 };
        parser.file().map_err(|reason| ParseError { line: parser.number, reason })
    }
}

type Parsed<T> = Result<T, String>;

struct Parser<'t> {
    lines: Lines<'t>,
    number: usize,
}

impl<'t> Parser<'t> {
    /// Next line that says something, without comment and indentation.
    fn next_line(&mut self) -> Option<&'t str> {
        loop {
            let line = self.lines.next()?;
            self.number += 1;
            let line = line.split_once('#').map_or(line, |(code, _)| code).trim();
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    fn file(&mut self) -> Parsed<SchemaFile> {
        let mut file = SchemaFile::default();
        while let Some(line) = self.next_line() {
            let mut words = line.split_whitespace().peekable();
            match words.next() {
                Some("api") => file.api = Some(parse_api(&mut words)?),
                Some("request") => {
                    let api = file.api.as_ref().ok_or("`request` before `api`")?;
                    let name = format!("{}Request", api.name);
                    file.messages.push(self.message(MessageKind::Request, name, &mut words)?);
                }
                Some("response") => {
                    let api = file.api.as_ref().ok_or("`response` before `api`")?;
                    let name = format!("{}Response", api.name);
                    file.messages.push(self.message(MessageKind::Response, name, &mut words)?);
                }
                Some("data") => {
                    let name = words.next().ok_or("`data` needs a name")?.to_owned();
                    file.messages.push(self.message(MessageKind::Data, name, &mut words)?);
                }
                other => return Err(format!("unexpected `{}`", other.unwrap_or_default())),
            }
        }
        Ok(file)
    }

    fn message(
        &mut self,
        kind: MessageKind,
        name: String,
        words: &mut Words<'_>,
    ) -> Parsed<Message> {
        let versions = parse_versions(words.next().ok_or("versions are missing")?)?;
        let (Some(oldest), Some(newest)) = (versions.oldest, versions.newest) else {
            return Err("the versions of a message have both ends".into());
        };
        expect(words, "flexible")?;
        let flexible = match words.next().ok_or("`flexible` needs a version")? {
            "none" => None,
            first => parse_versions(first)?.oldest,
        };
        expect(words, "{")?;
        let mut message = Message {
            kind,
            name,
            oldest,
            newest,
            flexible,
            fields: Vec::new(),
            structs: Vec::new(),
        };
        loop {
            let line = self.next_line().ok_or("the message is not closed")?;
            if line == "}" {
                return Ok(message);
            }
            match line.strip_prefix("struct ").and_then(|rest| rest.strip_suffix(" {")) {
                Some(name) => {
                    let fields = self.fields()?;
                    message.structs.push(StructDef { name: name.to_owned(), fields });
                }
                None => message.fields.push(self.field(line)?),
            }
        }
    }

    /// Fields up to the closing brace.
    fn fields(&mut self) -> Parsed<Vec<Field>> {
        let mut fields = Vec::new();
        loop {
            match self.next_line().ok_or("the struct is not closed")? {
                "}" => return Ok(fields),
                line => fields.push(self.field(line)?),
            }
        }
    }

    fn field(&mut self, line: &str) -> Parsed<Field> {
        let (name, rest) = line.split_once(": ").ok_or("a field is `name: type`")?;
        let mut words = rest.split_whitespace().peekable();
        let (ty, nullable) = parse_type_and_null(words.next().ok_or("the type is missing")?)?;
        let mut field = Field {
            name: name.to_owned(),
            ty,
            versions: Versions::ALL,
            nullable,
            default: None,
            tag: None,
            ignorable: false,
            fields: None,
        };
        while let Some(word) = words.next() {
            match word {
                "=" => field.default = Some(parse_default(words.next().unwrap_or_default())?),
                "tag" => {
                    let tag = words.next().unwrap_or_default();
                    field.tag = Some(tag.parse().map_err(|_| format!("`{tag}` is no tag"))?);
                }
                "ignorable" => field.ignorable = true,
                "{" => field.fields = Some(self.fields()?),
                word => match word.strip_prefix('@') {
                    Some(versions) => field.versions = parse_versions(versions)?,
                    None => return Err(format!("unexpected `{word}`")),
                },
            }
        }
        Ok(field)
    }
}

type Words<'t> = Peekable<SplitWhitespace<'t>>;

fn expect(words: &mut Words<'_>, wanted: &str) -> Parsed<()> {
    match words.next() {
        Some(word) if word == wanted => Ok(()),
        other => Err(format!("expected `{wanted}`, found `{}`", other.unwrap_or("end of line"))),
    }
}

fn parse_api(words: &mut Words<'_>) -> Parsed<Api> {
    let name = words.next().ok_or("`api` needs a name")?.to_owned();
    expect(words, "key")?;
    let key = parse_version(words.next().unwrap_or_default())?;
    expect(words, "listeners")?;
    let mut api = Api { name, key, listeners: Vec::new(), newest_unstable: false };
    for word in words {
        match word {
            "broker" => api.listeners.push(Listener::Broker),
            "controller" => api.listeners.push(Listener::Controller),
            "newest-unstable" => api.newest_unstable = true,
            other => return Err(format!("unexpected `{other}`")),
        }
    }
    Ok(api)
}

fn parse_version(text: &str) -> Parsed<i16> {
    text.parse().map_err(|_| format!("`{text}` is no version"))
}

fn parse_versions(text: &str) -> Parsed<Versions> {
    let end = |text: &str| if text.is_empty() { Ok(None) } else { parse_version(text).map(Some) };
    match text.split_once("..") {
        Some((oldest, newest)) => Ok(Versions { oldest: end(oldest)?, newest: end(newest)? }),
        None => parse_version(text).map(|version| Versions::new(version, version)),
    }
}

fn parse_type_and_null(text: &str) -> Parsed<(Type, Option<Versions>)> {
    let (ty, nullable) = match text.split_once('?') {
        None => (text, None),
        Some((ty, "")) => (ty, Some(Versions::ALL)),
        Some((ty, versions)) => (ty, Some(parse_versions(versions)?)),
    };
    Ok((parse_type(ty)?, nullable))
}

fn parse_type(text: &str) -> Parsed<Type> {
    if let Some(element) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Ok(Type::Array(Box::new(parse_type(element)?)));
    }
    Ok(match text {
        "bool" => Type::Bool,
        "i8" => Type::I8,
        "i16" => Type::I16,
        "u16" => Type::U16,
        "i32" => Type::I32,
        "u32" => Type::U32,
        "i64" => Type::I64,
        "f64" => Type::F64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Type::Struct(name.to_owned()),
        other => return Err(format!("`{other}` is no type")),
    })
}

fn parse_default(text: &str) -> Parsed<DefaultValue> {
    Ok(match text {
        "null" => DefaultValue::Null,
        "true" => DefaultValue::Bool(true),
        "false" => DefaultValue::Bool(false),
        text => match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(text) => DefaultValue::Text(text.to_owned()),
            None => DefaultValue::Int(
                text.parse().map_err(|_| format!("`{text}` is no default value"))?,
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
api Fetch key 1 listeners broker controller newest-unstable

request 4..18 flexible 12.. {
    cluster_id: string? = null @12.. tag 0 ignorable
    replica_id: i32 = -1 @..14
    topics: [FetchTopic]?5.. {
        topic: string = \"x\" @..12
        state: State @7
    }
    struct State {
        epoch: i64
    }
}

response 4 flexible none {
}
";

    #[test]
    fn printing_what_was_parsed_gives_the_same_text() {
        let file: SchemaFile = EXAMPLE.parse().unwrap();
        assert_eq!(file.to_string(), EXAMPLE);
        let request = &file.messages[0];
        assert_eq!(request.struct_fields("State").unwrap()[0].name, "epoch");
        assert_eq!(request.struct_fields("FetchTopic").unwrap().len(), 2);
        assert!(request.struct_fields("Absent").is_none());
    }

    #[test]
    fn errors_name_the_line() {
        let broken = EXAMPLE.replace("epoch: i64", "epoch: int64");
        let error = broken.parse::<SchemaFile>().unwrap_err();
        assert_eq!(error, ParseError { line: 11, reason: "`int64` is no type".into() });
        let open = EXAMPLE.trim_end().trim_end_matches('}');
        assert!(open.parse::<SchemaFile>().is_err());
    }
}
