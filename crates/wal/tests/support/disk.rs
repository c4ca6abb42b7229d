//! A disk in memory that keeps only what was synced, in pages, when the power goes.

use super::Random;
use esker_env::{Disk, DiskFile, DiskLock, Open};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a power cut may tear apart.
const SECTOR: usize = 512;

#[derive(Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

enum NameChange {
    Set(PathBuf, Arc<Mutex<Inode>>),
    Unset(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, Arc<Mutex<Inode>>>;

#[derive(Default)]
struct Content {
    names: Names,
    durable_names: Names,
    pending: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    /// Bytes of all files together; `None` is without limit.
    capacity: Option<u64>,
    /// The write or sync after this many fails.
    fail_after: Option<u64>,
    failed: bool,
}

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<Content>>);

struct File {
    disk: SimDisk,
    inode: Arc<Mutex<Inode>>,
    direct: bool,
}

struct Lock(SimDisk, PathBuf);

impl DiskLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().locks.remove(&self.1);
    }
}

fn apply(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Set(path, inode) => {
            names.insert(path.clone(), Arc::clone(inode));
        }
        NameChange::Unset(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, position: usize, data: &[u8]) {
    if bytes.len() < position + data.len() {
        bytes.resize(position + data.len(), 0);
    }
    bytes[position..position + data.len()].copy_from_slice(data);
}

impl SimDisk {
    /// The power goes: of what was not synced, a random part survives, sector by sector. Only the first of the
    /// renames and removals that were not synced survive, as a journalling file system keeps their order.
    pub(crate) fn cut_power(&self, random: &Random) {
        let mut content = self.0.lock().unwrap();
        let kept = random.below(content.pending.len() as u64 + 1) as usize;
        let pending: Vec<_> = content.pending.drain(..).collect();
        for change in &pending[..kept] {
            apply(&mut content.durable_names, change);
        }
        content.names = content.durable_names.clone();
        content.fail_after = None;
        content.failed = false;
        let percent = [0, 50, 90, 100][random.below(4) as usize];
        for inode in content.names.values() {
            let inode = &mut *inode.lock().unwrap();
            for (position, data) in std::mem::take(&mut inode.pending) {
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    if random.chance(percent) {
                        put(&mut inode.durable, position + index * SECTOR, sector);
                    }
                }
            }
            inode.current = inode.durable.clone();
        }
    }

    /// The write or sync after `count` more fails, and all after it.
    pub(crate) fn fail_after(&self, count: u64) {
        self.0.lock().unwrap().fail_after = Some(count);
    }

    /// The disk works again; what it holds stays.
    pub(crate) fn mend(&self) {
        let mut content = self.0.lock().unwrap();
        content.fail_after = None;
        content.failed = false;
    }

    /// Limits the bytes of all files together.
    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.0.lock().unwrap().capacity = capacity;
    }

    pub(crate) fn used(&self) -> u64 {
        let content = self.0.lock().unwrap();
        content.names.values().map(|inode| inode.lock().unwrap().current.len() as u64).sum()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let content = self.0.lock().unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        content.names.keys().map(name).collect()
    }

    /// Changes a file's durable content behind everybody's back.
    pub(crate) fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let content = self.0.lock().unwrap();
        let mut inode = content.names[path].lock().unwrap();
        change(&mut inode.durable);
        inode.current = inode.durable.clone();
    }

    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        self.0.lock().unwrap().names[path].lock().unwrap().current.clone()
    }

    /// A disk with the same durable content that goes its own way.
    pub(crate) fn copy(&self) -> Self {
        let content = self.0.lock().unwrap();
        let copy = |(path, inode): (&PathBuf, &Arc<Mutex<Inode>>)| {
            let durable = inode.lock().unwrap().durable.clone();
            let inode = Inode { current: durable.clone(), durable, pending: Vec::new() };
            (path.clone(), Arc::new(Mutex::new(inode)))
        };
        let names: Names = content.durable_names.iter().map(copy).collect();
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(Content { names, durable_names, ..Content::default() })))
    }

    fn maybe_fail(&self) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        if content.fail_after == Some(0) {
            content.failed = true;
        }
        if content.failed {
            return Err(io::Error::from_raw_os_error(5));
        }
        content.fail_after = content.fail_after.map(|count| count - 1);
        Ok(())
    }

    fn change(&self, change: NameChange) {
        let mut content = self.0.lock().unwrap();
        apply(&mut content.names, &change);
        content.pending.push(change);
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let known = self.0.lock().unwrap().names.get(path).map(Arc::clone);
        let inode = match (known, how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Open::CreateNew) => {
                let inode = Arc::new(Mutex::new(Inode::default()));
                self.change(NameChange::Set(path.to_owned(), Arc::clone(&inode)));
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(File { disk: self.clone(), inode, direct: how == Open::WriteDirect }))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.0.lock().unwrap().names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.0.lock().unwrap().names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(NameChange::Unset(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let content = self.0.lock().unwrap();
        let inside = content.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.maybe_fail()?;
        let mut content = self.0.lock().unwrap();
        content.pending.clear();
        content.durable_names = content.names.clone();
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut content = self.0.lock().unwrap();
        if !content.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(self.clone(), path.to_owned())))
    }
}

impl File {
    fn check(&self, data: &[u8], position: u64) {
        if self.direct {
            assert!(position.is_multiple_of(4096) && data.len().is_multiple_of(4096));
            assert_eq!(data.as_ptr().align_offset(4096), 0, "direct I/O needs aligned memory");
        }
    }
}

impl DiskFile for File {
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.check(data, position);
        self.disk.maybe_fail()?;
        let position = position as usize;
        let grown = {
            let inode = self.inode.lock().unwrap();
            (position + data.len()).saturating_sub(inode.current.len()) as u64
        };
        let capacity = self.disk.0.lock().unwrap().capacity;
        if capacity.is_some_and(|capacity| grown > 0 && self.disk.used() + grown > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut inode = self.inode.lock().unwrap();
        put(&mut inode.current, position, data);
        inode.pending.push((position, data.to_vec()));
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.check(buffer, position);
        let inode = self.inode.lock().unwrap();
        let rest = inode.current.get(position as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        let may = self.disk.maybe_fail();
        let mut inode = self.inode.lock().unwrap();
        // A system that could not write its pages takes them for written all the same.
        let pending = std::mem::take(&mut inode.pending);
        may?;
        let len = inode.current.len();
        inode.durable.resize(len, 0);
        for (at, bytes) in pending {
            let end = len.min(at + bytes.len());
            if at < end {
                inode.durable[at..end].copy_from_slice(&bytes[..end - at]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inode = self.inode.lock().unwrap();
        inode.current.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.lock().unwrap().current.len() as u64)
    }
}
