//! Opening the journals of this registration, and ending one for its successor.

use crate::context::Context;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::owned::OwnedJournal;
use crate::journal::uncommitted::Uncommitted;
use crate::stores::ensemble::Ensemble;
use crate::stores::link::StoreLink;
use crate::stores::replication::Stores;
use esker_env::TaskPlacement;
use esker_journal::Quorum;
use esker_meta::{Command, Reply};
use esker_meta_client::MetaError;
use esker_types::{JournalId, StoreId};
use esker_wal::Wal;
use std::sync::Arc;

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The metadata.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The write-ahead log.
    #[error("the write-ahead log: {0}")]
    Wal(#[from] esker_wal::AppendError),
}

/// Opens journals of this registration.
pub(crate) struct JournalOpener {
    pub(crate) context: Arc<Context>,
    pub(crate) wal: Wal,
    pub(crate) listener: Arc<DurabilityListener>,
    pub(crate) uncommitted: Arc<Uncommitted>,
    /// The stores of others; none where this broker is alone.
    pub(crate) stores: Option<Arc<Stores>>,
}

impl JournalOpener {
    /// The stores for a new journal; those in `avoid` come last.
    pub(crate) fn choose(&self, avoid: &[StoreId]) -> Ensemble {
        match &self.stores {
            Some(stores) => stores.choose(avoid),
            None => Ensemble::alone(self.wal.identity().store),
        }
    }

    /// Opens journal `shard` of this registration.
    pub(crate) async fn open(&self, shard: u8) -> Result<Arc<OwnedJournal>, OpeningError> {
        let ensemble = self.choose(&[]);
        let command = Command::OpenJournal {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            shard,
            ensemble: ensemble.stores.clone(),
            ack_quorum: ensemble.acks,
            request: self.context.env.entropy.next_u64(),
        };
        let Reply::Journal(id) = self.context.meta.propose(command).await? else {
            panic!("an opening is answered with a journal")
        };
        self.wal.open_journal(id, bytes::Bytes::new())?;
        let links = self.links(id, &ensemble);
        let ways = links.iter().map(|(_, link)| Arc::clone(link)).collect();
        let (wal, uncommitted) = (self.wal.clone(), Arc::clone(&self.uncommitted));
        let journal = OwnedJournal::replicated(id, wal, uncommitted, quorum_of(&ensemble), ways);
        let journal = Arc::new(journal);
        self.listener.add(Arc::clone(&journal));
        self.start(&journal, id, links);
        self.tell(id, &ensemble);
        Ok(journal)
    }

    /// Ends a journal that is quiet, and goes on with its successor on other stores. Answers the one that has ended, which is
    /// still to be drained. The caller holds `journal.flushing`.
    pub(crate) async fn roll(
        &self,
        journal: &Arc<OwnedJournal>,
        ensemble: &Ensemble,
    ) -> Result<Option<Arc<OwnedJournal>>, OpeningError> {
        let Some(end) = journal.freeze() else { return Ok(None) };
        let command = Command::RollJournal {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            journal: journal.id(),
            end,
            ensemble: ensemble.stores.clone(),
            ack_quorum: ensemble.acks,
            request: self.context.env.entropy.next_u64(),
        };
        let Reply::Journal(id) = self.context.propose_until_known(command).await? else {
            panic!("a roll is answered with a journal")
        };
        self.wal.open_journal(id, bytes::Bytes::new())?;
        let links = self.links(id, ensemble);
        let ways = links.iter().map(|(_, link)| Arc::clone(link)).collect();
        let before = journal.succeed(id, quorum_of(ensemble), ways);
        self.start(journal, id, links);
        self.tell(id, ensemble);
        Ok(Some(Arc::new(before)))
    }

    /// The ways to the other stores, with their places in the ensemble.
    fn links(&self, id: JournalId, ensemble: &Ensemble) -> Vec<(usize, Arc<StoreLink>)> {
        let Some(stores) = &self.stores else { return Vec::new() };
        let others = ensemble.stores.iter().enumerate().skip(1);
        // A store whose broker has gone since never says anything.
        let found = others.filter_map(|(place, store)| Some((place, stores.remote(*store)?)));
        found.map(|(place, remote)| (place, Arc::new(StoreLink::new(id, remote)))).collect()
    }

    fn start(
        &self,
        journal: &Arc<OwnedJournal>,
        id: JournalId,
        links: Vec<(usize, Arc<StoreLink>)>,
    ) {
        for (place, link) in links {
            let clock = Arc::clone(&self.context.env.clock);
            let (listener, journal) = (Arc::clone(&self.listener), Arc::clone(journal));
            let tell = move |told| listener.on_told(&journal, (id, place), told);
            let running = link.run(clock, tell);
            self.context.env.spawner.spawn(TaskPlacement::Meta, "store link", Box::pin(running));
        }
    }

    fn tell(&self, id: JournalId, ensemble: &Ensemble) {
        let Some(stores) = &self.stores else { return };
        let (copies, wanted) = (ensemble.stores.len(), stores.copies.stores);
        if copies < usize::from(wanted) {
            tracing::warn!(journal = %id, copies, wanted, "too few brokers: the journal has fewer copies than wanted");
        } else {
            tracing::info!(journal = %id, copies, acks = ensemble.acks, "the journal is open");
        }
    }
}

fn quorum_of(ensemble: &Ensemble) -> Quorum {
    let stores = u8::try_from(ensemble.stores.len()).ok();
    let quorum = stores.and_then(|stores| Quorum::new(stores, ensemble.acks));
    quorum.expect("an ensemble is chosen as a quorum")
}
