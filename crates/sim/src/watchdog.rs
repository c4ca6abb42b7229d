//! A limit of real time for a seed: one that does not end is a failure, too.

use crate::model::{Oracle, Problem};
use crate::plan::Plan;
use crate::run::{Outcome, simulate};
use std::sync::mpsc;
use std::time::Duration;

/// Some hundred times what a seed takes, so that no busy machine exceeds it.
pub const SEED_MAX: Duration = Duration::from_mins(5);
/// What a program's first thread has.
const STACK: usize = 8 << 20;

/// As [`simulate`], for `limit` of real time at most. A simulation that takes longer is left behind on a thread of its
/// own, where nothing can stop it: a program that is told of [`Oracle::Endless`] should come to its end.
#[must_use]
pub fn simulate_within(limit: Duration, plan: &Plan) -> Outcome {
    let (sender, outcome) = mpsc::channel();
    let own = plan.clone();
    let run = move || {
        let _nobody_waits_any_more = sender.send(simulate(&own));
    };
    let thread = std::thread::Builder::new().name(format!("seed {}", plan.seed)).stack_size(STACK);
    let thread = thread.spawn(run).expect("a thread can be started");
    match outcome.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => endless(limit),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a thread that ends well has sent an outcome"),
        },
    }
}

fn endless(limit: Duration) -> Outcome {
    let what = format!("it does not end within {} s of real time", limit.as_secs());
    Outcome { problems: vec![Problem::new(Oracle::Endless, what)], ..Outcome::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_takes_longer_than_it_may_is_a_failure() {
        let outcome = simulate_within(Duration::ZERO, &Plan::new(1));
        let told: Vec<_> = outcome.problems.iter().map(|problem| problem.oracle).collect();
        assert_eq!(told, [Oracle::Endless]);
    }

    #[test]
    fn a_seed_that_ends_is_told_as_without_a_limit() {
        let plan = Plan { lives_max: Some(1), ..Plan::new(1) };
        let outcome = simulate_within(SEED_MAX, &plan);
        assert_eq!(outcome.problems, []);
        assert_eq!(outcome.trace, simulate(&plan).trace);
    }
}
