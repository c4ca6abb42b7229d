//! Which voter a directory is: an id of its own, and whether it took part in the founding of its quorum.
//!
//! A voter that has lost its disk has forgotten its votes, and must not give them again. So each directory draws an id
//! when it is made. The metadata says which directory is the voter of a node (`State::voters`); a new directory takes part in
//! elections only when it reads that it is the one, or when it founds the quorum.

use esker_env::{Disk, Entropy};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Text, so that people can read it: `directory=<uuid>` and `founder=<true|false>`, a line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoterFile {
    pub(crate) directory: Uuid,
    pub(crate) founder: bool,
}

/// Longer than the file ever is.
const LEN_MAX: u64 = 1024;

fn path_of(dir: &Path) -> PathBuf {
    dir.join("voter")
}

impl VoterFile {
    /// Reads the file, or makes it. A directory that held a log before there was this file founded its quorum. Blocks.
    pub(crate) fn open(
        disk: &dyn Disk,
        entropy: &dyn Entropy,
        dir: &Path,
        is_empty: bool,
    ) -> io::Result<Self> {
        let path = path_of(dir);
        match disk.read(&path, LEN_MAX) {
            Ok(bytes) => Self::parse(&bytes).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: damaged; restore it from a copy", path.display()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = uuid::Builder::from_random_bytes(entropy.next_u128().to_le_bytes());
                let new = Self { directory: directory.into_uuid(), founder: !is_empty };
                new.save(disk, dir)?;
                Ok(new)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes down that this directory founds its quorum. Blocks.
    pub(crate) fn found(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        self.founder = true;
        self.save(disk, dir)
    }

    fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let text = format!("directory={}\nfounder={}\n", self.directory, self.founder);
        disk.replace(&path_of(dir), text.as_bytes())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (directory, founder) = text.split_once('\n')?;
        Some(Self {
            directory: Uuid::parse_str(directory.strip_prefix("directory=")?).ok()?,
            founder: founder.strip_prefix("founder=")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for founder in [true, false] {
            let file = VoterFile { directory: Uuid::from_u128(7), founder };
            let text = format!("directory={}\nfounder={founder}\n", file.directory);
            assert_eq!(VoterFile::parse(text.as_bytes()), Some(file));
            for cut in 0..text.len() {
                assert_eq!(VoterFile::parse(&text.as_bytes()[..cut]), None, "{cut}");
            }
        }
    }
}
