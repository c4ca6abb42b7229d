//! Threads, runtimes, the system's clock and its randomness.

use crate::BoxFuture;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::spawn::{DiskLoop, Doorbell, LoopState, Ring, Spawner, TaskPlacement};
use esker_types::{MonoTime, Timestamp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    epoch: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new() -> Self {
        Self { epoch: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> MonoTime {
        MonoTime::default().plus(self.epoch.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(deadline.since(self.now())))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn pause(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random numbers")
    }

    fn fork(&self, _name: &str) -> Arc<dyn Entropy> {
        Arc::new(Self)
    }
}

/// The runtimes of a process: one thread per connection shard, one for metadata, a few for background work.
///
/// Dropping it stops all of them; tasks that still run are dropped at their next await.
#[derive(Debug)]
pub struct Runtimes {
    spawner: Arc<ThreadSpawner>,
    background: Option<Runtime>,
    stop: Vec<oneshot::Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Spawns onto [`Runtimes`].
#[derive(Debug)]
pub struct ThreadSpawner {
    shards: Vec<Handle>,
    meta: Handle,
    background: Handle,
}

impl Runtimes {
    /// Starts `shard_count` shards, the metadata thread and `background_threads` background threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(shard_count: usize, background_threads: usize) -> io::Result<Self> {
        let mut stop = Vec::new();
        let mut threads = Vec::new();
        let mut start = |name: String| -> io::Result<Handle> {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let (sender, stopped) = oneshot::channel::<()>();
            stop.push(sender);
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                // Either a stop or the end of the owner ends the thread.
                let _stopped = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?);
            Ok(handle)
        };
        let shards = (0..shard_count.max(1))
            .map(|index| start(format!("shard-{index}")))
            .collect::<io::Result<Vec<_>>>()?;
        let meta = start("meta".to_owned())?;
        let background = Builder::new_multi_thread()
            .worker_threads(background_threads.max(1))
            .max_blocking_threads(32)
            .thread_keep_alive(Duration::from_secs(10))
            .thread_name("background")
            .enable_all()
            .build()?;
        let spawner =
            Arc::new(ThreadSpawner { shards, meta, background: background.handle().clone() });
        Ok(Self { spawner, background: Some(background), stop, threads })
    }

    /// The spawner of these runtimes.
    #[must_use]
    pub fn spawner(&self) -> Arc<ThreadSpawner> {
        Arc::clone(&self.spawner)
    }

    /// Runs `main` on the background runtime and waits for it: the entry of a process.
    ///
    /// # Panics
    /// When called from inside a runtime.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        self.spawner.background.block_on(main)
    }
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        for stop in self.stop.drain(..) {
            let _already_gone = stop.send(());
        }
        for thread in self.threads.drain(..) {
            // A shard that panicked has said so already.
            let _panicked = thread.join();
        }
        if let Some(background) = self.background.take() {
            background.shutdown_background();
        }
    }
}

impl Spawner for ThreadSpawner {
    fn shard_count(&self) -> usize {
        self.shards.len()
    }

    fn spawn(&self, placement: TaskPlacement, _name: &'static str, task: BoxFuture<'static, ()>) {
        let handle = match placement {
            TaskPlacement::Shard(index) => &self.shards[index % self.shards.len()],
            TaskPlacement::Background => &self.background,
            TaskPlacement::Meta => &self.meta,
        };
        drop(handle.spawn(task));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        drop(self.background.spawn_blocking(work));
    }

    #[expect(clippy::disallowed_methods, reason = "this is what stands behind the seam")]
    fn yield_cpu(&self) {
        std::thread::yield_now();
    }

    fn disk_loop(&self, name: &'static str, mut body: Box<dyn DiskLoop>) -> Doorbell {
        let (send, receive) = std::sync::mpsc::channel::<Arc<ThreadRing>>();
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let Ok(ring) = receive.recv() else { return };
                loop {
                    match body.step() {
                        LoopState::Busy => {}
                        LoopState::Finished => return,
                        LoopState::Idle => {
                            while !ring.rung.swap(false, Ordering::Acquire) {
                                std::thread::park();
                            }
                        }
                        LoopState::Rest(limit) => {
                            // Waking up too early only has the loop look too early.
                            if !ring.rung.swap(false, Ordering::Acquire) {
                                std::thread::park_timeout(limit);
                                ring.rung.swap(false, Ordering::Acquire);
                            }
                        }
                    }
                }
            })
            .expect("the system gives a thread for each disk");
        let ring =
            Arc::new(ThreadRing { rung: AtomicBool::new(false), thread: handle.thread().clone() });
        send.send(Arc::clone(&ring)).expect("the thread waits for its bell");
        Doorbell::new(ring)
    }
}

struct ThreadRing {
    rung: AtomicBool,
    thread: Thread,
}

impl Ring for ThreadRing {
    fn ring(&self) {
        // Only the first ring since the loop last looked needs to wake it.
        if !self.rung.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawn::Blocking;
    use crate::timeout;
    use std::sync::atomic::AtomicU32;

    struct Counter {
        wanted: Arc<AtomicU32>,
        done: std::sync::mpsc::Sender<u32>,
        seen: u32,
    }

    impl DiskLoop for Counter {
        fn step(&mut self) -> LoopState {
            let wanted = self.wanted.load(Ordering::SeqCst);
            if wanted == self.seen {
                return LoopState::Idle;
            }
            self.seen = wanted;
            self.done.send(wanted).unwrap();
            if wanted == 100 { LoopState::Finished } else { LoopState::Busy }
        }
    }

    /// Rests twice, then ends.
    struct Sleeper(u32, std::sync::mpsc::Sender<()>);

    impl DiskLoop for Sleeper {
        fn step(&mut self) -> LoopState {
            self.0 += 1;
            if self.0 < 3 {
                return LoopState::Rest(Duration::from_millis(1));
            }
            self.1.send(()).unwrap();
            LoopState::Finished
        }
    }

    #[test]
    fn a_rest_ends_without_a_ring() {
        let runtimes = Runtimes::start(1, 1).unwrap();
        let (done, ended) = std::sync::mpsc::channel();
        let _bell = runtimes.spawner().disk_loop("test", Box::new(Sleeper(0, done)));
        ended.recv().unwrap();
    }

    #[test]
    fn every_ring_is_answered() {
        let runtimes = Runtimes::start(1, 1).unwrap();
        let (done, results) = std::sync::mpsc::channel();
        let wanted = Arc::new(AtomicU32::new(0));
        let body = Counter { wanted: Arc::clone(&wanted), done, seen: 0 };
        let bell = runtimes.spawner().disk_loop("test", Box::new(body));
        for round in 1..=100 {
            wanted.store(round, Ordering::SeqCst);
            bell.ring();
            assert_eq!(results.recv().unwrap(), round);
        }
    }

    #[test]
    fn tasks_run_where_they_are_placed_and_deadlines_pass() {
        let runtimes = Runtimes::start(2, 1).unwrap();
        let env = crate::Env::real(&runtimes);
        for placement in [
            TaskPlacement::Shard(0),
            TaskPlacement::Shard(1),
            TaskPlacement::Shard(2),
            TaskPlacement::Meta,
        ] {
            let (send, receive) = oneshot::channel();
            env.spawner.spawn(
                placement,
                "test",
                Box::pin(async move { send.send(placement).unwrap() }),
            );
            assert_eq!(runtimes.block_on(receive).unwrap(), placement);
        }
        assert_eq!(runtimes.block_on(env.spawner.blocking(|| 7)), 7);
        let never = std::future::pending::<()>();
        let limit = Duration::from_millis(1);
        assert!(runtimes.block_on(timeout(&*env.clock, limit, never)).is_err());
    }
}
