//! Random lives with power cuts between any two actions.

use crate::support::{Random, SimDisk};
use crate::world::{bundle, payload, try_open};
use bytes::Bytes;
use esker_types::{JournalId, Seq};
use esker_wal::{AppendError, JournalState, JournalStatus, WalOptions};
use std::collections::BTreeMap;

/// One random life after another of the same directory, with power cuts between any two actions of the log.
fn lives(seed: u64) {
    let random = Random::new(seed);
    let disk = SimDisk::default();
    // What was reported durable, over all lives.
    let mut known: BTreeMap<JournalId, JournalStatus> = BTreeMap::new();
    let mut dropped: Vec<JournalId> = Vec::new();
    let mut next_journal = 1;
    for life in 0..6 {
        let segment_bytes = (24 + 16 * random.below(4)) << 12;
        let options = WalOptions {
            prefill: random.chance(50),
            segment_bytes,
            capacity_bytes: segment_bytes * (4 + random.below(10)),
        };
        // Sizes may differ from life to life; what is there may stay until it is trimmed.
        let used_max = disk.used().max(options.capacity_bytes) + segment_bytes + 4096;
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
        let used = disk.used();
        assert!(used <= used_max, "seed {seed} life {life}: {used} of {used_max}");
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

#[test]
fn nothing_reported_is_lost_over_many_lives() {
    for seed in 0..100 {
        lives(seed);
    }
}
