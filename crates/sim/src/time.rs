//! Virtual time and the tasks that live in it.

use crate::entropy::SimEntropy;
use crate::power::Power;
use esker_env::{BoxFuture, Clock, DiskLoop, Doorbell, LoopState, Place, Ring, Spawner};
use esker_types::{MonoTime, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Wall time at which every simulation begins: 2026-01-01.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// The clock of one life of the node: the runtime's virtual time, and a wall that may be off.
#[derive(Debug)]
pub struct SimClock {
    began: Instant,
    /// Virtual time that earlier lives took, plus what the wall has jumped.
    wall_offset_ms: i64,
}

impl SimClock {
    /// A clock that starts now, `before` after the simulation began, with the wall off by `skew_ms`.
    #[must_use]
    pub fn new(before: Duration, skew_ms: i64) -> Self {
        let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX / 4);
        Self { began: now(), wall_offset_ms: EPOCH_MS + before + skew_ms }
    }
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
        Timestamp(self.wall_offset_ms + i64::try_from(since).unwrap_or(i64::MAX / 4))
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
    latency: Arc<SimEntropy>,
    slow_disk: bool,
}

impl SimSpawner {
    /// A spawner for the current runtime. Every piece of blocking work takes a millisecond or a few; more where the
    /// disk is slow.
    #[must_use]
    pub fn new(power: Arc<Power>, entropy: &SimEntropy, slow_disk: bool) -> Self {
        let latency = Arc::new(entropy.branch("work"));
        Self { runtime: Handle::current(), power, latency, slow_disk }
    }
}

fn work_time(latency: &SimEntropy, slow_disk: bool) -> Duration {
    let slow = slow_disk && latency.chance(10);
    Duration::from_millis(if slow { latency.between(20, 400) } else { latency.between(1, 4) })
}

impl Spawner for SimSpawner {
    fn shard_count(&self) -> usize {
        2
    }

    fn spawn(&self, _place: Place, _name: &'static str, task: BoxFuture<'static, ()>) {
        // A runtime that is being dropped takes no tasks: neither does a process that is being killed.
        drop(self.runtime.spawn(task));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let wait = work_time(&self.latency, self.slow_disk);
        drop(self.runtime.spawn(async move {
            pass(wait).await;
            work();
        }));
    }

    fn disk_loop(&self, _name: &'static str, mut body: Box<dyn DiskLoop>) -> Doorbell {
        let bell = Arc::new(Bell(Notify::new()));
        let (heard, latency, slow) = (Arc::clone(&bell), Arc::clone(&self.latency), self.slow_disk);
        let power = Arc::clone(&self.power);
        drop(self.runtime.spawn(async move {
            while power.is_on() {
                match body.step() {
                    LoopState::Finished => return,
                    LoopState::Idle => heard.0.notified().await,
                    LoopState::Busy => {}
                }
                pass(work_time(&latency, slow)).await;
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
