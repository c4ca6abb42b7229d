//! Running other programs.

use crate::files::{root, say};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::process::Command;

/// Runs a program in the repository and says so; a failure is an error.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_with(program, arguments, &[])
}

/// [`run`] with variables added to the environment.
pub(crate) fn run_with(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<()> {
    say(&format!("→ {program} {}", arguments.join(" ")));
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| format!("start `{program}`"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// What a program prints, for other code to read.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("start `{program}`"))?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("read what `{program}` printed"))
}

/// Whether a program can be found.
pub(crate) fn has(program: impl AsRef<OsStr>) -> bool {
    Command::new("sh")
        .arg("-c")
        .arg("command -v \"$0\" >/dev/null 2>&1")
        .arg(program)
        .status()
        .is_ok_and(|status| status.success())
}

/// Makes sure that a C compiler is there: checksums, compression and TLS are partly written in C.
pub(crate) fn need_c_compiler() -> Result<()> {
    if has("cc") {
        return Ok(());
    }
    let root = output("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    if root && has("apt-get") {
        run("apt-get", &["update", "-qq"])?;
        return run("apt-get", &["install", "-y", "-qq", "build-essential"]);
    }
    bail!("a C compiler is missing: run `sudo apt-get install build-essential` and try again")
}
