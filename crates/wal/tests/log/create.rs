//! Making directories, opening them again, refusing those of others.

use crate::support::{Random, SimDisk, Stepper, env};
use crate::world::{
    DIR, J1, World, bundle, cluster, open, options, payload, payload_of, segments, try_open,
};
use bytes::Bytes;
use esker_env::LoopState;
use esker_types::{ClusterId, JournalId, Seq};
use esker_wal::{DurableSink, JournalStatus, OpenedWal, WalError, WalFailure, WalOptions};
use std::path::Path;
use std::sync::{Arc, Mutex};

#[test]
fn a_crash_while_the_log_is_made_leaves_a_directory_that_opens() {
    for seed in 0..200 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        disk.fail_after(seed % 12);
        let made = try_open(&disk, seed, options()).map(World::kill).is_ok();
        if seed % 3 != 0 {
            disk.cut_power(&random);
        }
        disk.mend();
        let world = open(&disk, seed + 1000);
        world.assert_sound();
        assert!(made || seed % 12 < 11, "it needs no more than eleven actions");
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 3, 100);
    }
}

#[test]
fn what_a_killed_process_wrote_is_synced_before_it_counts() {
    for seed in 0..40 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        let world = open(&disk, seed);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 1, 100);
        world.wal.append(bundle(J1, 2, 100)).unwrap();
        // The write, without the sync that follows it.
        world.stepper.step();
        assert_eq!(world.last(J1), Seq(1));
        let world = open(&world.kill(), seed + 1000);
        assert_eq!(world.recovered(J1).last, Seq(2));
        world.kill().cut_power(&random);
        let world = open(&disk, seed + 2000);
        world.assert_sound();
        assert_eq!(world.recovered(J1).last, Seq(2));
    }
}

#[test]
fn what_a_failed_sync_left_in_the_systems_memory_is_written_again_before_it_counts() {
    for seed in 0..40 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        let world = open(&disk, seed);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 1, 100);
        world.wal.append(bundle(J1, 2, 100)).unwrap();
        // The write, then the sync.
        disk.fail_after(1);
        world.stepper.step();
        world.stepper.step();
        assert_eq!(world.last(J1), Seq(1));
        let disk = world.kill();
        disk.mend();
        let world = open(&disk, seed + 1000);
        assert_eq!(world.recovered(J1).last, Seq(2));
        world.kill().cut_power(&random);
        let world = open(&disk, seed + 2000);
        world.assert_sound();
        assert_eq!(world.recovered(J1).last, Seq(2));
    }
}

#[test]
fn a_commit_of_several_pieces_is_written_again_in_full_after_a_failed_sync() {
    const LEN: usize = 2_000_000;
    let options = WalOptions { segment_bytes: 4 << 20, capacity_bytes: 16 << 20, prefill: false };
    let mut found = 0;
    // The file grows before the commit is written: somewhere among these is the sync of the commit.
    for seed in 0..40 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        let world = try_open(&disk, seed, options.clone()).unwrap();
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 1, 100);
        world.wal.append(bundle(J1, 2, LEN)).unwrap();
        disk.fail_after(seed % 8);
        world.settle();
        let was_told = world.last(J1) == Seq(2);
        let disk = world.kill();
        disk.mend();
        let world = try_open(&disk, seed + 1000, options.clone()).unwrap();
        let counts = world.recovered(J1).last == Seq(2);
        assert!(counts || !was_told);
        world.kill().cut_power(&random);
        let world = try_open(&disk, seed + 2000, options.clone()).unwrap();
        world.assert_sound();
        if counts {
            found += usize::from(!was_told);
            assert_eq!(world.read(J1, 2), Some(payload(J1, Seq(2), LEN)), "seed {seed}");
        }
    }
    assert!(found > 0, "no sync of the commit failed");
}

#[test]
fn a_segment_that_a_killed_process_named_has_its_name_synced_before_it_counts() {
    for seed in 0..40 {
        let (disk, random) = (SimDisk::default(), Random::new(seed));
        let world = open(&disk, seed);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.settle();
        let mut next = 1;
        while segments(&disk).len() == 1 {
            world.wal.append(bundle(J1, next, 10_000)).unwrap();
            next += 1;
            // Up to the rename, without the sync of the directory that follows it.
            while segments(&disk).len() == 1 && world.stepper.step() == LoopState::Busy {}
        }
        let next = world.last(J1).get() + 1;
        let world = open(&world.kill(), seed + 1000);
        world.fill(J1, next, next + 3, 1_000);
        assert_eq!(world.last(J1), Seq(next + 3));
        assert_eq!(segments(&disk).len(), 2, "they are in the segment that was found");
        world.kill().cut_power(&random);
        let world = open(&disk, seed + 2000);
        world.assert_sound();
        assert_eq!(world.recovered(J1).last, Seq(next + 3), "seed {seed}");
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_named() {
    for (after, refusal) in
        [(0, "create the log's directory".to_owned()), (1, format!("sync the directory {DIR}"))]
    {
        let disk = open(&SimDisk::default(), 1).kill();
        disk.fail_after(after);
        let error = try_open(&disk, 2, options()).err().expect("the names may not be durable");
        assert_eq!(error.to_string(), refusal);
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
    let refused = try_open(&rotten, 2, options()).map(drop);
    assert!(matches!(&refused, Err(WalError::Unreadable { .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("`seg-0000000000000001.wal` at "));

    let small = WalOptions { capacity_bytes: 128 << 10, ..options() };
    assert!(matches!(try_open(&disk, 2, small), Err(WalError::Options(_))));
}
