//! What happens when the disk refuses: `ENOSPC` is retried until there is room, any other error is final and reported once.

use esker_env::Clock;
use esker_env::watch;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two looks whether a full disk has room again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The one judge of everything that the metadata writes.
pub(crate) struct DiskGate {
    clock: Arc<dyn Clock>,
    closing: AtomicBool,
    failure: watch::Sender<Option<String>>,
}

impl DiskGate {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let (failure, _) = watch::channel(None);
        Arc::new(Self { clock, closing: AtomicBool::new(false), failure })
    }

    /// Nobody waits for room any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Completes when a write or a sync has failed, with the reason.
    pub(crate) async fn failed(&self) -> String {
        let reason = self.failure.subscribe().wait_for(Option::clone).await;
        reason.expect("the sender lives in self")
    }

    /// Repeats an attempt that leaves nothing behind when it fails for lack of room, until there is room. Any other
    /// failure is final.
    pub(crate) async fn retry_while_full<T, F>(&self, attempt: impl Fn() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let mut warned = false;
        loop {
            match attempt().await {
                Err(error) if is_full(&error) && !self.closing.load(Ordering::Relaxed) => {
                    if !warned {
                        tracing::warn!(%error, "the disk is full: the metadata waits for room");
                        warned = true;
                    }
                    self.clock.sleep(LOOK_EVERY).await;
                }
                // Whoever closes does not want to hear of it.
                Err(error) if self.closing.load(Ordering::Relaxed) => return Err(error),
                Err(error) => {
                    self.failure.send_if_modified(|known| {
                        let first = known.is_none();
                        known.get_or_insert_with(|| error.to_string());
                        first
                    });
                    return Err(error);
                }
                Ok(done) => {
                    if warned {
                        tracing::info!("the disk has room again: the metadata goes on");
                    }
                    return Ok(done);
                }
            }
        }
    }
}

/// Whether the file system has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
