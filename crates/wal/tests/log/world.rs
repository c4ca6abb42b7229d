//! A log on a simulated disk, with everything that it reported.

use crate::support::{Random, SimDisk, Stepper, env};
use bytes::Bytes;
use esker_types::{ClusterId, JournalId, LeaderEpoch, Offset, PartitionId, Seq, Timestamp};
use esker_wal::{
    Bundle, BundleBuilder, BundleView, DurableSink, FrameFlags, FrameMeta, JournalStatus,
    OpenedWal, Recovered, Wal, WalError, WalFailure, WalOptions,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) const DIR: &str = "/wal";
pub(crate) const J1: JournalId = JournalId(256);
pub(crate) const J2: JournalId = JournalId(512);

pub(crate) fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

pub(crate) fn options() -> WalOptions {
    WalOptions { segment_bytes: 128 << 10, capacity_bytes: 1 << 20, prefill: false }
}

/// Content that follows from journal, entry and length alone.
pub(crate) fn payload(journal: JournalId, seq: Seq, len: usize) -> Bytes {
    let random = Random::new(journal.get().wrapping_mul(31) + seq.get());
    (0..len).map(|_| u8::try_from(random.next() & 0xFF).unwrap()).collect()
}

pub(crate) fn bundle(journal: JournalId, seq: u64, len: usize) -> Bundle {
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

pub(crate) fn payload_of(bytes: Bytes) -> Bytes {
    let view = BundleView::parse(bytes).unwrap();
    view.verify().unwrap();
    view.frame(0).payload
}

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) durable: BTreeMap<JournalId, JournalStatus>,
    pub(crate) commits: usize,
    pub(crate) refused: Vec<(JournalId, Seq)>,
    pub(crate) gathered: usize,
    pub(crate) rooms: usize,
    pub(crate) failure: Option<WalFailure>,
    pub(crate) closed: bool,
}

#[derive(Default)]
pub(crate) struct Ear(Mutex<Heard>);

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

    fn gather(&self) {
        self.0.lock().unwrap().gathered += 1;
    }

    fn room(&self) {
        self.0.lock().unwrap().rooms += 1;
    }

    fn failed(&self, failure: &WalFailure) {
        self.0.lock().unwrap().failure = Some(failure.clone());
    }

    fn closed(&self) {
        self.0.lock().unwrap().closed = true;
    }
}

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) stepper: Arc<Stepper>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) wal: Wal,
    pub(crate) recovered: Recovered,
}

pub(crate) fn try_open(disk: &SimDisk, seed: u64, options: WalOptions) -> Result<World, WalError> {
    let stepper = Arc::new(Stepper::default());
    let env = env(disk, &stepper, seed);
    let (opened, recovered) = OpenedWal::open(&env, Path::new(DIR), cluster(), options)?;
    let ear = Arc::new(Ear::default());
    let wal = opened.start(Arc::clone(&ear) as Arc<dyn DurableSink>);
    Ok(World { disk: disk.clone(), stepper, ear, wal, recovered })
}

pub(crate) fn open(disk: &SimDisk, seed: u64) -> World {
    try_open(disk, seed, options()).unwrap()
}

impl World {
    pub(crate) fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.ear.0.lock().unwrap()
    }

    pub(crate) fn settle(&self) {
        self.stepper.settle();
    }

    pub(crate) fn last(&self, journal: JournalId) -> Seq {
        self.heard().durable[&journal].last
    }

    /// Appends entries `from..=to` of `len` bytes and waits for them.
    pub(crate) fn fill(&self, journal: JournalId, from: u64, to: u64, len: usize) {
        for seq in from..=to {
            self.wal.append(bundle(journal, seq, len)).unwrap();
            self.settle();
        }
    }

    pub(crate) fn kill(self) -> SimDisk {
        self.stepper.kill();
        self.disk
    }

    pub(crate) fn recovered(&self, journal: JournalId) -> JournalStatus {
        let found = self.recovered.journals.iter().find(|found| found.status.journal == journal);
        found.expect("the journal was recovered").status
    }

    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.recovered.problems, []);
        assert_eq!(self.recovered.lost_before, None);
        assert!(self.recovered.journals.iter().all(|j| j.status.damaged_from.is_none()));
    }

    pub(crate) fn read(&self, journal: JournalId, seq: u64) -> Option<Bytes> {
        self.wal.read_bundle(journal, Seq(seq)).unwrap().map(payload_of)
    }
}

pub(crate) fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.names().into_iter().filter(|name| name.starts_with("seg-"));
    names.map(|name| Path::new(DIR).join(name)).collect()
}
