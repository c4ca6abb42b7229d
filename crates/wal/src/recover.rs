//! Opening a directory: what is durable, what was torn, what is damaged.
//!
//! The newest segment begins with a checkpoint of all journals and of the segments that were in use. So the older
//! segments only contribute bundles, control records are read from the newest one, and every entry that the
//! checkpoint promises but no segment has is known to be lost. Opening changes nothing but a new directory (it
//! writes the last commit again, as it is, and syncs what is there), so a crash in it costs nothing.

use crate::encode::segment_beginning;
use crate::error::WalError;
use crate::format::{
    Checkpoint, PAGE, RecordHeader, RecordKind, SegmentHeader, SegmentHeaderError, SegmentLife,
    StoreIdentity,
};
use crate::num::{to_u32, to_u64, to_usize};
use crate::options::WalOptions;
use crate::scan::{Found, Scanner, SegmentEnd, Window};
use crate::segment::{SegmentFile, number_in, segment_name, spare_name};
use crate::state::{Journal, Segment, Slot, State};
use crate::wal::JournalStatus;
use bytes::Bytes;
use esker_env::AlignedBuffer;
use esker_env::{DiskFile, DiskLock, Env, Open};
use esker_types::{Bug, ClusterId, JournalId, Seq, StoreId, planted};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Name of the marker file.
const STORE: &str = "STORE";
/// Name of the lock file.
const LOCK: &str = "LOCK";
/// The bound of what damage may have swallowed while nobody has said more: above every journal.
pub(crate) const EVERY_JOURNAL: JournalId = JournalId(u64::MAX);
/// Longest marker that is read.
const STORE_BYTES_MAX: u64 = 4096;

/// A journal found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredJournal {
    /// What is durable of it.
    pub status: JournalStatus,
    /// What its opener gave the log to keep; empty for one that came into being by a seal.
    pub meta: Bytes,
}

/// Something in a log that was not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Byte position in it.
    pub position: u64,
    /// What was found.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: {}", self.file, self.position, self.what)
    }
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// All journals, by id.
    pub journals: Vec<RecoveredJournal>,
    /// Damage may have swallowed whole journals with smaller ids: that one of them is unknown here proves nothing.
    /// Lasts until the directory is replaced. The largest id stands for all of them, until
    /// [`crate::Wal::bound_lost_journals`] says which ones the damage cannot have met.
    pub lost_before: Option<JournalId>,
    /// Everything that was not as it was written.
    pub problems: Vec<Problem>,
    /// The last commit had not finished and was dropped; nothing in it had been acknowledged.
    pub torn: bool,
    /// Bytes read.
    pub scanned_bytes: u64,
}

/// Where the writer goes on.
pub(crate) struct Start {
    pub(crate) lock: Box<dyn DiskLock>,
    /// The newest segment's file and where its next commit goes; `None`: the next commit begins a segment.
    pub(crate) active: Option<(Arc<SegmentFile>, SegmentLife, u64)>,
    pub(crate) spares: Vec<Arc<SegmentFile>>,
    pub(crate) last_number: u64,
    pub(crate) last_nonce: u64,
}

pub(crate) struct Recovery {
    pub(crate) identity: StoreIdentity,
    pub(crate) state: State,
    pub(crate) start: Start,
    pub(crate) recovered: Recovered,
}

pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> WalError {
    let what = what.into();
    move |source| WalError::Io { what, source }
}

pub(crate) fn open(
    env: &Env,
    dir: &Path,
    cluster: ClusterId,
    options: &WalOptions,
) -> Result<Recovery, WalError> {
    let disk = &*env.disk;
    disk.create_dir_durably(dir).map_err(failed("create the log's directory"))?;
    let lock = disk.lock(&dir.join(LOCK)).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => WalError::Locked,
        _ => WalError::Io { what: "lock the log".to_owned(), source },
    })?;
    // A name may be there that a process had given and not synced when it ended. What is found is built upon, so it has
    // to be found again after a power cut.
    disk.sync_dir(dir).map_err(failed(format!("sync the directory {}", dir.display())))?;
    let identity = match read_marker(env, dir)? {
        Some(identity) if identity.cluster != cluster => {
            return Err(WalError::WrongCluster { found: identity.cluster, expected: cluster });
        }
        Some(identity) => identity,
        None => create(env, dir, cluster, options)?,
    };
    finish_creation(env, dir, &identity)?;
    let mut reader = Reader::new(env, dir, identity.store, Open::WriteDirect);
    let (mut state, last) = reader.read()?;
    options.check_against(&state)?;
    let active = state.active;
    if let Some(segment) = state.segments.get_mut(&active) {
        segment.bytes = segment.bytes.max(options.segment_bytes);
    }
    // What was read of the last commit may be in the system's memory only: the process was killed before its sync, or the
    // sync failed, and the system takes what it could not write for written. It counts as durable from here on, so it has
    // to be: it is written again. Everything before it was synced before it was written.
    let newest = &*last.file.file;
    if !planted(Bug::WalNotWrittenAgain) {
        write_again(newest, last.unvouched.clone())
            .map_err(failed("write the last commit again"))?;
    }
    newest.sync_data().map_err(failed("sync the newest segment"))?;
    let Reader { recovered, spares, .. } = reader;
    let start = Start {
        lock,
        active: last.active,
        spares,
        last_number: last.last_number,
        last_nonce: last.life.nonce,
    };
    Ok(Recovery { identity, state, start, recovered })
}

/// Reads the marker; `None` in a new directory.
pub(crate) fn read_marker(env: &Env, dir: &Path) -> Result<Option<StoreIdentity>, WalError> {
    match env.disk.read(&dir.join(STORE), STORE_BYTES_MAX) {
        Ok(bytes) => StoreIdentity::decode(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let names = env.disk.list(dir).map_err(failed("list the log's directory"))?;
            match names.iter().any(|name| number_in(name, "seg").is_some()) {
                true => Err(WalError::MarkerMissing),
                false => Ok(None),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(WalError::StoreMarker("it is too long"))
        }
        Err(source) => Err(failed("read the marker file `STORE`")(source)),
    }
}

/// Makes a new log. The first segment is complete under a spare's name before the marker exists, and gets its own
/// name after: a directory with a marker and without a segment has lost what it held.
fn create(
    env: &Env,
    dir: &Path,
    cluster: ClusterId,
    options: &WalOptions,
) -> Result<StoreIdentity, WalError> {
    let identity = StoreIdentity {
        store: StoreId(Uuid::from_u128(env.entropy.next_u128())),
        cluster,
        created: env.clock.wall(),
    };
    let header = SegmentHeader {
        store: identity.store,
        number: 1,
        nonce: env.entropy.next_u64(),
        previous_nonce: 0,
        segment_bytes: options.segment_bytes,
    };
    let (buffer, len) = segment_beginning(&header, &Checkpoint::default(), env.entropy.next_u64());
    let path = dir.join(spare_name(1));
    let make = || -> io::Result<()> {
        match env.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = env.disk.open(&path, Open::CreateNew)?;
        file.write_all_at(buffer.bytes(len), 0)?;
        file.sync_data()?;
        env.disk.sync_dir(dir)?;
        env.disk.replace(&dir.join(STORE), &identity.encode())
    };
    make().map_err(failed("create the log"))?;
    Ok(identity)
}

/// Gives the first segment its name, if a crash came between the marker and that.
fn finish_creation(env: &Env, dir: &Path, identity: &StoreIdentity) -> Result<(), WalError> {
    let names = env.disk.list(dir).map_err(failed("list the log's directory"))?;
    if names.iter().any(|name| number_in(name, "seg").is_some()) {
        return Ok(());
    }
    let path = dir.join(spare_name(1));
    let first = env.disk.open(&path, Open::WriteDirect).and_then(|file| read_header(&*file));
    let is_first = |header: &SegmentHeader| header.number == 1 && header.store == identity.store;
    match first {
        Ok(Ok(header)) if is_first(&header) => {
            let rename = env.disk.rename(&path, &dir.join(segment_name(1)));
            rename.and_then(|()| env.disk.sync_dir(dir)).map_err(failed("name the first segment"))
        }
        _ => Err(WalError::SegmentsMissing(identity.store)),
    }
}

fn read_header(file: &dyn DiskFile) -> io::Result<Result<SegmentHeader, SegmentHeaderError>> {
    // Direct reads are whole pages: the rest of a cut one could not be asked for.
    if file.len()? < PAGE {
        return Ok(Err(SegmentHeaderError::Damaged));
    }
    let mut page = AlignedBuffer::with_capacity(to_usize(PAGE));
    let page = page.bytes_mut(to_usize(PAGE));
    file.read_exact_at(page, 0)?;
    Ok(SegmentHeader::decode(page))
}

/// Writes what is there once more. Whole pages.
fn write_again(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    const STEP: u64 = 1 << 20;
    let mut buffer = AlignedBuffer::with_capacity(to_usize(STEP.min(range.end - range.start)));
    let mut position = range.start;
    while position < range.end {
        let len = to_usize(STEP.min(range.end - position));
        file.read_exact_at(buffer.bytes_mut(len), position)?;
        file.write_all_at(buffer.bytes(len), position)?;
        position += to_u64(len);
    }
    Ok(())
}

/// A file with a segment's name.
struct Candidate {
    file: Arc<SegmentFile>,
    name: String,
    number: u64,
    /// What its header says, if that is readable.
    life: Option<SegmentLife>,
}

/// The segment whose checkpoint counts.
struct Base {
    file: Arc<SegmentFile>,
    name: String,
    life: SegmentLife,
}

/// The newest segment.
pub(crate) struct Newest {
    file: Arc<SegmentFile>,
    life: SegmentLife,
    /// The last commit: nothing in the log shows that it was synced.
    unvouched: Range<u64>,
    /// Largest number that any file has.
    last_number: u64,
    active: Option<(Arc<SegmentFile>, SegmentLife, u64)>,
}

/// Hears of everything found, with the name of its file.
pub(crate) type Observer<'a> = dyn FnMut(&str, &Found) + 'a;

/// Reads all segments of a directory. Used to open a log and to inspect one.
pub(crate) struct Reader<'a> {
    env: &'a Env,
    dir: PathBuf,
    store: StoreId,
    how: Open,
    pub(crate) recovered: Recovered,
    spares: Vec<Arc<SegmentFile>>,
    bundles: BTreeMap<JournalId, BTreeMap<Seq, Slot>>,
    /// Told about everything that is found, with the file's name.
    pub(crate) observer: Option<&'a mut Observer<'a>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: &'a Env, dir: &Path, store: StoreId, how: Open) -> Self {
        Self {
            env,
            dir: dir.to_owned(),
            store,
            how,
            recovered: Recovered::default(),
            spares: Vec::new(),
            bundles: BTreeMap::new(),
            observer: None,
        }
    }

    pub(crate) fn read(&mut self) -> Result<(State, Newest), WalError> {
        let mut candidates = self.candidates()?;
        let last_number = candidates.last().map_or(0, |candidate| candidate.number);
        // The newest segment with an intact beginning is the base; damage above it is damage to everything that
        // was open.
        let mut lost_tail = false;
        let (base, checkpoint) = loop {
            let Some(Candidate { file, name, life, .. }) = candidates.pop() else {
                let newest = self.recovered.problems.first();
                let why = newest.map_or_else(
                    || "none is in use".to_owned(),
                    |Problem { file, position, what }| format!("`{file}` at {position}: {what}"),
                );
                return Err(WalError::Unreadable { store: self.store, why });
            };
            if let Some(life) = life {
                let base = Base { file, name, life };
                match self.checkpoint(&base)? {
                    Some(checkpoint) => break (base, checkpoint),
                    None => self.problem(&base.name, PAGE, "its checkpoint is unreadable"),
                }
            } else {
                self.problem(&name, 0, "its header is unreadable");
            }
            lost_tail = true;
        };
        let mut state = State { lost_before: checkpoint.lost_before, ..State::default() };
        self.read_older(&mut state, &checkpoint, candidates)?;
        for entry in &checkpoint.journals {
            let journal = Journal {
                durable: true,
                sealed: entry.sealed,
                sealing: entry.sealed,
                last: entry.last,
                trimmed: entry.trimmed,
                damaged_from: entry.damaged_from,
                ..Journal::new(entry.meta.clone())
            };
            state.journals.insert(entry.journal, journal);
        }
        let end = self.read_base(&mut state, &base, lost_tail)?;
        self.recovered.torn = end.torn;
        let unvouched = end.last..end.end;
        let active = self.settle(&mut state, &base, end, lost_tail);
        Ok((state, Newest { life: base.life, file: base.file, unvouched, last_number, active }))
    }

    /// Files with segments' names, oldest first.
    fn candidates(&mut self) -> Result<Vec<Candidate>, WalError> {
        let names = self.env.disk.list(&self.dir).map_err(failed("list the log's directory"))?;
        let mut candidates = Vec::new();
        for name in names {
            let path = self.dir.join(&name);
            let open = |path: &Path| self.env.disk.open(path, self.how);
            if number_in(&name, "spare").is_some() {
                let file = open(&path).map_err(failed(format!("open `{name}`")))?;
                self.spares.push(Arc::new(SegmentFile { path, file }));
                continue;
            }
            let Some(number) = number_in(&name, "seg") else { continue };
            let file = open(&path).map_err(failed(format!("open `{name}`")))?;
            let header = read_header(&*file).map_err(failed(format!("read `{name}`")))?;
            let file = Arc::new(SegmentFile { path, file });
            let life = match header {
                Err(SegmentHeaderError::Newer(found)) => {
                    let supported = crate::format::FORMAT_VERSION;
                    return Err(WalError::NewerFormat { found, supported });
                }
                Ok(header) if header.store != self.store => {
                    return Err(WalError::ForeignSegment { file: name, found: header.store });
                }
                // It was being made ready for its next life when the process ended; nothing is in it yet.
                Ok(header) if header.number > number => {
                    self.spares.push(file);
                    continue;
                }
                Ok(header) if header.number == number => Some(header.life()),
                // The beginning is unreadable, or is another segment's.
                Ok(_) | Err(SegmentHeaderError::Damaged) => None,
            };
            candidates.push(Candidate { file, name, number, life });
        }
        Ok(candidates)
    }

    /// The checkpoint that a segment begins with, if it is intact.
    fn checkpoint(&self, candidate: &Base) -> Result<Option<Checkpoint>, WalError> {
        let read = || -> io::Result<Option<Checkpoint>> {
            let mut window = Window::new(Arc::clone(&candidate.file.file))?;
            let header_len = crate::format::RECORD_HEADER_BYTES;
            let Some(bytes) = window.bytes(PAGE, header_len)? else { return Ok(None) };
            let header = RecordHeader::decode(bytes, candidate.life, PAGE)
                .filter(|header| header.kind == RecordKind::Checkpoint);
            let Some(header) = header else { return Ok(None) };
            let payload = window.bytes(PAGE + header_len, u64::from(header.len))?;
            Ok(payload.filter(|payload| header.matches(payload)).and_then(Checkpoint::decode))
        };
        read().map_err(failed(format!("read `{}`", candidate.name)))
    }

    /// Collects the bundles of the segments that the checkpoint lists.
    fn read_older(
        &mut self,
        state: &mut State,
        checkpoint: &Checkpoint,
        candidates: Vec<Candidate>,
    ) -> Result<(), WalError> {
        let mut found: BTreeMap<u64, Candidate> =
            candidates.into_iter().map(|candidate| (candidate.number, candidate)).collect();
        for listed in &checkpoint.segments {
            // A listed segment without a file was recycled since; entries it should not have lost are noticed
            // when the checkpoint's promises are compared with what was found.
            let Some(Candidate { file, name, life, .. }) = found.remove(&listed.life.number) else {
                continue;
            };
            if life != Some(listed.life) {
                self.problem(&name, 0, "its header is unreadable or of another life");
                self.spares.push(file);
                continue;
            }
            let candidate = Base { file, name, life: listed.life };
            self.scan(&candidate, Some(listed.end), &mut |reader, item| {
                if let Found::Record { header, position, .. } = item
                    && header.kind == RecordKind::Bundle
                {
                    reader.note_bundle(&header, listed.life.number, position);
                }
            })?;
            let segment = Segment::found(candidate.file, listed.life, listed.end)
                .map_err(failed(format!("read `{}`", candidate.name)))?;
            state.segments.insert(listed.life.number, segment);
        }
        // What no checkpoint lists was given up; the rename to a spare did not last.
        self.spares.extend(found.into_values().map(|candidate| candidate.file));
        Ok(())
    }

    /// Reads the newest segment: its control records change the checkpoint's state.
    fn read_base(
        &mut self,
        state: &mut State,
        base: &Base,
        lost_tail: bool,
    ) -> Result<SegmentEnd, WalError> {
        let number = base.life.number;
        // Journals whose last entries may have been in an unreadable part, until a later entry shows otherwise.
        let mut suspects: BTreeSet<JournalId> = BTreeSet::new();
        let end = self.scan(base, None, &mut |reader, item| match item {
            Found::Record { header, position, payload } => {
                let journal = header.journal;
                match header.kind {
                    RecordKind::Bundle => {
                        reader.note_bundle(&header, number, position);
                        let entry = state.journals.entry(journal).or_insert_with(|| Journal {
                            damaged_from: Some(Seq(1)),
                            ..Journal::new(Bytes::new())
                        });
                        entry.durable = true;
                        if header.seq == entry.last.next() {
                            suspects.remove(&journal);
                        }
                        entry.last = entry.last.max(header.seq);
                    }
                    RecordKind::Open => {
                        let entry = state
                            .journals
                            .entry(journal)
                            .or_insert_with(|| Journal::new(payload.clone()));
                        entry.durable = true;
                        entry.meta = payload;
                    }
                    RecordKind::Seal => {
                        let entry = state
                            .journals
                            .entry(journal)
                            .or_insert_with(|| Journal::new(Bytes::new()));
                        (entry.durable, entry.sealed, entry.sealing) = (true, true, true);
                        // The seal names the last entry, so nothing of this journal is in doubt.
                        suspects.remove(&journal);
                        entry.last = entry.last.max(header.seq);
                    }
                    RecordKind::Trim => {
                        if let Some(entry) = state.journals.get_mut(&journal) {
                            entry.trimmed = entry.trimmed.max(header.seq.min(entry.last));
                        }
                    }
                    RecordKind::Drop => {
                        state.journals.remove(&journal);
                        suspects.remove(&journal);
                        reader.bundles.remove(&journal);
                    }
                    RecordKind::Pad | RecordKind::Checkpoint | RecordKind::Close => {}
                }
            }
            Found::BadPayload { header, .. } if header.kind == RecordKind::Bundle => {
                let entry = state
                    .journals
                    .entry(header.journal)
                    .or_insert_with(|| Journal::new(Bytes::new()));
                entry.durable = true;
                entry.last = entry.last.max(header.seq);
                suspects.remove(&header.journal);
            }
            Found::BadPayload { header, .. } if header.kind == RecordKind::Open => {
                let journal = Journal { durable: true, ..Journal::new(Bytes::new()) };
                state
                    .journals
                    .entry(header.journal)
                    .or_insert(Journal { damaged_from: Some(Seq(1)), ..journal });
            }
            Found::BadPayload { .. } | Found::Unreadable { .. } => {
                state.lost_before = Some(EVERY_JOURNAL);
                suspects.extend(state.journals.keys());
            }
        })?;
        if lost_tail {
            state.lost_before = Some(EVERY_JOURNAL);
            suspects.extend(state.journals.keys());
        }
        for journal in suspects {
            let entry = state.journals.get_mut(&journal).expect("dropped journals are no suspects");
            let from = entry.last.next();
            entry.damaged_from = Some(entry.damaged_from.map_or(from, |known| known.min(from)));
        }
        let segment = Segment::found(Arc::clone(&base.file), base.life, end.end)
            .map_err(failed(format!("read `{}`", base.name)))?;
        state.segments.insert(number, segment);
        Ok(end)
    }

    /// Brings bundles and journals together: an entry that should be there and is not is damage.
    fn settle(
        &mut self,
        state: &mut State,
        base: &Base,
        end: SegmentEnd,
        lost_tail: bool,
    ) -> Option<(Arc<SegmentFile>, SegmentLife, u64)> {
        let mut bundles = std::mem::take(&mut self.bundles);
        let mut lost = Vec::new();
        for (&id, journal) in &mut state.journals {
            let found = bundles.remove(&id).unwrap_or_default();
            let mut first_lost = None;
            let mut seq = journal.trimmed;
            while seq < journal.last {
                seq = seq.next();
                let slot = found.get(&seq).copied().unwrap_or(Slot::LOST);
                if slot.is_lost() {
                    first_lost.get_or_insert(seq);
                } else {
                    let segment = state.segments.get_mut(&slot.segment);
                    segment.expect("bundles come from segments in use").live += 1;
                }
                journal.slots.push_back(slot);
            }
            if let Some(from) = first_lost {
                lost.push((id, from));
                journal.damaged_from =
                    Some(journal.damaged_from.map_or(from, |known| known.min(from)));
            }
            journal.next = journal.last.next();
            journal.trim_wanted = journal.trimmed;
        }
        for (journal, from) in lost {
            let what = format!("journal {journal} has lost entry {from}");
            self.problem(&base.name, end.end, &what);
        }
        self.recovered.lost_before = state.lost_before;
        self.recovered.journals = state
            .journals
            .iter()
            .map(|(&id, journal)| RecoveredJournal {
                status: journal.status(id),
                meta: journal.meta.clone(),
            })
            .collect();
        // After damage the log goes on in a new segment, whose checkpoint keeps what is known of it.
        let sound = self.recovered.problems.is_empty() && !lost_tail;
        if sound {
            state.active = base.life.number;
        }
        sound.then(|| (Arc::clone(&base.file), base.life, end.end))
    }

    fn note_bundle(&mut self, header: &RecordHeader, segment: u64, position: u64) {
        let slot = Slot { segment, position: to_u32(position), len: header.len };
        self.bundles.entry(header.journal).or_default().insert(header.seq, slot);
    }

    fn scan(
        &mut self,
        candidate: &Base,
        known_end: Option<u64>,
        visit: &mut dyn FnMut(&mut Self, Found),
    ) -> Result<SegmentEnd, WalError> {
        let what = || format!("read `{}`", candidate.name);
        let mut window = Window::new(Arc::clone(&candidate.file.file)).map_err(failed(what()))?;
        let mut scanner = Scanner::new(&mut window, candidate.life);
        let end = scanner.scan(known_end, &mut |item| {
            match &item {
                Found::Record { .. } => {}
                Found::BadPayload { header, position } => {
                    let what = format!(
                        "the content of a {:?} record of journal {} is damaged",
                        header.kind, header.journal
                    );
                    self.problem(&candidate.name, *position, &what);
                }
                Found::Unreadable { from, to } => {
                    let what = format!("{} bytes hold no readable record", to - from);
                    self.problem(&candidate.name, *from, &what);
                }
            }
            if let Some(observer) = &mut self.observer {
                observer(&candidate.name, &item);
            }
            visit(self, item);
        });
        let end = end.map_err(failed(what()))?;
        self.recovered.scanned_bytes += window.fetched;
        Ok(end)
    }

    fn problem(&mut self, file: &str, position: u64, what: &str) {
        /// Enough to see what happened; a device that lost everything does not fill the memory with it.
        const PROBLEMS_MAX: usize = 1000;
        if self.recovered.problems.len() < PROBLEMS_MAX {
            self.recovered.problems.push(Problem {
                file: file.to_owned(),
                position,
                what: what.to_owned(),
            });
        }
    }
}

impl Recovered {
    /// Whether anything was not as it was written; a torn end is not counted.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.lost_before.is_some() || !self.problems.is_empty()
    }

    /// Durable entries in all journals.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        let entries =
            |journal: &RecoveredJournal| journal.status.last.get() - journal.status.trimmed.get();
        self.journals.iter().map(entries).sum()
    }
}
