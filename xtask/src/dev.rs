//! Builds and starts one broker for people who want to see it run.

use crate::shell;
use anyhow::Result;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    shell::need_c_compiler()?;
    shell::run("cargo", &["build", "--release", "-p", "esker-server"])?;
    let mut all = vec!["run", "--quiet", "--release", "-p", "esker-server", "--", "dev"];
    all.extend(arguments);
    shell::run("cargo", &all)
}
