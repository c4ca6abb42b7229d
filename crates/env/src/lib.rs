//! Everything that Esker asks of the world, as traits: clock, randomness, tasks, disk, network, bucket, memory.
//!
//! No other crate touches the operating system (clippy forbids the direct calls), so a simulation that
//! implements these traits owns all time, all order and all faults. [`real`] holds the implementations for
//! production.
//!
//! Futures are boxed at this seam on purpose: one allocation per I/O is small beside the I/O, and the crates
//! above stay free of type parameters.

mod aligned;
mod bucket;
mod budget;
mod clock;
mod device_share;
mod disk;
mod entropy;
mod net;
mod one_device;
pub mod real;
mod send_queue;
mod spawn;
pub mod watch;

pub use aligned::AlignedBuffer;
pub use bucket::{Bucket, BucketError, BucketErrorKind, ListPage, ObjectKey, PieceSink};
pub use budget::{Budget, Permit};
pub use clock::{Clock, Elapsed, timeout};
pub use device_share::DeviceShare;
pub use disk::{Disk, DiskFile, DiskLock, Open};
pub use entropy::Entropy;
pub use net::{ByteStream, Incoming, Listener, Net};
pub use one_device::OneDevice;
pub use send_queue::SendQueue;
pub use spawn::{
    Blocking, DiskLoop, Doorbell, LoopState, Ring, Spawner, TaskPlacement, poll_again_later,
};

use std::sync::Arc;

/// A future on the heap: what a trait object can return.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;

/// The world, passed by argument to every component. Cloning it is cheap.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Tasks and threads.
    pub spawner: Arc<dyn Spawner>,
    /// Local files.
    pub disk: Arc<dyn Disk>,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Who else uses this machine's disk.
    pub device: DeviceShare,
}

impl Env {
    /// A fail point: a place between two steps where a crash or a long wait would be most awkward. Costs a call in production.
    pub async fn fail_point(&self, name: &'static str) {
        if let Some(wait) = self.clock.fail_point(name) {
            self.clock.sleep(wait).await;
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
