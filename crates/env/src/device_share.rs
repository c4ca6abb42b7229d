//! Who shares the disk of this machine: commits of the write-ahead log, and a bucket in a directory.
//!
//! A commit waits behind whatever is written or read in a burst. So the log tells of its commits here, whoever needs a
//! put to end says that it is urgent, and a bucket that may be on the same disk asks before it takes its time, or the
//! disk's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The shared use of one device. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct DeviceShare(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    commits: AtomicU64,
    urgent: AtomicBool,
}

impl DeviceShare {
    /// A commit has ended: others are under way, and long reads of the same disk leave it room.
    pub fn commit_ended(&self) {
        self.0.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Commits so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }

    /// Puts that are under way are waited for: one that takes its time out of consideration for commits stops doing so.
    pub fn put_is_urgent(&self) {
        self.0.urgent.store(true, Ordering::Relaxed);
    }

    /// Whether somebody waits for the puts that are under way.
    #[must_use]
    pub fn is_put_urgent(&self) -> bool {
        self.0.urgent.load(Ordering::Relaxed)
    }

    /// All puts have ended.
    pub fn puts_ended(&self) {
        self.0.urgent.store(false, Ordering::Relaxed);
    }
}
