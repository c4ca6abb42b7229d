//! Every bug of the catalogue is put in, and found as what it is.

use esker_sim::{CATALOGUE, Plan, Planted, SEED_MAX, simulate_within};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seeds that are tried until one finds the bug. Without it they pass. A cache that is wrong for good is found by one seed of
/// fifty; all others by one of the first few.
const SEEDS: std::ops::Range<u64> = 0..500;

/// What is wrong, if the bug is not found or found as something that the catalogue does not expect.
fn misses(planted: Planted) -> Option<String> {
    let found = SEEDS.into_iter().find_map(|seed| {
        let outcome = simulate_within(SEED_MAX, &Plan::new(seed).planted(planted));
        Some((seed, outcome.problems.into_iter().next()?))
    });
    match found {
        None => Some(format!("{} was not found", planted.name)),
        Some((_, problem)) if planted.found_as.contains(&problem.oracle) => None,
        Some((seed, problem)) => {
            let expected = planted.found_as;
            Some(format!("{}, seed {seed}: not {expected:?} but {problem}", planted.name))
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let missed: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut missed = Vec::new();
            while let Some(planted) = CATALOGUE.get(next.fetch_add(1, Ordering::Relaxed)) {
                missed.extend(misses(*planted));
            }
            missed
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker panics")).collect()
    });
    assert!(missed.is_empty(), "{missed:#?}");
}
