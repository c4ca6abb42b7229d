//! Seeds that must pass, the determinism of a seed, and planted bugs that must be found.

use esker_sim::{Lie, Planted, simulate};

/// Seeds that every change is tried on; the runner takes as many as there is time for.
const SEEDS: [u64; 7] = [0, 1, 2, 3, 5, 6, 7];

#[test]
fn every_seed_passes() {
    for seed in SEEDS {
        let outcome = simulate(seed, None, false);
        assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
        assert!(outcome.acks > 0 && outcome.reads > 0, "seed {seed} did nothing: {outcome:?}");
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in [1, 2] {
        let traces = [0, 1].map(|_| simulate(seed, None, false).trace);
        assert!(traces[0].1 > 1000, "seed {seed} has few events: {traces:?}");
        assert_eq!(traces[0], traces[1], "seed {seed} runs differently");
    }
}

/// Whether a problem is what a client or the bucket notices, not a panic or a hang that something else may cause.
fn is_telling(problem: &str) -> bool {
    !problem.starts_with("panic") && !problem.contains("deadline")
}

/// The same seeds pass without the bug.
fn is_found(planted: Planted) {
    let found = SEEDS.into_iter().any(|seed| {
        let outcome = simulate(seed, Some(planted), false);
        outcome.problems.iter().any(|problem| is_telling(problem))
    });
    assert!(found, "{planted:?} was not found");
}

#[test]
fn a_sync_that_does_nothing_is_found() {
    is_found(Planted::Disk(Lie::SyncNothing));
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    is_found(Planted::Disk(Lie::SyncLate));
}

#[test]
fn a_lost_directory_entry_is_found() {
    is_found(Planted::Disk(Lie::ForgetNames));
}
