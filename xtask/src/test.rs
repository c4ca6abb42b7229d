//! All tests: rules, unit tests, then the black-box suites against the built program.

use crate::shell;
use crate::verify;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

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
    // Crates that switch features of libraries on, which nobody else has, are built last and alone: otherwise the
    // program would need all libraries a second time.
    let apart = ["esker-sim", "xtask"];
    let mut words = vec!["test", "--quiet", "--workspace"];
    words.extend(apart.iter().flat_map(|name| ["--exclude", name]));
    shell::run("cargo", &words)?;
    shell::run("cargo", &["build", "--quiet", "-p", "esker-server"])?;
    for name in apart {
        shell::run("cargo", &["test", "--quiet", "-p", name])?;
    }
    let suites = match extent {
        Extent::Core => "core",
        Extent::Full => "full",
    };
    prepare_python()?;
    shell::run("tests/run", &[suites])
}

/// The black-box suites are Python programs, which set up everything else by themselves.
fn prepare_python() -> Result<()> {
    let works = || {
        let mut probe = Command::new("python3");
        probe.args(["-c", "import ensurepip, venv"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if works() {
        return Ok(());
    }
    let advice =
        "the black-box suites need Python with venv: `apt-get install python3 python3-venv`";
    shell::run("apt-get", &["update", "--quiet"]).context(advice)?;
    let packages = ["install", "-y", "--no-install-recommends", "python3", "python3-venv"];
    shell::run("apt-get", &packages).context(advice)?;
    if works() { Ok(()) } else { bail!(advice) }
}
