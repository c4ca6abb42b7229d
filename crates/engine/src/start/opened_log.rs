//! The write-ahead log between its opening and the engine's start: it has been read, nothing was
//! changed, and what it knows of the metadata can be held against the metadata.

use crate::options::EngineOptions;
use crate::start::error::{EngineError, LogAge, LogDamage};
use esker_env::{Blocking, Env};
use esker_meta::{Journal, JournalState, State};
use esker_types::{ClusterId, JournalId, Seq, StoreId};
use esker_wal::{JournalStatus, OpenedWal, Recovered, WalOptions};
use std::path::PathBuf;

/// A write-ahead log that was read and does not run yet.
#[derive(Debug)]
pub struct OpenedLog {
    pub(crate) wal: OpenedWal,
    pub(crate) recovered: Recovered,
    dir: PathBuf,
}

impl OpenedLog {
    /// Reads the log, creating an empty one where there is none.
    ///
    /// # Errors
    /// [`EngineError::Wal`].
    pub async fn open(
        env: &Env,
        cluster: ClusterId,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let (inner, dir) = (env.clone(), options.wal_dir.clone());
        let wal_options = WalOptions {
            segment_bytes: options.wal_segment.get(),
            capacity_bytes: options.wal_capacity.get(),
            prefill: options.wal_prefill,
        };
        let open = move || match OpenedWal::open(&inner, &dir, cluster, wal_options) {
            Ok((wal, recovered)) => Ok(Self { wal, recovered, dir }),
            Err(source) => Err(EngineError::Wal { dir, source }),
        };
        let opened = env.spawner.blocking(open).await?;
        for problem in &opened.recovered.problems {
            tracing::warn!(%problem, "found in the write-ahead log");
        }
        Ok(opened)
    }

    /// The newest command of the metadata that this log knows of: the one that made its newest
    /// journal. Metadata that ends before it is older than the log, and would take what it does not
    /// know for something long forgotten.
    #[must_use]
    pub fn newest_metadata_index(&self) -> u64 {
        let journals = self.recovered.journals.iter();
        journals.map(|journal| journal.status.journal.created_index()).max().unwrap_or_default()
    }

    /// The disk that it is on.
    pub(crate) fn store(&self) -> StoreId {
        self.wal.identity().store
    }

    /// Checks that the log and the metadata are of one time, as far as they tell of each other,
    /// before either is changed. Where damage explains what is missing, the recovery says so.
    pub(crate) fn compare(&self, image: &State) -> Result<(), EngineError> {
        for (id, row) in &image.journals {
            // Of a journal with other stores this one may lack what they have.
            let is_alone = row.ensemble == [self.store()];
            if is_alone && !self.is_suspect(*id) {
                self.compare_journal(image, *id, row)?;
            }
        }
        Ok(())
    }

    fn compare_journal(
        &self,
        image: &State,
        journal: JournalId,
        row: &Journal,
    ) -> Result<(), LogDamage> {
        let dir = self.dir.clone();
        let Some(status) = self.status(journal) else {
            // Between its making in the metadata and its opening in the log there may have been a
            // crash. Partitions are given to a registration when its journals are durable, and not
            // before.
            let led = image.partitions.values().any(|partition| {
                (partition.leader, partition.leader_incarnation) == (row.owner, row.incarnation)
            });
            let was_written = led || row.drained > Seq::NONE;
            let how = LogAge::Nothing;
            return if was_written {
                Err(LogDamage::LogOlder { dir, journal, how })
            } else {
                Ok(())
            };
        };
        let acknowledged = match row.state {
            JournalState::Rolled { end: last } | JournalState::Sealed { tail: last } => last,
            JournalState::Open | JournalState::Sealing => row.drained,
        };
        let (last, trimmed, drained) = (status.last, status.trimmed, row.drained);
        if last < acknowledged {
            let how = LogAge::EndsEarly { last, acknowledged };
            return Err(LogDamage::LogOlder { dir, journal, how });
        }
        if trimmed > drained {
            return Err(LogDamage::MetadataOlder { dir, journal, trimmed, drained });
        }
        Ok(())
    }

    fn status(&self, id: JournalId) -> Option<&JournalStatus> {
        let found = self.recovered.journals.iter().find(|journal| journal.status.journal == id);
        found.map(|journal| &journal.status)
    }

    fn is_suspect(&self, id: JournalId) -> bool {
        match self.status(id) {
            Some(status) => status.damaged_from.is_some(),
            None => self.recovered.lost_before.is_some_and(|before| id < before),
        }
    }
}
