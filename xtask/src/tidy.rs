//! Rules of the repository that no compiler knows.

mod rooms;
mod words;

use crate::files::{root, say};
use crate::shell;
use anyhow::{Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// The layers, lowest first. A crate depends on crates of its own layer or below.
const LAYERS: &[&[&str]] = &[
    &["esker-types", "fastant", "base2histogram"],
    &["esker-env", "esker-wire-schema", "esker-settings"],
    &[
        "esker-record",
        "esker-wire",
        "esker-object",
        "esker-wal",
        "esker-journal",
        "esker-meta",
        "esker-bucket",
        "esker-otlp",
        "esker-peer",
    ],
    &["esker-plog", "esker-group", "esker-cache", "esker-meta-client"],
    &["esker-meta-raft", "esker-cache-foyer", "esker-bucket-aws"],
    &["esker-engine", "esker-client", "esker-controller"],
    &["esker-traces"],
    &["esker-load"],
    &["esker-broker", "esker-cli"],
    &["esker-node"],
    &["esker-server", "esker-sim", "esker-machine", "esker-instructions"],
];

/// Crates that only some may use, and who.
const WRAPPED: &[(&str, &[&str])] = &[
    ("openraft", &["esker-meta-raft"]),
    ("object_store", &["esker-bucket"]),
    ("aws-sdk-s3", &["esker-bucket-aws"]),
    ("foyer", &["esker-cache-foyer", "esker-cache"]),
];

/// Longest source file, generated ones apart. Existing longer ones may only shrink.
const LINES_MAX: usize = 900;

pub(crate) fn run() -> Result<()> {
    let mut problems = layers()?;
    problems.extend(files()?);
    problems.extend(inside_crates()?);
    for problem in &problems {
        say(problem);
    }
    if problems.is_empty() { Ok(()) } else { bail!("{} rule(s) broken", problems.len()) }
}

fn layers() -> Result<Vec<String>> {
    let text = shell::output("cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&text)?;
    let layer_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, names)| names.iter().map(move |name| (*name, layer)))
        .collect();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if name == "xtask" {
            continue;
        }
        let Some(layer) = layer_of.get(name) else {
            problems.push(format!("{name}: give it a layer in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if !dependency["kind"].is_null() {
                continue;
            }
            let used = dependency["name"].as_str().unwrap_or_default();
            if layer_of.get(used).is_some_and(|other| other > layer) {
                problems.push(format!("{name} depends on {used}, which lies above it"));
            }
            let mut features = dependency["features"].as_array().into_iter().flatten();
            if name != "esker-sim" && features.any(|feature| feature == "planted") {
                problems.push(format!("{name} plants bugs: only the simulator may"));
            }
            let wrapped = WRAPPED.iter().find(|(wrapped, _)| *wrapped == used);
            if wrapped.is_some_and(|(_, by)| !by.contains(&name)) {
                problems.push(format!("{name} uses {used}: go through the crate that wraps it"));
            }
        }
    }
    Ok(problems)
}

fn files() -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in shell::output("git", &["ls-files", "--", "*.rs"])?.lines() {
        if path.contains("/generated/") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        let lines = text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{path} has {lines} lines: split it by ideas"));
        }
        let module = path.contains("/src/") && !path.contains("/tests");
        if module && !text.starts_with("//!") && !path.ends_with("/tests.rs") {
            problems.push(format!("{path}: say in a first line (`//!`) what it is about"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            let unfinished = ["todo!(", "unimplemented!(", "FIXME", "XXX"];
            if !path.starts_with("xtask/") && unfinished.iter().any(|mark| code.contains(mark)) {
                problems.push(format!("{path}:{number}: unfinished"));
            }
            let table = code.starts_with("//! |") || code.starts_with("/// |");
            if line.chars().count() > 140 && !line.contains("http") && !line.contains('"') && !table
            {
                problems.push(format!("{path}:{number}: {} columns", line.chars().count()));
            }
        }
    }
    Ok(problems)
}

/// The order of rooms, and the words of public types.
fn inside_crates() -> Result<Vec<String>> {
    let paths = shell::output("git", &["ls-files", "--", "*.rs"])?;
    let sources: Vec<_> = paths
        .lines()
        .filter_map(|path| Some((path, std::fs::read_to_string(root().join(path)).ok()?)))
        .collect();
    let files = || sources.iter().map(|(path, text)| (*path, text.as_str()));
    let mut problems: Vec<_> =
        rooms::ROOMS.iter().flat_map(|rooms| rooms.problems(files())).collect();
    let glossary = std::fs::read_to_string(root().join("docs/glossary.md"))?;
    let known = words::known(&glossary);
    for (path, text) in files() {
        if words::CRATES.iter().any(|sources| path.starts_with(sources)) {
            let unknown = words::public_types(text).filter(|(_, name)| !known.contains(name));
            problems.extend(unknown.map(|(line, name)| {
                format!("{path}:{line}: `{name}` is a word of ours: docs/glossary.md explains it")
            }));
        }
    }
    Ok(problems)
}
