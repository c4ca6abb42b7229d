//! Virtual time and the tasks that live in it.

use crate::effects::{Effect, SPILL, choose_point};
use crate::entropy::SimEntropy;
use crate::power::Power;
use crate::trace::Trace;
use esker_env::{
    BoxFuture, Clock, DiskLoop, Doorbell, Entropy, LoopState, Ring, Spawner, TaskPlacement,
};
use esker_types::{MonoTime, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Wall time at which every simulation begins: 2026-01-01.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// The clock of one life of a machine: the runtime's virtual time, and a wall that is off, drifts and jumps.
#[derive(Debug)]
pub struct SimClock {
    began: Instant,
    /// Virtual time that earlier lives took, plus what the wall has jumped.
    wall_offset_ms: AtomicI64,
    /// What the wall gains in a million ticks.
    drift_ppm: i64,
    points: Points,
}

/// Places in the code where this life waits or ends.
#[derive(Debug)]
pub struct Points {
    entropy: SimEntropy,
    power: Arc<Power>,
    trace: Arc<Trace>,
    /// Percent of the places that are awkward in this life.
    percent: AtomicU64,
    /// The one where this life ends, if it gets there.
    last: Option<&'static str>,
}

impl Points {
    /// Awkward at `percent` of all places; with `ends` the life may end at one of them.
    #[must_use]
    pub fn new(
        entropy: &SimEntropy,
        power: Arc<Power>,
        trace: Arc<Trace>,
        percent: u64,
        ends: bool,
    ) -> Self {
        let entropy = entropy.branch("points");
        let last = (ends && entropy.chance(80)).then(|| choose_point(&entropy));
        Self { entropy, power, trace, percent: AtomicU64::new(percent), last }
    }

    fn wait_at(&self, now: MonoTime, point: &'static str) -> Option<Duration> {
        let percent = self.percent.load(Ordering::Relaxed);
        if self.last == Some(point) && self.entropy.chance(50) {
            self.trace.note(now.0, "ends at", point, 0);
            self.trace.count(Effect::Ended);
            self.trace.count(Effect::End(point));
            self.power.fail();
            return Some(Duration::from_hours(1));
        }
        // A place is awkward all through a life or not at all; then every other visit is.
        if percent == 0
            || self.entropy.branch(point).below(100) >= percent
            || self.entropy.chance(50)
        {
            return None;
        }
        let longest =
            [20, 300, 3_000, 12_000][usize::try_from(self.entropy.below(4)).expect("below 4")];
        let wait = self.entropy.between(1, longest);
        self.trace.note(now.0, "hold at", point, wait);
        self.trace.count(Effect::Held);
        self.trace.count(Effect::Wait(point));
        Some(Duration::from_millis(wait))
    }
}

impl SimClock {
    /// A clock that starts now, `before` after the simulation began, with the wall off by `skew_ms`.
    #[must_use]
    pub fn new(before: Duration, skew_ms: i64, drift_ppm: i64, points: Points) -> Self {
        let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX / 4);
        let wall_offset_ms = AtomicI64::new(EPOCH_MS + before + skew_ms);
        Self { began: now(), wall_offset_ms, drift_ppm, points }
    }

    /// Moves the wall.
    pub fn jump(&self, by_ms: i64) {
        self.wall_offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Whether this life is to end at the place that is reached only where objects are not merged.
    pub(crate) fn ends_at_spill(&self) -> bool {
        self.points.last == Some(SPILL)
    }

    /// No place is awkward any more.
    pub fn calm(&self) {
        self.points.percent.store(0, Ordering::Relaxed);
    }
}

/// Stops everything for a while, as a machine does that is suspended: when it goes on, that time has passed.
pub(crate) async fn pause(pause: Duration) {
    tokio::time::advance(pause).await;
}

#[expect(clippy::disallowed_methods, reason = "this is the seam: the runtime's time is virtual")]
fn now() -> Instant {
    Instant::now()
}

/// Lets virtual time pass.
#[expect(clippy::disallowed_methods, reason = "this is the seam: the runtime's time is virtual")]
pub(crate) fn pass(wait: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(wait)
}

/// Runs `work` for at most `limit` of virtual time.
#[expect(
    clippy::disallowed_methods,
    reason = "as `Clock::timeout`, for work that stays on its thread"
)]
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

impl Clock for SimClock {
    fn now(&self) -> MonoTime {
        MonoTime::default().plus(now().duration_since(self.began))
    }

    fn wall(&self) -> Timestamp {
        let since = now().duration_since(self.began).as_millis();
        let since = i64::try_from(since).unwrap_or(i64::MAX / 4);
        let drifted = since + since.saturating_mul(self.drift_ppm) / 1_000_000;
        Timestamp(self.wall_offset_ms.load(Ordering::Relaxed) + drifted)
    }

    fn fail_point(&self, name: &'static str) -> Option<Duration> {
        self.points.wait_at(self.now(), name)
    }

    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        Box::pin(pass(deadline.since(self.now())))
    }
}

/// Starts tasks on the one runtime of a life. They end when the runtime is dropped: that is the crash.
#[derive(Debug)]
pub struct SimSpawner {
    runtime: Handle,
    power: Arc<Power>,
    pace: Pace,
}

/// How long pieces of blocking work take.
#[derive(Debug, Clone)]
struct Pace {
    entropy: Arc<SimEntropy>,
    slow_disk: Arc<AtomicBool>,
    trace: Arc<Trace>,
}

impl SimSpawner {
    /// A spawner for the current runtime. Every piece of blocking work takes a millisecond or a few; more where the
    /// disk is slow.
    #[must_use]
    pub fn new(
        power: Arc<Power>,
        trace: Arc<Trace>,
        entropy: &SimEntropy,
        slow_disk: bool,
    ) -> Self {
        let entropy = Arc::new(entropy.branch("work"));
        let slow_disk = Arc::new(AtomicBool::new(slow_disk));
        Self { runtime: Handle::current(), power, pace: Pace { entropy, slow_disk, trace } }
    }

    /// The disk is slow no more.
    pub fn calm(&self) {
        self.pace.slow_disk.store(false, Ordering::Relaxed);
    }
}

impl Pace {
    fn next(&self) -> Duration {
        if self.slow_disk.load(Ordering::Relaxed) && self.entropy.chance(10) {
            self.trace.count(Effect::SlowWork);
            return Duration::from_millis(self.entropy.between(20, 400));
        }
        Duration::from_millis(self.entropy.between(1, 4))
    }
}

impl Spawner for SimSpawner {
    fn shard_count(&self) -> usize {
        2
    }

    fn spawn(&self, _placement: TaskPlacement, _name: &'static str, task: BoxFuture<'static, ()>) {
        // A runtime that is being dropped takes no tasks: neither does a process that is being killed.
        drop(self.runtime.spawn(task));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let wait = self.pace.next();
        drop(self.runtime.spawn(async move {
            pass(wait).await;
            work();
        }));
    }

    fn yield_cpu(&self) {}

    fn disk_loop(&self, _name: &'static str, mut body: Box<dyn DiskLoop>) -> Doorbell {
        let bell = Arc::new(Bell(Notify::new()));
        let (heard, power, pace) = (Arc::clone(&bell), Arc::clone(&self.power), self.pace.clone());
        drop(self.runtime.spawn(async move {
            while power.is_on() {
                match body.step() {
                    LoopState::Finished => return,
                    LoopState::Idle => heard.0.notified().await,
                    LoopState::Rest(limit) => {
                        let _either = within(limit, heard.0.notified()).await;
                    }
                    LoopState::Busy => {}
                }
                pass(pace.next()).await;
            }
        }));
        Doorbell::new(bell)
    }
}

struct Bell(Notify);

impl Ring for Bell {
    fn ring(&self) {
        self.0.notify_one();
    }
}
