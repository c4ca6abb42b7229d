//! Everything that has to hold before a commit, short of the suites.

use crate::codegen;
use crate::files;
use crate::shell;
use crate::tidy;
use anyhow::Result;
use std::fs;

pub(crate) fn run() -> Result<()> {
    shell::need_c_compiler()?;
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    format_of_apis()?;
    tidy::run()?;
    codegen::run(codegen::Mode::Check)?;
    shell::run(
        "cargo",
        &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
    )
}

/// The files of the broker's APIs: a macro makes their modules, and `cargo fmt` does not look behind macros.
fn format_of_apis() -> Result<()> {
    let mut arguments = vec!["--check".to_owned(), "--edition".to_owned(), "2024".to_owned()];
    for folder in fs::read_dir(files::root().join("crates/broker/src/api"))? {
        for file in fs::read_dir(folder?.path())? {
            arguments.push(file?.path().display().to_string());
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    shell::run("rustfmt", &arguments)
}
