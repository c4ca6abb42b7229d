//! A log whose files were changed in any way: it opens or says why not, what it serves is what was written, and what it
//! lacks of the journals that are known to be in it is reported. Only a cut of the end is silent: bytes that nothing readable
//! follows look like a commit that never finished.
//!
//! The input is a list of changes, 8 bytes each: which file, where, what.

#![no_main]

#[expect(dead_code, reason = "the log's tests use more of it")]
#[path = "../../crates/wal/tests/support/mod.rs"]
mod support;

use bytes::Bytes;
use esker_types::{ClusterId, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{
    Bundle, BundleBuilder, BundleView, DurableSink, FrameFlags, FrameMeta, JournalState,
    JournalStatus, OpenedWal, RecordKind, Recovered, WalFailure, WalOptions, inspect,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use support::{SimDisk, Stepper, env};

const DIR: &str = "/wal";
/// Bytes before a record's payload.
const RECORD_HEADER_BYTES: usize = 48;
/// The journals of the sample that are not dropped, and the last entry of each.
const KNOWN: [(JournalId, Seq); 3] =
    [(JournalId(1), Seq(12)), (JournalId(2), Seq(12)), (JournalId(4), Seq(13))];

struct Nobody;

impl DurableSink for Nobody {
    fn durable(&self, _batch: &[JournalStatus]) {}
    fn refused(&self, _batch: &[(JournalId, Seq)]) {}
    fn failed(&self, failure: &WalFailure) {
        panic!("{failure}");
    }
}

fn options() -> WalOptions {
    WalOptions { segment_bytes: 64 << 10, capacity_bytes: 512 << 10, prefill: false }
}

fn payload(journal: JournalId, seq: Seq) -> Bytes {
    let len = 100 + (seq.get() * 977 % 6000) as usize;
    vec![(journal.get() * 17 + seq.get()) as u8; len].into()
}

fn bundle(journal: JournalId, seq: Seq) -> Bundle {
    let mut builder = BundleBuilder::new();
    let meta = FrameMeta {
        partition: PartitionId(1),
        base_offset: Offset(0),
        last_offset: Offset(0),
        max_timestamp: Timestamp(0),
        leader_epoch: LeaderEpoch(0),
        flags: FrameFlags::default(),
    };
    builder.push(meta, payload(journal, seq), b"");
    builder.finish(journal, seq, Seq(0), Seq(0))
}

/// A record of the sample.
struct Place {
    file: PathBuf,
    position: usize,
    kind: RecordKind,
    journal: JournalId,
    seq: Seq,
    /// Where its commit begins.
    commit: u64,
}

/// A log of several segments with open, sealed, trimmed and dropped journals.
struct Sample {
    disk: SimDisk,
    files: BTreeMap<PathBuf, Vec<u8>>,
    records: Vec<Place>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let (disk, stepper) = (SimDisk::default(), Arc::new(Stepper::default()));
    let env = env(&disk, &stepper, 1);
    let opened = OpenedWal::open(&env, Path::new(DIR), ClusterId::ZERO, options());
    let wal = opened.expect("a new log").0.start(Arc::new(Nobody));
    for journal in 1..=4 {
        wal.open_journal(JournalId(journal), Bytes::from_static(b"meta")).expect("room");
    }
    for seq in 1..=12 {
        for journal in 1..=4 {
            wal.append(bundle(JournalId(journal), Seq(seq))).expect("room");
        }
        stepper.settle();
    }
    wal.trim(JournalId(1), Seq(9)).expect("alive");
    wal.seal(JournalId(2)).expect("alive");
    wal.drop_journal(JournalId(3)).expect("alive");
    stepper.settle();
    wal.append(bundle(JournalId(4), Seq(13))).expect("room");
    stepper.settle();
    stepper.kill();
    let mut records = Vec::new();
    let found = inspect(&env, Path::new(DIR), &mut |record| {
        records.push(Place {
            file: Path::new(DIR).join(record.file),
            position: usize::try_from(record.position).expect("a small file"),
            kind: record.kind,
            journal: record.journal,
            seq: record.seq,
            commit: record.commit,
        });
    });
    assert!(found.is_ok_and(|found| found.recovered.problems.is_empty()));
    let files = contents(&disk);
    Sample { disk, files, records }
});

fn contents(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = disk.names().into_iter().filter(|name| name.ends_with(".wal"));
    let paths = names.map(|name| Path::new(DIR).join(name));
    paths.map(|path| (path.clone(), disk.content(&path))).collect()
}

/// Whether the end of the newest segment may have been cut off at this record or before it: nothing that a later commit
/// wrote can still be read there.
fn may_be_cut_off(lost: &Place, changed: &BTreeMap<PathBuf, Vec<u8>>) -> bool {
    let newest = SAMPLE.files.keys().filter(|path| path.to_string_lossy().contains("seg-")).max();
    if Some(&lost.file) != newest {
        return false;
    }
    let (before, now) = (&SAMPLE.files[&lost.file], &changed[&lost.file]);
    SAMPLE.records.iter().filter(|later| later.file == lost.file && later.commit > lost.commit).all(
        |later| {
            let header = later.position..later.position + RECORD_HEADER_BYTES;
            let commit_end = SAMPLE.records.iter().filter(|other| other.file == later.file);
            let commit_end = commit_end.map(|other| other.commit).filter(|at| *at > later.commit);
            let commit_end = commit_end.min().map_or(before.len(), |at| at as usize);
            now.len() < commit_end || now[header.clone()] != before[header]
        },
    )
}

/// Everything that a known journal lacks is reported, unless the end of the log may have been cut off there.
fn judge(recovered: &Recovered, changed: &BTreeMap<PathBuf, Vec<u8>>) {
    // Of a seal and a drop there is one each.
    let allowed = |kind: RecordKind, journal: JournalId, seq: Option<Seq>| {
        let mut records = SAMPLE.records.iter().filter(|at| at.kind == kind);
        let place = records.find(|at| at.journal == journal && seq.is_none_or(|seq| at.seq == seq));
        may_be_cut_off(place.expect("it was written"), changed)
    };
    let is_lost = |journal| recovered.lost_before.is_some_and(|before| journal < before);
    for (journal, last) in KNOWN {
        let status = recovered.journals.iter().map(|found| found.status);
        let Some(status) = status.clone().find(|status| status.journal == journal) else {
            assert!(is_lost(journal), "journal {journal} is gone without a word: {recovered:?}");
            continue;
        };
        if status.damaged_from.is_some() {
            continue;
        }
        let mut seq = status.last;
        while seq < last {
            seq = seq.next();
            assert!(allowed(RecordKind::Bundle, journal, Some(seq)), "{status:?} lacks {seq}");
        }
        let sealed = status.state == JournalState::Sealed;
        let was_sealed = journal == JournalId(2);
        assert!(sealed == was_sealed || allowed(RecordKind::Seal, journal, None), "{status:?}");
    }
    let dropped = recovered.journals.iter().find(|found| found.status.journal == JournalId(3));
    let comes_back = dropped.is_some_and(|found| found.status.damaged_from.is_none());
    assert!(!comes_back || allowed(RecordKind::Drop, JournalId(3), None), "{dropped:?}");
}

fuzz_target!(|changes: &[u8]| {
    let disk = SAMPLE.disk.copy();
    let names: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
    for change in changes.chunks_exact(8) {
        let path = Path::new(DIR).join(&names[change[0] as usize % names.len()]);
        let place = u32::from_le_bytes([change[1], change[2], change[3], 0]) as usize;
        disk.corrupt(&path, |content| {
            if content.is_empty() {
                return;
            }
            let at = place % content.len();
            match change[4] % 4 {
                0 => content[at] ^= change[5] | 1,
                1 => content.truncate(at),
                2 => {
                    let end = content.len().min(at + 1 + usize::from(change[5]) * 16);
                    content[at..end].fill(change[6]);
                }
                _ => {
                    // A page that was written to another's place.
                    let (from, to) = (at / 4096 * 4096, usize::from(change[5]) * 4096);
                    if let Some(page) = content.get(from..from + 4096).map(<[u8]>::to_vec)
                        && let Some(target) = content.get_mut(to..to + 4096)
                    {
                        target.copy_from_slice(&page);
                    }
                }
            }
        });
    }
    let changed = contents(&disk);
    let mut before = None;
    for round in 0..2 {
        let stepper = Arc::new(Stepper::default());
        let env = env(&disk, &stepper, 2 + round);
        let opened = OpenedWal::open(&env, Path::new(DIR), ClusterId::ZERO, options());
        let Ok((opened, recovered)) = opened else {
            assert!(changed != SAMPLE.files || round > 0, "a whole log does not open");
            assert!(round == 0, "a log that has opened once opens again");
            return;
        };
        match &before {
            None => judge(&recovered, &changed),
            Some(before) => same_report(before, &recovered),
        }
        let wal = opened.start(Arc::new(Nobody));
        for found in &recovered.journals {
            let status = found.status;
            let mut seq = status.trimmed;
            while seq < status.last {
                seq = seq.next();
                let damaged = status.damaged_from.is_some_and(|from| from <= seq);
                match wal.read_bundle(status.journal, seq) {
                    Ok(Some(bytes)) => {
                        let frame = BundleView::parse(bytes).expect("checked").frame(0);
                        assert_eq!(frame.payload, payload(status.journal, seq));
                    }
                    _ => assert!(damaged, "{status:?} {seq}"),
                }
            }
        }
        // The log goes on, and comes back with that.
        let journal = JournalId(100 + round);
        wal.open_journal(journal, Bytes::new()).expect("room");
        wal.append(bundle(journal, Seq(1))).expect("room");
        stepper.settle();
        assert_eq!(wal.status(journal).map(|status| status.last), Some(Seq(1)));
        stepper.kill();
        before = Some(recovered);
    }
});

/// What one opening reported the next one reports, too.
fn same_report(before: &Recovered, now: &Recovered) {
    assert_eq!(now.lost_before, before.lost_before);
    for found in &before.journals {
        let again = now.journals.iter().find(|again| again.status.journal == found.status.journal);
        assert_eq!(again.map(|again| again.status), Some(found.status));
    }
}
