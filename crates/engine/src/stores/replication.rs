//! What a broker needs of others to keep its journals on several stores.

use crate::context::Context;
use crate::stores::ensemble::{Copies, Ensemble};
use crate::stores::hosted::{HostedJournals, StoreService};
use crate::stores::remote::RemoteStore;
use esker_peer::{Peers, ProcessId};
use esker_types::StoreId;
use std::sync::Arc;

/// What a broker that is not alone is given.
pub struct Replication {
    /// What this process calls itself when it is asked whether it is there.
    pub process: ProcessId,
    /// Connections to other brokers' stores.
    pub peers: Peers,
    /// Where they reach this broker's store.
    pub service: StoreService,
    /// How journals are copied.
    pub copies: Copies,
}

impl std::fmt::Debug for Replication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replication").field("copies", &self.copies).finish_non_exhaustive()
    }
}

/// The stores of a cluster, as this broker reaches them.
pub(crate) struct Stores {
    pub(crate) context: Arc<Context>,
    pub(crate) hosted: Arc<HostedJournals>,
    pub(crate) peers: Peers,
    pub(crate) copies: Copies,
}

impl Stores {
    /// The stores for a new journal; those in `avoid` come last.
    pub(crate) fn choose(&self, avoid: &[StoreId]) -> Ensemble {
        let (image, own) = (self.context.image(), self.hosted.store());
        Ensemble::choose(&image, self.context.options.broker, own, self.copies, avoid)
    }

    /// The way to another broker's store, if that broker takes part.
    pub(crate) fn remote(&self, store: StoreId) -> Option<RemoteStore> {
        let (image, clock) = (self.context.image(), &self.context.env.clock);
        RemoteStore::find(&image, store, &self.peers, clock)
    }
}
