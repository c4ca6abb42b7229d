//! A bucket in a directory.
//!
//! A put writes and syncs a file of its own under `~staging`, renames it to its place and syncs the directory, so
//! a crash leaves the whole object or none. Several processes may share the directory: each owns the staging
//! files that bear its nonce, and holds a lock as long as it lives; whoever comes later removes what the dead
//! left. `~` is in no key, so nothing of this can be an object.
//!
//! Large objects are written and read past the page cache: what was just put is rarely read soon, what is read goes to
//! the chunk cache, and the copy through the kernel's pages costs more processor time than all else about a put.
//!
//! The disk is often the one that the write-ahead log is on, whose every commit would wait behind a burst of writes. So where
//! puts are rare one takes its time: it may wait between its pieces for half of the time for which there was nothing to
//! put. Where puts come one after the other they wait for each other's pieces only, and
//! not even for these when somebody waits for them. Of long reads there are two at a time, in pieces: what is read ahead for
//! many readers would else be a long queue at the disk, and everybody else behind it. While there are commits it is one at
//! a time, with rests.

use bytes::Bytes;
use esker_env::{
    AlignedBuffer, Blocking, BoxFuture, Bucket, BucketError, BucketErrorKind, Budget, Clock,
    DeviceShare, Disk, DiskFile, DiskLock, Entropy, Env, ListPage, ObjectKey, Open, Permit,
    PieceSink, Spawner,
};
use esker_types::MonoTime;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::buffers::Buffers;
use crate::error::{short_object, too_wide};
use crate::memory::PAGE_KEYS_MAX;

const STAGING: &str = "~staging";
/// What is shorter goes through the page cache.
const DIRECT_BYTES_MIN: u64 = 128 << 10;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 512 << 10;
/// Bytes that are written at once by a put that has time: what others write to the same disk waits for them.
const WRITE_BYTES_AT_EASE: usize = 256 << 10;
/// Puts are rare when there was nothing to put for so many times as long as there was something.
const RARE: u32 = 2;
/// A put that has time waits so many times as long as it writes.
const WAIT_TO_WRITE: u32 = 3;
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// A read that leaves room for commits rests for this part of the time that each piece took.
const REST_SHARE: u32 = 2;
/// Long reads that are under way: the disk has work while one hands on what it read.
const READS: usize = 2;
/// So much is removed at once, with a pause after it.
const CUT_BYTES: u64 = 4 << 20;
const CUT_PAUSE: Duration = Duration::from_millis(5);
/// Direct access is to multiples of this.
const PAGE: u64 = 4096;

/// A bucket in a directory, made on the first put. Calls run as blocking work of the spawner.
pub struct FileBucket {
    spawner: Arc<dyn Spawner>,
    files: Arc<Files>,
    /// Leave to read much.
    reads: Budget,
}

struct Files {
    spawner: Arc<dyn Spawner>,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
    puts: Mutex<Puts>,
    /// Held while a piece is written: one alone keeps a disk busy, and what others write waits for no more than that.
    turn: Mutex<()>,
    buffers: Arc<Buffers>,
    /// Whom the disk is shared with. Where a put is urgent nothing waits, not even for its turn, until the puts that are
    /// under way have ended.
    device: DeviceShare,
    /// Commits to the machine's disk at the last long read.
    commits_seen: AtomicU64,
    entropy: Arc<dyn Entropy>,
    root: PathBuf,
    /// Directories whose name is known to be durable.
    synced: Mutex<HashSet<PathBuf>>,
    staging: Mutex<Option<Arc<Staging>>>,
}

/// What this process is putting.
struct Puts {
    under_way: usize,
    /// When the first of those under way began.
    busy_since: MonoTime,
    /// For how long there was something to put before that.
    busy_before: Duration,
    /// When the last put ended.
    idle_since: MonoTime,
}

/// This process's part of the staging directory.
struct Staging {
    dir: PathBuf,
    nonce: u64,
    next: AtomicU64,
    _lock: Box<dyn DiskLock>,
}

impl FileBucket {
    /// A bucket in the directory `root`; nothing is read or made before the first request.
    #[must_use]
    pub fn new(env: &Env, root: PathBuf) -> Self {
        let files = Files {
            spawner: Arc::clone(&env.spawner),
            clock: Arc::clone(&env.clock),
            disk: Arc::clone(&env.disk),
            puts: Mutex::new(Puts::new(env.clock.now())),
            turn: Mutex::new(()),
            buffers: Arc::new(Buffers::new(READ_BYTES)),
            device: env.device.clone(),
            commits_seen: AtomicU64::new(0),
            entropy: env.entropy.fork("file bucket"),
            root,
            synced: Mutex::default(),
            staging: Mutex::default(),
        };
        Self {
            spawner: Arc::clone(&env.spawner),
            files: Arc::new(files),
            reads: Budget::new(READS),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> T + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let files = Arc::clone(&self.files);
        self.spawner.blocking(move || work(&files))
    }

    /// Waits for its turn among the long reads; a short one is not held up.
    async fn leave_to_read(&self, range: &Range<u64>) -> Option<Permit> {
        if !is_long(range) {
            return None;
        }
        let commits = self.files.device.commits();
        let alone = self.files.commits_seen.swap(commits, Ordering::Relaxed) != commits;
        Some(self.reads.acquire(if alone { READS } else { 1 }).await)
    }
}

impl std::fmt::Debug for FileBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBucket").field("root", &self.files.root).finish_non_exhaustive()
    }
}

impl Bucket for FileBucket {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        let key = key.clone();
        self.run(move |files| {
            let path = files.path("put", &key)?;
            files.put(&path, &body).map_err(|error| failure("put", key.as_str(), &error))
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(async move {
            let len = range.end.saturating_sub(range.start);
            let len = usize::try_from(len).map_err(|_| too_wide("get", key, &range))?;
            let _leave = self.leave_to_read(&range).await;
            let key = key.clone();
            self.run(move |files| {
                let mut whole = Bytes::new();
                files.read(&key, &range, len, &mut |bytes| whole = bytes).map(|()| whole)
            })
            .await
        })
    }

    fn get_pieces<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
        piece: usize,
        mut sink: PieceSink,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let _leave = self.leave_to_read(&range).await;
            let key = key.clone();
            self.run(move |files| files.read(&key, &range, piece, &mut sink)).await
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        let key = key.clone();
        self.run(move |files| {
            let path = files.path("head", &key)?;
            files.object_len(&path).map_err(|error| failure("head", key.as_str(), &error))
        })
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        self.run(move |files| files.delete(&keys))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        let prefix = prefix.to_owned();
        let after = after.cloned();
        self.run(move |files| {
            let mut walk = Walk { prefix: &prefix, after: after.as_ref(), found: Vec::new() };
            files.walk("", &mut walk).map_err(|error| failure("list", &prefix, &error))?;
            let more = walk.found.len() > PAGE_KEYS_MAX;
            walk.found.truncate(PAGE_KEYS_MAX);
            Ok(ListPage { objects: walk.found, more })
        })
    }
}

/// One listing in progress. It ends with one key more than a page holds.
struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a ObjectKey>,
    found: Vec<(ObjectKey, u64)>,
}

impl Walk<'_> {
    /// Whether keys that begin with `stem` can be wanted.
    fn may_hold(&self, stem: &str) -> bool {
        let below = stem.starts_with(self.prefix) || self.prefix.starts_with(stem);
        let behind = self
            .after
            .is_none_or(|after| stem > after.as_str() || after.as_str().starts_with(stem));
        below && behind
    }

    fn wants(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| key > after.as_str())
    }
}

impl Files {
    fn path(&self, operation: &'static str, key: &ObjectKey) -> Result<PathBuf, BucketError> {
        // Keys are relative to the root and must stay below it.
        if key.as_str().split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(BucketError {
                kind: BucketErrorKind::Invalid,
                operation,
                key: key.to_string(),
                message: "a part of the key is empty, `.` or `..`".to_owned(),
            });
        }
        Ok(self.root.join(key.as_str()))
    }

    fn put(&self, path: &Path, body: &[Bytes]) -> io::Result<()> {
        let slack = self.puts.lock().begin(self.clock.now());
        let outcome = self.put_within(slack, path, body);
        if self.puts.lock().end(self.clock.now()) {
            self.device.puts_ended();
        }
        outcome
    }

    fn put_within(&self, slack: Duration, path: &Path, body: &[Bytes]) -> io::Result<()> {
        let parent = path.parent().expect("an object's path has the root above it");
        self.durable_dir(parent)?;
        let staged = self.staging()?.next_path();
        let outcome = self.write_durably(&staged, body, slack).and_then(|()| {
            self.disk.rename(&staged, path)?;
            self.disk.sync_dir(parent)
        });
        if outcome.is_err() {
            // It is no object; whoever starts next would remove it too.
            let _gone_or_left = self.disk.remove(&staged);
        }
        outcome
    }

    fn write_durably(&self, path: &Path, body: &[Bytes], slack: Duration) -> io::Result<()> {
        let file = self.disk.open(path, Open::CreateNew)?;
        let len: u64 = body.iter().map(|part| part.len() as u64).sum();
        if len >= DIRECT_BYTES_MIN {
            let direct = self.disk.open(path, Open::WriteDirect)?;
            self.write_direct(&*direct, body, len, slack)?;
            return direct.sync_data();
        }
        let mut position = 0;
        for part in body {
            file.write_all_at(part, position)?;
            position += part.len() as u64;
        }
        file.sync_data()
    }

    /// Writes `body`, of `len` bytes, in whole pages, and cuts off what the last one has too much. Waits between pieces, for
    /// `slack` altogether.
    fn write_direct(
        &self,
        file: &dyn DiskFile,
        body: &[Bytes],
        len: u64,
        mut slack: Duration,
    ) -> io::Result<()> {
        let piece = if slack.is_zero() { WRITE_BYTES } else { WRITE_BYTES_AT_EASE };
        let mut buffer = AlignedBuffer::with_capacity(piece);
        let (mut filled, mut position) = (0, 0);
        for part in body {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(piece - filled));
                buffer.bytes_mut(filled + now.len())[filled..].copy_from_slice(now);
                filled += now.len();
                rest = later;
                if filled < piece {
                    continue;
                }
                let urgent = || self.device.is_put_urgent();
                let turn = (!urgent()).then(|| self.turn.lock());
                let began = self.clock.now();
                file.write_all_at(buffer.bytes(piece), position)?;
                drop(turn);
                position += piece as u64;
                filled = 0;
                let wait = slack.min(self.clock.now().since(began) * WAIT_TO_WRITE);
                if !wait.is_zero() && !urgent() {
                    self.clock.pause(wait);
                    slack -= wait;
                }
            }
        }
        if filled > 0 {
            let whole = filled.next_multiple_of(usize::try_from(PAGE).expect("4096"));
            buffer.bytes_mut(whole)[filled..].fill(0);
            file.write_all_at(buffer.bytes(whole), position)?;
        }
        if len.is_multiple_of(PAGE) { Ok(()) } else { file.set_len(len) }
    }

    /// Makes a directory so that its name survives a crash, and the names above it.
    fn durable_dir(&self, dir: &Path) -> io::Result<()> {
        if self.synced.lock().contains(dir) {
            return Ok(());
        }
        self.disk.create_dir_all(dir)?;
        for above in dir.ancestors().skip(1) {
            if above.as_os_str().is_empty() {
                break;
            }
            match self.disk.sync_dir(above) {
                // Above the root are directories that we need not be able to read; they were there before.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && !above.starts_with(&self.root) => {}
                synced => synced?,
            }
            // What is above it has its name already.
            if self.synced.lock().contains(above) {
                break;
            }
        }
        let below_root = dir.ancestors().take_while(|above| above.starts_with(&self.root));
        self.synced.lock().extend(below_root.map(Path::to_owned));
        Ok(())
    }

    fn staging(&self) -> io::Result<Arc<Staging>> {
        let mut staging = self.staging.lock();
        if let Some(staging) = &*staging {
            return Ok(Arc::clone(staging));
        }
        let dir = self.root.join(STAGING);
        self.durable_dir(&dir)?;
        self.remove_leftovers(&dir)?;
        let nonce = self.entropy.next_u64();
        let lock = self.disk.lock(&dir.join(format!("{nonce:016x}.lock")))?;
        let fresh = Arc::new(Staging { dir, nonce, next: AtomicU64::new(0), _lock: lock });
        Ok(Arc::clone(staging.insert(fresh)))
    }

    /// Removes the staging files of processes that are no more: nobody holds their lock.
    fn remove_leftovers(&self, dir: &Path) -> io::Result<()> {
        let names = self.disk.list(dir)?;
        for lock_name in names.iter().filter(|name| name.ends_with(".lock")) {
            let Ok(_held) = self.disk.lock(&dir.join(lock_name)) else { continue };
            let nonce = lock_name.trim_end_matches(".lock");
            for name in names.iter().filter(|name| name.starts_with(nonce) && *name != lock_name) {
                self.disk.remove(&dir.join(name))?;
            }
            self.disk.remove(&dir.join(lock_name))?;
        }
        Ok(())
    }

    fn object_len(&self, path: &Path) -> io::Result<u64> {
        let file = self.disk.open(path, Open::Read)?;
        // A directory opens for reading but has no bytes.
        file.read_at(&mut [0], 0)?;
        file.len()
    }

    /// Hands the bytes of a range to `sink`, in pieces.
    fn read(
        &self,
        key: &ObjectKey,
        range: &Range<u64>,
        piece: usize,
        sink: &mut dyn FnMut(Bytes),
    ) -> Result<(), BucketError> {
        let fail = |error: io::Error| failure("get", key.as_str(), &error);
        let path = self.path("get", key)?;
        // Whoever may only read has to go through the page cache.
        let direct =
            if is_long(range) { self.disk.open(&path, Open::WriteDirect).ok() } else { None };
        let is_direct = direct.is_some();
        let file = match direct {
            Some(file) => file,
            None => self.disk.open(&path, Open::Read).map_err(fail)?,
        };
        if range.is_empty() {
            return Ok(());
        }
        let len = file.len().map_err(fail)?;
        if range.end > len {
            return Err(short_object(key, range, len));
        }
        let mut position = range.start;
        while position < range.end {
            let wanted = usize::try_from(range.end - position).unwrap_or(usize::MAX).min(piece);
            sink(match is_direct {
                true => self.read_direct(&*file, position, wanted).map_err(fail)?,
                false => {
                    let mut buffer = vec![0; wanted];
                    file.read_exact_at(&mut buffer, position).map_err(fail)?;
                    Bytes::from(buffer)
                }
            });
            position += wanted as u64;
        }
        Ok(())
    }

    /// Reads `len` bytes from `start` on by whole pages.
    fn read_direct(&self, file: &dyn DiskFile, start: u64, len: usize) -> io::Result<Bytes> {
        let skip = usize::try_from(start % PAGE).expect("less than a page");
        let needed = skip + len;
        let whole = needed.next_multiple_of(usize::try_from(PAGE).expect("4096"));
        let mut buffer = self.buffers.take(whole);
        let mut filled = 0;
        // The last page of the file comes short: that is enough.
        while filled < needed {
            let position = start - skip as u64 + filled as u64;
            let end = whole.min(filled + READ_BYTES);
            let (began, commits) = (self.clock.now(), self.device.commits());
            match file.read_at(&mut buffer.bytes_mut(end)[filled..], position)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
            if self.device.commits() != commits {
                self.clock.pause(self.clock.now().since(began) / REST_SHARE);
            }
            // Whoever waits for the processor does not wait until this thread's time is over.
            self.spawner.yield_cpu();
        }
        Ok(self.buffers.lend(buffer, needed).slice(skip..))
    }

    /// Removes a file and adds to what was freed. Whenever that would be more than [`CUT_BYTES`], the file is put aside
    /// first and cut shorter, with a sync and a pause: a file system that tells the disk of what is free would do so for
    /// all of it at once, and whoever else syncs would wait.
    fn remove(&self, path: &Path, freed: &mut u64) -> io::Result<()> {
        // What cannot be opened is removed as it is, or says why not.
        let Ok(file) = self.disk.open(path, Open::WriteDirect) else {
            return self.disk.remove(path);
        };
        let mut len = file.len()?;
        if *freed + len <= CUT_BYTES {
            *freed += len;
            return self.disk.remove(path);
        }
        let aside = self.staging()?.next_path();
        self.disk.rename(path, &aside)?;
        while *freed + len > CUT_BYTES {
            len -= CUT_BYTES - *freed;
            file.set_len(len)?;
            file.sync_data()?;
            self.clock.pause(CUT_PAUSE);
            *freed = 0;
        }
        *freed = len;
        self.disk.remove(&aside)
    }

    fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<(), BucketError>> {
        let mut parents = HashSet::new();
        let mut freed = 0;
        let mut results: Vec<_> = keys
            .iter()
            .map(|key| {
                let path = self.path("delete", key)?;
                match self.remove(&path, &mut freed) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => {
                        removed.map_err(|error| failure("delete", key.as_str(), &error))?;
                        parents.extend(path.parent().map(Path::to_owned));
                    }
                }
                Ok(())
            })
            .collect();
        for parent in parents {
            let Err(error) = self.disk.sync_dir(&parent) else { continue };
            for (key, result) in keys.iter().zip(&mut results) {
                if self.root.join(key.as_str()).parent() == Some(&parent) && result.is_ok() {
                    *result = Err(failure("delete", key.as_str(), &error));
                }
            }
        }
        results
    }

    /// Visits the keys below `stem` (empty, or with a slash at its end) in their order.
    fn walk(&self, stem: &str, walk: &mut Walk<'_>) -> io::Result<()> {
        let names = self.disk.list(&self.root.join(stem))?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let below = format!("{stem}{name}/");
            // What is not of our making (staging, a person's files) is no object.
            let is_key = name
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'.' | b'-'));
            if !is_key || !(walk.may_hold(&below) || walk.wants(&below[..below.len() - 1])) {
                continue;
            }
            if self.is_directory(&self.root.join(&below[..below.len() - 1]))? {
                entries.push(below);
            } else {
                entries.push(below[..below.len() - 1].to_owned());
            }
        }
        // A directory takes the place of its keys: `a-` comes before `a/`.
        entries.sort();
        for entry in entries {
            if walk.found.len() > PAGE_KEYS_MAX {
                break;
            }
            if entry.ends_with('/') {
                self.walk(&entry, walk)?;
            } else if walk.wants(&entry) {
                match self.object_len(&self.root.join(&entry)) {
                    // Deleted since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    len => walk.found.push((ObjectKey::new(&entry), len?)),
                }
            }
        }
        Ok(())
    }

    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        match self.disk.list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
            Ok(names) if !names.is_empty() => Ok(true),
            // Empty: a directory without entries, or a file on a disk that lists nothing below a file.
            Ok(_) => Ok(matches!(
                self.object_len(path),
                Err(error) if error.kind() == io::ErrorKind::IsADirectory
            )),
            Err(error) => Err(error),
        }
    }
}

/// Whether a read goes past the page cache.
fn is_long(range: &Range<u64>) -> bool {
    range.end.saturating_sub(range.start) >= DIRECT_BYTES_MIN
}

impl Puts {
    fn new(now: MonoTime) -> Self {
        Self { under_way: 0, busy_since: now, busy_before: Duration::ZERO, idle_since: now }
    }

    /// A put begins. Answers how long it may wait between its pieces.
    fn begin(&mut self, now: MonoTime) -> Duration {
        self.under_way += 1;
        if self.under_way > 1 {
            return Duration::ZERO;
        }
        let idle = now.since(self.idle_since);
        self.busy_since = now;
        if idle >= self.busy_before * RARE { idle / 2 } else { Duration::ZERO }
    }

    /// A put has ended. Answers whether it was the last.
    fn end(&mut self, now: MonoTime) -> bool {
        self.under_way -= 1;
        if self.under_way == 0 {
            self.busy_before = now.since(self.busy_since);
            self.idle_since = now;
        }
        self.under_way == 0
    }
}

impl Staging {
    fn next_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{:016x}-{number:x}", self.nonce))
    }
}

fn failure(operation: &'static str, key: &str, error: &io::Error) -> BucketError {
    use io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::NotFound => BucketErrorKind::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => BucketErrorKind::Denied,
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename => BucketErrorKind::Invalid,
        // A full disk may be emptied, a busy one may recover.
        _ => BucketErrorKind::Retry,
    };
    BucketError { kind, operation, key: key.to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::real::{FileSystem, Runtimes};

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_living_one_stages_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let env = Env::real(&runtimes);
        let put = |bucket: &FileBucket, key: &str| {
            let key = ObjectKey::new(key);
            runtimes.block_on(bucket.put(&key, vec![Bytes::from_static(b"x")])).unwrap();
        };
        let first = FileBucket::new(&env, dir.path().to_owned());
        put(&first, "a/1");
        let staging = dir.path().join(STAGING);
        let nonce = first.files.staging().unwrap().nonce;
        let staged = format!("{nonce:016x}-77");
        FileSystem.replace(&staging.join(&staged), b"half").unwrap();

        let second = FileBucket::new(&env, dir.path().to_owned());
        put(&second, "a/2");
        assert!(FileSystem.list(&staging).unwrap().contains(&staged));

        drop(first);
        let third = FileBucket::new(&env, dir.path().to_owned());
        put(&third, "a/3");
        let names = FileSystem.list(&staging).unwrap();
        assert!(names.iter().all(|name| name.ends_with(".lock")) && names.len() == 2, "{names:?}");
        let page = runtimes.block_on(third.list("", None)).unwrap();
        let keys: Vec<_> = page.objects.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a/1", "a/2", "a/3"]);
    }

    /// The real disk, and which directories were synced.
    #[derive(Default)]
    struct RecordingDisk(Mutex<Vec<PathBuf>>);

    impl Disk for RecordingDisk {
        fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
            FileSystem.open(path, how)
        }

        fn create_dir_all(&self, path: &Path) -> io::Result<()> {
            FileSystem.create_dir_all(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            FileSystem.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            FileSystem.remove(path)
        }

        fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
            FileSystem.list(dir)
        }

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.0.lock().push(dir.to_owned());
            FileSystem.sync_dir(dir)
        }

        fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
            FileSystem.free_bytes(dir)
        }

        fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
            FileSystem.lock(path)
        }
    }

    #[test]
    fn the_name_of_every_new_directory_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let disk = Arc::new(RecordingDisk::default());
        let env = Env { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..Env::real(&runtimes) };
        let bucket = FileBucket::new(&env, dir.path().join("root"));
        for key in ["d/aa/1", "d/bb/1", "m/aa/1"] {
            disk.0.lock().clear();
            let key = ObjectKey::new(key);
            runtimes.block_on(bucket.put(&key, vec![Bytes::from_static(b"x")])).unwrap();
            let path = dir.path().join("root").join(key.as_str());
            let synced = disk.0.lock().clone();
            for holds_a_new_name in path.ancestors().skip(1).take(2) {
                assert!(synced.iter().any(|dir| dir == holds_a_new_name), "{key}: {synced:?}");
            }
        }
    }

    #[test]
    fn objects_of_any_length_come_back_in_any_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let bucket = FileBucket::new(&Env::real(&runtimes), dir.path().join("root"));
        let content: Vec<u8> =
            (0..3_500_001_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let content = Bytes::from(content);
        for len in [1, 4096, 131_071, 131_072, 131_073, 1 << 20, (1 << 20) + 1, 3_500_001] {
            let key = ObjectKey::new(&format!("object-{len}"));
            let parts = vec![content.slice(..len / 3), Bytes::new(), content.slice(len / 3..len)];
            runtimes.block_on(bucket.put(&key, parts)).unwrap();
            assert_eq!(runtimes.block_on(bucket.head(&key)).unwrap(), len as u64);
            for (start, end) in [(0, len), (len / 2, len), (len / 7, len - len / 5)] {
                let range = start as u64..end as u64;
                let read = runtimes.block_on(bucket.get_range(&key, range)).unwrap();
                assert!(read == content[start..end], "{start}..{end} of {len}");
            }
        }
    }

    #[test]
    fn what_is_deleted_is_gone_at_once_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let bucket = FileBucket::new(&Env::real(&runtimes), dir.path().to_owned());
        let lens = [20_000_000, 5_000_000, 5_000_000, 5_000_000, 1, CUT_BYTES, CUT_BYTES];
        let mut keys = Vec::new();
        for (number, len) in lens.into_iter().enumerate() {
            let key = ObjectKey::new(&format!("a/{number}"));
            let body = vec![Bytes::from(vec![7; usize::try_from(len).unwrap()])];
            runtimes.block_on(bucket.put(&key, body)).unwrap();
            keys.extend([key.clone(), key]);
        }
        let deleted = runtimes.block_on(bucket.delete(keys.clone()));
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        for key in keys {
            let gone = runtimes.block_on(bucket.head(&key)).unwrap_err();
            assert_eq!(gone.kind, BucketErrorKind::NotFound);
        }
        let names = FileSystem.list(&dir.path().join(STAGING)).unwrap();
        assert!(names.iter().all(|name| name.ends_with(".lock")), "{names:?}");
    }

    #[test]
    fn puts_wait_where_they_are_rare() {
        let at = |millis| MonoTime::default().plus(Duration::from_millis(millis));
        let mut puts = Puts::new(at(0));
        assert_eq!(puts.begin(at(100)), Duration::from_millis(50));
        assert_eq!(puts.begin(at(110)), Duration::ZERO, "not beside another");
        assert!(!puts.end(at(120)));
        assert!(puts.end(at(150)));
        assert_eq!(puts.begin(at(249)), Duration::ZERO, "50 ms of puts, 99 ms of nothing");
        assert!(puts.end(at(299)));
        assert_eq!(puts.begin(at(399)), Duration::from_millis(50));
    }

    #[test]
    fn a_key_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let runtimes = Runtimes::start(1, 1).unwrap();
        let bucket = FileBucket::new(&Env::real(&runtimes), dir.path().join("root"));
        for key in ["../x", "a/../../x", "a//x", "./x", "a/"] {
            let key = ObjectKey::new(key);
            let error = runtimes.block_on(bucket.put(&key, Vec::new())).unwrap_err();
            assert_eq!(error.kind, BucketErrorKind::Invalid, "{error}");
        }
        assert_eq!(FileSystem.list(dir.path()).unwrap(), [""; 0]);
    }
}
