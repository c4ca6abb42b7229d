//! The log on disk: one append-only file of checksummed records, `docs/formats/metadata-log.md`.
//!
//! A purge writes a new generation that holds what is still needed and removes the old one. Checksums include the
//! generation and the record's position, so neither a record of an older file nor one read from a wrong place is
//! taken for valid.
//!
//! *Recovery.* Records are read up to the first that is not valid. Each record says from where on the file had not been
//! synced when it was written. If a valid record follows that was written when the invalid place had been synced, synced
//! bytes are damaged: the log is refused, because a quorum that forgets what it promised is worse than one that is down.
//! Otherwise it is the torn end of what was never acknowledged (a device may have written its later half), and is cut.

use crate::disk_full_retry::is_full;
use crate::entry::{Reader, Writer};
use crate::types::{Entry, LogId, Vote};
use esker_env::{Disk, DiskFile, Open};
use esker_types::{Bug, planted};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"ESKRAFT\x02";
const FILE_HEADER_LEN: u64 = 24;
/// len u32, crc u32, kind u8, un-synced u24.
const RECORD_HEADER_LEN: usize = 12;
const ALIGN: usize = 4;
/// Most bytes that are written without a sync between, one record more or less: a record can say how far back the file is
/// not synced up to [`DISTANCE_MAX`] units.
const UNSYNCED_MAX: u64 = 16 << 20;
const DISTANCE_MAX: u64 = 0x00ff_ffff;
/// Far above one entry, far below an allocation that hurts.
const FILE_LEN_MAX: u64 = 4 << 30;

const VOTE: u8 = 1;
const ENTRY: u8 = 2;
const TRUNCATED_AFTER: u8 = 3;
const PURGED: u8 = 4;
const COMMITTED: u8 = 5;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The disk failed.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// Synced bytes are not what was written.
    #[error(
        "{}: damaged at byte {at}: {what}. The metadata log is not repaired by guessing: restore this file from a \
         copy, or start with an empty data directory against the same bucket", path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What does not fit.
        what: String,
    },
}

/// What the log holds.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogContent {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Entry>,
}

impl LogContent {
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.last_key_value().map(|(_, entry)| entry.log_id).or(self.purged)
    }

    /// Whether nothing was ever decided here.
    pub(crate) fn is_empty(&self) -> bool {
        self.vote.is_none() && self.last().is_none()
    }

    /// Index of the entry that comes next.
    fn next(&self) -> u64 {
        next_index(self.last().as_ref())
    }

    fn replay(&mut self, kind: u8, body: &[u8]) -> Result<(), String> {
        let mut reader = Reader(body);
        match kind {
            VOTE => self.vote = Some(reader.vote()?),
            ENTRY => {
                let entry = reader.entry()?;
                let (index, next) = (entry.log_id.index(), self.next());
                if index != next {
                    return Err(format!("entry {index} stands where entry {next} belongs"));
                }
                self.entries.insert(index, entry);
            }
            TRUNCATED_AFTER => {
                let after = reader.maybe_log_id()?;
                self.truncate_after(after.as_ref());
            }
            PURGED => {
                let purged = reader.log_id()?;
                self.purge(purged);
            }
            COMMITTED => self.committed = reader.maybe_log_id()?,
            other => return Err(format!("a record of unknown kind {other}")),
        }
        reader.end()
    }

    pub(crate) fn truncate_after(&mut self, last: Option<&LogId>) {
        drop(self.entries.split_off(&next_index(last)));
    }

    pub(crate) fn purge(&mut self, upto: LogId) {
        self.entries = self.entries.split_off(&next_index(Some(&upto)));
        self.purged = Some(upto);
    }
}

/// The open log. Its calls block.
pub(crate) struct LogFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    generation: u64,
    file: Arc<dyn DiskFile>,
    /// Where what came after its beginning starts.
    start: u64,
    end: u64,
    /// Everything before this is synced.
    synced: u64,
    /// Index of the entry that comes next.
    next: u64,
    /// Set by the first failed write or sync, and by the first that was given up; nothing is written after it.
    failed: bool,
}

impl LogFile {
    /// Opens the log in `dir`, creating an empty one.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
    ) -> Result<(Self, LogContent), LogFileError> {
        let fail = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| LogFileError::Io { operation, path, source }
        };
        disk.create_dir_durably(dir).map_err(fail("create", dir))?;
        let names = disk.list(dir).map_err(fail("list", dir))?;
        let mut generations: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
        generations.sort_unstable();
        // The newest generation is complete: it got its name after it was synced. An older one beside it is what a
        // crash left of the purge.
        let Some(generation) = generations.pop() else {
            let log =
                Self::create(disk, dir, 1, &LogContent::default()).map_err(fail("create", dir))?;
            return Ok((log, LogContent::default()));
        };
        // A process that was killed may have left names that are in the memory of the system only.
        disk.sync_dir(dir).map_err(fail("sync", dir))?;
        for old in generations {
            let path = path_of(dir, old);
            disk.remove(&path).map_err(fail("remove", &path))?;
        }
        let path = path_of(dir, generation);
        let bytes = disk.read(&path, FILE_LEN_MAX).map_err(fail("read", &path))?;
        let (content, end) = recover(&bytes, generation)
            .map_err(|(at, what)| LogFileError::Corrupt { path: path.clone(), at, what })?;
        let file = disk.open(&path, Open::Write).map_err(fail("open", &path))?;
        if end < bytes.len() as u64 {
            // Cut for good, so that a later write cannot make old bytes follow new ones.
            file.set_len(end).map_err(fail("cut", &path))?;
        }
        // What was read may be in the memory of the system only, left by a process that was killed before its sync, or
        // whose sync failed: the system takes what it could not write for written. It is about to be acted on, and what
        // is written next says that it is durable, so it is written again.
        let whole = usize::try_from(end).expect("no longer than what was read");
        file.write_all_at(&bytes[..whole], 0).map_err(fail("write", &path))?;
        file.sync_data().map_err(fail("sync", &path))?;
        let (dir, next) = (dir.to_owned(), content.next());
        let start = FILE_HEADER_LEN;
        let log =
            Self { disk, dir, generation, file, start, end, synced: end, next, failed: false };
        Ok((log, content))
    }

    fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        generation: u64,
        content: &LogContent,
    ) -> io::Result<Self> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&generation.to_le_bytes());
        let crc = crc32c(&[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        // The file gets its name when all of it is synced: whatever of it does not read is damaged.
        let at = WritePosition { generation, base: 0, synced: u64::MAX };
        if let Some(vote) = &content.vote {
            push(&mut bytes, at, VOTE, |w| w.vote(vote));
        }
        if let Some(purged) = &content.purged {
            push(&mut bytes, at, PURGED, |w| w.log_id(purged));
        }
        for entry in content.entries.values() {
            push(&mut bytes, at, ENTRY, |w| w.entry(entry));
        }
        if content.committed.is_some() {
            push(&mut bytes, at, COMMITTED, |w| {
                w.maybe_log_id(content.committed.as_ref());
            });
        }
        let path = path_of(dir, generation);
        disk.replace(&path, &bytes).map_err(naming("replace", &path))?;
        let file = disk.open(&path, Open::Write).map_err(naming("open", &path))?;
        let (dir, next, end) = (dir.to_owned(), content.next(), bytes.len() as u64);
        let (start, synced) = (end, end);
        Ok(Self { disk, dir, generation, file, start, end, synced, next, failed: false })
    }

    /// How much was added since this generation was begun; after an opening, how much there is.
    pub(crate) fn grown(&self) -> u64 {
        self.end - self.start
    }

    /// What was tried last is not tried again, so that nothing may follow it: what comes next would stand in its place.
    pub(crate) fn give_up(&mut self) {
        self.failed = true;
    }

    pub(crate) fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut bytes = Vec::new();
        push(&mut bytes, self.write_position(), VOTE, |w| w.vote(vote));
        self.write(&bytes, true)
    }

    /// Adds entries.
    ///
    /// # Panics
    /// When they do not follow the last one.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let before = (self.end, self.synced);
        let appended = self.append_by_parts(entries);
        match appended {
            Ok(()) => self.next += entries.len() as u64,
            // Tried again, the same bytes go to the same places.
            Err(_) => (self.end, self.synced) = before,
        }
        appended
    }

    fn append_by_parts(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.failed {
            return Err(failed());
        }
        let mut bytes = Vec::new();
        for (entry, next) in entries.iter().zip(self.next..) {
            let index = entry.log_id.index();
            assert!(
                index == next,
                "entry {index} does not follow what the log holds: {next} comes next"
            );
            if self.unsynced(&bytes) > UNSYNCED_MAX {
                self.write(&bytes, true)?;
                bytes.clear();
            }
            push(&mut bytes, self.write_position(), ENTRY, |w| w.entry(entry));
        }
        self.write(&bytes, true)
    }

    pub(crate) fn truncate_after(&mut self, last: Option<&LogId>) -> io::Result<()> {
        let mut bytes = Vec::new();
        push(&mut bytes, self.write_position(), TRUNCATED_AFTER, |w| w.maybe_log_id(last));
        self.write(&bytes, true)?;
        self.next = next_index(last);
        Ok(())
    }

    /// Not synced: it only saves time at the next start. (That it follows the entries it names also proves at
    /// recovery that those were synced.)
    pub(crate) fn save_committed(&mut self, committed: Option<&LogId>) -> io::Result<()> {
        let mut bytes = Vec::new();
        push(&mut bytes, self.write_position(), COMMITTED, |w| w.maybe_log_id(committed));
        let sync = self.unsynced(&bytes) > UNSYNCED_MAX;
        self.write(&bytes, sync)
    }

    /// Starts a new generation that holds only `content`.
    pub(crate) fn rewrite(&mut self, content: &LogContent) -> io::Result<()> {
        if self.failed {
            return Err(failed());
        }
        let next = Self::create(Arc::clone(&self.disk), &self.dir, self.generation + 1, content)
            .inspect_err(|error| self.failed = !is_full(error))?;
        let old = std::mem::replace(self, next);
        // The next start removes it if this fails.
        let _leftover = self.disk.remove(&path_of(&old.dir, old.generation));
        Ok(())
    }

    /// Where the next write goes.
    fn write_position(&self) -> WritePosition {
        WritePosition { generation: self.generation, base: self.end, synced: self.synced }
    }

    /// How much will not be synced when `bytes` are written.
    fn unsynced(&self, bytes: &[u8]) -> u64 {
        self.end - self.synced + bytes.len() as u64
    }

    fn write(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        if self.failed {
            return Err(failed());
        }
        let path = || path_of(&self.dir, self.generation);
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            // A full disk changes nothing: the same bytes go to the same place when there is room.
            self.failed = !is_full(&error);
            return Err(naming("write", &path())(error));
        }
        if sync
            && !planted(Bug::MetaSyncMissing)
            && let Err(error) = self.file.sync_data()
        {
            self.failed = true;
            // Never of the kind that is tried again.
            return Err(io::Error::other(naming("sync", &path())(error)));
        }
        self.end += bytes.len() as u64;
        if sync {
            self.synced = self.end;
        }
        Ok(())
    }
}

/// Adds to an error what was tried on which file.
fn naming(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}

fn next_index(last: Option<&LogId>) -> u64 {
    last.map_or(0, |last| last.index() + 1)
}

fn failed() -> io::Error {
    io::Error::other("the metadata log failed earlier; restart this process")
}

fn path_of(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("log-{generation:016x}"))
}

fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).expect("a 32-bit checksum has 32 bits")
}

/// `kind` is the kind and the un-synced distance.
fn record_crc(generation: u64, position: u64, kind: [u8; 4], body: &[u8]) -> u32 {
    crc32c(&[&generation.to_le_bytes(), &position.to_le_bytes(), &kind, body])
}

/// Where records go that are written together.
#[derive(Clone, Copy)]
struct WritePosition {
    generation: u64,
    /// Position of the first of them.
    base: u64,
    /// Everything before this is synced by the time.
    synced: u64,
}

/// The kind of a record, and how far back from `position` the file is not synced, in units of [`ALIGN`].
fn kind_and_distance(kind: u8, position: u64, synced: u64) -> [u8; 4] {
    let distance = position.saturating_sub(synced) / ALIGN as u64;
    assert!(distance <= DISTANCE_MAX, "a sync comes between");
    let [low, middle, high, ..] = distance.to_le_bytes();
    [kind, low, middle, high]
}

/// Appends a record to `bytes`, which will be written at a place.
fn push(bytes: &mut Vec<u8>, at: WritePosition, kind: u8, fill: impl FnOnce(&mut Writer)) {
    let WritePosition { generation, base, synced } = at;
    let position = base + bytes.len() as u64;
    let kind = kind_and_distance(kind, position, synced);
    let mut body = Writer::default();
    fill(&mut body);
    let len = u32::try_from(body.0.len()).expect("a metadata entry is far below 4 GiB");
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&record_crc(generation, position, kind, &body.0).to_le_bytes());
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(&body.0);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

/// A valid record at `at`: its kind, its body and where the next one starts.
fn record(bytes: &[u8], at: usize, generation: u64) -> Option<(u8, &[u8], usize)> {
    let head = bytes.get(at..at + RECORD_HEADER_LEN)?;
    let len = usize::try_from(u32::from_le_bytes(*head.first_chunk::<4>()?)).ok()?;
    let crc = u32::from_le_bytes(*head[4..].first_chunk::<4>()?);
    let start = at + RECORD_HEADER_LEN;
    let end = start.checked_add(len)?;
    let body = bytes.get(start..end)?;
    let padding = bytes.get(end..end.next_multiple_of(ALIGN))?;
    let plain = padding.iter().all(|byte| *byte == 0);
    let kind = *head[8..].first_chunk::<4>()?;
    (plain && record_crc(generation, at as u64, kind, body) == crc)
        .then(|| (head[8], body, end.next_multiple_of(ALIGN)))
}

/// Whether a valid record at `later` was written when the file was synced beyond `at`.
fn vouches(bytes: &[u8], later: usize, at: usize) -> bool {
    let Some([low, middle, high]) = bytes.get(later + 9..).and_then(|rest| rest.first_chunk())
    else {
        return false;
    };
    let distance = u32::from_le_bytes([*low, *middle, *high, 0]) as usize * ALIGN;
    at + distance < later
}

/// Replays a file. Answers its content and where the valid part ends.
fn recover(bytes: &[u8], generation: u64) -> Result<(LogContent, u64), (u64, String)> {
    let header = bytes
        .get(..24)
        .filter(|header| {
            &header[..8] == MAGIC
                && header[8..16] == generation.to_le_bytes()
                && header[16..20] == crc32c(&[&header[..16]]).to_le_bytes()
                && header[20..] == [0; 4]
        })
        .ok_or_else(|| (0, "this is no metadata log".to_owned()))?;
    let mut content = LogContent::default();
    let mut at = header.len();
    while at < bytes.len() {
        let Some((kind, body, next)) = record(bytes, at, generation) else {
            let later = (at + ALIGN..bytes.len())
                .step_by(ALIGN)
                .filter(|later| record(bytes, *later, generation).is_some())
                .find(|later| vouches(bytes, *later, at));
            if let Some(later) = later.filter(|_| !planted(Bug::MetaDamageCut)) {
                let what = format!(
                    "no valid record, although one follows at byte {later} that was written after this was synced"
                );
                return Err((at as u64, what));
            }
            break;
        };
        content.replay(kind, body).map_err(|what| (at as u64, what))?;
        at = next;
    }
    debug_assert!(at as u64 >= FILE_HEADER_LEN);
    Ok((content, at as u64))
}
