//! Single faults that must pass by themselves: each is shown to have taken effect.

use esker_sim::{Feature, Plan, simulate};
use std::collections::BTreeSet;

/// Everything that can go wrong, but `kept`.
fn nothing_but(kept: &[Feature]) -> BTreeSet<Feature> {
    let faults = Feature::ALL.iter().take_while(|feature| **feature != Feature::Plain);
    faults.filter(|fault| !kept.contains(fault)).copied().collect()
}

/// Seeds that are tried until a fault is seen to happen.
const SEEDS_MAX: u64 = 200;

/// At least so many seeds pass with this fault alone, and as many more as it takes to see it happen.
fn passes(seeds: u64, fault: Feature, sign: &str) {
    let mut seen = false;
    for seed in 0..SEEDS_MAX {
        if seen && seed >= seeds {
            break;
        }
        let without = nothing_but(&[fault]);
        let outcome = simulate(&Plan { without, keep_trace: true, ..Plan::new(seed) });
        assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
        seen |= outcome.lines.iter().any(|line| line.contains(sign));
    }
    assert!(seen, "`{sign}` did not happen in {SEEDS_MAX} seeds");
}

#[test]
fn a_full_disk_is_waited_out() {
    passes(12, Feature::Full, "no room /data/metadata/");
}

#[test]
fn damage_is_refused_where_it_matters_and_forgotten_where_it_does_not() {
    for seed in 0..6 {
        let without = nothing_but(&[Feature::Rot, Feature::Misdirect, Feature::PowerCut]);
        let outcome = simulate(&Plan { without, ..Plan::new(seed) });
        assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
    }
}

#[test]
fn a_body_that_was_damaged_on_its_way_is_fetched_again() {
    passes(3, Feature::Bodies, "damage body");
}
