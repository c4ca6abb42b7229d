//! Waking the shards, each once for a commit.
//!
//! A commit settles what many requests wait for. Waking each of their tasks from the write-ahead
//! log's thread would cost a system call for every one, and on a busy machine a switch of threads,
//! so that the second request waits until the first is served. Instead wakers are gathered by
//! shard, and a task on each shard wakes the others there, which costs next to nothing.

use esker_env::{Spawner, TaskPlacement};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// A task that is to be woken, and the shard it runs on; `None` where that is not known.
pub(crate) type Wakeup = (Option<usize>, Waker);

/// One waker a shard. Dropping them ends their tasks.
pub(crate) struct ShardWakers {
    wakers: Vec<Arc<ShardWaker>>,
}

#[derive(Default)]
struct ShardWaker {
    waiting: Mutex<Vec<Waker>>,
    /// The task on the shard that wakes the others.
    task: AtomicWaker,
    closed: AtomicBool,
}

impl ShardWakers {
    pub(crate) fn new(spawner: &dyn Spawner) -> Self {
        let wakers: Vec<_> =
            (0..spawner.shard_count()).map(|_| Arc::new(ShardWaker::default())).collect();
        for (shard, own) in wakers.iter().enumerate() {
            spawner.spawn(TaskPlacement::Shard(shard), "wake", Box::pin(wake(Arc::clone(own))));
        }
        Self { wakers }
    }

    /// Wakes all, with one wake-up for each shard.
    pub(crate) fn wake_all(&self, wakeups: &mut Vec<Wakeup>) {
        for (shard, waker) in wakeups.drain(..) {
            match shard.and_then(|shard| self.wakers.get(shard)) {
                Some(own) => own.waiting.lock().push(waker),
                None => waker.wake(),
            }
        }
        for own in self.wakers.iter().filter(|own| !own.waiting.lock().is_empty()) {
            own.task.wake();
        }
    }
}

impl Drop for ShardWakers {
    fn drop(&mut self) {
        for own in &self.wakers {
            own.closed.store(true, Ordering::Release);
            own.task.wake();
        }
    }
}

/// Wakes who waits, until the wakers are gone.
async fn wake(own: Arc<ShardWaker>) {
    poll_fn(|context| {
        own.task.register(context.waker());
        let waiting = std::mem::take(&mut *own.waiting.lock());
        for waker in waiting {
            waker.wake();
        }
        if own.closed.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_env::Env;
    use esker_env::real::Runtimes;
    use std::sync::mpsc;
    use std::task::Wake;

    struct Tell(usize, Mutex<mpsc::Sender<(usize, Option<String>)>>);

    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            let thread = std::thread::current().name().map(str::to_owned);
            self.1.lock().send((self.0, thread)).unwrap();
        }
    }

    #[test]
    fn everybody_is_woken_on_their_own_shard() {
        let runtimes = Runtimes::start(2, 1).unwrap();
        let env = Env::real(&runtimes);
        let wakers = ShardWakers::new(&*env.spawner);
        let (tell, told) = mpsc::channel();
        let call = |shard, number| {
            let waker = Waker::from(Arc::new(Tell(number, Mutex::new(tell.clone()))));
            (shard, waker)
        };
        wakers.wake_all(&mut vec![
            call(Some(0), 0),
            call(Some(1), 1),
            call(Some(0), 2),
            call(None, 3),
        ]);
        let mut woken: Vec<_> = (0..4).map(|_| told.recv().unwrap()).collect();
        woken.sort();
        let here = std::thread::current().name().map(str::to_owned);
        let shard = |number| Some(format!("shard-{number}"));
        assert_eq!(woken, [(0, shard(0)), (1, shard(1)), (2, shard(0)), (3, here)]);
    }
}
