//! The log's thread: group commit without linger.
//!
//! Each step does one durable action: write, sync, rename, …. A commit takes what waits (up to 4 MiB or 1024
//! records), is written by one aligned write, synced, and then published. While one commit is on its way the next
//! one gathers, so the device's latency decides the size of commits, not a timer.
//!
//! # Failure
//! After a failed write or sync nothing is retried and nothing more is written: the kernel may have dropped the
//! pages, so a later success proves nothing.
//!
//! # Lack of space
//! Bytes of a segment are written with zeros before a commit goes there, so a commit itself never needs new space
//! from the file system. Where growing a segment or making one fails for lack of space, nothing of the commit has
//! been written: its entries are refused, its control records wait. The log's thread looks again from time to time, for
//! nobody rings when others give space back, and says so when there is some.

use crate::encode::{CommitEncoder, segment_beginning};
use crate::error::WalFailure;
use crate::format::{CommitSpan, PAGE, SegmentHeader, SegmentLife};
use crate::num::{align_down, align_up, to_u64, to_usize};
use crate::recover::Start;
use crate::segment::{SegmentFile, number_in, segment_name, spare_name};
use crate::state::{Pending, Segment, State};
use crate::wal::{DurableSink, JournalState, JournalStatus, Shared};
use esker_env::AlignedBuffer;
use esker_env::{DiskLock, DiskLoop, Env, LoopState, Open};
use esker_types::{Bug, JournalId, MonoTime, Seq, planted};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most records in a commit.
const COMMIT_RECORDS_MAX: usize = 1024;
/// Most bytes in a commit, unless one record alone is longer.
const COMMIT_BYTES_MAX: u64 = 4 << 20;
/// Bytes of zeros that are written at once where a commit waits for them, or soon will.
const FILL_BYTES: u64 = 1 << 20;
/// Bytes of zeros that are written at once where there is time: the next commit waits for no more than that.
const FILL_BYTES_AT_EASE: u64 = 128 << 10;
/// With so many bytes of zeros ahead there is time.
const AHEAD_BYTES: u64 = 16 << 20;
/// Write buffers beyond this are given back after use.
const BUFFER_BYTES_KEPT: usize = 8 << 20;
/// This part of all segments that there may be is kept as files for their next life, and two at least: a flush may free several
/// at once, and what comes next would have to wait until new ones are made and filled with zeros.
const SPARES_SHARE: usize = 4;
const SPARES_KEPT_MIN: usize = 2;

/// The segment that is written.
struct Active {
    file: Arc<SegmentFile>,
    life: SegmentLife,
    /// Where the next commit goes.
    position: u64,
    /// Length of the file: up to here its bytes exist on the device.
    filled: u64,
}

/// A log without space looks this often whether there is some again.
const FULL_WAIT: Duration = Duration::from_millis(250);

/// A file without content of ours.
struct Spare {
    file: Arc<SegmentFile>,
    filled: u64,
}

/// What the next step does.
enum Phase {
    Gather,
    /// The commit has been written.
    Sync {
        records: Vec<(Pending, u64)>,
        end: u64,
    },
    /// A segment is being made ready.
    Begin {
        file: Arc<SegmentFile>,
        life: SegmentLife,
        end: u64,
        filled: u64,
        done: Begun,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Written,
    Synced,
    Renamed,
}

/// How an attempt at new space ended.
enum Space {
    Got,
    None,
}

pub(crate) struct Writer {
    env: Env,
    dir: PathBuf,
    shared: Arc<Shared>,
    sink: Option<Arc<dyn DurableSink>>,
    lock: Option<Box<dyn DiskLock>>,
    active: Option<Active>,
    spares: Vec<Spare>,
    last_number: u64,
    last_nonce: u64,
    /// Largest number that a spare's name has.
    spare_number: u64,
    commit_id: u64,
    buffer: AlignedBuffer,
    zeros: AlignedBuffer,
    phase: Phase,
    /// Records taken from the queue and not written yet.
    batch: Vec<Pending>,
    /// A Close record is the last thing in the log.
    ended_well: bool,
    /// The file system had no space when zeros were last written ahead; until the next segment.
    prefill_paused: bool,
    /// Time has passed, or somebody called, since entries were last refused: whoever comes again at once may need more
    /// than a look for space finds, and would be refused again without end.
    rested: bool,
}

impl Writer {
    pub(crate) fn new(env: &Env, dir: &Path, shared: Arc<Shared>, start: Start) -> Self {
        let len_of = |file: &SegmentFile| align_down(file.file.len().unwrap_or(0), PAGE);
        let active = start.active.map(|(file, life, position)| {
            let filled = len_of(&file);
            Active { file, life, position, filled }
        });
        let spares: Vec<_> =
            start.spares.into_iter().map(|file| Spare { filled: len_of(&file), file }).collect();
        let number_of = |spare: &Spare| {
            let name = spare.file.path.file_name()?.to_str()?;
            number_in(name, "spare")
        };
        let spare_number = spares.iter().filter_map(number_of).max().unwrap_or(0);
        Self {
            env: env.clone(),
            dir: dir.to_owned(),
            shared,
            sink: None,
            lock: Some(start.lock),
            active,
            spares,
            last_number: start.last_number,
            last_nonce: start.last_nonce,
            spare_number,
            commit_id: env.entropy.next_u64(),
            buffer: AlignedBuffer::default(),
            zeros: AlignedBuffer::default(),
            phase: Phase::Gather,
            batch: Vec::new(),
            ended_well: false,
            prefill_paused: false,
            rested: false,
        }
    }

    pub(crate) fn set_sink(&mut self, sink: Arc<dyn DurableSink>) {
        self.sink = Some(sink);
    }

    fn sink(&self) -> &dyn DurableSink {
        &**self.sink.as_ref().expect("the writer is started with a sink")
    }

    fn act(&mut self) -> Result<LoopState, WalFailure> {
        match std::mem::replace(&mut self.phase, Phase::Gather) {
            Phase::Gather => self.gather(),
            Phase::Sync { records, end } => {
                self.sync(records, end)?;
                Ok(LoopState::Busy)
            }
            Phase::Begin { file, life, end, filled, done } => {
                self.begin(file, life, end, filled, done)?;
                Ok(LoopState::Busy)
            }
        }
    }

    fn gather(&mut self) -> Result<LoopState, WalFailure> {
        // Also where control records wait for space: what would wait behind them has to hear that there is none.
        if !self.batch.iter().any(Pending::is_bundle) {
            self.sink().gather();
        }
        let refused = {
            let mut state = self.shared.state.lock();
            if self.batch.is_empty() {
                take_batch(&mut state, &mut self.batch);
            }
            if self.batch.is_empty() && state.closing && !self.ended_well {
                self.batch.push(Pending::Close);
            }
            state.refused.iter().map(|(journal, from)| (*journal, *from)).collect::<Vec<_>>()
        };
        if !refused.is_empty() {
            self.sink().refused(&refused);
            // Only now: until its owner knows, a journal takes no entry, so that none has come meanwhile.
            let mut state = self.shared.state.lock();
            for (journal, from) in refused {
                let told = state.refused.remove(&journal);
                assert_eq!(told, Some(from), "refusals of {journal:?}");
            }
        }
        if self.batch.is_empty() {
            return if self.ended_well { Ok(self.finish()) } else { self.tidy() };
        }
        let fitting = self.active.as_ref().map_or(0, |active| {
            let room = self.shared.options.segment_bytes.saturating_sub(active.position);
            fitting(&self.batch, room)
        });
        if fitting == 0 {
            return self.roll();
        }
        let len = commit_len(&self.batch[..fitting]);
        let filled =
            self.active.as_ref().is_some_and(|active| active.position + len <= active.filled);
        if filled {
            self.write(fitting, len)?;
        } else if let Space::None = self.fill_active(len)? {
            return Ok(self.refuse());
        }
        Ok(LoopState::Busy)
    }

    /// Encodes and writes the first `count` records of the batch as one commit of `len` bytes.
    fn write(&mut self, count: usize, len: u64) -> Result<(), WalFailure> {
        let active = self.active.as_ref().expect("the caller found room in it");
        if planted(Bug::WalAckBeforeSync) {
            active.file.file.sync_data().map_err(failure("sync", &active.file.path))?;
        }
        if to_u64(self.buffer.capacity()) < len {
            self.buffer = AlignedBuffer::with_capacity(to_usize(len));
        }
        let start = active.position;
        self.commit_id = self.commit_id.wrapping_add(1);
        let span = CommitSpan { id: self.commit_id, start, end: start + len };
        let bytes = self.buffer.bytes_mut(to_usize(len));
        let mut encoder = CommitEncoder::new(bytes, active.life, span);
        // Entries of this very commit count as well: a seal goes before the entries that it overtakes.
        let mut lasts: BTreeMap<JournalId, Seq> = {
            let state = self.shared.state.lock();
            let known = |journal: &JournalId| state.journals.get(journal).map(|known| known.last);
            let sealed = self.batch[..count].iter().filter(|r| matches!(r, Pending::Seal(_)));
            sealed.map(Pending::journal).filter_map(|id| Some((id, known(&id)?))).collect()
        };
        let mut records = Vec::with_capacity(count);
        for record in self.batch.drain(..count) {
            let journal = record.journal();
            if let (Pending::Bundle(bundle), Some(last)) = (&record, lasts.get_mut(&journal)) {
                *last = bundle.seq();
            }
            let last = lasts.get(&journal).copied().unwrap_or_default();
            let position = encoder.push(&record, last);
            records.push((record, position));
        }
        encoder.finish();
        let began = self.env.clock.now();
        let written = active.file.file.write_all_at(self.buffer.bytes(to_usize(len)), start);
        written.map_err(failure("write", &active.file.path))?;
        let nanos = self.nanos_since(began);
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = AlignedBuffer::default();
        }
        {
            let mut state = self.shared.state.lock();
            state.stats.commits += 1;
            state.stats.records += to_u64(records.len());
            state.stats.bytes += len;
            state.stats.write_nanos += nanos;
        }
        self.phase = Phase::Sync { records, end: start + len };
        Ok(())
    }

    /// Syncs the commit that was written, and publishes it.
    fn sync(&mut self, records: Vec<(Pending, u64)>, end: u64) -> Result<(), WalFailure> {
        let began = self.env.clock.now();
        let active = self.active.as_mut().expect("a commit was written to it");
        if !planted(Bug::WalSyncMissing) && !planted(Bug::WalAckBeforeSync) {
            let mut synced = active.file.file.sync_data();
            if synced.is_err() && planted(Bug::WalSyncRetried) {
                synced = active.file.file.sync_data();
            }
            synced.map_err(failure("sync", &active.file.path))?;
        }
        active.position = end;
        let number = active.life.number;
        let nanos = self.nanos_since(began);
        self.ended_well = matches!(records.last(), Some((Pending::Close, _)));
        let mut touched: BTreeMap<JournalId, JournalStatus> = BTreeMap::new();
        {
            let mut state = self.shared.state.lock();
            state.stats.sync_nanos += nanos;
            state.segments.get_mut(&number).expect("the active segment is known").end = end;
            for (record, position) in records {
                let journal = record.journal();
                let dropped = matches!(record, Pending::Drop(_));
                let close = matches!(record, Pending::Close);
                let before = state.journals.get(&journal).map(|known| known.status(journal));
                state.apply(record, number, position);
                let after = state.journals.get(&journal).map(|known| known.status(journal));
                let gone = before
                    .filter(|_| dropped)
                    .map(|status| JournalStatus { state: JournalState::Dropped, ..status });
                if let Some(status) = after.or(gone).filter(|_| !close) {
                    touched.insert(journal, status);
                }
            }
        }
        let batch: Vec<_> = touched.into_values().collect();
        if !batch.is_empty() {
            self.sink().durable(&batch);
        }
        Ok(())
    }

    /// Starts a new segment: takes or makes a file, writes its header and checkpoint.
    fn roll(&mut self) -> Result<LoopState, WalFailure> {
        let (live_bytes, checkpoint) = {
            let state = self.shared.state.lock();
            (state.live_bytes(), state.checkpoint())
        };
        // The last segment is for control records: they are what frees space. They find one also where an earlier start
        // had a larger capacity and left more behind than there may be now.
        let bundles = self.batch.iter().any(Pending::is_bundle);
        if bundles && !self.shared.options.allows(live_bytes, 2) {
            return Ok(self.refuse());
        }
        if self.recycle()? {
            return Ok(LoopState::Busy);
        }
        if self.spares.is_empty() {
            return match self.make_spare()? {
                Space::Got => Ok(LoopState::Busy),
                Space::None => Ok(self.refuse()),
            };
        }
        let options = &self.shared.options;
        let header = SegmentHeader {
            store: self.shared.identity.store,
            number: self.last_number + 1,
            nonce: self.env.entropy.next_u64(),
            previous_nonce: self.last_nonce,
            segment_bytes: options.segment_bytes,
        };
        self.commit_id = self.commit_id.wrapping_add(1);
        let (beginning, len) = segment_beginning(&header, &checkpoint, self.commit_id);
        let mut spare = self.spares.pop().expect("looked at above");
        let target = align_up(to_u64(len), FILL_BYTES).min(options.segment_bytes);
        if spare.filled < target {
            let grown = self.grow(&spare.file, spare.filled, target)?;
            let full = matches!(grown, Space::None);
            if !full {
                spare.filled = target;
            }
            self.spares.push(spare);
            return Ok(if full { self.refuse() } else { LoopState::Busy });
        }
        let written = spare.file.file.write_all_at(beginning.bytes(len), 0);
        written.map_err(failure("begin segment", &spare.file.path))?;
        self.phase = Phase::Begin {
            file: spare.file,
            life: header.life(),
            end: to_u64(len),
            filled: spare.filled,
            done: Begun::Written,
        };
        Ok(LoopState::Busy)
    }

    /// Continues a new segment's beginning: sync, rename, sync of the name; then it is the active one.
    fn begin(
        &mut self,
        file: Arc<SegmentFile>,
        life: SegmentLife,
        end: u64,
        filled: u64,
        done: Begun,
    ) -> Result<(), WalFailure> {
        let path = self.dir.join(segment_name(life.number));
        match done {
            Begun::Written => {
                file.file.sync_data().map_err(failure("sync new segment", &file.path))?;
                self.phase = Phase::Begin { file, life, end, filled, done: Begun::Synced };
            }
            Begun::Synced => {
                let renamed = self.env.disk.rename(&file.path, &path);
                renamed.map_err(failure("name segment", &path))?;
                let file = Arc::new(SegmentFile { path, file: Arc::clone(&file.file) });
                self.phase = Phase::Begin { file, life, end, filled, done: Begun::Renamed };
            }
            Begun::Renamed => {
                if !planted(Bug::WalNameNotSynced) {
                    let synced = self.env.disk.sync_dir(&self.dir);
                    synced.map_err(failure("sync directory", &self.dir))?;
                }
                let mut state = self.shared.state.lock();
                let bytes = filled.max(self.shared.options.segment_bytes);
                let segment = Segment { file: Arc::clone(&file), life, end, bytes, live: 0 };
                state.segments.insert(life.number, segment);
                state.active = life.number;
                drop(state);
                self.has_space();
                (self.last_number, self.last_nonce) = (life.number, life.nonce);
                self.active = Some(Active { file, life, position: end, filled });
                self.prefill_paused = false;
            }
        }
        Ok(())
    }

    /// Makes sure that `len` bytes at the active segment's position exist on the device.
    fn fill_active(&mut self, len: u64) -> Result<Space, WalFailure> {
        let active = self.active.as_ref().expect("the caller found room in it");
        let needed = active.position + len;
        if needed <= active.filled {
            return Ok(Space::Got);
        }
        let target = align_up(needed, FILL_BYTES).min(self.shared.options.segment_bytes);
        let (file, filled) = (Arc::clone(&active.file), active.filled);
        let grown = self.grow(&file, filled, target)?;
        if let (Space::Got, Some(active)) = (&grown, &mut self.active) {
            active.filled = target;
        }
        Ok(grown)
    }

    /// Writes zeros from `from` to `to`.
    fn grow(&mut self, file: &SegmentFile, from: u64, to: u64) -> Result<Space, WalFailure> {
        if self.zeros.capacity() == 0 {
            self.zeros = AlignedBuffer::with_capacity(to_usize(FILL_BYTES));
        }
        let mut position = from;
        while position < to {
            let len = FILL_BYTES.min(to - position);
            match file.file.write_all_at(self.zeros.bytes(to_usize(len)), position) {
                Ok(()) => position += len,
                Err(error) if is_full(&error) => return Ok(Space::None),
                Err(error) => return Err(failure("grow segment", &file.path)(error)),
            }
        }
        Ok(Space::Got)
    }

    /// Creates an empty file for a segment.
    fn make_spare(&mut self) -> Result<Space, WalFailure> {
        self.spare_number += 1;
        let path = self.dir.join(spare_name(self.spare_number));
        let opened = self
            .env
            .disk
            .open(&path, Open::CreateNew)
            .and_then(|_created| self.env.disk.open(&path, Open::WriteDirect));
        match opened {
            Ok(file) => {
                let file = Arc::new(SegmentFile { path, file });
                self.spares.push(Spare { file, filled: 0 });
                Ok(Space::Got)
            }
            Err(error) if is_full(&error) => Ok(Space::None),
            Err(error) => Err(failure("create segment", &path)(error)),
        }
    }

    /// Turns a segment that nothing needs into a spare; whether there was one.
    fn recycle(&mut self) -> Result<bool, WalFailure> {
        let dead = {
            let mut state = self.shared.state.lock();
            let number = state.dead_segment();
            number.and_then(|number| state.segments.remove(&number))
        };
        let Some(segment) = dead else { return Ok(false) };
        let len =
            segment.file.file.len().map_err(failure("recycle segment", &segment.file.path))?;
        let filled = align_down(len, PAGE);
        let too_long = filled > self.shared.options.segment_bytes;
        if too_long || self.spares.len() >= self.spares_max() {
            let removed = self.env.disk.remove(&segment.file.path);
            removed.map_err(failure("remove segment", &segment.file.path))?;
        } else {
            self.spare_number += 1;
            let path = self.dir.join(spare_name(self.spare_number));
            let renamed = self.env.disk.rename(&segment.file.path, &path);
            renamed.map_err(failure("recycle segment", &segment.file.path))?;
            let file = Arc::new(SegmentFile { path, file: Arc::clone(&segment.file.file) });
            self.spares.push(Spare { file, filled });
        }
        self.has_space();
        Ok(true)
    }

    /// Who was refused may come again.
    fn has_space(&self) {
        if std::mem::take(&mut self.shared.state.lock().full) {
            self.sink().room();
        }
    }

    /// Spares that are kept.
    fn spares_max(&self) -> usize {
        (self.shared.options.segments_max() / SPARES_SHARE).max(SPARES_KEPT_MIN)
    }

    /// Removes a spare that an earlier start left and that is one too many now, or too long; whether there was one.
    fn shed(&mut self) -> Result<bool, WalFailure> {
        let segment_bytes = self.shared.options.segment_bytes;
        let surplus = (self.spares.len() > self.spares_max()).then_some(0);
        let too_long = || self.spares.iter().position(|spare| spare.filled > segment_bytes);
        let Some(index) = surplus.or_else(too_long) else { return Ok(false) };
        let Spare { file, .. } = self.spares.swap_remove(index);
        self.env.disk.remove(&file.path).map_err(failure("remove spare segment", &file.path))?;
        Ok(true)
    }

    /// There is no space for what waits: entries are refused, control records stay.
    fn refuse(&mut self) -> LoopState {
        let mut state = self.shared.state.lock();
        let first_time = !state.full;
        state.full = true;
        self.rested = false;
        let mut control = Vec::new();
        for record in self.batch.drain(..) {
            if let Pending::Bundle(bundle) = &record {
                state.queued_bytes -= record.bytes();
                state.refuse(bundle.journal(), bundle.seq());
            } else {
                control.push(record);
            }
        }
        state.refuse_bundles();
        if state.closing {
            // Nobody waits for them, and the log has to end.
            control.clear();
            self.ended_well = true;
        }
        let more = !state.refused.is_empty() || (first_time && !control.is_empty());
        self.batch = control;
        // Control records alone may still find the segment that is kept for them.
        if more || self.ended_well { LoopState::Busy } else { LoopState::Rest(FULL_WAIT) }
    }

    /// Idle work, one action a step: recycling, a look for space that has returned, zeros ahead of use.
    fn tidy(&mut self) -> Result<LoopState, WalFailure> {
        if self.recycle()? || self.shed()? {
            return Ok(LoopState::Busy);
        }
        if self.shared.state.lock().full {
            if !std::mem::replace(&mut self.rested, true) {
                return Ok(LoopState::Rest(FULL_WAIT));
            }
            if let Space::None = self.look_for_space()? {
                return Ok(LoopState::Rest(FULL_WAIT));
            }
            self.has_space();
            return Ok(LoopState::Busy);
        }
        if !self.shared.options.prefill || self.prefill_paused {
            return Ok(LoopState::Idle);
        }
        let segment_bytes = self.shared.options.segment_bytes;
        let Some(active) = &self.active else { return Ok(LoopState::Idle) };
        if active.filled < segment_bytes {
            let (file, filled) = (Arc::clone(&active.file), active.filled);
            let ahead = filled.saturating_sub(active.position);
            let target = (filled + fill_step(ahead)).min(segment_bytes);
            if let Space::None = self.grow(&file, filled, target)? {
                self.prefill_paused = true;
            } else if let Some(active) = &mut self.active {
                active.filled = target;
            }
            return Ok(LoopState::Busy);
        }
        let half_used = active.position > segment_bytes / 2;
        let ahead = segment_bytes.saturating_sub(active.position);
        let Some(index) = self.spares.iter().position(|spare| spare.filled < segment_bytes) else {
            let wanted = half_used && self.spares.is_empty();
            let taken = self.shared.state.lock().segments.values().map(|it| it.bytes).sum();
            if !wanted || !self.shared.options.allows(taken, 1) {
                return Ok(LoopState::Idle);
            }
            if let Space::None = self.make_spare()? {
                self.prefill_paused = true;
            }
            return Ok(LoopState::Busy);
        };
        let (file, filled) = (Arc::clone(&self.spares[index].file), self.spares[index].filled);
        let target = (filled + fill_step(ahead)).min(segment_bytes);
        if let Space::None = self.grow(&file, filled, target)? {
            self.prefill_paused = true;
        } else {
            self.spares[index].filled = target;
        }
        Ok(LoopState::Busy)
    }

    /// Tries to get what the next entries need.
    fn look_for_space(&mut self) -> Result<Space, WalFailure> {
        let segment_bytes = self.shared.options.segment_bytes;
        let live_bytes = self.shared.state.lock().live_bytes();
        if !self.shared.options.allows(live_bytes, 2) {
            return Ok(Space::None);
        }
        if let Some(active) = &self.active {
            let ahead = (align_up(active.position, FILL_BYTES) + FILL_BYTES).min(segment_bytes);
            if active.filled < ahead {
                let len = ahead - active.position;
                return self.fill_active(len);
            }
        }
        if self.spares.is_empty()
            && let Space::None = self.make_spare()?
        {
            return Ok(Space::None);
        }
        let mut spare = self.spares.pop().expect("there is one by now");
        let target = FILL_BYTES.min(segment_bytes);
        let mut grown = Space::Got;
        if spare.filled < target {
            grown = self.grow(&spare.file, spare.filled, target)?;
            if let Space::Got = grown {
                spare.filled = target;
            }
        }
        self.spares.push(spare);
        Ok(grown)
    }

    fn finish(&mut self) -> LoopState {
        self.lock = None;
        self.sink().closed();
        LoopState::Finished
    }

    fn fail(&mut self, failure: &WalFailure) {
        {
            let mut state = self.shared.state.lock();
            state.failed = Some(failure.clone());
            state.queue.clear();
            state.urgent.clear();
            state.queued_bytes = 0;
        }
        self.batch.clear();
        self.sink().failed(failure);
    }

    fn nanos_since(&self, began: MonoTime) -> u64 {
        self.env.clock.now().get().saturating_sub(began.get())
    }
}

impl DiskLoop for Writer {
    fn step(&mut self) -> LoopState {
        match self.act() {
            Ok(state) => state,
            Err(failure) => {
                self.fail(&failure);
                LoopState::Finished
            }
        }
    }
}

/// Bytes of zeros to write next, with `ahead` bytes of them ahead of use.
fn fill_step(ahead: u64) -> u64 {
    if ahead >= AHEAD_BYTES { FILL_BYTES_AT_EASE } else { FILL_BYTES }
}

/// Takes what waits, seals first.
fn take_batch(state: &mut State, batch: &mut Vec<Pending>) {
    let mut bytes = 0;
    while batch.len() < COMMIT_RECORDS_MAX {
        let queue = if state.urgent.is_empty() { &mut state.queue } else { &mut state.urgent };
        let Some(record) = queue.front() else { return };
        bytes += record.bytes();
        if bytes > COMMIT_BYTES_MAX && !batch.is_empty() {
            return;
        }
        batch.extend(queue.pop_front());
    }
}

/// Number of leading records that fit `room` bytes.
fn fitting(batch: &[Pending], room: u64) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Pending| {
        bytes += record.bytes();
        align_up(bytes, PAGE) <= room
    };
    batch.iter().take_while(fits).count()
}

fn commit_len(records: &[Pending]) -> u64 {
    align_up(records.iter().map(Pending::bytes).sum(), PAGE)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn failure(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WalFailure {
    move |error| WalFailure {
        operation,
        path: path.to_owned(),
        kind: error.kind(),
        message: error.to_string(),
    }
}
