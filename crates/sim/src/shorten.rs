//! Making a failing simulation short: leaving out what its failure does not need.

use crate::model::Oracle;
use crate::plan::{Feature, Plan};
use crate::run::Outcome;
use crate::watchdog::simulate_within;
use std::time::Duration;

/// Attempts at most: each is a run.
const ATTEMPTS: usize = 80;

/// The shortest plan found that fails as `plan` does, by the same oracle, with its outcome. `None` where `plan` passes. No
/// run takes longer than `limit`; the first one that would ends the search.
#[must_use]
pub fn shorten(plan: &Plan, limit: Duration) -> Option<(Plan, Outcome)> {
    let outcome = simulate_within(limit, plan);
    let wanted = outcome.problems.first()?.oracle;
    let mut best = (plan.clone(), outcome);
    let mut attempts = if wanted == Oracle::Endless { ATTEMPTS } else { 0 };
    let mut attempt = |best: &mut (Plan, Outcome), plan: Plan| -> bool {
        if attempts == ATTEMPTS {
            return false;
        }
        attempts += 1;
        let outcome = simulate_within(limit, &plan);
        let found = outcome.problems.first().map(|problem| problem.oracle);
        if found == Some(Oracle::Endless) {
            attempts = ATTEMPTS;
        }
        let same = found == Some(wanted);
        if same && outcome.trace.1 <= best.1.trace.1 {
            *best = (plan, outcome);
        }
        same
    };
    for lives in 1..best.1.lives {
        let shorter = Plan { lives_max: Some(lives), ..best.0.clone() };
        if attempt(&mut best, shorter) {
            break;
        }
    }
    for feature in Feature::ALL {
        let mut simpler = best.0.clone();
        simpler.without.insert(*feature);
        attempt(&mut best, simpler);
    }
    let mut millis = 32_000;
    while millis >= 250 {
        let shorter = Plan { life_max: Some(Duration::from_millis(millis)), ..best.0.clone() };
        if !attempt(&mut best, shorter) {
            break;
        }
        millis /= 2;
    }
    Some(best)
}
