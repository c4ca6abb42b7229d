//! All tests: rules, unit tests, then the black-box suites against the built program.

use crate::shell;
use crate::verify;
use anyhow::Result;

/// How much of the black-box suites.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change has to pass.
    Core,
    /// All of it.
    Full,
}

pub(crate) fn run(extent: Extent) -> Result<()> {
    verify::run()?;
    shell::run("cargo", &["test", "--workspace", "--quiet"])?;
    shell::run("cargo", &["build", "--quiet", "-p", "esker-server"])?;
    let suites = match extent {
        Extent::Core => "core",
        Extent::Full => "full",
    };
    if shell::root().join("tests/run").exists() {
        shell::run("tests/run", &[suites])?;
    }
    Ok(())
}
