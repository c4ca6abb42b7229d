//! Local files.
//!
//! Calls block: they are made from a [`crate::DiskLoop`] or from [`crate::Spawner::spawn_blocking`], never on a
//! shard. Nothing is durable before a sync: file contents need [`DiskFile::sync_data`], a created, renamed or
//! removed name needs [`Disk::sync_dir`] on its directory. A failed sync is final: the kernel may have dropped
//! the pages, so a later sync that succeeds proves nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Reading only; the file must exist.
    Read,
    /// Reading and writing; the file must exist.
    Write,
    /// Reading and writing; the file must not exist.
    CreateNew,
    /// Reading and writing past the page cache where the file system can; the file must exist. Buffers, positions
    /// and lengths are multiples of 4096.
    WriteDirect,
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's; `WriteDirect` falls back to buffered writing where direct is not supported.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and its parents.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents, and makes the names of all of them durable: also those that an earlier
    /// process gave and did not sync.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_durably(&self, path: &Path) -> io::Result<()> {
        self.create_dir_all(path)?;
        for above in path.ancestors().skip(1) {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            match self.sync_dir(above) {
                // What we may not read, we made nothing in.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                synced => synced?,
            }
        }
        Ok(())
    }

    /// Renames a file, replacing `to`.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory, sorted; empty when there is no such directory.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes created, renamed and removed names in `dir` durable.
    ///
    /// # Errors
    /// The operating system's; final, as any failed sync.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that an unprivileged process may still write below `dir`.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Takes the lock file `path`, creating it, until the returned guard is dropped or the process dies.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// The operating system's; `InvalidData` when it is longer than `len_max`.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, Open::Read)?;
        let len = file.len()?;
        if len > len_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} has {len} bytes, more than {len_max}", path.display()),
            ));
        }
        let mut content = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        file.read_exact_at(&mut content, 0)?;
        Ok(content)
    }

    /// Replaces `path` by `content` so that a crash leaves the old file or the new one, whole.
    ///
    /// # Errors
    /// The operating system's; after one the old content may or may not have been replaced.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary: PathBuf = path.to_owned();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        temporary.set_file_name(name);
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.open(&temporary, Open::CreateNew)?;
        file.write_all_at(content, 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))
    }
}

/// An open file. Positions are absolute: there is no cursor to share.
#[expect(clippy::len_without_is_empty, reason = "a file's emptiness is of no interest")]
pub trait DiskFile: Send + Sync {
    /// Writes all of `data` at `position`.
    ///
    /// # Errors
    /// The operating system's; any part of `data` may have been written.
    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes; 0 means the end of the file.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Fills `buffer`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; else the operating system's.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let here = position + u64::try_from(filled).map_err(io::Error::other)?;
            match self.read_at(&mut buffer[filled..], here)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// Makes everything written to this file durable (`fdatasync`).
    ///
    /// # Errors
    /// Final: what was written since the last good sync may be lost, whatever later calls say.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends the file; extension reads as zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;
}

/// A held lock; dropping it lets go.
pub trait DiskLock: Send + Sync {}
