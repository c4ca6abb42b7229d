//! Runs simulations and says which seeds fail.

use clap::Parser;
use esker_env::Disk;
use esker_env::real::FileSystem;
use esker_sim::{
    CATALOGUE, Effects, Feature, Oracle, Outcome, Plan, Planted, SEED_MAX, shorten, simulate_within,
};
use std::path::{Path, PathBuf};
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
    /// How long one seed may take, in seconds of real time. One that takes longer fails, and ends the program.
    #[arg(long, default_value_t = SEED_MAX.as_secs())]
    seed_seconds: u64,
    /// Print every event of a failing seed.
    #[arg(long)]
    trace: bool,
    /// Run every seed twice and compare.
    #[arg(long)]
    twice: bool,
    /// Do not look for a shorter run that fails likewise.
    #[arg(long)]
    as_is: bool,
    /// Lives of the node at most.
    #[arg(long)]
    lives: Option<u64>,
    /// How long each life works at most, in milliseconds.
    #[arg(long)]
    life_ms: Option<u64>,
    /// Faults and work to leave out.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Feature>,
    /// Put a bug in, by name; `all` tries every bug and wants each to be found, `list` names them.
    #[arg(long)]
    planted: Option<String>,
    /// Let the node log to standard error: `warn`, `debug`, or as in `esker_engine=debug`.
    #[arg(long)]
    log: Option<String>,
    /// Write how often what took effect, as JSON, instead of telling it.
    #[arg(long)]
    effects: Option<PathBuf>,
    /// Write what the clients of a single seed did and saw, for `tests/checker`.
    #[arg(long)]
    history: Option<PathBuf>,
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

#[derive(Default)]
struct Totals {
    run: u64,
    failed: u64,
    lives: u64,
    refusals: u64,
    acks: u64,
    reads: u64,
    simulated: Duration,
    effects: Effects,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.run += 1;
        self.lives += outcome.lives;
        self.refusals += outcome.refusals;
        self.acks += outcome.acks;
        self.reads += outcome.reads;
        self.simulated += outcome.virtual_time;
        self.effects.add(&outcome.effects);
    }

    fn tell(&self, real: Duration) {
        let Self { run, failed, lives, refusals, acks, reads, simulated, effects: _ } = self;
        say(&format!(
            "{run} seeds, {failed} failed; {lives} lives, {refusals} refused for damage, {acks} batches acknowledged, \
             {reads} records compared; {:.2} virtual hours in {:.1} s, {:.0} times real time",
            simulated.as_secs_f64() / 3600.0,
            real.as_secs_f64(),
            simulated.as_secs_f64() / real.as_secs_f64().max(0.001)
        ));
    }

    fn tell_effects(&self) {
        for (whose, counts) in self.effects.table() {
            let counts: Vec<_> =
                counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
            say(&format!("{whose:22} {}", counts.join(", ")));
        }
    }
}

impl Options {
    fn limit(&self) -> Duration {
        Duration::from_secs(self.seed_seconds)
    }

    fn plan(&self, seed: u64, planted: Option<Planted>) -> Plan {
        let plan = Plan {
            seed,
            planted: None,
            twice: self.twice,
            without: self.without.iter().copied().collect(),
            lives_max: self.lives,
            life_max: self.life_ms.map(Duration::from_millis),
            keep_trace: self.trace,
            keep_history: self.history.is_some(),
        };
        planted.into_iter().fold(plan, Plan::planted)
    }
}

/// Says what did not hold, and how to see it again.
fn tell_failure(options: &Options, plan: &Plan, outcome: &Outcome) {
    for problem in outcome.problems.iter().take(5) {
        say(&format!("seed {}: {problem}", plan.seed));
    }
    let shorter = if options.as_is { None } else { shorten(plan, options.limit()) };
    let (plan, outcome) = match &shorter {
        Some((plan, outcome)) => (plan, outcome),
        None => (plan, outcome),
    };
    if let Some(problem) = outcome.problems.first() {
        say(&format!("    {} events, {} lives: {problem}", outcome.trace.1, outcome.lives));
    }
    if options.trace {
        outcome.lines.iter().for_each(|line| say(line));
    }
    say(&format!("    cargo run -p esker-sim -- {} --as-is --trace", plan.words()));
}

/// Tries every bug of the catalogue on the seeds; each must be found, as what it is.
fn try_catalogue(options: &Options, range: &std::ops::Range<u64>) -> ExitCode {
    let mut missed = 0;
    for planted in CATALOGUE {
        let found = range.clone().find_map(|seed| {
            let outcome = simulate_within(options.limit(), &options.plan(seed, Some(*planted)));
            let problem = outcome.problems.into_iter().next()?;
            Some((seed, problem))
        });
        match found {
            Some((seed, problem)) => {
                let what: String = problem.to_string().chars().take(120).collect();
                let expected = planted.found_as.contains(&problem.oracle);
                missed += usize::from(!expected);
                let how = if expected { "found" } else { "found as something else" };
                say(&format!("{:28} {how} by seed {seed}: {what}", planted.name));
            }
            None => {
                missed += 1;
                say(&format!("{:28} NOT FOUND by seeds {range:?}", planted.name));
            }
        }
    }
    say(&format!("{} bugs planted, {} found", CATALOGUE.len(), CATALOGUE.len() - missed));
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(path: &Path, text: &str) -> Result<(), ExitCode> {
    FileSystem.replace(path, text.as_bytes()).map_err(|error| {
        say(&format!("cannot write {}: {error}", path.display()));
        ExitCode::from(2)
    })
}

fn main() -> ExitCode {
    run().unwrap_or_else(|code| code)
}

fn run() -> Result<ExitCode, ExitCode> {
    let options = Options::parse();
    let Some(range) = seeds(&options.seeds) else {
        say("--seeds takes A..B or a number");
        return Err(ExitCode::from(2));
    };
    let planted = match options.planted.as_deref() {
        None => None,
        Some("all") => return Ok(try_catalogue(&options, &range)),
        Some("list") => {
            CATALOGUE.iter().for_each(|planted| say(planted.name));
            return Ok(ExitCode::SUCCESS);
        }
        Some(name) => {
            let known = Planted::named(name);
            if known.is_none() {
                say(&format!("no bug is called `{name}`: --planted list names them"));
                return Err(ExitCode::from(2));
            }
            known
        }
    };
    if let Some(filter) = &options.log {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    let began = now();
    let limit = Duration::from_secs(options.minutes * 60);
    let mut totals = Totals::default();
    for seed in range {
        if began.elapsed() > limit {
            break;
        }
        let plan = options.plan(seed, planted);
        let outcome = simulate_within(options.limit(), &plan);
        totals.add(&outcome);
        if let Some(path) = &options.history {
            write(path, &(outcome.history.join("\n") + "\n"))?;
        }
        if let Some(first) = outcome.problems.first() {
            totals.failed += 1;
            // What else fails shows itself in one run.
            let twice = first.oracle == Oracle::Determinism;
            tell_failure(&options, &Plan { twice, ..plan }, &outcome);
            if first.oracle == Oracle::Endless {
                // It goes on, and nothing but the end of the program stops it.
                break;
            }
        }
    }
    totals.tell(began.elapsed());
    match &options.effects {
        Some(path) => write(path, &serde_json::json!(totals.effects.table()).to_string())?,
        None if totals.run > 1 => totals.tell_effects(),
        None => {}
    }
    Ok(if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
