//! How a broker sees the metadata: it proposes commands, and follows an image of the applied state.
//!
//! Produce and fetch read the image and never wait for the quorum. A proposal's answer arrives after the local image
//! shows its effect, so whoever proposed reads its own write.

mod solo;

pub use solo::SoloMeta;

use esker_env::BoxFuture;
use esker_env::watch;
use esker_meta::{Command, Rejected, Reply, State};
use std::sync::Arc;

/// A failed proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Applied, and it changed nothing: the state forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The quorum did not answer; the command may or may not be applied later. Commands are idempotent: propose it
    /// again.
    #[error("the metadata quorum is not available: {0}")]
    Unavailable(String),
    /// The metadata log cannot be written any more; this process must stop.
    #[error("the metadata log failed: {0}")]
    Failed(String),
}

/// Access to the metadata.
pub trait MetaClient: Send + Sync {
    /// Has `command` ordered and applied. Returns when the local image contains it.
    ///
    /// # Errors
    /// See [`MetaError`]; a rejection is an error here.
    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Reply, MetaError>>;

    /// The newest image.
    fn image(&self) -> Arc<State>;

    /// Follows the image. Intermediate images may be skipped: compare the new one with the last one seen.
    fn follow(&self) -> watch::Receiver<Arc<State>>;
}

/// Turns a reply into what a proposer wants to know.
///
/// # Errors
/// [`MetaError::Rejected`].
pub fn settle(reply: Reply) -> Result<Reply, MetaError> {
    match reply {
        Reply::Rejected(reason) => Err(reason.into()),
        reply => Ok(reply),
    }
}
