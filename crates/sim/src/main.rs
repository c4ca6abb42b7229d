//! Runs simulations and says which seeds fail.

use clap::Parser;
use esker_sim::simulate;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Simulates a whole node under faults, one seed after the other.
#[derive(Debug, Parser)]
#[command(name = "esker-sim")]
struct Options {
    /// Seeds to run: `A..B`, or one.
    #[arg(long, default_value = "0..100")]
    seeds: String,
    /// Stop after so many minutes of real time.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Print every event of a failing seed.
    #[arg(long)]
    trace: bool,
    /// Run every seed twice and compare.
    #[arg(long)]
    twice: bool,
}

#[expect(clippy::print_stdout, reason = "a program that reports to a terminal")]
fn say(line: &str) {
    println!("{line}");
}

fn seeds(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => text.parse().ok().map(|one| one..one + 1),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the runner measures real time, the simulation does not"
)]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(range) = seeds(&options.seeds) else {
        say("--seeds takes A..B or a number");
        return ExitCode::from(2);
    };
    let began = now();
    let limit = Duration::from_secs(options.minutes * 60);
    let (mut run, mut failed, mut lives, mut acks, mut reads) = (0u64, 0u64, 0, 0, 0);
    let mut simulated = Duration::ZERO;
    for seed in range {
        if began.elapsed() > limit {
            break;
        }
        let outcome = simulate(seed, None, options.trace);
        run += 1;
        lives += outcome.lives;
        acks += outcome.acks;
        reads += outcome.reads;
        simulated += outcome.virtual_time;
        let mut problems = outcome.problems.clone();
        if options.twice {
            let again = simulate(seed, None, options.trace);
            if again.trace != outcome.trace {
                problems.push(format!("runs differ: {:?}, {:?}", outcome.trace, again.trace));
                let pairs = outcome.lines.iter().zip(&again.lines);
                let first = pairs.enumerate().find(|(_, (one, other))| one != other);
                problems.extend(first.map(|(at, pair)| format!("first at {at}: {pair:?}")));
            }
        }
        if let Some(problem) = problems.first() {
            failed += 1;
            say(&format!("seed {seed}: {problem}"));
            problems.iter().skip(1).take(5).for_each(|more| say(&format!("    {more}")));
            if options.trace {
                outcome.lines.iter().for_each(|line| say(line));
            }
            say(&format!("    cargo run --release -p esker-sim -- --seeds {seed} --trace"));
        }
    }
    let real = began.elapsed();
    say(&format!(
        "{run} seeds, {failed} failed; {lives} lives, {acks} batches acknowledged, {reads} records compared; \
         {:.2} virtual hours in {:.1} s, {:.0} times real time",
        simulated.as_secs_f64() / 3600.0,
        real.as_secs_f64(),
        simulated.as_secs_f64() / real.as_secs_f64().max(0.001)
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
