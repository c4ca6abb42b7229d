//! Backpressure: how much was appended and waits for the device.
//!
//! Who asks for no acknowledgement, and who has given up waiting for one, leaves batches behind
//! that nothing else counts before they are durable. Connections ask here before they read another
//! request of a producer.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Bytes of batches that are in a journal and not committed.
#[derive(Debug)]
pub struct Uncommitted {
    bytes: AtomicUsize,
    most: usize,
    room: Notify,
}

impl Uncommitted {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), most, room: Notify::new() }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether producers may be read on.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes() < self.most
    }

    /// Completes when producers may be read on.
    pub async fn wait_for_room(&self) {
        loop {
            let mut rung = std::pin::pin!(self.room.notified());
            rung.as_mut().enable();
            if self.has_room() {
                return;
            }
            rung.await;
        }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        assert!(before >= bytes, "{bytes} bytes are committed of {before}");
        if before >= self.most && before - bytes < self.most {
            self.room.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn who_waits_goes_on_when_enough_is_committed() {
        let uncommitted = Uncommitted::new(100);
        uncommitted.add(60);
        assert_eq!(uncommitted.wait_for_room().now_or_never(), Some(()));
        uncommitted.add(60);
        let mut waiting = Box::pin(uncommitted.wait_for_room());
        assert_eq!((&mut waiting).now_or_never(), None);
        uncommitted.remove(10);
        assert_eq!((&mut waiting).now_or_never(), None, "110 of 100");
        uncommitted.remove(20);
        assert_eq!((&mut waiting).now_or_never(), Some(()));
        assert_eq!(uncommitted.bytes(), 90);
    }
}
