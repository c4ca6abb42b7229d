//! Single faults that must pass by themselves: each is shown to have taken effect.

use esker_sim::{Feature, Plan, simulate};
use std::collections::BTreeSet;

/// Everything that can go wrong, but `kept`.
fn nothing_but(kept: &[Feature]) -> BTreeSet<Feature> {
    let faults = Feature::ALL.iter().take_while(|feature| **feature != Feature::Plain);
    faults.filter(|fault| !kept.contains(fault)).copied().collect()
}

/// Seeds pass with this fault alone, and it is seen to happen.
fn passes(seeds: std::ops::Range<u64>, fault: Feature, sign: &str) {
    let mut seen = 0;
    for seed in seeds {
        let without = nothing_but(&[fault]);
        let outcome = simulate(&Plan { without, keep_trace: true, ..Plan::new(seed) });
        assert!(outcome.problems.is_empty(), "seed {seed}: {:?}", outcome.problems);
        seen += outcome.lines.iter().filter(|line| line.contains(sign)).count();
    }
    assert!(seen > 0, "`{sign}` did not happen");
}

#[test]
fn a_full_disk_is_waited_out() {
    passes(0..12, Feature::Full, "no room /data/metadata/");
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
    passes(0..3, Feature::Bodies, "damage body");
}
