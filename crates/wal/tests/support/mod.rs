//! A world for the log's tests: a disk that forgets what was not synced, a thread that steps when told to.

mod disk;

pub(crate) use disk::SimDisk;

use esker_env::{
    BoxFuture, Clock, DeviceShare, DiskLoop, Doorbell, Entropy, Env, Listener, LoopState, Net,
    Ring, Spawner, TaskPlacement,
};
use esker_types::{MonoTime, Timestamp};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Random numbers from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Entropy for Random {
    fn next_u64(&self) -> u64 {
        self.next()
    }

    fn fork(&self, _name: &str) -> Arc<dyn Entropy> {
        Arc::new(Self::new(self.next()))
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> MonoTime {
        MonoTime(0)
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }

    fn sleep_until(&self, _deadline: MonoTime) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

struct NoNet;

impl Net for NoNet {
    fn bind<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(
        &'a self,
        _address: &'a str,
    ) -> BoxFuture<'a, io::Result<Box<dyn esker_env::ByteStream>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// Holds disk loops and steps them when told to.
#[derive(Default)]
pub(crate) struct Stepper {
    body: Mutex<Option<Box<dyn DiskLoop>>>,
}

struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

impl Stepper {
    /// One step; `Finished` once there is nothing to step.
    pub(crate) fn step(&self) -> LoopState {
        let mut body = self.body.lock().unwrap();
        let state = body.as_mut().map_or(LoopState::Finished, |body| body.step());
        if state == LoopState::Finished {
            *body = None;
        }
        state
    }

    /// Steps until there is nothing to do.
    pub(crate) fn settle(&self) {
        for _ in 0..1_000_000 {
            if self.step() != LoopState::Busy {
                return;
            }
        }
        panic!("the loop is never idle");
    }

    /// The process dies here.
    pub(crate) fn kill(&self) {
        *self.body.lock().unwrap() = None;
    }
}

/// The spawner's face of a [`Stepper`].
pub(crate) struct StepSpawner(pub(crate) Arc<Stepper>);

impl Spawner for StepSpawner {
    fn shard_count(&self) -> usize {
        1
    }

    fn spawn(&self, _placement: TaskPlacement, _name: &'static str, _task: BoxFuture<'static, ()>) {
        panic!("the log spawns no tasks")
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    fn yield_cpu(&self) {}

    fn disk_loop(&self, _name: &'static str, body: Box<dyn DiskLoop>) -> Doorbell {
        *self.0.body.lock().unwrap() = Some(body);
        Doorbell::new(Arc::new(Silent))
    }
}

/// An environment on `disk`.
pub(crate) fn env(disk: &SimDisk, stepper: &Arc<Stepper>, seed: u64) -> Env {
    Env {
        clock: Arc::new(StoppedClock),
        entropy: Arc::new(Random::new(seed)),
        spawner: Arc::new(StepSpawner(Arc::clone(stepper))),
        disk: Arc::new(disk.clone()),
        net: Arc::new(NoNet),
        device: DeviceShare::default(),
    }
}
