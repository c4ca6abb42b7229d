//! Files by system calls.

use crate::disk::{Disk, DiskFile, DiskLock, Open};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
#[cfg(debug_assertions)]
use std::path::PathBuf;
use std::sync::Arc;

/// The machine's file systems.
#[derive(Debug, Clone, Copy)]
pub struct FileSystem;

/// Whether two paths are, or will be, on one device, as far as the system says.
#[must_use]
pub fn same_device(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        // Of a relative path that is not there yet, the last ancestor is the empty one: where we are.
        let there = path.ancestors().find_map(|path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            rustix::fs::stat(path).ok()
        });
        there.map(|found| found.st_dev)
    };
    device(one).is_some_and(|found| Some(found) == device(other))
}

impl Disk for FileSystem {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        if how == Open::CreateNew {
            step("create", path);
        }
        let flags = OFlags::CLOEXEC
            | match how {
                Open::Read => OFlags::RDONLY,
                Open::Write => OFlags::RDWR,
                Open::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                Open::WriteDirect => OFlags::RDWR | OFlags::DIRECT,
            };
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        let opened = match rustix::fs::open(path, flags, mode) {
            // tmpfs and some network file systems have no direct writing.
            Err(rustix::io::Errno::INVAL) if how == Open::WriteDirect => {
                rustix::fs::open(path, flags - OFlags::DIRECT, mode)
            }
            other => other,
        };
        Ok(Arc::new(OpenFile {
            file: File::from(opened?),
            #[cfg(debug_assertions)]
            path: path.to_owned(),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step("rename", to);
        std::fs::rename(from, to)?;
        step("renamed", to);
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn remove(&self, path: &Path) -> io::Result<()> {
        step("remove", path);
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        step("sync-dir", dir);
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(HeldLock(file)))
    }
}

/// The lock lives as long as the open file.
struct HeldLock(#[expect(dead_code, reason = "held for its lock, not its content")] File);

impl DiskLock for HeldLock {}

struct OpenFile {
    file: File,
    /// For crash points.
    #[cfg(debug_assertions)]
    path: PathBuf,
}

impl OpenFile {
    /// A crash point on this file.
    fn step(&self, name: &str) {
        #[cfg(debug_assertions)]
        super::fail_point::pass(name, &self.path);
        #[cfg(not(debug_assertions))]
        let _ = name;
    }
}

/// A crash point on a path.
fn step(name: &str, path: &Path) {
    #[cfg(debug_assertions)]
    super::fail_point::pass(name, path);
    #[cfg(not(debug_assertions))]
    let _ = (name, path);
}

impl DiskFile for OpenFile {
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.step("write");
        #[cfg(debug_assertions)]
        if super::fail_point::is_due("half", &self.path) {
            // Direct writes are whole pages.
            let page = if data.len().is_multiple_of(4096) { 4096 } else { 1 };
            self.file.write_all_at(&data[..data.len() / 2 / page * page], position)?;
            super::fail_point::abort("half", &self.path);
        }
        self.file.write_all_at(data, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step("sync");
        self.file.sync_data()?;
        self.step("synced");
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step("set-len");
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_reads_back_and_a_second_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for content in [&b"one"[..], b"two, longer"] {
            FileSystem.replace(&path, content).unwrap();
            assert_eq!(FileSystem.read(&path, 100).unwrap(), content);
        }
        assert_eq!(FileSystem.read(&path, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(FileSystem.list(dir.path()).unwrap(), ["x"]);
        let lock = dir.path().join("LOCK");
        let held = FileSystem.lock(&lock).unwrap();
        assert_eq!(FileSystem.lock(&lock).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        drop(held);
        assert!(FileSystem.lock(&lock).is_ok());
    }
}
