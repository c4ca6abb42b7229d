//! Writes seeds for the targets to `corpus/<target>`, or below the directory that is named: what our own writers and real
//! clients made. Built like the targets, so that making seeds compiles nothing twice.

mod config;
mod messages;
mod metadata;
mod records;
mod storage;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where the seeds go.
struct Corpus(PathBuf);

impl Corpus {
    fn put(&self, target: &str, name: &str, seed: &[u8]) -> io::Result<()> {
        let dir = self.0.join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(name), seed)
    }
}

/// The bytes that a line of a golden file writes in hexadecimal digits.
fn unhex(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = Corpus(env::args_os().nth(1).map_or_else(|| here.join("corpus"), PathBuf::from));
    messages::write(&corpus, here)?;
    storage::write(&corpus)?;
    records::write(&corpus, here)?;
    metadata::write(&corpus)?;
    config::write(&corpus)
}
