//! The latest value of something, for those who wait for the next one.
//!
//! Like tokio's channel of this name, with one difference: who waited first is woken first. Tokio spreads its waiters
//! by chance, from a seed that nobody can give, and the order in which tasks go on must be decided by the simulation.

use parking_lot::{RwLock, RwLockReadGuard};
use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

struct Latest<T> {
    value: T,
    /// Counts the values.
    version: u64,
    /// No value follows.
    closed: bool,
}

struct Shared<T> {
    latest: RwLock<Latest<T>>,
    waiters: Notify,
}

/// Gives values.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the latest value, and waits for those that come.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The latest value, which does not change while this is held: let go of it soon.
pub struct Ref<'a, T>(RwLockReadGuard<'a, Latest<T>>);

/// The sender is gone: no value follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender is gone")]
pub struct Closed;

/// A sender of `value` and its first receiver, which has seen it.
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A sender of `value` that nobody listens to yet.
    #[must_use]
    pub fn new(value: T) -> Self {
        let latest = RwLock::new(Latest { value, version: 0, closed: false });
        Self(Arc::new(Shared { latest, waiters: Notify::new() }))
    }

    /// A receiver that has seen the latest value.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: Arc::clone(&self.0), seen: self.0.latest.read().version }
    }

    /// The latest value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.latest.read())
    }

    /// Gives a value and answers the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut latest = self.0.latest.write();
        latest.version += 1;
        let before = std::mem::replace(&mut latest.value, value);
        drop(latest);
        self.0.waiters.notify_waiters();
        before
    }

    /// Changes the value; receivers hear of it if `change` says that it did.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut latest = self.0.latest.write();
        let modified = change(&mut latest.value);
        latest.version += u64::from(modified);
        drop(latest);
        if modified {
            self.0.waiters.notify_waiters();
        }
        modified
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.latest.write().closed = true;
        self.0.waiters.notify_waiters();
    }
}

impl<T> Receiver<T> {
    /// The latest value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.latest.read())
    }

    /// Waits for a value that this receiver has not seen.
    ///
    /// # Errors
    /// [`Closed`] once the sender is gone and its last value was seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let mut woken = pin!(self.shared.waiters.notified());
            // From here on nothing that is sent is missed.
            woken.as_mut().enable();
            {
                let latest = self.shared.latest.read();
                if latest.version != self.seen {
                    self.seen = latest.version;
                    return Ok(());
                }
                if latest.closed {
                    return Err(Closed);
                }
            }
            woken.await;
        }
    }

    /// Waits until `wanted` makes something of the latest value, which may have been seen before, and answers that.
    ///
    /// # Errors
    /// [`Closed`] once the sender is gone and its last value is not wanted.
    pub async fn wait_for<R>(&mut self, wanted: impl Fn(&T) -> Option<R>) -> Result<R, Closed> {
        let mut closed = false;
        loop {
            if let Some(found) = wanted(&self.shared.latest.read().value) {
                return Ok(found);
            }
            if closed {
                return Err(Closed);
            }
            closed = self.changed().await.is_err();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join, join_all};
    use futures_util::task::noop_waker_ref;
    use parking_lot::Mutex;
    use std::task::Context;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn a_receiver_sees_each_latest_value_once_and_hears_of_the_end() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(*receiver.borrow(), 1);
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(sender.send_replace(3), 2);
        run(async {
            assert_eq!(receiver.changed().await, Ok(()));
            assert_eq!(*receiver.borrow(), 3);
            let mut cx = Context::from_waker(noop_waker_ref());
            assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
            assert!(!sender.send_if_modified(|_| false));
            assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
            assert!(sender.send_if_modified(|value| {
                *value = 4;
                true
            }));
            let even = |value: &i32| (value % 2 == 0).then_some(*value);
            assert_eq!(receiver.wait_for(even).await, Ok(4));
            drop(sender);
            assert_eq!(receiver.wait_for(even).await, Ok(4));
            assert_eq!(receiver.wait_for(|_| None::<()>).await, Err(Closed));
            assert_eq!(receiver.changed().await, Err(Closed));
        });
    }

    #[test]
    fn who_waits_first_is_woken_first() {
        let (sender, receiver) = channel(0);
        let woken = Mutex::new(Vec::new());
        let waiters = (0..40).map(|number| {
            let (mut receiver, woken) = (receiver.clone(), &woken);
            async move {
                receiver.changed().await.unwrap();
                woken.lock().push(number);
            }
        });
        // `join_all` asks again only those that were woken, in the order in which they were.
        run(async {
            let send = async {
                tokio::task::yield_now().await;
                sender.send_replace(1);
            };
            join(join_all(waiters), send).await;
        });
        assert_eq!(*woken.lock(), (0..40).collect::<Vec<_>>());
    }
}
