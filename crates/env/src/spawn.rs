//! Tasks, blocking work and disk threads.

use crate::BoxFuture;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

/// Where a task runs. In production each of these is a runtime of its own, so that cold work cannot delay the
/// tail and nothing can delay the metadata; in a simulation all are one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskPlacement {
    /// A connection shard: one single-threaded runtime per core. Taken modulo the number of shards.
    Shard(usize),
    /// Flush, merge, cold reads, garbage collection.
    Background,
    /// Metadata quorum and heartbeats.
    Meta,
}

/// Starts tasks and threads.
pub trait Spawner: Send + Sync {
    /// Number of connection shards, at least 1.
    fn shard_count(&self) -> usize;

    /// Runs `task` at `placement` until it completes. `name` appears in logs and dumps.
    fn spawn(&self, placement: TaskPlacement, name: &'static str, task: BoxFuture<'static, ()>);

    /// Runs work that blocks its thread (file reads, compression) off the shards.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// Lets other threads that want the calling thread's processor have it first. A kernel lets a thread that has begun
    /// run for milliseconds. Where all is one thread there are no others.
    fn yield_cpu(&self);

    /// Runs `body` on a thread of its own until it finishes.
    fn disk_loop(&self, name: &'static str, body: Box<dyn DiskLoop>) -> Doorbell;
}

/// Typed convenience over [`Spawner::spawn_blocking`].
pub trait Blocking: Spawner {
    /// Runs `work` off the shards and returns what it returned.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let (done, result) = tokio::sync::oneshot::channel();
        self.spawn_blocking(Box::new(move || {
            // The caller may have gone; then nobody wants the result.
            let _gone = done.send(work());
        }));
        Box::pin(async move { result.await.expect("blocking work runs to its end") })
    }
}

impl<S: Spawner + ?Sized> Blocking for S {}

/// What a disk loop did in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopState {
    /// Nothing to do until the doorbell rings.
    Idle,
    /// As `Idle`, but so much time is enough as well.
    Rest(Duration),
    /// More to do: call `step` again. A simulation lets time pass (and crashes happen) between steps.
    Busy,
    /// The loop has ended.
    Finished,
}

/// A loop around blocking disk calls: the write-ahead log's writer, for example.
///
/// Each step performs at most one durable action, so that a simulated crash can fall between any two.
pub trait DiskLoop: Send {
    /// Does the next thing.
    fn step(&mut self) -> LoopState;
}

/// Wakes a [`DiskLoop`] that reported [`LoopState::Idle`] or [`LoopState::Rest`]. Rings are remembered: one that arrives during a step
/// makes the loop step again.
#[derive(Clone)]
pub struct Doorbell(Arc<dyn Ring>);

/// The mechanism behind a [`Doorbell`].
pub trait Ring: Send + Sync {
    /// Wakes the loop; cheap when it is awake.
    fn ring(&self);
}

impl Doorbell {
    /// Wraps a mechanism.
    #[must_use]
    pub fn new(ring: Arc<dyn Ring>) -> Self {
        Self(ring)
    }

    /// Wakes the loop.
    pub fn ring(&self) {
        self.0.ring();
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doorbell")
    }
}

/// Has the calling task polled again, after everybody else had a turn: the tasks that wait for one, those for whom
/// something came over the network meanwhile, and the other threads that want this processor. A task that wakes itself
/// would come before the first two.
pub fn poll_again_later(spawner: &dyn Spawner, context: &mut Context<'_>) {
    spawner.yield_cpu();
    let mut later = pin!(tokio::task::yield_now());
    let _pending = later.as_mut().poll(context);
}
