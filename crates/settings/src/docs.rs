//! The table for readers: Markdown for people, JSON for programs.

use crate::setting::{Setting, Support};
use crate::table::Scope;
use serde_json::{Value as Json, json};
use std::fmt::Write;

const SCOPES: [Scope; 3] = [Scope::Topic, Scope::Group, Scope::Broker];

/// The reference of all settings in Markdown.
#[must_use]
pub fn docs_markdown() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Names, types, defaults and rules are Kafka's; ours begin with `esker.`. *Accepted* settings are stored and \
         shown; their purpose is met in the way given, or there is nothing to control. *Coming* ones belong to what is \
         not served yet: they are stored and shown, a broker that starts with a value for one says so, and a running one \
         takes none. *Refused* ones may only keep their default.\n",
    );
    for (title, rows) in SCOPES.iter().flat_map(|scope| scope.tables()) {
        let _ = write!(page, "\n## {title}\n");
        for setting in *rows {
            write_setting(&mut page, setting);
        }
    }
    page
}

fn write_setting(page: &mut String, setting: &Setting) {
    let _ = write!(page, "\n### `{}`\n\n{}\n\n", setting.name, setting.doc);
    let default = match setting.default {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    let (kind, update) = (setting.kind.name(), setting.update.name());
    let _ = write!(page, "{kind}, default {default}, {update}. Legal: {}.", setting.expected());
    if let [first, rest @ ..] = setting.synonyms {
        let _ = write!(page, " Falls back to `{}`", first.name);
        for synonym in rest {
            let _ = write!(page, ", `{}`", synonym.name);
        }
        page.push('.');
    }
    let _ = match setting.support {
        Support::Honoured => writeln!(page),
        Support::Accepted(why) => writeln!(page, " *Accepted*: {why}."),
        Support::Coming(why) => writeln!(page, " *Coming*: {why}."),
        Support::Refused(why) => writeln!(page, " *Refused*: {why}."),
    };
}

/// The reference of all settings as JSON: an array of objects, sorted by scope and name.
#[must_use]
pub fn docs_json() -> Json {
    let rows = SCOPES.iter().flat_map(|scope| {
        scope.settings().map(|setting| {
            let (support, why) = match setting.support {
                Support::Honoured => ("honoured", None),
                Support::Accepted(why) => ("accepted", Some(why)),
                Support::Coming(why) => ("coming", Some(why)),
                Support::Refused(why) => ("refused", Some(why)),
            };
            json!({
                "scope": scope.name(),
                "name": setting.name,
                "type": setting.kind.name(),
                "default": setting.default,
                "legal": setting.expected(),
                "update": setting.update.name(),
                "sensitive": setting.is_sensitive(),
                "synonyms": setting.synonyms.iter().map(|synonym| synonym.name).collect::<Vec<_>>(),
                "support": support,
                "why": why,
                "doc": setting.doc,
            })
        })
    });
    Json::Array(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_both_references() {
        let page = docs_markdown();
        let json = docs_json();
        let rows = json.as_array().unwrap();
        for setting in SCOPES.iter().flat_map(|scope| scope.settings()) {
            assert!(page.contains(&format!("### `{}`\n\n{}", setting.name, setting.doc)));
            assert!(
                rows.iter().any(|row| row["name"] == setting.name && row["doc"] == setting.doc)
            );
        }
        assert!(page.contains(
            "long, default `604800000`, dynamic. Legal: a whole number, -1 or more. \
             Falls back to `log.retention.ms`, `log.retention.minutes`, `log.retention.hours`.\n"
        ));
        assert!(page.contains(" *Refused*: every topic lives in the bucket;"));
    }
}
