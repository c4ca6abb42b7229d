//! Journals go on to other stores when they lose some, or when there are more.
//!
//! A journal is quiet first: what is on its way is acknowledged by the stores that are left, and nothing new leaves. Then it ends
//! where it stands, and its successor takes what waits. That takes some milliseconds. Without a quorum it cannot end so, and goes
//! on waiting for its stores.

use crate::background::flush::Flusher;
use crate::context::Context;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::opening::JournalOpener;
use crate::journal::owned::OwnedJournal;
use crate::stores::ensemble::Ensemble;
use esker_env::timeout;
use esker_types::StoreId;
use futures_util::future::select;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a journal may take to become quiet.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// Between two looks where nothing tells of a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rolls the journals of this registration.
pub(crate) struct JournalRoller {
    pub(crate) context: Arc<Context>,
    pub(crate) listener: Arc<DurabilityListener>,
    pub(crate) opener: Arc<JournalOpener>,
    pub(crate) journals: Vec<Arc<OwnedJournal>>,
    pub(crate) flusher: Arc<Flusher>,
}

impl JournalRoller {
    pub(crate) async fn run(&self) {
        let clock = &*self.context.env.clock;
        let mut images = self.context.meta.follow();
        loop {
            for journal in &self.journals {
                if let Some(ensemble) = self.better(journal) {
                    self.roll(journal, &ensemble).await;
                }
            }
            let changed = async {
                let _ended = images.changed().await;
            };
            let lost = self.listener.store_lost.notified();
            let told = async {
                select(pin!(changed), pin!(lost)).await;
            };
            let _either = timeout(clock, LOOK_EVERY, told).await;
        }
    }

    /// Stores for the journal of which more are alive than of those that it has, or none of which leaves.
    fn better(&self, journal: &OwnedJournal) -> Option<Ensemble> {
        let image = self.context.image();
        let row = image.journals.get(&journal.id())?;
        let links = journal.links();
        let lost: Vec<StoreId> =
            links.iter().filter(|link| link.is_lost()).map(|link| link.store()).collect();
        let current = Ensemble { stores: row.ensemble.clone(), acks: row.ack_quorum };
        let wanted = self.opener.choose(&lost);
        // A store that is lost for this journal takes the next one, if its broker is there.
        let is_better =
            wanted.alive(&image, &[]) > current.alive(&image, &lost) || current.has_leaving(&image);
        is_better.then_some(wanted)
    }

    async fn roll(&self, journal: &Arc<OwnedJournal>, ensemble: &Ensemble) {
        let clock = &*self.context.env.clock;
        let _no_flush = journal.flushing.lock().await;
        if timeout(clock, QUIET_AFTER, journal.quiesce()).await.is_err() {
            tracing::warn!(journal = %journal.id(), "the journal waits for its stores and cannot roll yet");
            journal.resume();
            return;
        }
        match self.opener.roll(journal, ensemble).await {
            Ok(Some(before)) => self.flusher.add_sealed(vec![before]),
            Ok(None) => journal.resume(),
            Err(error) => {
                tracing::error!(journal = %journal.id(), %error, "the journal did not roll: it takes nothing any more");
                journal.on_failed();
            }
        }
    }
}
