//! This broker's write-ahead log as a store of journals, its own and others': what it takes, seals and gives.
//!
//! *When a journal begins here.* When the metadata that this process sees lists this store for it, and that is never older than
//! this process's own registration: what was forgotten before does not come into being again.
//! *When it ends.* When its row is gone: then everything in it is in the bucket.
//! Decisions are [`Replica`]'s; what is durable the log says.

use crate::stores::messages::{
    BadMessage, StoreRequest, StoreStatus, Taken, encode_entries, encode_sealed,
};
use bytes::Bytes;
use esker_env::{Blocking, BoxFuture, Spawner};
use esker_journal::{Answer, Refusal, Replica, RowSeen, SealAnswer};
use esker_meta::State;
use esker_meta_client::MetaClient;
use esker_peer::{Caller, Service, ServiceError};
use esker_types::{BrokerId, Incarnation, JournalId, Seq, StoreId};
use esker_wal::{AppendError, Bundle, BundleView, JournalState, JournalStatus, Wal};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Bytes of entries that one answer carries, or one entry.
const READ_BYTES: usize = 8 << 20;

/// The store of this process as other brokers see it. Made before the log is open: peers may ask while the broker starts.
#[derive(Clone, Default)]
pub struct StoreService(Arc<Mutex<Option<Arc<HostedJournals>>>>);

impl std::fmt::Debug for StoreService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreService").finish_non_exhaustive()
    }
}

impl StoreService {
    pub(crate) fn serves(&self, hosted: &Arc<HostedJournals>) {
        *self.0.lock() = Some(Arc::clone(hosted));
    }
}

impl Service for StoreService {
    fn serve(
        &self,
        _caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        match self.0.lock().clone() {
            Some(hosted) => hosted.answer(request),
            None => Box::pin(std::future::ready(Err(ServiceError::new("the store is starting")))),
        }
    }
}

/// What of the log belongs to other brokers' journals, and what may be asked of this broker's own.
pub(crate) struct HostedJournals {
    spawner: Arc<dyn Spawner>,
    wal: Wal,
    store: StoreId,
    /// Damage may have swallowed journals with smaller ids than this.
    lost_before: Option<JournalId>,
    meta: Arc<dyn MetaClient>,
    /// Whose journals the engine itself empties and forgets.
    own: (BrokerId, Incarnation),
    journals: Mutex<Journals>,
    changed: Notify,
    failed: AtomicBool,
}

#[derive(Default)]
struct Journals {
    /// Those that somebody appends to.
    replicas: BTreeMap<JournalId, Replica>,
    /// All that the log may know.
    known: BTreeSet<JournalId>,
}

impl HostedJournals {
    pub(crate) fn new(
        spawner: &Arc<dyn Spawner>,
        wal: &Wal,
        meta: &Arc<dyn MetaClient>,
        own: (BrokerId, Incarnation),
        (known, lost_before): (BTreeSet<JournalId>, Option<JournalId>),
    ) -> Self {
        Self {
            spawner: Arc::clone(spawner),
            wal: wal.clone(),
            store: wal.identity().store,
            lost_before,
            meta: Arc::clone(meta),
            own,
            journals: Mutex::new(Journals { replicas: BTreeMap::new(), known }),
            changed: Notify::new(),
            failed: AtomicBool::new(false),
        }
    }

    /// This broker's store.
    pub(crate) const fn store(&self) -> StoreId {
        self.store
    }

    /// The log has committed.
    pub(crate) fn on_durable(&self, batch: &[JournalStatus]) {
        let mut journals = self.journals.lock();
        for status in batch {
            if let Some(replica) = journals.replicas.get_mut(&status.journal) {
                match status.state {
                    JournalState::Open => drop(replica.on_durable(status.last)),
                    JournalState::Sealed | JournalState::Dropped => *replica = of_status(status),
                }
            }
        }
        drop(journals);
        self.changed.notify_waiters();
    }

    /// The log has not written accepted entries from these on.
    pub(crate) fn on_refused(&self, batch: &[(JournalId, Seq)]) {
        let mut journals = self.journals.lock();
        for (journal, from) in batch {
            if let Some(replica) = journals.replicas.get_mut(journal) {
                replica.on_refused(*from);
            }
        }
        drop(journals);
        self.changed.notify_waiters();
    }

    /// The log has failed.
    pub(crate) fn on_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Follows the metadata until its quorum ends.
    pub(crate) async fn run(&self) {
        let mut images = self.meta.follow();
        loop {
            self.follow(&self.meta.image());
            if images.changed().await.is_err() {
                return;
            }
        }
    }

    /// Gives up what the metadata says is in the bucket, of journals that are not this process's own.
    fn follow(&self, image: &State) {
        let mut journals = self.journals.lock();
        let Journals { replicas, known } = &mut *journals;
        known.retain(|journal| match image.journals.get(journal) {
            // What may be opened later than this image was made is not gone.
            None if journal.created_index() > image.applied => true,
            None => {
                replicas.remove(journal);
                self.wal.drop_journal(*journal).is_err()
            }
            Some(row) if (row.owner, row.incarnation) == self.own => true,
            Some(row) => {
                // A log that takes no trim takes nothing else either, and has said so.
                let _failed = self.wal.trim(*journal, row.drained);
                true
            }
        });
    }

    fn answer(self: Arc<Self>, request: Bytes) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        let bad = |error: BadMessage| -> BoxFuture<'static, Result<Bytes, ServiceError>> {
            Box::pin(std::future::ready(Err(ServiceError::new(error))))
        };
        match StoreRequest::decode(request) {
            Err(error) => bad(error),
            // Entries are taken in the order of their requests: before the first wait.
            Ok(StoreRequest::Append(bytes)) => match Bundle::from_bytes(bytes) {
                Err(_) => bad(BadMessage),
                Ok(bundle) => {
                    let begun = self.begin_append(bundle);
                    Box::pin(async move { Ok(self.finish_append(begun).await.encode()) })
                }
            },
            Ok(StoreRequest::Copy(bytes)) => match Bundle::from_bytes(bytes) {
                Err(_) => bad(BadMessage),
                Ok(bundle) => Box::pin(async move { Ok(self.copy(bundle).await.encode()) }),
            },
            Ok(StoreRequest::Status(journal)) => {
                let status = self.status(journal).encode();
                Box::pin(std::future::ready(Ok(status)))
            }
            Ok(StoreRequest::Seal(journal)) => Box::pin(async move {
                let sealed = self.seal(journal).await.map_err(ServiceError::new)?;
                Ok(encode_sealed(sealed))
            }),
            Ok(StoreRequest::Read { journal, from, upto }) => Box::pin(async move {
                let read = self.read(journal, from, upto).await.map_err(ServiceError::new)?;
                Ok(encode_entries(&read))
            }),
        }
    }

    fn row_seen(&self, image: &State, journal: JournalId) -> RowSeen {
        match image.journals.get(&journal) {
            Some(row) if row.ensemble.contains(&self.store) => RowSeen::Listed,
            None if journal.created_index() > image.applied => RowSeen::NotYet,
            Some(_) | None => RowSeen::Gone,
        }
    }

    /// Queues an entry; answers which, or at once why not.
    fn begin_append(&self, bundle: Bundle) -> Result<(JournalId, Seq), Taken> {
        let (journal, seq) = (bundle.journal(), bundle.seq());
        let image = self.meta.image();
        let seen = self.row_seen(&image, journal);
        // This process's own journals are not written by others.
        let row = image.journals.get(&journal);
        if row.is_some_and(|row| (row.owner, row.incarnation) == self.own) {
            return Err(Taken::Unknown);
        }
        let mut journals = self.journals.lock();
        let logged = self.wal.status(journal);
        if logged.is_none() && self.is_suspect(journal) {
            return Err(Taken::Lost);
        }
        let of_log = || logged.as_ref().map_or_else(Replica::absent, of_status);
        let replica = journals.replicas.entry(journal).or_insert_with(of_log);
        match replica.on_append(seq, seen) {
            Answer::Have => Ok((journal, seq)),
            Answer::Refuse(refusal) => {
                if refusal == Refusal::Unknown {
                    journals.replicas.remove(&journal);
                }
                Err(match refusal {
                    Refusal::Sealed => Taken::Sealed,
                    Refusal::Gap { expected } => Taken::Gap(expected),
                    Refusal::Unknown => Taken::Unknown,
                    Refusal::Lost => Taken::Lost,
                })
            }
            Answer::Take => {
                if let Err(error) = self.log(bundle) {
                    replica.on_refused(seq);
                    return Err(refused(&error));
                }
                journals.known.insert(journal);
                Ok((journal, seq))
            }
        }
    }

    fn log(&self, bundle: Bundle) -> Result<(), AppendError> {
        match self.wal.open_journal(bundle.journal(), Bytes::new()) {
            Ok(()) | Err(AppendError::JournalExists) => self.wal.append(bundle),
            Err(error) => Err(error),
        }
    }

    async fn finish_append(&self, begun: Result<(JournalId, Seq), Taken>) -> Taken {
        let (journal, seq) = match begun {
            Ok(begun) => begun,
            Err(refused) => return refused,
        };
        let done = || match self.wal.status(journal) {
            Some(status) if status.state != JournalState::Open => Some(Taken::Sealed),
            Some(status) if status.last >= seq => Some(Taken::Durable(status.last)),
            _ => {
                let journals = self.journals.lock();
                let taken = journals.replicas.get(&journal).map(Replica::taken);
                (taken.is_none_or(|taken| taken < seq)).then_some(Taken::Full)
            }
        };
        self.wait(done).await.unwrap_or(Taken::Lost)
    }

    /// Waits until `done` says something; `None` when the log has failed.
    async fn wait<T>(&self, done: impl Fn() -> Option<T>) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(done) = done() {
                return Some(done);
            }
            if self.failed.load(Ordering::Relaxed) {
                return None;
            }
            changed.await;
        }
    }

    fn is_suspect(&self, journal: JournalId) -> bool {
        self.lost_before.is_some_and(|before| journal < before)
    }

    fn status(&self, journal: JournalId) -> StoreStatus {
        match self.wal.status(journal) {
            None if self.is_suspect(journal) => StoreStatus::Lost,
            None => StoreStatus::Open(Seq::NONE),
            Some(status) if status.damaged_from.is_some() => StoreStatus::Lost,
            Some(status) => match status.state {
                JournalState::Open => StoreStatus::Open(status.last),
                JournalState::Sealed | JournalState::Dropped => StoreStatus::Sealed,
            },
        }
    }

    /// Seals a journal here, durably, whatever the metadata says of it.
    pub(crate) async fn seal(&self, journal: JournalId) -> Result<SealAnswer, AppendError> {
        // Damage may have swallowed it: sealing would make it known, and empty.
        if self.wal.status(journal).is_none() && self.is_suspect(journal) {
            return Ok(SealAnswer::NotAuthoritative);
        }
        self.journals.lock().known.insert(journal);
        self.wal.seal(journal)?;
        let sealed = || {
            let status = self.wal.status(journal)?;
            (status.state == JournalState::Sealed).then_some(status)
        };
        let Some(status) = self.wait(sealed).await else { return Ok(SealAnswer::NotAuthoritative) };
        let mut replica = of_status(&status);
        self.journals.lock().replicas.insert(journal, replica);
        Ok(match replica.on_seal() {
            esker_journal::SealStep::Answer(answer) => answer,
            step => unreachable!("a sealed journal is sealed: {step:?}"),
        })
    }

    /// Takes the next entry of a sealed journal.
    pub(crate) async fn copy(&self, bundle: Bundle) -> Taken {
        let (journal, seq) = (bundle.journal(), bundle.seq());
        if self.wal.status(journal).is_some_and(|status| status.last >= seq) {
            return self.wal.status(journal).map_or(Taken::Lost, |s| Taken::Durable(s.last));
        }
        if let Err(error) = self.wal.append_copy(bundle) {
            return refused(&error);
        }
        let done = || match self.wal.status(journal) {
            Some(status) if status.last >= seq => Some(Taken::Durable(status.last)),
            Some(_) => None,
            None => Some(Taken::Unknown),
        };
        self.wait(done).await.unwrap_or(Taken::Lost)
    }

    /// Entries from `from` on, up to `upto`, as many as one answer carries.
    pub(crate) async fn read(
        &self,
        journal: JournalId,
        from: Seq,
        upto: Seq,
    ) -> Result<Vec<Bytes>, esker_wal::ReadError> {
        let wal = self.wal.clone();
        let read = move || {
            let (mut entries, mut bytes, mut next) = (Vec::new(), 0, from);
            while next <= upto && bytes < READ_BYTES {
                let Some(entry) = wal.read_bundle(journal, next)? else { break };
                bytes += entry.len();
                entries.push(entry);
                next = next.next();
            }
            Ok(entries)
        };
        self.spawner.blocking(read).await
    }
}

fn of_status(status: &JournalStatus) -> Replica {
    let is_sealed = status.state != JournalState::Open;
    Replica::recovered(is_sealed, status.damaged_from.is_some(), status.last, status.trimmed)
}

fn refused(error: &AppendError) -> Taken {
    match error {
        AppendError::Full => Taken::Full,
        AppendError::Sealed => Taken::Sealed,
        AppendError::OutOfSequence { expected } => Taken::Gap(*expected),
        _ => Taken::Lost,
    }
}

/// Reads a bundle that came from a peer.
pub(crate) fn parse(journal: JournalId, bytes: Bytes) -> Result<BundleView, BadMessage> {
    let view = BundleView::parse(bytes).map_err(|_| BadMessage)?;
    if view.journal() == journal { Ok(view) } else { Err(BadMessage) }
}
