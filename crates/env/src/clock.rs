//! Time.

use crate::BoxFuture;
use esker_types::{MonoTime, Timestamp};
use futures_util::future::{Either, select};
use std::time::Duration;

/// A source of time. Monotonic time drives timers; wall time only ever becomes data.
pub trait Clock: Send + Sync {
    /// Nanoseconds since this process began.
    fn now(&self) -> MonoTime;

    /// Milliseconds since 1970. May jump in either direction: nothing safe may rest on it.
    fn wall(&self) -> Timestamp;

    /// Completes at `deadline` or soon after.
    fn sleep_until(&self, deadline: MonoTime) -> BoxFuture<'static, ()>;

    /// How long work that has reached the fail point `name` waits there: not at all, but in a simulation, which looks for an order
    /// of events that nobody thought of.
    fn fail_point(&self, _name: &'static str) -> Option<Duration> {
        None
    }

    /// Keeps the calling thread, which must be one for blocking work, for `wait`. In a simulation no time passes: there the
    /// thread is everybody's.
    fn pause(&self, _wait: Duration) {}

    /// Completes after `wait`.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now().plus(wait))
    }
}

/// A deadline passed before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Runs `work` for at most `limit`; it is dropped when the limit passes first.
///
/// # Errors
/// [`Elapsed`] when the limit passed.
pub async fn timeout<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T> + Send,
) -> Result<T, Elapsed> {
    // `select` polls its first argument first: finished work wins over a passed deadline.
    match select(std::pin::pin!(work), clock.sleep(limit)).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(((), _)) => Err(Elapsed),
    }
}
