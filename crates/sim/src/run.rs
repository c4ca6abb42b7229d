//! One simulation: lives of a node under faults, crashes between them, a last life in which everything heals.

use crate::bucket::Store;
use crate::catalogue::At;
use crate::drive::{Drive, Injury};
use crate::effects::{Effect, Effects};
use crate::entropy::SimEntropy;
use crate::history::History;
use crate::model::{Model, Oracle, Problem};
use crate::panics;
use crate::plan::{Feature, Plan};
use crate::power::Power;
use crate::producers::{Kind, SimProducer};
use crate::trace::Trace;
use crate::world::{Course, World};
use esker_env::Entropy;
use esker_types::MonoTime;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Producers: of three, one sends without sequence numbers, and one has several batches on their way.
const PRODUCERS: u64 = 6;

/// What came of a simulation.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What did not hold; empty when all is well.
    pub problems: Vec<Problem>,
    /// Hash and number of all events: a seed decides both.
    pub trace: (u64, u64),
    /// The events, where they were kept.
    pub lines: Vec<String>,
    /// What clients did and saw, where it was kept.
    pub history: Vec<String>,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Batches acknowledged.
    pub acks: u64,
    /// Records read and compared.
    pub reads: u64,
    /// Starts of the node.
    pub lives: u64,
    /// Starts that were refused because the disk was damaged.
    pub refusals: u64,
    /// What took effect.
    pub effects: Effects,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The power fails after a time, or after so many operations of the disk.
    Crash { operations: Option<u64> },
    /// The process is killed then.
    Kill { operations: Option<u64> },
    /// The node is stopped.
    Stop,
    /// Everything is checked, if it can be, after some work under faults.
    Last,
    /// Everything is checked, and nothing fails any more.
    Peace,
}

impl End {
    /// Whether a process may end between any two steps.
    pub(crate) const fn is_sudden(self) -> bool {
        matches!(self, Self::Crash { .. } | Self::Kill { .. })
    }
}

/// A machine: what of it outlives its lives.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Its name in the network.
    pub(crate) host: &'static str,
    pub(crate) drive: Arc<Drive>,
}

pub(crate) type Producers = Vec<Arc<tokio::sync::Mutex<SimProducer>>>;

pub(crate) struct Simulation {
    pub(crate) plan: Plan,
    pub(crate) machines: Vec<Machine>,
    pub(crate) store: Arc<Store>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) producers: Producers,
    pub(crate) before: Duration,
    entropy: SimEntropy,
    pub(crate) lives: u64,
    refusals: u64,
}

/// Runs a simulation, and once more where it is told to.
#[must_use]
pub fn simulate(plan: &Plan) -> Outcome {
    let mut outcome = run(plan);
    if plan.twice {
        let again = run(plan);
        outcome.problems.extend(difference(&outcome, &again));
    }
    outcome
}

fn difference(one: &Outcome, other: &Outcome) -> Option<Problem> {
    if one.trace == other.trace {
        return None;
    }
    let mut pairs = one.lines.iter().zip(&other.lines).enumerate();
    let first = pairs.find(|(_, (one, other))| one != other);
    let first = first.map(|(at, (one, other))| format!(", first at {at}: `{one}`, `{other}`"));
    let first = first.unwrap_or_default();
    let what = format!("runs differ: {:?}, {:?}{first}", one.trace, other.trace);
    Some(Problem::new(Oracle::Determinism, what))
}

fn run(plan: &Plan) -> Outcome {
    let (lie, bucket_lie, bug) = match plan.planted.map(|planted| planted.at) {
        Some(At::Disk(lie)) => (Some(lie), None, None),
        Some(At::Bucket(lie)) => (None, Some(lie), None),
        Some(At::Code(bug)) => (None, None, Some(bug)),
        Some(At::Cache | At::Seed) | None => (None, None, None),
    };
    esker_types::plant(bug);
    let producers = (0..PRODUCERS).filter_map(|number| {
        let (kind, feature) = match number % 3 {
            0 => (Kind::Ahead, Feature::Ahead),
            1 => (Kind::Idempotent, Feature::Idempotent),
            _ => (Kind::Plain, Feature::Plain),
        };
        let producer = SimProducer::new(number, kind);
        plan.has(feature).then(|| Arc::new(tokio::sync::Mutex::new(producer)))
    });
    let history = plan.keep_history.then(History::default);
    let mut simulation = Simulation {
        plan: plan.clone(),
        entropy: SimEntropy::new(plan.seed),
        machines: vec![Machine { host: "node", drive: Arc::new(Drive::new(lie)) }],
        store: Arc::new(Store::new(bucket_lie)),
        trace: Arc::new(Trace::new(plan.keep_trace)),
        model: Arc::new(Mutex::new(Model { history, ..Model::default() })),
        producers: producers.collect(),
        before: Duration::ZERO,
        lives: 0,
        refusals: 0,
    };
    let crashes = 2 + simulation.entropy.below(4);
    let crashes = plan.lives_max.map_or(crashes, |lives| crashes.min(lives.saturating_sub(1)));
    for number in 0..=crashes {
        let entropy = simulation.entropy.branch(&format!("end {number}"));
        let end = match entropy.below(10) {
            _ if number == crashes => End::Last,
            0..5 if plan.has(Feature::PowerCut) => {
                End::Crash { operations: Some(entropy.below(900)) }
            }
            0..8 => End::Crash { operations: None },
            _ => End::Stop,
        };
        let end = match end {
            End::Crash { operations } if entropy.chance(30) && plan.has(Feature::Kill) => {
                End::Kill { operations }
            }
            end => end,
        };
        simulation.live_through(end);
        if !simulation.model.lock().problems.is_empty() {
            break;
        }
    }
    esker_types::plant(None);
    let model = simulation.model.lock();
    let mut problems = model.problems.clone();
    assert!(model.was_found || !problems.is_empty(), "a simulation ends when everything was found");
    problems.extend(simulation.store.problems());
    Outcome {
        problems,
        trace: simulation.trace.hash(),
        lines: simulation.trace.lines(),
        history: model.history.as_ref().map(History::lines).unwrap_or_default(),
        virtual_time: simulation.before,
        acks: model.acks,
        reads: model.reads,
        lives: simulation.lives,
        refusals: simulation.refusals,
        effects: simulation.trace.effects(),
    }
}

impl Simulation {
    /// A life; one whose start was refused because of damage is lived again with the disk as it was before.
    fn live_through(&mut self, end: End) {
        let entropy = self.entropy.branch(&format!("damage {}", self.lives));
        let drive = Arc::clone(&self.machines[0].drive);
        let rotten =
            self.plan.has(Feature::Rot) && entropy.chance(self.plan.percent(Feature::Rot, 18));
        let misdirected = self.plan.has(Feature::Misdirect) && entropy.chance(12);
        if self.lives > 0 && end != End::Last && (rotten || misdirected) {
            let copy = drive.copy();
            if let Some(injury) = drive.injure(&entropy, misdirected) {
                self.trace.note(0, "injury", &injury.what, self.lives);
                let (done, refused) = match injury.misdirected {
                    true => (Effect::Misdirected, Effect::MisdirectedRefused),
                    false => (Effect::RotAtRest, Effect::RotRefused),
                };
                self.trace.count(done);
                match self.live(end, Some(&injury)) {
                    Course::Went => drive.mend(&injury),
                    course => {
                        if course == Course::Refused {
                            self.refusals += 1;
                            self.trace.count(refused);
                        }
                        drive.restore(copy);
                    }
                }
                return;
            }
        }
        if self.live(end, None) == Course::Wounded {
            self.live(End::Peace, None);
        }
    }

    fn live(&mut self, end: End, injury: Option<&Injury>) -> Course {
        self.lives += 1;
        let entropy = self.entropy.branch(&format!("life {}", self.lives));
        let operations = match end {
            End::Crash { operations } | End::Kill { operations } => operations,
            End::Stop | End::Last | End::Peace => None,
        };
        let power = Arc::new(Power::new(operations));
        panics::watch(&power);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing from the system");
        let life = || {
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let world = World::new(self, &power, &entropy, end, injury);
                let outcome = Box::pin(world.live(end)).await;
                let exits = power.is_on() && world.host().disk.has_failed();
                power.fail();
                (outcome, world.wounds(), Duration::from_nanos(world.now().0), exits)
            })
        };
        // A panic outside of any task was noted as those inside are.
        let lived = std::panic::catch_unwind(AssertUnwindSafe(life));
        let (outcome, wounds, took, exits) =
            lived.unwrap_or_else(|_| (Ok(Course::Went), Vec::new(), Duration::from_secs(1), false));
        drop(runtime);
        let mut model = self.model.lock();
        let course = outcome.unwrap_or_else(|problem| {
            model.problems.push(problem);
            Course::Went
        });
        let panicked = panics::seen().into_iter().map(|what| Problem::new(Oracle::Panic, what));
        model.problems.extend(panicked);
        drop(model);
        self.before += took + Duration::from_secs(1);
        let drive = &self.machines[0].drive;
        let effects = match end {
            End::Stop => Vec::new(),
            // A broker whose disk failed ends, and the machine goes on.
            End::Crash { .. } if exits && entropy.branch("exit").chance(70) => {
                drive.lose_process();
                Vec::new()
            }
            End::Kill { .. } => {
                let left = drive.lose_process();
                vec![
                    (true, Effect::Killed),
                    (left.writes, Effect::KilledUnsynced),
                    (left.names, Effect::KilledUnnamed),
                ]
            }
            End::Crash { .. } | End::Last | End::Peace => {
                let lost = drive.lose_power(&entropy.branch("power"));
                vec![
                    (lost.writes, Effect::WritesLost),
                    (lost.torn, Effect::WritesTorn),
                    (lost.names, Effect::NamesLost),
                ]
            }
        };
        for (_, effect) in effects.into_iter().filter(|(happened, _)| *happened) {
            self.trace.count(effect);
        }
        drive.leave_room(None);
        wounds.iter().rev().for_each(|injury| drive.mend(injury));
        self.trace.note(MonoTime::default().plus(took).0, "life ends", "", self.lives);
        course
    }
}
