//! Everything that has to hold before a commit, short of the suites.

use crate::codegen;
use crate::shell;
use crate::tidy;
use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    shell::need_c_compiler()?;
    shell::run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run()?;
    codegen::run(codegen::Mode::Check)?;
    shell::run(
        "cargo",
        &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
    )
}
