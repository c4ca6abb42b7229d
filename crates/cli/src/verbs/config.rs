//! `esker config`.

use crate::args::ConfigVerb;
use crate::failure::{Exit, Failure};
use crate::ui::Ui;
use esker_settings::{docs_json, docs_markdown};

pub(super) fn run(ui: Ui, verb: &ConfigVerb) -> Result<(), Failure> {
    let ConfigVerb::Docs { filter, json } = verb;
    let filter = filter.as_deref().unwrap_or_default();
    let none = || Failure::new(Exit::NotFound, format!("no setting has `{filter}` in its name"));
    if *json {
        let mut rows = docs_json();
        if let Some(rows) = rows.as_array_mut() {
            rows.retain(|row| row["name"].as_str().is_some_and(|name| name.contains(filter)));
            if rows.is_empty() {
                return Err(none());
            }
        }
        return ui.json(&rows);
    }
    let page = docs_markdown();
    if filter.is_empty() {
        return ui.write(page.as_bytes());
    }
    // Each setting is a section of its own, up to the next heading.
    let sections: Vec<_> = page
        .split("\n### ")
        .skip(1)
        .map(|section| section.split("\n## ").next().unwrap_or(section))
        .filter(|section| section.lines().next().is_some_and(|name| name.contains(filter)))
        .map(|section| format!("### {}\n", section.trim_end()))
        .collect();
    if sections.is_empty() {
        return Err(none());
    }
    ui.write(sections.join("\n").as_bytes())
}
