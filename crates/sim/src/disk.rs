//! A disk in memory that forgets what was not synced.
//!
//! Contents are kept in sectors of 512 bytes, the unit that a device writes whole. What a sync has not covered survives
//! a power failure in part, in any order. Names survive as a journaling file system keeps them: some first part of the
//! changes that no [`Disk::sync_dir`] covered. Directories themselves are not lost.

use crate::entropy::SimEntropy;
use crate::power::Power;
use crate::trace::Trace;
use esker_env::{Clock, Disk, DiskFile, DiskLock, Entropy, Open};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: usize = 512;
/// What direct writes are aligned to.
const PAGE: usize = 4096;

/// A lie that a disk tells. Planted by tests: the oracles must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A sync of contents does nothing and succeeds.
    SyncNothing,
    /// A sync covers only what the one before should have: the acknowledgement comes before the write.
    SyncLate,
    /// A sync of a directory does nothing and succeeds.
    ForgetNames,
}

/// What goes wrong by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFaults {
    /// The sync that fails, counted from the start of a life.
    pub failing_sync: Option<u64>,
    /// Bytes that fit.
    pub capacity: Option<u64>,
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// For [`Lie::SyncLate`]: what the next sync makes durable.
    late: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
enum Change {
    Add(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::Add(path, _) | Self::Rename(_, path) | Self::Remove(path)) = self;
        path.parent() == Some(dir)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Add(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Platter {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    changes: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    next_inode: u64,
    syncs: u64,
}

/// What outlives a power failure.
#[derive(Debug, Default)]
pub struct Drive {
    platter: Mutex<Platter>,
    lie: Option<Lie>,
}

impl Drive {
    /// An empty drive that may lie.
    #[must_use]
    pub fn new(lie: Option<Lie>) -> Self {
        Self { platter: Mutex::default(), lie }
    }

    /// Loses what was not synced: all of it, or any part.
    pub fn lose_power(&self, entropy: &SimEntropy) {
        let mut platter = self.platter.lock();
        let platter = &mut *platter;
        let kept = [0, 50, 100][usize::try_from(entropy.below(3)).expect("below 3")];
        let changes = std::mem::take(&mut platter.changes);
        let survive = match kept {
            0 => 0,
            100 => changes.len() as u64,
            _ => entropy.below(changes.len() as u64 + 1),
        };
        let survivors = usize::try_from(survive).expect("no more than there are changes");
        for change in &changes[..survivors] {
            change.apply(&mut platter.durable_names);
        }
        platter.names = platter.durable_names.clone();
        platter.locks.clear();
        platter.syncs = 0;
        let named: BTreeSet<u64> = platter.names.values().copied().collect();
        platter.inodes.retain(|inode, _| named.contains(inode));
        for inode in platter.inodes.values_mut() {
            let len = match kept {
                0 => inode.durable.len(),
                100 => inode.now.len(),
                _ if entropy.chance(50) => inode.durable.len(),
                _ => inode.now.len(),
            };
            inode.durable.resize(len, 0);
            for sector in std::mem::take(&mut inode.dirty) {
                if entropy.chance(kept) {
                    copy_sector(&inode.now, &mut inode.durable, sector);
                }
            }
            inode.late.clear();
            inode.now.clone_from(&inode.durable);
        }
    }
}

fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = sector * SECTOR;
    let end = (start + SECTOR).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

impl Inode {
    fn sync(&mut self, lie: Option<Lie>) {
        let covered = match lie {
            Some(Lie::SyncNothing) => return,
            Some(Lie::SyncLate) => {
                let fresh = std::mem::take(&mut self.dirty);
                // What was written again since is as late as if it had been written now.
                std::mem::replace(&mut self.late, fresh)
            }
            _ => std::mem::take(&mut self.dirty),
        };
        self.durable.resize(self.now.len(), 0);
        for sector in covered {
            copy_sector(&self.now, &mut self.durable, sector);
        }
    }
}

/// A drive as one life sees it.
#[derive(Clone)]
pub struct SimDisk {
    drive: Arc<Drive>,
    power: Arc<Power>,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    entropy: Arc<SimEntropy>,
    faults: DiskFaults,
}

impl SimDisk {
    /// Puts a drive into a machine.
    #[must_use]
    pub fn new(
        drive: Arc<Drive>,
        power: Arc<Power>,
        trace: Arc<Trace>,
        clock: Arc<dyn Clock>,
        entropy: &SimEntropy,
        faults: DiskFaults,
    ) -> Self {
        let entropy = Arc::new(entropy.branch("disk"));
        Self { drive, power, trace, clock, entropy, faults }
    }

    fn change(&self, what: &str, path: &Path, number: u64) -> io::Result<()> {
        if !self.power.spend() {
            return Err(io::Error::other("the power failed"));
        }
        self.trace.note(self.clock.now().0, what, &path.to_string_lossy(), number);
        Ok(())
    }
}

fn absent(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        if how == Open::CreateNew {
            self.change("create", path, 0)?;
        }
        let mut platter = self.drive.platter.lock();
        let inode = match (platter.names.get(path).copied(), how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Open::CreateNew) => {
                let inode = platter.next_inode;
                platter.next_inode += 1;
                platter.inodes.insert(inode, Inode::default());
                platter.names.insert(path.to_owned(), inode);
                platter.changes.push(Change::Add(path.to_owned(), inode));
                inode
            }
            (None, _) => return Err(absent(path)),
        };
        let direct = how == Open::WriteDirect;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.to_owned(), inode, direct }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change("create directory", path, 0)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", to, 0)?;
        let mut platter = self.drive.platter.lock();
        if !platter.names.contains_key(from) {
            return Err(absent(from));
        }
        let change = Change::Rename(from.to_owned(), to.to_owned());
        change.apply(&mut platter.names);
        platter.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change("remove", path, 0)?;
        let mut platter = self.drive.platter.lock();
        if !platter.names.contains_key(path) {
            return Err(absent(path));
        }
        let change = Change::Remove(path.to_owned());
        change.apply(&mut platter.names);
        platter.changes.push(change);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let platter = self.drive.platter.lock();
        let inside = platter.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change("sync directory", dir, 0)?;
        let mut platter = self.drive.platter.lock();
        if self.drive.lie == Some(Lie::ForgetNames) {
            return Ok(());
        }
        let platter = &mut *platter;
        let (covered, rest): (Vec<_>, Vec<_>) =
            platter.changes.drain(..).partition(|change| change.is_in(dir));
        platter.changes = rest;
        covered.iter().for_each(|change| change.apply(&mut platter.durable_names));
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let platter = self.drive.platter.lock();
        let named = platter.names.values().filter_map(|inode| platter.inodes.get(inode));
        let used: u64 = named.map(|inode| inode.now.len() as u64).sum();
        Ok(self.faults.capacity.unwrap_or(1 << 40).saturating_sub(used))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        if !self.drive.platter.lock().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { drive: Arc::clone(&self.drive), path: path.to_owned() }))
    }
}

struct SimLock {
    drive: Arc<Drive>,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.drive.platter.lock().locks.remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
    direct: bool,
}

impl SimFile {
    /// Works on the contents; a file that was removed while it was open still has them until then.
    fn with<T>(&self, work: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        let mut platter = self.disk.drive.platter.lock();
        platter.inodes.get_mut(&self.inode).map(work).ok_or_else(|| absent(&self.path))
    }

    fn place(&self, position: u64, len: usize) -> io::Result<usize> {
        let position = usize::try_from(position).map_err(io::Error::other)?;
        if self.direct && !(position.is_multiple_of(PAGE) && len.is_multiple_of(PAGE)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(position)
    }
}

impl DiskFile for SimFile {
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        let start = self.place(position, data.len())?;
        self.disk.change("write", &self.path, position ^ ((data.len() as u64) << 40))?;
        let end = start + data.len();
        let growth = self.with(|inode| end.saturating_sub(inode.now.len()))? as u64;
        if growth > 0 && growth > self.disk.free_bytes(&self.path)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.with(|inode| {
            if end > inode.now.len() {
                inode.now.resize(end, 0);
            }
            inode.now[start..end].copy_from_slice(data);
            inode.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
        })
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let start = self.place(position, buffer.len())?;
        self.with(|inode| {
            let rest = inode.now.get(start..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change("sync", &self.path, 0)?;
        let failing = {
            let mut platter = self.disk.drive.platter.lock();
            platter.syncs += 1;
            self.disk.faults.failing_sync == Some(platter.syncs)
        };
        let (lie, entropy) = (self.disk.drive.lie, &self.disk.entropy);
        self.with(|inode| {
            if !failing {
                inode.sync(lie);
                return Ok(());
            }
            // The kernel marks the pages clean and forgets them: what reached the device is anyone's guess.
            inode.durable.resize(inode.now.len(), 0);
            for sector in std::mem::take(&mut inode.dirty) {
                if entropy.chance(50) {
                    copy_sector(&inode.now, &mut inode.durable, sector);
                }
            }
            Err(io::Error::from_raw_os_error(5))
        })?
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change("set length", &self.path, len)?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|inode| {
            let old = inode.now.len();
            inode.now.resize(len, 0);
            // What is cut off and grown again reads as zeros.
            inode.dirty.extend(old.min(len) / SECTOR..old.max(len).div_ceil(SECTOR));
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|inode| inode.now.len() as u64)
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("faults", &self.faults).finish_non_exhaustive()
    }
}
