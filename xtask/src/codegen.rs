//! `cargo xtask codegen [--check]`: the code of `esker-wire` from its schema.
//!
//! `crates/wire/schema/*.schema` → `crates/wire/src/generated/*.rs`, one module an API. The output is
//! committed, so that a build needs no generator and a change of the schema shows as code in review.

mod layout;
mod message;
mod tables;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use esker_wire_schema::SchemaFile;

use crate::files;

/// What to do with the generated code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Replace what is there.
    Write,
    /// Fail if it differs from what is there.
    Check,
}

/// A schema file under the name of its module.
struct Module {
    name: String,
    schema: SchemaFile,
}

pub(crate) fn run(mode: Mode) -> Result<()> {
    let wire = files::root().join("crates/wire");
    let mut modules = Vec::new();
    for path in files::list(&wire.join("schema"), "schema")? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("file name")?.to_owned();
        let schema =
            files::read(&path)?.parse().with_context(|| format!("parse `{}`", path.display()))?;
        modules.push(Module { name, schema });
    }

    let mut generated = BTreeMap::new();
    for module in &modules {
        let code = message::module(&module.schema)
            .with_context(|| format!("generate `{}`", module.name))?;
        generated.insert(format!("{}.rs", module.name), rustfmt(&code)?);
    }
    generated.insert("mod.rs".to_owned(), rustfmt(&tables::modules(&modules))?);
    generated.insert("api_key.rs".to_owned(), rustfmt(&tables::api_keys(&modules))?);
    generated.insert("dispatch.rs".to_owned(), rustfmt(&tables::dispatch(&modules)?)?);

    let dir = wire.join("src/generated");
    match mode {
        Mode::Write => write(&dir, &generated),
        Mode::Check => check(&dir, &generated),
    }
}

/// Replaces only what differs, so that a build after an idle run has nothing to do.
fn write(dir: &Path, generated: &BTreeMap<String, String>) -> Result<()> {
    let mut changed = 0;
    for (name, code) in generated {
        let path = dir.join(name);
        if files::read(&path).ok().as_ref() != Some(code) {
            files::write(&path, code)?;
            changed += 1;
        }
    }
    for name in strays(dir, generated)? {
        files::remove(&dir.join(name))?;
        changed += 1;
    }
    files::say(&format!("{changed} of {} files changed", generated.len()));
    Ok(())
}

fn check(dir: &Path, generated: &BTreeMap<String, String>) -> Result<()> {
    let mut stale = strays(dir, generated)?;
    stale.extend(
        generated
            .iter()
            .filter(|(name, code)| files::read(&dir.join(name)).ok().as_ref() != Some(code))
            .map(|(name, _)| name.clone()),
    );
    ensure!(stale.is_empty(), "run `cargo xtask codegen`; out of date: {stale:?}");
    Ok(())
}

/// Files in `dir` that nobody generates any more.
fn strays(dir: &Path, generated: &BTreeMap<String, String>) -> Result<BTreeSet<String>> {
    Ok(files::list(dir, "rs")?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !generated.contains_key(name))
        .collect())
}

/// `code` in the format of the repository.
fn rustfmt(code: &str) -> Result<String> {
    let config = files::root().join("rustfmt.toml");
    let mut rustfmt = Command::new("rustfmt")
        .arg("--config-path")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt")?;
    let mut stdin = rustfmt.stdin.take().expect("stdin is piped");
    // rustfmt reads all of its input before it writes, so the two pipes cannot block each other.
    stdin.write_all(code.as_bytes()).context("feed rustfmt")?;
    drop(stdin);
    let output = rustfmt.wait_with_output().context("wait for rustfmt")?;
    ensure!(output.status.success(), "rustfmt refuses the generated code:\n{code}");
    String::from_utf8(output.stdout).context("output of rustfmt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_code_is_what_the_schema_says() {
        run(Mode::Check).unwrap();
    }
}
