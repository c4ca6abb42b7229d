//! Files and words: what every command needs.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Root of the repository that cargo runs this for. Asked now: a build that clones share was made for one of them.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    manifest.parent().expect("xtask lies one level below the root").to_owned()
}

/// Writes `text` to `path`.
#[expect(clippy::disallowed_methods, reason = "a chore works on the real disk")]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write `{}`", path.display()))
}

/// Removes the file at `path`.
#[expect(clippy::disallowed_methods, reason = "a chore works on the real disk")]
pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("remove `{}`", path.display()))
}

/// Text of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))
}

/// Files in `dir` with this extension, sorted by name.
pub(crate) fn list(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let context = || format!("list `{}`", dir.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Tells the person at the terminal; a closed pipe is no reason to fail.
pub(crate) fn say(text: &str) {
    let _closed_pipe = writeln!(io::stderr(), "{text}");
}
