//! Whether the machine is on. A power failure falls between two operations of the disk, or at a moment in time.
//!
//! From the moment it is off nothing that the dying tasks do reaches the outside: the disk fails, the bucket does not
//! answer, the network is silent. The life then ends and its tasks are dropped.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The power of one life.
#[derive(Debug)]
pub struct Power {
    state: Mutex<State>,
    failed: Notify,
}

#[derive(Debug)]
struct State {
    on: bool,
    /// Operations of the disk until the power fails.
    operations_left: Option<u64>,
}

impl Power {
    /// Power that fails when the disk has done `operations`, or never by itself.
    #[must_use]
    pub fn new(operations: Option<u64>) -> Self {
        let state = State { on: true, operations_left: operations };
        Self { state: Mutex::new(state), failed: Notify::new() }
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state.lock().on
    }

    /// Ends it.
    pub fn fail(&self) {
        self.state.lock().on = false;
        self.failed.notify_one();
    }

    /// Counts an operation of the disk that changes something. Answers whether it still happens.
    pub(crate) fn spend(&self) -> bool {
        let mut state = self.state.lock();
        if !state.on {
            return false;
        }
        match state.operations_left {
            Some(0) => {
                state.on = false;
                self.failed.notify_one();
            }
            Some(left) => state.operations_left = Some(left - 1),
            None => {}
        }
        state.on
    }

    /// Completes when it fails.
    pub async fn failure(&self) {
        while self.is_on() {
            self.failed.notified().await;
        }
    }
}
