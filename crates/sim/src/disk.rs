//! A disk in memory, as one life of a machine sees it: its drive, and what goes wrong with it.

use crate::drive::{Change, Drive, Inode, Lie};
use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::power::Power;
use crate::trace::Trace;
use esker_env::{Clock, Disk, DiskFile, DiskLock, Entropy, Open};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What direct writes are aligned to.
const PAGE: usize = 4096;
/// Linux's number for an input/output error.
const EIO: i32 = 5;

/// What goes wrong by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFaults {
    /// The sync that fails, counted from the start of a life.
    pub failing_sync: Option<u64>,
    /// The write that fails, counted likewise.
    pub failing_write: Option<u64>,
    /// Reads of a thousand that fail.
    pub failing_reads: u64,
}

/// A drive as one life sees it.
#[derive(Clone)]
pub struct SimDisk {
    drive: Arc<Drive>,
    power: Arc<Power>,
    trace: Arc<Trace>,
    clock: Arc<dyn Clock>,
    entropy: Arc<SimEntropy>,
    faults: Arc<Mutex<DiskFaults>>,
    done: Arc<Mutex<Done>>,
}

/// What was asked of a disk in one life.
#[derive(Debug, Default)]
struct Done {
    syncs: u64,
    writes: u64,
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
        let faults = Arc::new(Mutex::new(faults));
        Self { drive, power, trace, clock, entropy, faults, done: Arc::default() }
    }

    /// Nothing goes wrong by itself any more.
    pub fn calm(&self) {
        *self.faults.lock() = DiskFaults::default();
    }

    fn change(&self, what: &str, path: &Path, number: u64) -> io::Result<()> {
        let was_on = self.power.is_on();
        if !self.power.spend() {
            if was_on {
                self.trace.count(Effect::Cut);
            }
            return Err(io::Error::other("the power failed"));
        }
        self.trace.note(self.clock.now().0, what, &path.to_string_lossy(), number);
        Ok(())
    }
}

impl SimDisk {
    /// Whether the sync that was to fail has.
    pub(crate) fn has_failed(&self) -> bool {
        let failing = self.faults.lock().failing_sync;
        failing.is_some_and(|failing| self.done.lock().syncs >= failing)
    }

    /// Whoever asks for a failing sync is told; what the device held of other files may be lost as well, and nobody is.
    fn fail_others(&self) {
        if self.entropy.chance(50) {
            let mut platter = self.drive.platter.lock();
            let mut lost = false;
            for inode in platter.inodes.values_mut() {
                lost |= !inode.dirty.is_empty();
                inode.fail_sync(&self.entropy);
            }
            if lost {
                self.trace.count(Effect::OthersLost);
            }
        }
    }

    /// Counts a sync, and answers whether it is the one that fails.
    fn is_failing_sync(&self) -> bool {
        let mut done = self.done.lock();
        done.syncs += 1;
        self.faults.lock().failing_sync == Some(done.syncs)
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
        let failing = self.is_failing_sync();
        if self.drive.lie == Some(Lie::ForgetNames) {
            return Ok(());
        }
        if failing {
            self.fail_others();
            // What it should have covered is as it was before: it may survive and may not.
            self.trace.count(Effect::DirSyncFailed);
            return match self.drive.lie {
                Some(Lie::HideFailure) => Ok(()),
                _ => Err(io::Error::from_raw_os_error(EIO)),
            };
        }
        let platter = &mut *self.drive.platter.lock();
        let (covered, rest): (Vec<_>, Vec<_>) =
            platter.changes.drain(..).partition(|change| change.is_in(dir));
        platter.changes = rest;
        covered.iter().for_each(|change| change.apply(&mut platter.durable_names));
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let platter = self.drive.platter.lock();
        Ok(platter.capacity.unwrap_or(1 << 40).saturating_sub(platter.used()))
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
        self.disk.change("write", &self.path, position)?;
        self.disk.trace.note_bytes(self.disk.clock.now().0, "of", "", data);
        let number = {
            let mut done = self.disk.done.lock();
            done.writes += 1;
            done.writes
        };
        let failing = self.disk.faults.lock().failing_write == Some(number);
        // Zeros ahead of use are of no interest.
        let lost = self.disk.drive.lie == Some(Lie::LoseWrite)
            && self.path.to_string_lossy().contains("/wal/")
            && number.is_multiple_of(97)
            && data.iter().any(|byte| *byte != 0);
        if failing {
            self.disk.trace.note(
                self.disk.clock.now().0,
                "write fails",
                &self.path.to_string_lossy(),
                0,
            );
            self.disk.trace.count(Effect::WriteFailed);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let end = start + data.len();
        let growth = self.with(|inode| end.saturating_sub(inode.now.len()))? as u64;
        if growth > 0 && growth > self.disk.free_bytes(&self.path)? {
            let path = self.path.to_string_lossy();
            self.disk.trace.note(self.disk.clock.now().0, "no room", &path, growth);
            self.disk.trace.count(Effect::NoRoom);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.with(|inode| {
            if end > inode.now.len() {
                inode.now.resize(end, 0);
            }
            if !lost {
                inode.write(start..end, data);
            }
        })
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let start = self.place(position, buffer.len())?;
        let failing = self.disk.faults.lock().failing_reads;
        if failing > 0 && self.disk.entropy.below(1000) < failing {
            self.disk.trace.count(Effect::ReadFailed);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.with(|inode| {
            let rest = inode.now.get(start..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            if let Some(damage) = inode.damage(&(start..start + count)) {
                self.disk.trace.count(damage);
            }
            count
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change("sync", &self.path, 0)?;
        let failing = self.disk.is_failing_sync();
        let lie = self.disk.drive.lie;
        if !failing {
            return self.with(|inode| inode.sync(lie));
        }
        self.disk.trace.count(Effect::SyncFailed);
        self.with(|inode| inode.fail_sync(&self.disk.entropy))?;
        self.disk.fail_others();
        if lie == Some(Lie::HideFailure) { Ok(()) } else { Err(io::Error::from_raw_os_error(EIO)) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change("set length", &self.path, len)?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|inode| {
            let old = inode.now.len();
            inode.now.resize(len, 0);
            // What is cut off and grown again reads as zeros.
            inode.touch(old.min(len)..old.max(len));
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|inode| inode.now.len() as u64)
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("faults", &self.faults.lock()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Points, SimClock};
    use esker_node::DataDir;
    use esker_types::BrokerId;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_identity_that_a_killed_process_wrote_outlives_a_power_failure() {
        for (operations, seed) in (0..9).flat_map(|count| [(count, 0), (count, 1), (count, 2)]) {
            let (drive, entropy) = (Arc::new(Drive::new(None)), SimEntropy::new(seed));
            let open = |operations| {
                let (power, trace) = (Arc::new(Power::new(operations)), Arc::<Trace>::default());
                let points =
                    Points::new(&entropy, Arc::clone(&power), Arc::clone(&trace), 0, false);
                let clock = Arc::new(SimClock::new(Duration::ZERO, 0, 0, points));
                let (drive, faults) = (Arc::clone(&drive), DiskFaults::default());
                let disk = SimDisk::new(drive, power, trace, clock, &entropy, faults);
                let dir =
                    DataDir::open(&disk, Path::new("/data"), BrokerId(1), entropy.next_u128());
                dir.map(|dir| dir.identity().cluster)
            };
            let _killed = open(Some(operations));
            drive.lose_process();
            let cluster = open(None).unwrap();
            drive.lose_power(&entropy);
            assert_eq!(open(None).unwrap(), cluster, "killed after {operations} operations");
        }
    }
}
