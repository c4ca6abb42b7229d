//! The operating system behind the seams.

mod disk;
#[cfg(debug_assertions)]
mod fail_point;
mod net;
mod runtime;

pub use disk::{FileSystem, same_device};
pub use net::TcpNet;
pub use runtime::{OsEntropy, Runtimes, SystemClock, ThreadSpawner};

use crate::Env;
use std::sync::Arc;

impl Env {
    /// The real world, with tasks on `runtimes`.
    #[must_use]
    pub fn real(runtimes: &Runtimes) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
            spawner: runtimes.spawner(),
            disk: Arc::new(FileSystem),
            net: Arc::new(TcpNet),
            device: crate::DeviceShare::default(),
        }
    }
}
