//! A file system of one file.

use crate::medium::Medium;
use fuser::{
    FileAttr, FileType, Filesystem, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request,
};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

const ROOT: u64 = 1;
const DISK: u64 = 2;
const NAME: &str = "disk.img";
/// The attributes never change.
const TTL: Duration = Duration::from_secs(3600);
/// `FOPEN_DIRECT_IO`: the kernel keeps no copy, so that faults are seen.
const DIRECT_IO: u32 = 1;

pub struct OneFile {
    medium: Arc<Mutex<Medium>>,
}

impl OneFile {
    pub fn new(medium: Arc<Mutex<Medium>>) -> Self {
        Self { medium }
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().expect("no holder panics")
    }

    fn attributes(&self, number: u64) -> FileAttr {
        let (kind, size, mode) = match number {
            ROOT => (FileType::Directory, 0, 0o700),
            _ => (FileType::RegularFile, self.medium().len(), 0o600),
        };
        FileAttr {
            ino: number,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn slow_down(&self) {
        let delay = self.medium().delay_ms;
        std::thread::sleep(Duration::from_millis(delay));
    }
}

fn code(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl Filesystem for OneFile {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        match parent == ROOT && name == NAME {
            true => reply.entry(&TTL, &self.attributes(DISK), 0),
            false => reply.error(libc::ENOENT),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, number: u64, _: Option<u64>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(number));
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        reply.opened(0, DIRECT_IO);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        position: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        match self.medium().read(position.cast_unsigned(), size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(code(&error)),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        position: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        self.slow_down();
        match self.medium().write(position.cast_unsigned(), data) {
            Ok(()) => {
                reply.written(u32::try_from(data.len()).expect("the kernel's limit is far below"))
            }
            Err(error) => reply.error(code(&error)),
        }
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        self.slow_down();
        match self.medium().flush() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(code(&error)),
        }
    }

    fn readdir(&mut self, _: &Request<'_>, _: u64, _: u64, offset: i64, mut reply: ReplyDirectory) {
        if offset == 0 {
            let _full = reply.add(DISK, 1, FileType::RegularFile, NAME);
        }
        reply.ok();
    }
}
