//! Applies committed entries and publishes the image.

use crate::disk_full_retry::DiskGate;
use crate::snapshot_file;
use crate::types::{LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use esker_env::watch;
use esker_env::{Blocking, Disk, Spawner};
use esker_meta::State;
use futures_util::{Stream, TryStreamExt};
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The applied state. openraft owns it; everybody else sees the image.
pub(crate) struct StateMachine {
    files: Files,
    state: State,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    image: watch::Sender<Arc<State>>,
}

/// Where snapshots go.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) spawner: Arc<dyn Spawner>,
    pub(crate) disk_gate: Arc<DiskGate>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    /// Whether the quorum is closed. Held by the thread that writes a snapshot, whoever still waits for it: there is
    /// one file, and after closing it may be another's.
    pub(crate) closed: Arc<Mutex<bool>>,
}

impl Files {
    async fn save(&self, meta: SnapshotMeta, state: Arc<State>) -> io::Result<()> {
        self.disk_gate
            .retry_while_full(|| {
                let Self { disk, dir, spawner, closed, .. } = self.clone();
                let (meta, state) = (meta.clone(), Arc::clone(&state));
                // Boxed: the future owns the spawner that it runs on.
                Box::pin(async move {
                    let closed = closed.lock_owned().await;
                    let save = move || {
                        if *closed {
                            return Err(io::Error::other("the metadata quorum is closed"));
                        }
                        snapshot_file::save(&*disk, &dir, &meta, &state)
                    };
                    spawner.blocking(save).await
                })
            })
            .await
    }
}

impl StateMachine {
    pub(crate) fn new(
        files: Files,
        loaded: Option<(Option<LogId>, StoredMembership, State)>,
        image: watch::Sender<Arc<State>>,
    ) -> Self {
        let (last_applied, membership, state) = loaded.unwrap_or_default();
        image.send_replace(Arc::new(state.clone()));
        Self { files, state, last_applied, membership, image }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Arc<State>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut answers = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(Payload(proposal)) => {
                    Some(self.state.apply(entry.log_id.index(), &proposal))
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    None
                }
            };
            self.last_applied = Some(entry.log_id);
            if let Some(responder) = responder {
                answers.push((responder, reply));
            }
        }
        // First the image, then the answers: a proposer reads its own write.
        self.image.send_replace(Arc::new(self.state.clone()));
        for (responder, reply) in answers {
            responder.send(reply);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            files: self.files.clone(),
            state: Arc::new(self.state.clone()),
            last_applied: self.last_applied,
            membership: self.membership.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Arc<State>,
    ) -> io::Result<()> {
        self.files.save(meta.clone(), Arc::clone(&snapshot)).await?;
        self.state = State::clone(&snapshot);
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.image.send_replace(snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Files { spawner, disk, dir, .. } = self.files.clone();
        let loaded = spawner
            .blocking(move || snapshot_file::load(&*disk, &dir))
            .await
            .map_err(io::Error::other)?;
        Ok(loaded.map(|(last_log_id, last_membership, state)| Snapshot {
            meta: SnapshotMeta { last_log_id, last_membership },
            snapshot: Arc::new(state),
        }))
    }
}

/// Writes one snapshot while the state machine goes on.
pub(crate) struct Builder {
    files: Files,
    state: Arc<State>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Arc<State>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
        };
        self.files.save(meta.clone(), Arc::clone(&self.state)).await?;
        Ok(Snapshot { meta, snapshot: Arc::clone(&self.state) })
    }
}
