//! For tests: real files on a disk that is full or fails on demand.

use esker_env::real::FileSystem;
use esker_env::{Disk, DiskFile, DiskLock, Open};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// What the disk does, and what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Writes fail for lack of room.
    pub(crate) full: AtomicBool,
    /// There is no room after the next sync.
    pub(crate) full_soon: AtomicBool,
    /// Syncs fail.
    pub(crate) broken: AtomicBool,
    /// Writes that found no room.
    pub(crate) refused: AtomicU32,
    /// Syncs and writes after the first failed sync.
    pub(crate) after_failure: AtomicU32,
    /// Directories that were synced and files that were removed.
    pub(crate) names: Mutex<Vec<PathBuf>>,
    failed: AtomicBool,
}

#[derive(Clone, Default)]
pub(crate) struct RefusingDisk(pub(crate) Arc<Orders>);

impl Disk for RefusingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = FileSystem.open(path, how)?;
        Ok(Arc::new(RefusingFile { file, orders: Arc::clone(&self.0) }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        FileSystem.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.names.lock().unwrap().push(path.to_owned());
        FileSystem.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FileSystem.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.names.lock().unwrap().push(dir.to_owned());
        FileSystem.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        FileSystem.free_bytes(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        FileSystem.lock(path)
    }
}

struct RefusingFile {
    file: Arc<dyn DiskFile>,
    orders: Arc<Orders>,
}

impl RefusingFile {
    fn note(&self) {
        if self.orders.failed.load(Ordering::SeqCst) {
            self.orders.after_failure.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl DiskFile for RefusingFile {
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.note();
        if self.orders.full.load(Ordering::SeqCst) {
            self.orders.refused.fetch_add(1, Ordering::SeqCst);
            // A part of it finds room, as on a real disk.
            self.file.write_all_at(&data[..data.len() / 2], position)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(data, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note();
        if self.orders.broken.load(Ordering::SeqCst) {
            self.orders.failed.store(true, Ordering::SeqCst);
            return Err(io::Error::other("planted"));
        }
        if self.orders.full_soon.swap(false, Ordering::SeqCst) {
            self.orders.full.store(true, Ordering::SeqCst);
        }
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
