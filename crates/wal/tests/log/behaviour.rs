//! Appending, sealing, trimming, and running out of space.

use crate::support::{Random, SimDisk};
use crate::world::{J1, J2, bundle, open, options, payload, segments, try_open};
use bytes::Bytes;
use esker_types::{JournalId, PartitionId, Seq};
use esker_wal::{AppendError, JournalState, WalError, WalOptions};

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

/// An operator gives the log less room than it takes, or files of another size.
#[test]
fn a_log_that_holds_more_than_it_may_now_is_still_drained() {
    let large = WalOptions { segment_bytes: 256 << 10, capacity_bytes: 8 << 20, prefill: true };
    let least = WalOptions { segment_bytes: 64 << 10, capacity_bytes: 256 << 10, prefill: true };
    for entries in 25..45 {
        for smaller in [WalOptions { capacity_bytes: 1 << 20, ..large.clone() }, least.clone()] {
            let world = try_open(&SimDisk::default(), 1, large.clone()).unwrap();
            world.wal.open_journal(J1, Bytes::new()).unwrap();
            world.fill(J1, 1, entries, 50_000);
            let disk = world.kill();

            let world = try_open(&disk, 2, smaller.clone()).unwrap();
            world.assert_sound();
            assert!(world.wal.space().full, "{entries}: {:?}", world.wal.space());
            world.wal.seal(J1).unwrap();
            world.wal.open_journal(J2, Bytes::new()).unwrap();
            world.settle();
            assert_eq!(world.heard().durable[&J1].state, JournalState::Sealed, "{entries}");
            assert_eq!(world.last(J2), Seq(0), "{entries}");
            assert_eq!(world.wal.append(bundle(J2, 1, 10_000)), Err(AppendError::Full));
            for entry in 1..=entries {
                world.wal.trim(J1, Seq(entry)).unwrap();
                world.settle();
            }
            world.fill(J2, 1, 2, 10_000);
            let used = world.disk.used();
            assert!(used <= smaller.capacity_bytes + 4096, "{entries}: {used}");
            let world = try_open(&world.kill(), 3, smaller).unwrap();
            world.assert_sound();
            assert_eq!(world.recovered(J2).last, Seq(2));
        }
    }
}

#[test]
fn segments_too_small_for_what_the_log_knows_are_refused() {
    let large = WalOptions { segment_bytes: 256 << 10, ..options() };
    let world = try_open(&SimDisk::default(), 1, large.clone()).unwrap();
    for journal in 1..=200 {
        world.wal.open_journal(JournalId(journal), Bytes::from(vec![7; 110])).unwrap();
        world.settle();
    }
    let disk = world.kill();
    let small = WalOptions { segment_bytes: 64 << 10, ..options() };
    let error = try_open(&disk, 2, small).err().expect("a segment cannot begin with all that");
    assert!(matches!(&error, WalError::Options(_)), "{error:?}");
    assert!(error.to_string().contains("200 journals"), "{error}");
    try_open(&disk, 3, large).unwrap().assert_sound();
}

#[test]
fn a_log_that_opens_has_room_for_the_journals_of_this_start() {
    let sized = |pages: u64| WalOptions { segment_bytes: pages << 12, ..options() };
    let world = try_open(&SimDisk::default(), 1, sized(64)).unwrap();
    for journal in 1..=500 {
        world.wal.open_journal(JournalId(journal), Bytes::new()).unwrap();
        world.settle();
    }
    let disk = world.kill();
    let mut needed = None;
    for pages in 16..=64 {
        let world = match try_open(&disk.copy(), 2, sized(pages)) {
            Ok(world) => world,
            Err(error) => {
                assert!(matches!(&error, WalError::Options(_)), "{error:?}");
                needed = Some((pages + 1, error.to_string()));
                continue;
            }
        };
        for journal in [1001, 1002] {
            let opened = world.wal.open_journal(JournalId(journal), Bytes::from(vec![7; 1024]));
            assert_eq!(opened, Ok(()), "journal {journal} with segments of {pages} pages");
        }
    }
    let (least, refusal) = needed.expect("the smallest has no room");
    assert!(least <= 64, "the size that the log had");
    assert!(refusal.ends_with(&format!("it needs {} bytes", least << 12)), "{refusal}");
}

/// The owner appends between any two steps of the log's thread, by what it was told until then.
#[test]
fn nothing_is_out_of_sequence_before_its_owner_knows_of_the_refusal() {
    for queued in 1..6 {
        let world = open(&SimDisk::default(), 1);
        world.wal.open_journal(J1, Bytes::new()).unwrap();
        world.fill(J1, 1, 3, 20_000);
        world.disk.set_capacity(Some(world.disk.used()));
        let mut next = 4;
        let mut told = 0;
        for turn in 0..200 {
            if turn >= queued {
                world.stepper.step();
            }
            let refused = world.heard().refused[told..].last().map(|(_, from)| from.get());
            told = world.heard().refused.len();
            next = refused.unwrap_or(next);
            match world.wal.append(bundle(J1, next, 20_000)) {
                Ok(()) => next += 1,
                Err(error) => assert_eq!(error, AppendError::Full, "turn {turn}"),
            }
        }
        assert!(told > 0, "something was refused");
        world.disk.set_capacity(None);
        world.settle();
        next = world.last(J1).get() + 1;
        let _looks_for_space = world.wal.append(bundle(J1, next, 20_000));
        world.settle();
        let next = world.last(J1).get() + 1;
        world.fill(J1, next, next + 3, 20_000);
    }
}

#[test]
fn a_control_record_that_finds_no_space_waits_alone_and_is_written_when_there_is_some() {
    let world = open(&SimDisk::default(), 1);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.fill(J1, 1, 6, 20_000);
    world.disk.set_capacity(Some(world.disk.used()));
    // Small ones, until the segment has no page left and the next one cannot be made.
    let mut next = 7;
    while world.wal.append(bundle(J1, next, 100)).is_ok() {
        world.settle();
        next = world.heard().refused.last().map_or(next + 1, |refused| refused.1.get());
    }
    world.settle();
    world.wal.trim(J1, Seq(6)).unwrap();
    world.settle();
    assert_eq!(world.heard().durable[&J1].trimmed, Seq::NONE);
    let gathered = world.heard().gathered;
    world.wal.ring();
    world.settle();
    let heard = world.heard().gathered;
    assert!(heard > gathered, "who has entries is asked, and hears that there is no space");
    assert_eq!(world.wal.append(bundle(J1, next, 100)), Err(AppendError::Full));
    world.disk.set_capacity(None);
    world.settle();
    assert_eq!(world.heard().durable[&J1].trimmed, Seq(6), "without a call");
    assert_eq!(world.heard().rooms, 1);
    world.fill(J1, next, next + 10, 20_000);
    let world = open(&world.kill(), 2);
    world.assert_sound();
    assert_eq!(world.recovered(J1).last, Seq(next + 10));
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
        assert_eq!(world.heard().rooms, 0);
        world.disk.set_capacity(None);
        world.settle();
        assert_eq!(world.heard().rooms, 1, "it looks for space by itself and says what it found");
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
