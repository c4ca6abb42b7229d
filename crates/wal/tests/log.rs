//! The log from outside: what it reports, what it keeps, what it refuses.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "helpers of tests panic as tests do; their numbers are small"
)]

mod support;

use bytes::Bytes;
use esker_types::{ClusterId, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{
    AppendError, Bundle, BundleBuilder, BundleView, DurableSink, FrameFlags, FrameMeta,
    JournalState, JournalStatus, OpenedWal, ReadError, Recovered, Wal, WalError, WalFailure,
    WalOptions, inspect,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use support::{Random, SimDisk, Stepper, env};

const DIR: &str = "/wal";
const J1: JournalId = JournalId(256);
const J2: JournalId = JournalId(512);

fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

fn options() -> WalOptions {
    WalOptions { segment_bytes: 128 << 10, capacity_bytes: 1 << 20, prefill: false }
}

/// Content that follows from journal, entry and length alone.
fn payload(journal: JournalId, seq: Seq, len: usize) -> Bytes {
    let random = Random::new(journal.get().wrapping_mul(31) + seq.get());
    (0..len).map(|_| u8::try_from(random.next() & 0xFF).unwrap()).collect()
}

fn bundle(journal: JournalId, seq: u64, len: usize) -> Bundle {
    let mut builder = BundleBuilder::new();
    let meta = FrameMeta {
        partition: PartitionId(9),
        base_offset: Offset(0),
        last_offset: Offset(0),
        max_timestamp: Timestamp(0),
        leader_epoch: LeaderEpoch(1),
        flags: FrameFlags::default(),
    };
    builder.push(meta, payload(journal, Seq(seq), len), b"");
    builder.finish(journal, Seq(seq), Seq(0), Seq(0))
}

fn payload_of(bytes: Bytes) -> Bytes {
    let view = BundleView::parse(bytes).unwrap();
    view.verify().unwrap();
    view.frame(0).payload
}

#[derive(Default)]
struct Heard {
    durable: BTreeMap<JournalId, JournalStatus>,
    commits: usize,
    refused: Vec<(JournalId, Seq)>,
    failure: Option<WalFailure>,
    closed: bool,
}

#[derive(Default)]
struct Ear(Mutex<Heard>);

impl DurableSink for Ear {
    fn durable(&self, batch: &[JournalStatus]) {
        let mut heard = self.0.lock().unwrap();
        heard.commits += 1;
        for status in batch {
            heard.durable.insert(status.journal, *status);
        }
    }

    fn refused(&self, batch: &[(JournalId, Seq)]) {
        self.0.lock().unwrap().refused.extend_from_slice(batch);
    }

    fn failed(&self, failure: &WalFailure) {
        self.0.lock().unwrap().failure = Some(failure.clone());
    }

    fn closed(&self) {
        self.0.lock().unwrap().closed = true;
    }
}

struct World {
    disk: SimDisk,
    stepper: Arc<Stepper>,
    ear: Arc<Ear>,
    wal: Wal,
    recovered: Recovered,
}

fn try_open(disk: &SimDisk, seed: u64, options: WalOptions) -> Result<World, WalError> {
    let stepper = Arc::new(Stepper::default());
    let env = env(disk, &stepper, seed);
    let (opened, recovered) = OpenedWal::open(&env, Path::new(DIR), cluster(), options)?;
    let ear = Arc::new(Ear::default());
    let wal = opened.start(Arc::clone(&ear) as Arc<dyn DurableSink>);
    Ok(World { disk: disk.clone(), stepper, ear, wal, recovered })
}

fn open(disk: &SimDisk, seed: u64) -> World {
    try_open(disk, seed, options()).unwrap()
}

impl World {
    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.ear.0.lock().unwrap()
    }

    fn settle(&self) {
        self.stepper.settle();
    }

    fn last(&self, journal: JournalId) -> Seq {
        self.heard().durable[&journal].last
    }

    /// Appends entries `from..=to` of `len` bytes and waits for them.
    fn fill(&self, journal: JournalId, from: u64, to: u64, len: usize) {
        for seq in from..=to {
            self.wal.append(bundle(journal, seq, len)).unwrap();
            self.settle();
        }
    }

    fn kill(self) -> SimDisk {
        self.stepper.kill();
        self.disk
    }

    fn recovered(&self, journal: JournalId) -> JournalStatus {
        let found = self.recovered.journals.iter().find(|found| found.status.journal == journal);
        found.expect("the journal was recovered").status
    }

    fn assert_sound(&self) {
        assert_eq!(self.recovered.problems, []);
        assert!(!self.recovered.lost_journals);
        assert!(self.recovered.journals.iter().all(|j| j.status.damaged_from.is_none()));
    }

    fn read(&self, journal: JournalId, seq: u64) -> Option<Bytes> {
        self.wal.read_bundle(journal, Seq(seq)).unwrap().map(payload_of)
    }
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.names().into_iter().filter(|name| name.starts_with("seg-"));
    names.map(|name| Path::new(DIR).join(name)).collect()
}

#[test]
fn what_waits_together_is_synced_together_and_comes_back() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::from_static(b"about j1")).unwrap();
    for seq in 1..=20 {
        world.wal.append(bundle(J1, seq, 100)).unwrap();
    }
    world.wal.open_journal(J2, Bytes::new()).unwrap();
    assert_eq!(world.wal.status(J1), None, "nothing is durable yet");
    world.settle();
    assert_eq!(world.heard().commits, 1);
    assert_eq!(world.last(J1), Seq(20));
    assert_eq!(world.last(J2), Seq(0));
    assert_eq!(world.wal.stats().commits, 1);
    for seq in 1..=20 {
        assert_eq!(world.read(J1, seq), Some(payload(J1, Seq(seq), 100)));
    }
    assert_eq!(world.read(J1, 21), None);
    assert_eq!(world.read(J2, 1), None);
    let head = world.wal.read_head(J1, Seq(3)).unwrap().unwrap();
    assert_eq!(head.meta(0).partition, PartitionId(9));

    let world = open(&world.kill(), 2);
    world.assert_sound();
    let status = world.recovered(J1);
    assert_eq!((status.last, status.state), (Seq(20), JournalState::Open));
    assert_eq!(world.recovered.journals[0].meta, &b"about j1"[..]);
    assert_eq!(world.read(J1, 7), Some(payload(J1, Seq(7), 100)));
    world.fill(J1, 21, 21, 10);
    assert_eq!(world.last(J1), Seq(21));
}

#[test]
fn entries_are_taken_in_sequence_only() {
    let world = open(&SimDisk::default(), 1);
    assert_eq!(world.wal.append(bundle(J1, 1, 9)), Err(AppendError::UnknownJournal));
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    assert_eq!(world.wal.open_journal(J1, Bytes::new()), Err(AppendError::JournalExists));
    let gap = AppendError::OutOfSequence { expected: Seq(1) };
    assert_eq!(world.wal.append(bundle(J1, 2, 9)), Err(gap));
    let max = (128 << 10) / 2 - 8192;
    assert!(matches!(world.wal.append(bundle(J1, 1, max)), Err(AppendError::TooLarge { .. })));
    world.wal.append(bundle(J1, 1, 9)).unwrap();
    let again = AppendError::OutOfSequence { expected: Seq(2) };
    assert_eq!(world.wal.append(bundle(J1, 1, 9)), Err(again));
}

#[test]
fn a_seal_overtakes_entries_and_outlives_the_process() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.fill(J1, 1, 3, 50);
    world.wal.append(bundle(J1, 4, 50)).unwrap();
    world.wal.append(bundle(J1, 5, 50)).unwrap();
    world.wal.seal(J1).unwrap();
    assert_eq!(world.wal.append(bundle(J1, 6, 50)), Err(AppendError::Sealed));
    world.wal.seal(J2).unwrap();
    world.settle();
    assert_eq!(world.heard().refused, [(J1, Seq(4))]);
    let sealed = world.heard().durable[&J1];
    assert_eq!((sealed.state, sealed.last), (JournalState::Sealed, Seq(3)));
    let unknown = world.heard().durable[&J2];
    assert_eq!((unknown.state, unknown.last), (JournalState::Sealed, Seq(0)));
    let world = open(&world.kill(), 2);
    world.assert_sound();
    assert_eq!(world.recovered(J1), sealed);
    assert_eq!(world.recovered(J2), unknown);
    assert_eq!(world.wal.append(bundle(J1, 4, 50)), Err(AppendError::Sealed));
    assert_eq!(world.wal.append(bundle(J2, 1, 50)), Err(AppendError::Sealed));
    assert_eq!(world.read(J1, 3), Some(payload(J1, Seq(3), 50)));
}

#[test]
fn a_rescuer_completes_a_sealed_journal_and_it_stays_sealed() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.fill(J1, 1, 2, 50);
    let early = world.wal.append_copy(bundle(J1, 3, 50));
    assert_eq!(early, Err(AppendError::OutOfSequence { expected: Seq(3) }));
    world.wal.seal(J1).unwrap();
    world.settle();
    let gap = world.wal.append_copy(bundle(J1, 4, 50));
    assert_eq!(gap, Err(AppendError::OutOfSequence { expected: Seq(3) }));
    for seq in 3..=5 {
        world.wal.append_copy(bundle(J1, seq, 50)).unwrap();
    }
    assert_eq!(world.wal.append(bundle(J1, 6, 50)), Err(AppendError::Sealed));
    // A second rescuer seals again: the copies that wait are refused, and the next one goes on from there.
    world.wal.seal(J1).unwrap();
    world.settle();
    assert_eq!(world.heard().refused, [(J1, Seq(3))]);
    for seq in 3..=5 {
        world.wal.append_copy(bundle(J1, seq, 50)).unwrap();
    }
    world.settle();
    assert_eq!(world.last(J1), Seq(5));
    let world = open(&world.kill(), 2);
    world.assert_sound();
    let found = world.recovered(J1);
    assert_eq!((found.state, found.last), (JournalState::Sealed, Seq(5)));
    assert_eq!(world.read(J1, 5), Some(payload(J1, Seq(5), 50)));
    world.wal.append_copy(bundle(J1, 6, 50)).unwrap();
    world.settle();
    assert_eq!(world.last(J1), Seq(6));
}

#[test]
fn trimmed_segments_are_written_again_and_old_bytes_never_parse() {
    let disk = SimDisk::default();
    let world = open(&disk, 1);
    world.wal.open_journal(J1, Bytes::from_static(b"meta")).unwrap();
    for seq in 1..=200 {
        world.fill(J1, seq, seq, 20_000);
        if seq % 5 == 0 {
            world.wal.trim(J1, Seq(seq - 2)).unwrap();
            assert_eq!(world.read(J1, seq - 2), None);
            world.settle();
        }
        assert!(disk.used() <= options().capacity_bytes);
    }
    assert!(segments(&disk).len() <= 2, "{:?}", disk.names());
    assert!(segments(&disk)[0].to_str().unwrap() > "/wal/seg-0000000000000010.wal");
    let world = open(&world.kill(), 2);
    world.assert_sound();
    assert_eq!(world.recovered(J1).trimmed, Seq(198));
    assert_eq!(world.recovered(J1).last, Seq(200));
    assert_eq!(world.read(J1, 200), Some(payload(J1, Seq(200), 20_000)));
    assert_eq!(world.read(J1, 198), None);
    world.wal.drop_journal(J1).unwrap();
    world.settle();
    assert_eq!(world.heard().durable[&J1].state, JournalState::Dropped);
    let world = open(&world.kill(), 3);
    assert!(world.recovered.journals.is_empty());
}

#[test]
fn a_failed_sync_is_final() {
    for fault in 0..12 {
        let world = open(&SimDisk::default(), fault);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 2, 50_000);
        world.disk.fail_after(fault % 6);
        let mut accepted = 2;
        for seq in 3..=40 {
            if world.wal.append(bundle(J1, seq, 50_000)).is_err() {
                break;
            }
            accepted = seq;
            world.settle();
        }
        let failure = world.heard().failure.clone().expect("the log failed");
        let durable = world.last(J1);
        assert!(durable.get() < accepted, "{failure}");
        assert!(matches!(
            world.wal.append(bundle(J1, accepted + 1, 1)),
            Err(AppendError::Failed(_))
        ));
        assert!(matches!(world.wal.seal(J1), Err(AppendError::Failed(_))));
        let random = Random::new(fault);
        let disk = world.kill();
        disk.cut_power(&random);
        let world = open(&disk, fault + 100);
        world.assert_sound();
        assert!(world.recovered(J1).last >= durable);
    }
}

#[test]
fn a_full_log_refuses_and_goes_on_after_a_trim() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.wal.open_journal(J2, Bytes::new()).unwrap();
    world.settle();
    let mut appended = 0;
    for seq in 1..=1000 {
        match world.wal.append(bundle(J1, seq, 10_000)) {
            Ok(()) => appended = seq,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                break;
            }
        }
    }
    assert!((40..1000).contains(&appended), "{appended}");
    world.settle();
    let durable = world.last(J1);
    // What the ends of segments wasted was promised and then refused.
    if durable.get() < appended {
        assert_eq!(world.heard().refused, [(J1, durable.next())]);
    }
    assert!(world.disk.used() <= options().capacity_bytes);
    // Seals still find their place, many of them.
    for round in 0..100 {
        world.wal.seal(JournalId(1000 + round % 3)).unwrap();
        world.settle();
        assert!(world.heard().failure.is_none());
    }
    assert_eq!(world.heard().durable[&JournalId(1000)].state, JournalState::Sealed);
    assert_eq!(world.wal.append(bundle(J2, 1, 10_000)), Err(AppendError::Full));
    assert!(world.wal.space().full);
    world.wal.trim(J1, durable).unwrap();
    world.settle();
    assert!(!world.wal.space().full);
    world.fill(J2, 1, 3, 10_000);
    world.fill(J1, durable.get() + 1, durable.get() + 3, 10_000);
    let world = open(&world.kill(), 2);
    world.assert_sound();
    assert_eq!(world.recovered(J2).last, Seq(3));
    assert_eq!(world.recovered(J1).last, Seq(durable.get() + 3));
}

#[test]
fn a_full_file_system_refuses_and_recovers_by_itself() {
    for already in [0, 1, 5, 13] {
        let world = open(&SimDisk::default(), already);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, already, 20_000);
        world.settle();
        world.disk.set_capacity(Some(world.disk.used()));
        let mut next = already + 1;
        let refused = loop {
            if world.wal.append(bundle(J1, next, 20_000)).is_err() {
                break next;
            }
            world.settle();
            next = world.heard().refused.last().map_or(next + 1, |refused| refused.1.get());
        };
        let full = world.wal.append(bundle(J1, refused, 20_000));
        assert_eq!(full, Err(AppendError::Full));
        world.settle();
        assert!(world.heard().failure.is_none());
        world.disk.set_capacity(None);
        let answer = world.wal.append(bundle(J1, refused, 20_000));
        assert_eq!(answer, Err(AppendError::Full), "the next call looks for space");
        world.settle();
        world.fill(J1, refused, refused + 10, 20_000);
        let world = open(&world.kill(), 2);
        world.assert_sound();
        assert_eq!(world.recovered(J1).last, Seq(refused + 10));
        for seq in 1..=refused + 10 {
            assert_eq!(world.read(J1, seq), Some(payload(J1, Seq(seq), 20_000)));
        }
    }
}

#[test]
fn closing_lets_go_of_the_directory() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.wal.append(bundle(J1, 1, 9)).unwrap();
    assert!(matches!(try_open(&world.disk, 2, options()), Err(WalError::Locked)));
    world.wal.close();
    assert_eq!(world.wal.append(bundle(J1, 2, 9)), Err(AppendError::Closed));
    world.settle();
    assert!(world.heard().closed);
    let world = open(&world.disk, 2);
    world.assert_sound();
    assert_eq!(world.recovered(J1).last, Seq(1));
}

#[test]
fn a_crash_while_the_log_is_made_leaves_a_directory_that_opens() {
    for seed in 0..200 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        disk.fail_after(seed % 9);
        let made = try_open(&disk, seed, options()).map(World::kill).is_ok();
        if seed % 3 != 0 {
            disk.cut_power(&random);
        }
        disk.mend();
        let world = open(&disk, seed + 1000);
        world.assert_sound();
        assert!(made || seed % 9 < 8, "it needs no more than eight actions");
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 3, 100);
    }
}

#[test]
fn a_real_file_system_keeps_entries() {
    let dir = tempfile::tempdir().unwrap();
    let runtimes = esker_env::real::Runtimes::start(1, 1).unwrap();
    let env = esker_env::Env::real(&runtimes);
    for life in 0..3 {
        let (opened, recovered) = OpenedWal::open(&env, dir.path(), cluster(), options()).unwrap();
        assert!(!recovered.is_damaged());
        let (send, heard) = std::sync::mpsc::channel();
        let wal = opened.start(Arc::new(Report(Mutex::new(send))));
        if life == 0 {
            wal.open_journal(J1, Bytes::new()).unwrap();
        }
        for seq in life * 20 + 1..=life * 20 + 20 {
            wal.append(bundle(J1, seq, 5_000)).unwrap();
            while heard.recv().unwrap() != Some(Seq(seq)) {}
            let read = wal.read_bundle(J1, Seq(seq)).unwrap().map(payload_of);
            assert_eq!(read, Some(payload(J1, Seq(seq), 5_000)));
        }
        wal.close();
        while heard.recv().unwrap().is_some() {}
    }
}

/// Sends on what is durable, and nothing at the end.
struct Report(Mutex<std::sync::mpsc::Sender<Option<Seq>>>);

impl DurableSink for Report {
    fn durable(&self, batch: &[JournalStatus]) {
        self.0.lock().unwrap().send(Some(batch[0].last)).unwrap();
    }

    fn refused(&self, batch: &[(JournalId, Seq)]) {
        panic!("{batch:?}");
    }

    fn failed(&self, failure: &WalFailure) {
        panic!("{failure}");
    }

    fn closed(&self) {
        self.0.lock().unwrap().send(None).unwrap();
    }
}

#[test]
fn directories_of_others_are_refused() {
    let disk = open(&SimDisk::default(), 1).kill();
    let stepper = Arc::new(Stepper::default());
    let other = ClusterId(uuid::Uuid::from_u128(8));
    let refused = OpenedWal::open(&env(&disk, &stepper, 2), Path::new(DIR), other, options());
    assert!(matches!(refused, Err(WalError::WrongCluster { .. })));

    let newer = disk.copy();
    newer.corrupt(&Path::new(DIR).join("STORE"), |bytes| bytes[8] = 9);
    assert!(matches!(try_open(&newer, 2, options()), Err(WalError::NewerFormat { found: 9, .. })));

    let segment = segments(&disk).remove(0);
    let emptied = disk.copy();
    esker_env::Disk::remove(&emptied, &segment).unwrap();
    assert!(matches!(try_open(&emptied, 2, options()), Err(WalError::SegmentsMissing(_))));

    let unmarked = disk.copy();
    esker_env::Disk::remove(&unmarked, &Path::new(DIR).join("STORE")).unwrap();
    assert!(matches!(try_open(&unmarked, 2, options()), Err(WalError::MarkerMissing)));

    let foreign = open(&SimDisk::default(), 77).kill();
    let content = disk.content(&segment);
    foreign.corrupt(&segment, |bytes| *bytes = content);
    assert!(matches!(try_open(&foreign, 2, options()), Err(WalError::ForeignSegment { .. })));

    let rotten = disk.copy();
    rotten.corrupt(&segment, |bytes| bytes[3] ^= 1);
    assert!(matches!(try_open(&rotten, 2, options()), Err(WalError::Unreadable(_))));

    let small = WalOptions { capacity_bytes: 128 << 10, ..options() };
    assert!(matches!(try_open(&disk, 2, small), Err(WalError::Options(_))));
}

/// File, position, length of the payload, journal and entry of a record.
type Place = (PathBuf, u64, u64, JournalId, Seq);

/// A log of several segments, and where each record of it is.
fn sample() -> (SimDisk, Vec<Place>) {
    let world = open(&SimDisk::default(), 5);
    world.wal.open_journal(J1, Bytes::from_static(b"one")).unwrap();
    world.wal.open_journal(J2, Bytes::from_static(b"two")).unwrap();
    for seq in 1..=16 {
        world.wal.append(bundle(J1, seq, 15_000)).unwrap();
        world.wal.append(bundle(J2, seq, 300)).unwrap();
        world.settle();
    }
    world.wal.trim(J1, Seq(2)).unwrap();
    world.settle();
    world.wal.append(bundle(J1, 17, 15_000)).unwrap();
    world.settle();
    let disk = world.kill();
    let mut records = Vec::new();
    let stepper = Arc::new(Stepper::default());
    inspect(&env(&disk, &stepper, 9), Path::new(DIR), &mut |record| {
        assert!(record.intact);
        let path = Path::new(DIR).join(record.file);
        let len = u64::from(record.len);
        records.push((path, record.position, len, record.journal, record.seq));
    })
    .unwrap();
    assert!(segments(&disk).len() >= 3);
    (disk, records)
}

#[test]
fn damage_in_the_middle_is_told_from_a_torn_end() {
    let (disk, records) = sample();
    let newest = segments(&disk).pop().unwrap();
    let starts = records.iter().filter(|r| r.0 == newest && r.1 % 4096 == 0);
    let last_commit = starts.map(|r| r.1).max().unwrap();
    for (index, (path, position, len, journal, seq)) in records.iter().enumerate() {
        // Once in the header, once in the payload (if any), once everything.
        let places = [(*position + 4, 1), (*position + 48, (*len).min(1)), (*position, 48 + len)];
        for (at, count) in places {
            if count == 0 {
                continue;
            }
            let rotten = disk.copy();
            rotten.corrupt(path, |bytes| {
                for byte in &mut bytes[at as usize..(at + count) as usize] {
                    *byte ^= 0x5A;
                }
            });
            let world = open(&rotten, 6);
            let context = format!("record {index} {journal} {seq} at {at}: {:?}", world.recovered);
            // Whatever was damaged: what is served is right, and what is missing is reported.
            for (id, count, len) in [(J1, 17, 15_000), (J2, 16, 300)] {
                let found = world.recovered.journals.iter().find(|j| j.status.journal == id);
                let Some(found) = found else {
                    assert!(world.recovered.lost_journals, "{context}");
                    continue;
                };
                let status = found.status;
                // Nothing tells a rotten last commit from one that never finished.
                let torn = *path == newest && *position >= last_commit;
                for seq in status.trimmed.next().get()..=count {
                    let read = world.wal.read_bundle(id, Seq(seq));
                    let reported = status.damaged_from.is_some_and(|from| from <= Seq(seq));
                    match read {
                        Ok(Some(bytes)) => {
                            assert_eq!(payload_of(bytes), payload(id, Seq(seq), len), "{context}");
                        }
                        Err(ReadError::Lost { .. }) => assert!(reported, "{context}"),
                        Ok(None) => assert!(reported || (torn && seq == count), "{context}"),
                        Err(error) => panic!("{error}: {context}"),
                    }
                }
                if status.damaged_from.is_some() {
                    let refused = world.wal.append(bundle(id, status.last.get() + 1, 1));
                    assert!(matches!(refused, Err(AppendError::Damaged { .. })));
                }
            }
            if *path == newest && *position >= last_commit {
                continue;
            }
            // Opening again finds the same, also after the log has gone on in a new segment.
            let before = world.recovered.clone();
            world.wal.open_journal(JournalId(9), Bytes::new()).unwrap();
            world.fill(JournalId(9), 1, 1, 10);
            let world = open(&world.kill(), 7);
            assert_eq!(world.recovered.lost_journals, before.lost_journals, "{context}");
            for found in &before.journals {
                assert_eq!(world.recovered(found.status.journal), found.status, "{context}");
            }
            assert_eq!(world.recovered(JournalId(9)).last, Seq(1));
        }
    }
}

#[test]
fn every_flipped_bit_of_a_small_log_is_noticed_or_harmless() {
    let world = open(&SimDisk::default(), 5);
    world.wal.open_journal(J1, Bytes::from_static(b"m")).unwrap();
    world.fill(J1, 1, 3, 20);
    world.wal.close();
    world.settle();
    let disk = world.kill();
    let path = segments(&disk).remove(0);
    let len = disk.content(&path).len();
    // Headers and records densely, padding and zeros sparsely.
    for byte in (0..len).filter(|at| at % 4096 < 240 || at % 97 == 0) {
        let rotten = disk.copy();
        rotten.corrupt(&path, |bytes| bytes[byte] ^= 1 << (byte % 8));
        let world = match try_open(&rotten, 6, options()) {
            Err(WalError::Unreadable(_)) => continue,
            other => other.unwrap(),
        };
        let found = world.recovered.journals.first();
        let all = found.is_some_and(|j| j.status.last == Seq(3) && j.status.damaged_from.is_none());
        assert!(all || world.recovered.is_damaged(), "byte {byte}: {:?}", world.recovered);
    }
}

#[test]
fn a_misplaced_record_does_not_parse() {
    let (disk, records) = sample();
    let newest = segments(&disk).pop().unwrap();
    let commits: Vec<u64> =
        records.iter().filter(|r| r.0 == newest).map(|r| r.1).filter(|p| p % 4096 == 0).collect();
    let (from, to) = (commits[1] as usize, commits[2] as usize);
    disk.corrupt(&newest, |bytes| {
        let page = bytes[from..from + 4096].to_vec();
        bytes[to..to + 4096].copy_from_slice(&page);
    });
    assert!(open(&disk, 6).recovered.is_damaged());
}

/// One random life after another of the same directory, with power cuts between any two actions of the log.
fn lives(seed: u64) {
    let random = Random::new(seed);
    let disk = SimDisk::default();
    // What was reported durable, over all lives.
    let mut known: BTreeMap<JournalId, JournalStatus> = BTreeMap::new();
    let mut dropped: Vec<JournalId> = Vec::new();
    let mut next_journal = 1;
    for life in 0..6 {
        let options = WalOptions { prefill: random.chance(50), ..options() };
        let world = match try_open(&disk, random.next(), options) {
            Ok(world) => world,
            Err(error) => panic!("seed {seed} life {life}: {error}"),
        };
        world.assert_sound();
        for (journal, status) in &known {
            let found = world.recovered(*journal);
            let context = format!("seed {seed} life {life}: {found:?} after {status:?}");
            assert!(found.last >= status.last, "{context}");
            assert!(found.trimmed >= status.trimmed, "{context}");
            let sealed = status.state == JournalState::Sealed;
            assert!(
                !sealed || (found.state, found.last) == (status.state, status.last),
                "{context}"
            );
        }
        for journal in &dropped {
            let gone = world.recovered.journals.iter().all(|j| j.status.journal != *journal);
            assert!(gone, "seed {seed} life {life}: {journal} is back");
        }
        for found in &world.recovered.journals {
            let status = found.status;
            for seq in status.trimmed.next().get()..=status.last.get() {
                let len = 10 + (seq * 7919 % 30_000) as usize;
                let read = world.read(status.journal, seq);
                assert_eq!(read, Some(payload(status.journal, Seq(seq), len)));
            }
            known.insert(status.journal, status);
        }
        let mut next: BTreeMap<JournalId, u64> =
            known.iter().map(|(id, status)| (*id, status.last.get() + 1)).collect();
        for _ in 0..random.below(200) {
            let ids: Vec<JournalId> = next.keys().copied().collect();
            let pick = |random: &Random| ids.get(random.below(ids.len() as u64) as usize).copied();
            match random.below(20) {
                0 => {
                    let journal = JournalId(next_journal);
                    next_journal += 1;
                    if world.wal.open_journal(journal, Bytes::from_static(b"m")).is_ok() {
                        next.insert(journal, 1);
                    }
                }
                1 => drop(pick(&random).map(|journal| world.wal.seal(journal))),
                2 | 3 => {
                    if let Some(journal) = pick(&random) {
                        let last = next[&journal];
                        world.wal.trim(journal, Seq(random.below(last + 1))).unwrap();
                    }
                }
                4 => {
                    if let Some(journal) = pick(&random).filter(|_| random.chance(30)) {
                        world.wal.drop_journal(journal).unwrap();
                        next.remove(&journal);
                        known.remove(&journal);
                        dropped.retain(|d| *d != journal);
                    }
                }
                5..=12 => {
                    if let Some(journal) = pick(&random) {
                        let seq = next[&journal];
                        let len = 10 + (seq * 7919 % 30_000) as usize;
                        match world.wal.append(bundle(journal, seq, len)) {
                            Ok(()) => *next.get_mut(&journal).unwrap() += 1,
                            Err(AppendError::OutOfSequence { expected }) => {
                                *next.get_mut(&journal).unwrap() = expected.get();
                            }
                            Err(AppendError::Full | AppendError::Sealed) => {}
                            Err(error) => panic!("seed {seed}: {error}"),
                        }
                    }
                }
                _ => {
                    for _ in 0..random.below(6) {
                        world.stepper.step();
                    }
                }
            }
        }
        assert!(world.heard().failure.is_none(), "{:?}", world.heard().failure);
        assert!(disk.used() <= options_capacity());
        for (journal, status) in &world.heard().durable {
            if status.state == JournalState::Dropped {
                dropped.push(*journal);
                known.remove(journal);
            } else if next.contains_key(journal) {
                known.insert(*journal, *status);
            }
        }
        world.kill();
        if random.chance(70) {
            disk.cut_power(&random);
        }
    }
}

fn options_capacity() -> u64 {
    options().capacity_bytes + 4096
}

#[test]
fn nothing_reported_is_lost_over_many_lives() {
    for seed in 0..100 {
        lives(seed);
    }
}
