//! Rot, misplaced blocks, and how they are told from a torn end.

use crate::support::{SimDisk, Stepper, env};
use crate::world::{DIR, J1, J2, bundle, open, options, payload, payload_of, segments, try_open};
use bytes::Bytes;
use esker_types::{JournalId, Seq};
use esker_wal::{AppendError, ReadError, WalError, inspect};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Where the last commit of a log begins: its file and position.
fn last_commit(disk: &SimDisk, records: &[Place]) -> (PathBuf, u64) {
    let newest = segments(disk).pop().unwrap();
    let starts = records.iter().filter(|r| r.0 == newest && r.1 % 4096 == 0);
    let start = starts.map(|r| r.1).max().unwrap();
    (newest, start)
}

/// A copy of `disk` on which other bytes stand in a stretch of a file.
fn rotten(disk: &SimDisk, path: &Path, stretch: Range<u64>) -> SimDisk {
    let rotten = disk.copy();
    rotten.corrupt(path, |bytes| {
        for byte in &mut bytes[stretch.start as usize..stretch.end as usize] {
            *byte ^= 0x5A;
        }
    });
    rotten
}

/// Whatever was damaged: what is served is right, and what is missing is reported, but for what is `torn`: nothing tells
/// that from what never finished. With `told` opening again finds the same.
fn assert_told(rotten: &SimDisk, torn: impl Fn(JournalId, Seq) -> bool, told: bool, context: &str) {
    let world = open(rotten, 6);
    let context = format!("{context}: {:?}", world.recovered);
    for (id, count, len) in [(J1, 17, 15_000), (J2, 16, 300)] {
        let found = world.recovered.journals.iter().find(|j| j.status.journal == id);
        let Some(found) = found else {
            assert!(world.recovered.lost_before.is_some(), "{context}");
            continue;
        };
        let status = found.status;
        for seq in status.trimmed.next().get()..=count {
            let read = world.wal.read_bundle(id, Seq(seq));
            let reported = status.damaged_from.is_some_and(|from| from <= Seq(seq));
            match read {
                Ok(Some(bytes)) => {
                    assert_eq!(payload_of(bytes), payload(id, Seq(seq), len), "{context}");
                }
                Err(ReadError::Lost { .. }) => assert!(reported, "{context}"),
                Ok(None) => assert!(reported || torn(id, Seq(seq)), "{id} {seq}, {context}"),
                Err(error) => panic!("{error}: {context}"),
            }
        }
        if status.damaged_from.is_some() {
            let refused = world.wal.append(bundle(id, status.last.get() + 1, 1));
            assert!(matches!(refused, Err(AppendError::Damaged { .. })));
        }
    }
    if !told {
        return;
    }
    // Also after the log has gone on in a new segment.
    let before = world.recovered.clone();
    world.wal.open_journal(JournalId(9), Bytes::new()).unwrap();
    world.fill(JournalId(9), 1, 1, 10);
    let world = open(&world.kill(), 7);
    assert_eq!(world.recovered.lost_before, before.lost_before, "{context}");
    for found in &before.journals {
        assert_eq!(world.recovered(found.status.journal), found.status, "{context}");
    }
    assert_eq!(world.recovered(JournalId(9)).last, Seq(1));
}

#[test]
fn damage_in_the_middle_is_told_from_a_torn_end() {
    let (disk, records) = sample();
    let (newest, last_commit) = last_commit(&disk, &records);
    for (index, (path, position, len, journal, seq)) in records.iter().enumerate() {
        // Once in the header, once in the payload (if any), once everything.
        let places = [(*position + 4, 1), (*position + 48, (*len).min(1)), (*position, 48 + len)];
        for (at, count) in places.into_iter().filter(|(_, count)| *count > 0) {
            let is_last = *path == newest && *position >= last_commit;
            let torn = |id, seq| is_last && seq == if id == J1 { Seq(17) } else { Seq(16) };
            let context = format!("record {index} {journal} {seq} at {at}");
            assert_told(&rotten(&disk, path, at..at + count), torn, !is_last, &context);
        }
    }
}

#[test]
fn damage_across_neighbouring_commits_is_told_from_a_torn_end() {
    let (disk, records) = sample();
    let (newest, last_commit) = last_commit(&disk, &records);
    for count in [2, 3] {
        for stretch in records.windows(count).filter(|some| some.iter().all(|r| r.0 == some[0].0)) {
            let (first, last) = (&stretch[0], &stretch[count - 1]);
            // From the last byte of the first one, and from its beginning; to the header of the last, and to its end.
            let ends = [first.1, (first.1 + 48 + first.2) - 1];
            for (from, to) in ends.into_iter().flat_map(|from| [(from, 48), (from, 48 + last.2)]) {
                // Where the last commit cannot be read nothing vouches for those before it.
                let is_last = first.0 == newest && last.1 >= last_commit;
                let hit = |r: &&Place| is_last && r.1 >= first.1 && r.0 == newest;
                let torn = |id, seq| {
                    let gone = records.iter().filter(hit).filter(|r| r.3 == id && r.4 > Seq(0));
                    gone.map(|r| r.4).min().is_some_and(|from| seq >= from)
                };
                let context = format!("{} to {} of {}", first.1, last.1, first.0.display());
                let rotten = rotten(&disk, &first.0, from..last.1 + to);
                assert_told(&rotten, torn, !is_last, &context);
            }
        }
    }
}

#[test]
fn a_damaged_beginning_of_a_segment_is_never_written_over() {
    let world = open(&SimDisk::default(), 5);
    let new = world.kill();
    let world = open(&new.copy(), 6);
    world.wal.open_journal(J1, Bytes::new()).unwrap();
    world.settle();
    let used = world.kill();
    let segment = segments(&new).pop().unwrap();
    // Alone, and where the commit after it was torn: nothing that came later vouches for the beginning.
    for (disk, torn) in [(&new, false), (&used, true)] {
        for at in 4096..8192 {
            let rotten = disk.copy();
            rotten.corrupt(&segment, |bytes| {
                bytes[at] ^= 1;
                if torn {
                    bytes[8192..8192 + 48].fill(0x5A);
                }
            });
            let Ok(world) = try_open(&rotten, 7, options()) else { continue };
            let before = world.recovered.clone();
            world.wal.open_journal(JournalId(9), Bytes::new()).unwrap();
            world.fill(JournalId(9), 1, 1, 10);
            let world = open(&world.kill(), 8);
            let context = format!("byte {at}: {before:?}, then {:?}", world.recovered);
            assert_eq!(world.recovered.lost_before, before.lost_before, "{context}");
            let known = world.recovered(JournalId(9));
            assert_eq!((known.last, known.damaged_from), (Seq(1), None), "{context}");
        }
    }
}

#[test]
fn journals_made_after_damage_was_found_are_not_suspected_of_having_been_in_it() {
    let (disk, records) = sample();
    let newest = segments(&disk).pop().unwrap();
    let position = records.iter().filter(|record| record.0 == newest).nth(2).unwrap().1;
    disk.corrupt(&newest, |bytes| bytes[position as usize + 4] ^= 1);
    let world = open(&disk, 6);
    assert_eq!(world.recovered.lost_before, Some(JournalId(u64::MAX)));
    world.wal.bound_lost_journals(JournalId(5));
    world.wal.open_journal(JournalId(9), Bytes::new()).unwrap();
    world.fill(JournalId(9), 1, 1, 10);
    let mut disk = world.kill();
    for (seed, later) in [(7, 12), (8, 13)] {
        let world = open(&disk, seed);
        assert_eq!(world.recovered.lost_before, Some(JournalId(5)));
        // What is bounded already concerns what an earlier opening found.
        world.wal.bound_lost_journals(JournalId(later));
        world.wal.open_journal(JournalId(later), Bytes::new()).unwrap();
        world.settle();
        disk = world.kill();
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
            Err(WalError::Unreadable { .. }) => continue,
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
