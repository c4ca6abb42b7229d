//! A log whose files were changed in any way: it opens or says why not, and what it serves is what was written.
//!
//! The input is a list of changes, 8 bytes each: which file, where, what.

#![no_main]

#[expect(dead_code, reason = "the log's tests use more of it")]
#[path = "../../crates/wal/tests/support/mod.rs"]
mod support;

use bytes::Bytes;
use esker_types::{ClusterId, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{
    Bundle, BundleBuilder, BundleView, DurableSink, FrameFlags, FrameMeta, JournalStatus,
    OpenedWal, WalFailure, WalOptions,
};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use support::{SimDisk, Stepper, env};

const DIR: &str = "/wal";

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

/// A log of several segments with open, sealed, trimmed and dropped journals.
fn sample() -> &'static SimDisk {
    static SAMPLE: OnceLock<SimDisk> = OnceLock::new();
    SAMPLE.get_or_init(|| {
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
        disk
    })
}

fuzz_target!(|changes: &[u8]| {
    let disk = sample().copy();
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
    for round in 0..2 {
        let stepper = Arc::new(Stepper::default());
        let env = env(&disk, &stepper, 2 + round);
        let opened = OpenedWal::open(&env, Path::new(DIR), ClusterId::ZERO, options());
        let Ok((opened, recovered)) = opened else { return };
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
    }
});
