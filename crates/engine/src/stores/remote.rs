//! Asking the stores of other brokers.

use crate::stores::messages::{
    BadMessage, StoreRequest, StoreStatus, Taken, decode_entries, decode_sealed,
};
use bytes::Bytes;
use esker_env::{Clock, timeout};
use esker_journal::SealAnswer;
use esker_meta::State;
use esker_peer::{CallError, Peers, PendingAnswer, ServiceId};
use esker_types::{BrokerId, JournalId, Seq, StoreId};
use std::sync::Arc;
use std::time::Duration;

/// For how long a store may take to answer what is no append.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a store does not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the store answered {0}")]
    Bad(#[from] BadMessage),
    #[error("the store did not answer in time")]
    Late,
}

/// The way to the store of another broker.
#[derive(Clone)]
pub(crate) struct RemoteStore {
    pub(crate) store: StoreId,
    node: BrokerId,
    address: String,
    peers: Peers,
    clock: Arc<dyn Clock>,
}

impl RemoteStore {
    /// The way to `store`; nothing where no broker that takes part has it.
    pub(crate) fn find(
        state: &State,
        store: StoreId,
        peers: &Peers,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        let mut brokers = state.brokers.iter();
        let (node, row) = brokers.find(|(_, row)| row.is_alive() && row.stores.contains(&store))?;
        let address = row.peer.clone()?;
        Some(Self { store, node: *node, address, peers: peers.clone(), clock: Arc::clone(clock) })
    }

    /// Sends an entry, encoded as a request. The answer comes when it is durable there.
    pub(crate) async fn begin_append(&self, request: Bytes) -> Result<PendingAnswer, CallError> {
        self.peers.begin(self.node, &self.address, ServiceId::Store, request).await
    }

    async fn ask(&self, request: &StoreRequest) -> Result<Bytes, StoreError> {
        let call = self.peers.call(self.node, &self.address, ServiceId::Store, request.encode());
        Ok(timeout(&*self.clock, PATIENCE, call).await.map_err(|_| StoreError::Late)??)
    }

    pub(crate) async fn status(&self, journal: JournalId) -> Result<StoreStatus, StoreError> {
        Ok(StoreStatus::decode(self.ask(&StoreRequest::Status(journal)).await?)?)
    }

    pub(crate) async fn seal(&self, journal: JournalId) -> Result<SealAnswer, StoreError> {
        Ok(decode_sealed(self.ask(&StoreRequest::Seal(journal)).await?)?)
    }

    pub(crate) async fn read(
        &self,
        journal: JournalId,
        from: Seq,
        upto: Seq,
    ) -> Result<Vec<Bytes>, StoreError> {
        let request = StoreRequest::Read { journal, from, upto };
        Ok(decode_entries(self.ask(&request).await?)?)
    }

    pub(crate) async fn copy(&self, bundle: Bytes) -> Result<Taken, StoreError> {
        Ok(Taken::decode(self.ask(&StoreRequest::Copy(bundle)).await?)?)
    }
}
