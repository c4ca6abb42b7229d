//! The handle: what shards call.

use crate::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleView};
use crate::error::{AppendError, ReadError, WalFailure};
use crate::format::{
    JOURNAL_META_BYTES_MAX, PAGE, RECORD_HEADER_BYTES, RecordHeader, RecordKind, StoreIdentity,
    record_bytes,
};
use crate::num::{align_up, to_u64, to_usize};
use crate::options::WalOptions;
use crate::recover::Recovery;
use crate::segment::SegmentFile;
use crate::state::{Journal, Pending, State};
use crate::writer::Writer;
use bytes::Bytes;
use esker_env::{Doorbell, Env};
use esker_types::{Bug, JournalId, Seq, planted};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// Whether a journal takes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalState {
    /// It does.
    Open,
    /// It never will again.
    Sealed,
    /// The log has given it up.
    Dropped,
}

/// What is durable of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStatus {
    /// The journal.
    pub journal: JournalId,
    /// Open, sealed or gone.
    pub state: JournalState,
    /// Last durable entry; entries `trimmed + 1 ..= last` are here.
    pub last: Seq,
    /// Entries up to here were given up.
    pub trimmed: Seq,
    /// Entries from here on may be missing: nothing about the journal's end may be concluded from this log.
    pub damaged_from: Option<Seq>,
}

/// Told about durability by the log's thread, without any lock held. Calls are short: the device waits for them.
pub trait DurableSink: Send + Sync {
    /// One group commit is durable: the state of every journal it touched, once each.
    fn durable(&self, batch: &[JournalStatus]);

    /// Accepted entries from these on were not written and never will be: a seal or a drop overtook them, or
    /// the space ran out. The journals take the same sequence numbers again unless they are sealed.
    fn refused(&self, batch: &[(JournalId, Seq)]);

    /// There is space again after entries were refused for lack of it.
    fn room(&self) {}

    /// The log failed for good: nothing that was not reported durable may be counted on.
    fn failed(&self, failure: &WalFailure);

    /// A commit is about to be put together: what should be part of it is appended now. Called before every commit and
    /// after every ring, not before the log's thread has come to it, so that what arrives meanwhile joins.
    fn gather(&self) {}

    /// The log was closed in good order, and its directory may be opened again.
    fn closed(&self) {}
}

/// Counters since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalStats {
    /// Group commits.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written by them, with padding.
    pub bytes: u64,
    /// Nanoseconds spent writing.
    pub write_nanos: u64,
    /// Nanoseconds spent syncing.
    pub sync_nanos: u64,
    /// Entries read back, since the log was opened.
    pub entries_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
}

/// Space in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalSpace {
    /// The hard limit of all segments together.
    pub capacity: u64,
    /// Taken by segments that cannot be recycled yet, and by what is queued.
    pub used: u64,
    /// The log refuses entries at present.
    pub full: bool,
}

pub(crate) struct Shared {
    pub(crate) options: WalOptions,
    pub(crate) identity: StoreIdentity,
    pub(crate) state: Mutex<State>,
}

/// A log that has been recovered and does not run yet.
pub struct OpenedWal {
    env: Env,
    shared: Arc<Shared>,
    writer: Writer,
}

impl std::fmt::Debug for OpenedWal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedWal").field("identity", &self.shared.identity).finish_non_exhaustive()
    }
}

/// A running log. Clones are handles to the same one; it closes in good order when the last one is dropped.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    bell: Doorbell,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.bell.ring();
    }
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

impl OpenedWal {
    /// Opens the log in `dir`, creating it when there is none, and reads all of it. Blocks.
    ///
    /// # Errors
    /// [`crate::WalError`]; damage to entries is no error but part of [`crate::Recovered`].
    pub fn open(
        env: &Env,
        dir: &Path,
        cluster: esker_types::ClusterId,
        options: WalOptions,
    ) -> Result<(Self, crate::Recovered), crate::WalError> {
        options.check()?;
        let Recovery { identity, state, start, recovered } =
            crate::recover::open(env, dir, cluster, &options)?;
        let shared = Arc::new(Shared { options, identity, state: Mutex::new(state) });
        let writer = Writer::new(env, dir, Arc::clone(&shared), start);
        Ok((Self { env: env.clone(), shared, writer }, recovered))
    }

    /// The marker of the directory.
    #[must_use]
    pub fn identity(&self) -> StoreIdentity {
        self.shared.identity
    }

    /// Starts the log's thread. `sink` hears of durability from then on.
    #[must_use]
    pub fn start(self, sink: Arc<dyn DurableSink>) -> Wal {
        let Self { env, shared, mut writer } = self;
        writer.set_sink(sink);
        let bell = env.spawner.disk_loop("wal", Box::new(writer));
        Wal { inner: Arc::new(Handle { shared, bell }) }
    }
}

impl Wal {
    /// The marker of the directory.
    #[must_use]
    pub fn identity(&self) -> StoreIdentity {
        self.inner.shared.identity
    }

    /// Says that what this opening found damaged was written before `unborn` and all later journals were made, so that
    /// no later opening has to suspect them. What earlier ones found stays as it is.
    pub fn bound_lost_journals(&self, unborn: JournalId) {
        let mut state = self.inner.shared.state.lock();
        if state.lost_before == Some(crate::recover::EVERY_JOURNAL) {
            state.lost_before = Some(unborn);
        }
    }

    /// Begins a journal. `meta` is kept for [`crate::Recovered`], up to [`JOURNAL_META_BYTES_MAX`] bytes. Entries
    /// may be appended at once; the sink reports when the journal is durable.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was written.
    pub fn open_journal(&self, journal: JournalId, meta: Bytes) -> Result<(), AppendError> {
        self.submit(|state, options| {
            if meta.len() > JOURNAL_META_BYTES_MAX {
                let max = to_u64(JOURNAL_META_BYTES_MAX);
                return Err(AppendError::TooLarge { len: to_u64(meta.len()), max });
            }
            if state.journals.contains_key(&journal) {
                return Err(AppendError::JournalExists);
            }
            let entry = Journal::new(meta.clone());
            // A checkpoint of all journals has to fit a fraction of a segment.
            if state.checkpoint_bytes() + entry.checkpoint_bytes() > options.journals_bytes_max() {
                return Err(AppendError::Full);
            }
            state.journals.insert(journal, entry);
            state.queue.push_back(Pending::Open(journal, meta));
            Ok(())
        })
    }

    /// Appends the next entry of its journal.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was written.
    pub fn append(&self, bundle: Bundle) -> Result<(), AppendError> {
        self.submit(|state, options| state.queue_bundle(bundle, options, false))
    }

    /// Appends an entry to a sealed journal that a rescuer brings from another sealed store: the next one after
    /// those that are here. The journal stays sealed.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was written. [`AppendError::OutOfSequence`] also while the seal is not durable.
    pub fn append_copy(&self, bundle: Bundle) -> Result<(), AppendError> {
        self.submit(|state, options| {
            let journal = bundle.journal();
            state.queue_bundle(bundle, options, true)?;
            // The last record about a sealed journal is always a seal that names its last entry: whatever is
            // damaged before it, the journal comes back sealed.
            state.queue.push_back(Pending::Seal(journal));
            Ok(())
        })
    }

    /// Seals a journal before anything else that waits. Its entries that are still queued are refused. A journal
    /// that the log does not know comes into being sealed and empty. Sealing again reports again.
    ///
    /// # Errors
    /// [`AppendError::UnknownJournal`] while the journal is being dropped, [`AppendError::Failed`],
    /// [`AppendError::Closed`].
    pub fn seal(&self, journal: JournalId) -> Result<(), AppendError> {
        self.submit(|state, options| {
            if state.checkpoint_bytes() > options.sealed_journals_bytes_max() {
                return Err(AppendError::Full);
            }
            let entry = state.journals.entry(journal).or_insert_with(|| Journal::new(Bytes::new()));
            if entry.dropping {
                return Err(AppendError::UnknownJournal);
            }
            entry.sealing = true;
            state.overtake(journal);
            state.urgent.push_back(Pending::Seal(journal));
            Ok(())
        })
    }

    /// Gives up the entries up to `upto`. Reads stop finding them at once; space follows when this is durable.
    /// Unknown journals and entries given up before are ignored; entries that are not durable yet are kept.
    ///
    /// # Errors
    /// [`AppendError::Failed`], [`AppendError::Closed`].
    pub fn trim(&self, journal: JournalId, upto: Seq) -> Result<(), AppendError> {
        self.submit(|state, _| {
            if let Some(entry) = state.journals.get_mut(&journal) {
                let upto = upto.min(entry.last);
                if upto > entry.trim_wanted && !entry.dropping {
                    entry.trim_wanted = upto;
                    state.queue.push_back(Pending::Trim(journal, upto));
                }
            }
            Ok(())
        })
    }

    /// Gives up a journal with all its entries and its seal. Unknown journals are ignored.
    ///
    /// # Errors
    /// [`AppendError::Failed`], [`AppendError::Closed`].
    pub fn drop_journal(&self, journal: JournalId) -> Result<(), AppendError> {
        self.submit(|state, _| {
            if let Some(entry) = state.journals.get_mut(&journal)
                && !entry.dropping
            {
                entry.dropping = true;
                entry.trim_wanted = Seq(u64::MAX);
                state.overtake(journal);
                state.urgent.retain(|record| record.journal() != journal);
                state.queue.push_back(Pending::Drop(journal));
            }
            Ok(())
        })
    }

    /// Reads a durable entry from the device and checks it. `None` when it was trimmed, dropped, or is not
    /// durable (yet). Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_bundle(&self, journal: JournalId, seq: Seq) -> Result<Option<Bytes>, ReadError> {
        let place = {
            let state = &mut *self.inner.shared.state.lock();
            let Some(place) = place_in(state, journal, seq)? else { return Ok(None) };
            state.stats.entries_read += 1;
            state.stats.bytes_read += place.len;
            place
        };
        let read = place.read(place.len);
        self.judge(
            journal,
            seq,
            &place,
            read.map(|(header, payload)| {
                let fits = |header: &RecordHeader| {
                    header.matches(&payload) || planted(Bug::WalChecksumSkipped)
                };
                header.filter(fits).map(|_| payload)
            }),
        )
    }

    /// Reads only the header, the directory and the extensions of a durable entry, for
    /// [`BundleView::parse_head`]. Their checksum is not checked, their structure is. Blocks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_head(&self, journal: JournalId, seq: Seq) -> Result<Option<BundleView>, ReadError> {
        /// Enough for the directory of most bundles.
        const FIRST_READ_BYTES: u64 = 16 << 10;
        let Some(place) = self.place(journal, seq)? else { return Ok(None) };
        let mut len = place.len.min(FIRST_READ_BYTES);
        loop {
            let view = place
                .read(len)
                .map(|(header, payload)| header.and_then(|_| BundleView::parse_head(payload).ok()));
            let cut_short = len < place.len && matches!(view, Ok(None));
            if !cut_short {
                return self.judge(journal, seq, &place, view);
            }
            len = place.len;
        }
    }

    fn place(&self, journal: JournalId, seq: Seq) -> Result<Option<Place>, ReadError> {
        place_in(&self.inner.shared.state.lock(), journal, seq)
    }

    /// Unreadable content is no error when the entry was trimmed meanwhile: its segment has begun another life.
    fn judge<T>(
        &self,
        journal: JournalId,
        seq: Seq,
        place: &Place,
        read: std::io::Result<Option<T>>,
    ) -> Result<Option<T>, ReadError> {
        if let Ok(Some(content)) = read {
            return Ok(Some(content));
        }
        if self.place(journal, seq)?.is_none() {
            return Ok(None);
        }
        read?;
        Err(ReadError::Corrupt { seq, segment: place.life.number, position: place.position })
    }

    /// What is durable of a journal; `None` when the log does not know it or nothing of it is durable yet.
    #[must_use]
    pub fn status(&self, journal: JournalId) -> Option<JournalStatus> {
        let state = self.inner.shared.state.lock();
        let entry =
            state.journals.get(&journal).filter(|entry| entry.durable && !entry.dropping)?;
        Some(entry.status(journal))
    }

    /// Length of the longest bundle that fits a segment.
    #[must_use]
    pub fn bundle_bytes_max(&self) -> usize {
        let options = &self.inner.shared.options;
        let most = options.record_bytes_max() - record_bytes(0);
        to_usize(most).min(BUNDLE_BYTES_MAX)
    }

    /// Space at this moment.
    #[must_use]
    pub fn space(&self) -> WalSpace {
        let state = self.inner.shared.state.lock();
        let options = &self.inner.shared.options;
        WalSpace {
            capacity: options.capacity_bytes,
            used: state.used_bytes(),
            full: state.full || !state.has_room(PAGE, options),
        }
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        self.inner.shared.state.lock().stats
    }

    /// Writes what is queued, marks the end as good and lets go of the directory; [`DurableSink::closed`] follows.
    /// Later calls are answered [`AppendError::Closed`].
    pub fn close(&self) {
        self.inner.shared.state.lock().closing = true;
        self.inner.bell.ring();
    }

    /// Has the log's thread ask for more ([`DurableSink::gather`]) as soon as it is free.
    pub fn ring(&self) {
        self.inner.bell.ring();
    }

    fn submit(
        &self,
        change: impl FnOnce(&mut State, &WalOptions) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let outcome = {
            let mut state = self.inner.shared.state.lock();
            if let Some(failure) = &state.failed {
                return Err(AppendError::Failed(failure.clone()));
            }
            if state.closing {
                return Err(AppendError::Closed);
            }
            change(&mut state, &self.inner.shared.options)
        };
        if outcome.is_ok() {
            self.inner.bell.ring();
        }
        outcome
    }
}

struct Place {
    file: Arc<SegmentFile>,
    life: crate::format::SegmentLife,
    position: u64,
    len: u64,
    journal: JournalId,
    seq: Seq,
}

/// Where the log has an entry.
fn place_in(state: &State, journal: JournalId, seq: Seq) -> Result<Option<Place>, ReadError> {
    let Some(slot) = state.journals.get(&journal).and_then(|entry| entry.slot(seq)) else {
        return Ok(None);
    };
    if slot.is_lost() {
        return Err(ReadError::Lost { seq });
    }
    let segment = &state.segments[&slot.segment];
    Ok(Some(Place {
        file: Arc::clone(&segment.file),
        life: segment.life,
        position: u64::from(slot.position),
        len: u64::from(slot.len),
        journal,
        seq,
    }))
}

impl Place {
    /// The record's header, if it is the expected one, and the first `len` bytes of its payload.
    fn read(&self, len: u64) -> std::io::Result<(Option<RecordHeader>, Bytes)> {
        let bytes = self.file.read(self.position, RECORD_HEADER_BYTES + len)?;
        let header = RecordHeader::decode(&bytes, self.life, self.position).filter(|header| {
            header.kind == RecordKind::Bundle
                && (header.journal, header.seq) == (self.journal, self.seq)
                && u64::from(header.len) == self.len
        });
        Ok((header, bytes.slice(to_usize(RECORD_HEADER_BYTES)..)))
    }
}

impl State {
    /// Queues an entry: of an open journal, or (`copy`) of one whose seal is durable.
    fn queue_bundle(
        &mut self,
        bundle: Bundle,
        options: &WalOptions,
        copy: bool,
    ) -> Result<(), AppendError> {
        let (journal, seq) = (bundle.journal(), bundle.seq());
        let record = Pending::Bundle(bundle);
        let (len, max) = (record.bytes(), options.record_bytes_max());
        if len > max {
            return Err(AppendError::TooLarge { len, max });
        }
        let has_room = self.has_room(len, options);
        let entry = self
            .journals
            .get_mut(&journal)
            .filter(|entry| !entry.dropping)
            .ok_or(AppendError::UnknownJournal)?;
        if entry.sealing && !copy {
            return Err(AppendError::Sealed);
        }
        if let Some(from) = entry.damaged_from {
            return Err(AppendError::Damaged { from });
        }
        if self.refused.contains_key(&journal) && !planted(Bug::WalRefusalNotAwaited) {
            // The owner has not been told yet that entries before this one were refused.
            return Err(AppendError::Full);
        }
        if seq != entry.next || (copy && !entry.sealed) {
            return Err(AppendError::OutOfSequence { expected: entry.next });
        }
        if !has_room {
            return Err(AppendError::Full);
        }
        entry.next = seq.next();
        self.queued_bytes += len;
        self.queue.push_back(record);
        Ok(())
    }

    /// Bytes of segments that hold something, and of what waits to be written.
    pub(crate) fn used_bytes(&self) -> u64 {
        let closed: u64 = self
            .segments
            .iter()
            .filter(|(number, segment)| **number != self.active && segment.live > 0)
            .map(|(_, segment)| segment.bytes)
            .sum();
        let active = self.segments.get(&self.active).map_or(0, |segment| segment.end);
        closed + active + self.queued_bytes
    }

    /// Whether a bundle of `len` bytes can be promised a place. One segment is kept for control records, which
    /// are what frees space.
    pub(crate) fn has_room(&self, len: u64, options: &WalOptions) -> bool {
        let usable = to_u64(options.segments_max() - 1) * options.segment_bytes;
        !self.full && self.used_bytes() + align_up(len, PAGE) <= usable
    }
}
