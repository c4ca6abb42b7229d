//! The data directory: whose it is, and that only one process has it.

use esker_env::{Disk, DiskLock};
use esker_types::{BrokerId, ClusterId};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const IDENTITY: &str = "identity.json";
const LOCK: &str = "LOCK";
/// Longest identity file that is read.
const IDENTITY_LEN_MAX: u64 = 64 << 10;
/// The layout of the directory that this program knows.
const FORMAT: u32 = 1;
/// Where the metadata log and its snapshot are.
const METADATA: &str = "metadata";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system refused.
    #[error("{operation} {}: {source}. Give a directory that this user can write with --data-dir", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process: stop that one, or give another directory with --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It holds other things.
    #[error(
        "{} holds `{found}` and is no data directory of Esker: give an empty or new directory with --data-dir",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// It was made by a newer program, or its identity is damaged.
    #[error("{}: {what}", path.display())]
    Unusable {
        /// The identity file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
}

/// Who lives here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Layout of the directory.
    pub format: u32,
    /// The cluster.
    pub cluster: ClusterId,
    /// The broker.
    pub broker: BrokerId,
    /// Whether a broker has served from here: from then on a metadata log that is absent has been lost.
    #[serde(default)]
    pub served: bool,
    /// Starts of the broker, this one included. The bucket knows the number, too: one that knows more has seen starts
    /// that this directory has not.
    #[serde(default)]
    pub starts: u64,
}

/// A data directory that this process holds.
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    /// Whether it was empty when this process took it.
    founded: bool,
    _lock: Box<dyn DiskLock>,
}

impl std::fmt::Debug for DataDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataDir").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DataDir {
    /// Whether the directory could be ours, as far as looking shows; says whether it has an identity. Blocks.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn look(disk: &dyn Disk, path: &Path) -> Result<bool, DataDirError> {
        let names = disk.list(path).map_err(|source| DataDirError::Io {
            operation: "read",
            path: path.to_owned(),
            source,
        })?;
        let ours = |name: &&String| !matches!(name.as_str(), LOCK | "identity.json.tmp");
        let known = names.iter().any(|name| name == IDENTITY);
        match names.iter().find(ours) {
            Some(found) if !known => {
                Err(DataDirError::Foreign { path: path.to_owned(), found: found.clone() })
            }
            _ => Ok(known),
        }
    }

    /// Takes the directory, founding a cluster of its own (`fresh` names it) when it is empty. Blocks.
    ///
    /// # Errors
    /// See [`DataDirError`]; a directory that is not ours is not changed.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        broker: BrokerId,
        fresh: u128,
    ) -> Result<Self, DataDirError> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { operation, path, source }
        };
        let identity_path = path.join(IDENTITY);
        let known = Self::look(disk, path)?;
        disk.create_dir_durably(path).map_err(io("create", path))?;
        let lock = disk.lock(&path.join(LOCK)).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DataDirError::InUse { path: path.to_owned() },
            _ => io("lock", path)(source),
        })?;
        let identity = if known {
            // A process may have given the name and been killed before it synced it.
            disk.sync_dir(path).map_err(io("sync", path))?;
            let bytes =
                disk.read(&identity_path, IDENTITY_LEN_MAX).map_err(io("read", &identity_path))?;
            read_identity(&identity_path, &bytes)?
        } else {
            let cluster = ClusterId(Uuid::from_u128(fresh));
            let identity = Identity { format: FORMAT, cluster, broker, served: false, starts: 0 };
            write_identity(disk, &identity_path, &identity).map_err(io("write", &identity_path))?;
            identity
        };
        let dir = Self { path: path.to_owned(), identity, founded: !known, _lock: lock };
        if dir.identity.served {
            let names = disk.list(&dir.metadata()).map_err(io("read", &dir.metadata()))?;
            if !names.iter().any(|name| name.starts_with("log-")) {
                return Err(DataDirError::Unusable {
                    path: dir.metadata(),
                    what: "there is no metadata log, although this directory has served: it says what the \
                           bucket and the write-ahead log hold. Put the directory back from a copy; to begin anew, \
                           give an empty data directory and a bucket prefix of its own"
                        .to_owned(),
                });
            }
        }
        Ok(dir)
    }

    /// Counts a start, durably. A full disk is no reason not to start: then it is not counted. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn count_start(&mut self, disk: &dyn Disk) -> Result<(), DataDirError> {
        self.change(disk, |identity| identity.starts += 1)
    }

    /// Notes that a broker serves from here, once. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_served(&mut self, disk: &dyn Disk) -> Result<(), DataDirError> {
        if self.identity.served {
            return Ok(());
        }
        self.change(disk, |identity| identity.served = true)
    }

    fn change(
        &mut self,
        disk: &dyn Disk,
        change: impl FnOnce(&mut Identity),
    ) -> Result<(), DataDirError> {
        let path = self.path.join(IDENTITY);
        let mut changed = self.identity.clone();
        change(&mut changed);
        match write_identity(disk, &path, &changed) {
            Ok(()) => self.identity = changed,
            Err(source) if source.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(path = %path.display(), "the disk is full: this start is not counted");
            }
            Err(source) => return Err(DataDirError::Io { operation: "write", path, source }),
        }
        Ok(())
    }

    /// Where the metadata log and its snapshot are.
    #[must_use]
    pub fn metadata(&self) -> PathBuf {
        self.path.join(METADATA)
    }

    /// Gives a directory back as it was found, when the start failed before anything was served from it: one that
    /// was empty becomes empty again. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn abandon(self, disk: &dyn Disk) -> io::Result<()> {
        if !self.founded {
            return Ok(());
        }
        disk.remove(&self.path.join(IDENTITY))?;
        disk.remove(&self.path.join(LOCK))?;
        disk.sync_dir(&self.path)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who lives here.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn write_identity(disk: &dyn Disk, path: &Path, identity: &Identity) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(identity).expect("an identity is plain data");
    disk.replace(path, &text)
}

fn read_identity(path: &Path, bytes: &[u8]) -> Result<Identity, DataDirError> {
    let unusable = |what: String| DataDirError::Unusable { path: path.to_owned(), what };
    let identity: Identity = serde_json::from_slice(bytes).map_err(|error| {
        unusable(format!("not a readable identity ({error}): restore the file from a copy"))
    })?;
    if identity.format > FORMAT {
        return Err(unusable(format!(
            "the directory has layout {}, this program knows layouts up to {FORMAT}: run a newer Esker",
            identity.format
        )));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::real::FileSystem;

    #[test]
    fn a_directory_keeps_its_identity_and_lets_one_process_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/data");
        let open = |fresh| DataDir::open(&FileSystem, &path, BrokerId(1), fresh);
        let first = open(7).unwrap();
        assert!(matches!(open(8), Err(DataDirError::InUse { .. })));
        let identity = first.identity().clone();
        drop(first);
        assert_eq!(open(8).unwrap().identity(), &identity);
    }

    #[test]
    fn an_abandoned_directory_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let open = |fresh| DataDir::open(&FileSystem, dir.path(), BrokerId(1), fresh).unwrap();
        open(7).abandon(&FileSystem).unwrap();
        assert!(FileSystem.list(dir.path()).unwrap().is_empty());
        let identity = open(8).identity().clone();
        open(9).abandon(&FileSystem).unwrap();
        assert_eq!(open(10).identity(), &identity, "what was there stays");
    }

    #[test]
    fn a_foreign_directory_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        FileSystem.replace(&dir.path().join("thesis.txt"), b"do not touch").unwrap();
        let opened = DataDir::open(&FileSystem, dir.path(), BrokerId(1), 1);
        assert!(matches!(opened, Err(DataDirError::Foreign { .. })));
        assert_eq!(FileSystem.list(dir.path()).unwrap(), ["thesis.txt"]);
    }

    #[test]
    fn a_directory_that_served_does_not_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let open = || DataDir::open(&FileSystem, dir.path(), BrokerId(1), 7);
        // A first start that ended before it served left no metadata.
        drop(open().unwrap());
        let mut served = open().unwrap();
        served.count_start(&FileSystem).unwrap();
        served.note_served(&FileSystem).unwrap();
        let metadata = served.metadata();
        drop(served);
        let refusal = open().unwrap_err().to_string();
        assert!(refusal.starts_with(&metadata.display().to_string()), "{refusal}");
        FileSystem.create_dir_all(&metadata).unwrap();
        FileSystem.replace(&metadata.join("log-0000000000000001"), b"").unwrap();
        assert_eq!(open().unwrap().identity().starts, 1);
    }

    #[test]
    fn a_damaged_or_newer_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(&FileSystem, dir.path(), BrokerId(1), 1).unwrap());
        let path = dir.path().join(IDENTITY);
        let newer = br#"{"format":99,"cluster":"00000000-0000-0000-0000-000000000001","broker":1}"#;
        for content in [&b"{"[..], newer] {
            FileSystem.replace(&path, content).unwrap();
            let opened = DataDir::open(&FileSystem, dir.path(), BrokerId(1), 1);
            assert!(matches!(opened, Err(DataDirError::Unusable { .. })));
        }
    }
}
