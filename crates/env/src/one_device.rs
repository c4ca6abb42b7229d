//! The files of one device: once a sync of any of them has failed, none succeeds any more.
//!
//! A flush that fails may lose whatever the device had not written yet, of all files, and is told to the one who asked for
//! it. Who asks next hears that all is well. So what a log has written may be gone although its own sync succeeds, when
//! one of another file has failed before. Syncs therefore go one after the other, and after a failed one each fails, until
//! another process reads the device again.
//!
//! Syncs that take long and that nobody is acknowledged by go [`beside`](OneDevice::beside) the others: they do not hold
//! them up, and count when they fail.

use crate::disk::{Disk, DiskFile, DiskLock, Open};
use esker_types::{Bug, planted};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A disk whose files share one fate. Clones are the same device.
#[derive(Clone)]
pub struct OneDevice {
    disk: Arc<dyn Disk>,
    /// What the first failed sync was of, and why it failed.
    failed: Arc<Mutex<Option<String>>>,
    in_turn: bool,
}

impl OneDevice {
    /// All files of `disk`, as far as they are opened through this or a clone.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, failed: Arc::default(), in_turn: true }
    }

    /// The same device for syncs that nothing waits for but what they are of: they take no turn.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { in_turn: false, ..self.clone() }
    }

    fn sync(&self, path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let turn = self.failed.lock();
        refuse_after(&turn)?;
        let turn = self.in_turn.then_some(turn);
        let outcome = sync();
        let mut failed = turn.unwrap_or_else(|| self.failed.lock());
        match &outcome {
            Ok(()) => refuse_after(&failed)?,
            Err(error) if concerns_this_only(error) => {}
            Err(error) => {
                failed.get_or_insert_with(|| format!("sync {}: {error}", path.display()));
            }
        }
        outcome
    }
}

fn refuse_after(failed: &Option<String>) -> io::Result<()> {
    // A log that tries again is stopped here, so that bug takes two.
    let is_ignored = planted(Bug::FailedSyncNotShared) || planted(Bug::WalSyncRetried);
    match failed {
        Some(first) if !is_ignored => {
            Err(io::Error::other(format!("the device has failed before: {first}")))
        }
        _ => Ok(()),
    }
}

/// Whether nothing else is lost: what was written found no room, or nothing was asked of the device.
fn concerns_this_only(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | PermissionDenied | NotFound)
}

impl std::fmt::Debug for OneDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneDevice").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Disk for OneDevice {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, how)?;
        Ok(Arc::new(File { device: self.clone(), path: path.to_owned(), file }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync(dir, || self.disk.sync_dir(dir))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }
}

struct File {
    device: OneDevice,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for File {
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(data, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.device.sync(&self.path, || self.file.sync_data())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::FileSystem;

    fn sync(device: &OneDevice, outcome: io::Result<()>) -> io::Result<()> {
        device.sync(Path::new("metadata/log"), || outcome)
    }

    #[test]
    fn after_a_failed_sync_no_other_file_of_the_device_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        for (failing, other) in [(false, false), (true, false), (false, true)] {
            let device = OneDevice::new(Arc::new(FileSystem));
            let [first, second] = [failing, other]
                .map(|beside| if beside { device.beside() } else { device.clone() });
            let path = dir.path().join(format!("{failing} {other}"));
            let file = second.open(&path, Open::CreateNew).unwrap();
            file.write_all_at(b"content", 0).unwrap();
            file.sync_data().unwrap();
            sync(&first, Err(io::Error::from_raw_os_error(5))).unwrap_err();
            let said = file.sync_data().unwrap_err().to_string();
            assert!(said.contains("sync metadata/log: Input/output error"), "{said}");
            second.sync_dir(dir.path()).unwrap_err();
        }
    }

    #[test]
    fn a_sync_that_fails_beside_another_fails_it_too() {
        let device = OneDevice::new(Arc::new(FileSystem));
        let beside = device.beside();
        let outcome = beside.sync(Path::new("object"), || {
            sync(&device, Err(io::Error::from_raw_os_error(5))).unwrap_err();
            Ok(())
        });
        outcome.unwrap_err();
    }

    #[test]
    fn what_finds_no_room_fails_alone() {
        let device = OneDevice::new(Arc::new(FileSystem));
        sync(&device, Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        sync(&device, Ok(())).unwrap();
    }
}
