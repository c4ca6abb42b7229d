//! The engine of one broker: what requests and the node ask of it, and its end.

mod launch;

use crate::background::flush::{FlushStatus, Flusher};
use crate::background::handover::LeaderHandover;
use crate::background::maintenance::Maintenance;
use crate::background::tasks::Tasks;
use crate::background::verify::{Verified, Verifier};
use crate::background::wal_space;
use crate::context::Context;
use crate::follow::Follower;
use crate::journal::durability_listener::DurabilityListener;
use crate::journal::opening::JournalOpener;
use crate::journal::owned::OwnedJournal;
use crate::journal::reader::JournalReader;
use crate::journal::tail_budget::TailBudget;
use crate::journal::uncommitted::Uncommitted;
use crate::objects::tiered::TieredReader;
use crate::options::EngineOptions;
use crate::partition::led::Partition;
use crate::partition::registry::TopicRegistry;
use esker_cache::ObjectReader;
use esker_env::{Budget, Env};
use esker_meta_client::{MetaClient, MetaError};
use esker_types::{Incarnation, Offset, PartitionId, TopicId, is_internal_topic};
use esker_wal::{Wal, WalFailure};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes that one batch may decompress to when it is searched, and all that are searched at a
/// time.
pub(crate) const DECOMPRESSED_MAX: usize = 256 << 20;
/// The journal of internal topics; it is flushed early, so that a coordinator's restart has little
/// to read.
const SYSTEM_JOURNAL: usize = 0;

/// The engine of one broker. Everything that serves requests holds an [`Arc`] of it.
pub struct Engine {
    pub(crate) context: Arc<Context>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) reader: JournalReader,
    pub(crate) tiered: Arc<TieredReader>,
    /// What lookups by time unpack.
    pub(crate) searches: Budget,
    pub(crate) listener: Arc<DurabilityListener>,
    wal: Wal,
    journals: Vec<Arc<OwnedJournal>>,
    tail_budget: Arc<TailBudget>,
    uncommitted: Arc<Uncommitted>,
    flusher: Arc<Flusher>,
    handover: Arc<LeaderHandover>,
    maintenance: Arc<Maintenance>,
    opener: Arc<JournalOpener>,
    tasks: Tasks,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let incarnation = &self.context.incarnation;
        f.debug_struct("Engine").field("incarnation", incarnation).finish_non_exhaustive()
    }
}

impl Engine {
    /// Gives every partition to other brokers if there are any and it is done within `timeout`: who is not waited for has to take
    /// over.
    pub async fn leave(&self, timeout: Duration) {
        let clock = &*self.context.env.clock;
        if esker_env::timeout(clock, timeout, self.handover.leave()).await.is_err() {
            tracing::warn!("the partitions were not given away in time; others take them over");
        }
    }

    /// Flushes everything if the bucket takes it within `timeout`. What is not flushed stays in the
    /// write-ahead log.
    pub async fn flush_within(&self, timeout: Duration) {
        let clock = &*self.context.env.clock;
        if esker_env::timeout(clock, timeout, self.flush_all(None)).await.is_err() {
            tracing::warn!(
                "the bucket did not take everything in time; the rest stays in the write-ahead log"
            );
        }
    }

    /// Stops.
    pub async fn stop(&self) {
        self.tasks.stop().await;
        self.tiered.reader().cache().close().await;
        let closed = self.listener.closed.notified();
        self.wal.close();
        // A log whose last sync fails is never closed in good order.
        futures_util::future::select(std::pin::pin!(closed), std::pin::pin!(self.failed())).await;
    }

    /// Brings [`Engine::topics`] up to the newest image. Whoever proposed a change calls this
    /// before answering.
    pub fn refresh(&self) {
        self.follower.refresh();
    }

    /// The topics as of the newest image seen.
    #[must_use]
    pub fn topics(&self) -> Arc<TopicRegistry> {
        self.follower.topics()
    }

    /// A partition that this broker leads.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<Arc<Partition>> {
        self.follower.partition(id)
    }

    /// Bytes of a partition, in the bucket and beyond.
    #[must_use]
    pub fn partition_bytes(&self, partition: &Partition) -> u64 {
        let state = self.context.image();
        state.partitions.get(&partition.id).map_or(0, |row| partition.bytes(row))
    }

    pub(crate) fn journal_of(&self, partition: &Partition) -> &Arc<OwnedJournal> {
        if is_internal_topic(partition.name.as_str()) {
            return &self.journals[SYSTEM_JOURNAL];
        }
        let others = self.journals.len() as u64 - 1;
        let number = usize::try_from(partition.id.get() % others).expect("a handful of journals");
        &self.journals[1 + number]
    }

    /// What was appended and waits for the device.
    #[must_use]
    pub const fn uncommitted(&self) -> &Arc<Uncommitted> {
        &self.uncommitted
    }

    /// Whether the write-ahead log failed: nothing is acknowledged until the process restarts.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.listener.failure.get().is_some()
    }

    /// Completes when the write-ahead log fails, with the reason. That is final: the process has to
    /// end, and a new one reads what the disk really holds.
    pub async fn failed(&self) -> WalFailure {
        self.listener.failed().await
    }

    /// Completes when this process is thought dead, or another has registered as this broker: it can acknowledge nothing any
    /// more, and has to end. A new process registers anew.
    pub async fn fenced(&self) {
        let me = self.context.registration();
        let mut images = self.context.meta.follow();
        let gone = |image: &Arc<esker_meta::State>| (!image.is_registered(me)).then_some(());
        if images.wait_for(gone).await.is_err() {
            // The quorum has ended, and with it the node.
            std::future::pending().await
        }
    }

    /// Puts everything that is committed now into the bucket, of one topic's journals or all, and
    /// returns when that is done. (A journal is flushed whole: other topics' records in it come
    /// along.)
    pub async fn flush_all(&self, topic: Option<TopicId>) {
        self.flusher.flush_all(topic).await;
    }

    /// What waits to be put into the bucket.
    #[must_use]
    pub fn flush_status(&self) -> FlushStatus {
        self.flusher.status(self.tail_budget.bytes())
    }

    /// One round of everything that is not urgent.
    pub async fn run_maintenance_once(&self) {
        self.maintenance.run_once().await;
    }

    /// Raises the first readable offset of partitions. Offsets above the high watermark are the
    /// caller's mistake.
    ///
    /// # Errors
    /// See [`MetaError`].
    pub async fn set_log_starts(
        &self,
        partitions: Vec<(PartitionId, Offset)>,
    ) -> Result<(), MetaError> {
        self.maintenance.retention.set_log_starts(partitions).await
    }

    /// Reads every object that the metadata names and checks every checksum in it. `tell` hears of
    /// progress, then of damage and of the end. Objects that are dropped meanwhile do not count.
    pub async fn verify(&self, tell: impl FnMut(Verified) + Send) {
        Verifier { context: &self.context, tiered: &self.tiered }.run(tell).await;
    }

    /// How much of the write-ahead log is used beyond the point where produce is slowed down: 0
    /// below it, 1 when it is full.
    #[must_use]
    pub fn pressure(&self) -> f64 {
        wal_space::pressure(&self.wal.space(), &self.context.options)
    }

    /// Forgets what could be read again: footers, and what the caches hold of objects.
    pub async fn clear_cache(&self) {
        self.tiered.clear().await;
    }

    /// The reader of objects, for its figures.
    #[must_use]
    pub fn objects(&self) -> &ObjectReader {
        self.tiered.reader()
    }

    /// The world.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.context.env
    }

    /// The metadata.
    #[must_use]
    pub fn meta(&self) -> &Arc<dyn MetaClient> {
        &self.context.meta
    }

    /// The write-ahead log.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.context.options
    }

    /// This broker's registration.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.context.incarnation
    }
}
