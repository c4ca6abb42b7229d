//! Metadata without a log: for tests of what stands above it.

use crate::{MetaClient, MetaError, settle};
use esker_env::watch;
use esker_env::{BoxFuture, Clock};
use esker_meta::{Command, Proposal, Reply, State};
use parking_lot::Mutex;
use std::sync::Arc;

/// Applies commands in memory and forgets them with the process.
pub struct SoloMeta {
    clock: Arc<dyn Clock>,
    image: Mutex<watch::Sender<Arc<State>>>,
}

impl SoloMeta {
    /// An empty state.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::of(clock, State::default())
    }

    /// One that goes on from `state`.
    #[must_use]
    pub fn of(clock: Arc<dyn Clock>, state: State) -> Self {
        Self { clock, image: Mutex::new(watch::Sender::new(Arc::new(state))) }
    }
}

impl std::fmt::Debug for SoloMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoloMeta").finish_non_exhaustive()
    }
}

impl MetaClient for SoloMeta {
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply, MetaError>> {
        let image = self.image.lock();
        let mut state = State::clone(&image.borrow());
        let proposal = Proposal { now: self.clock.wall(), command };
        let reply = state.apply(state.applied + 1, &proposal);
        image.send_replace(Arc::new(state));
        Box::pin(std::future::ready(settle(reply)))
    }

    fn image(&self) -> Arc<State> {
        Arc::clone(&self.image.lock().borrow())
    }

    fn follow(&self) -> watch::Receiver<Arc<State>> {
        self.image.lock().subscribe()
    }
}
