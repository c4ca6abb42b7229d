//! The write-ahead log between its opening and the engine's start: it has been read, nothing was changed, and what it
//! knows of the metadata can be held against the metadata.

use crate::engine::EngineError;
use crate::options::EngineOptions;
use esker_env::{Blocking, Env};
use esker_meta::{Journal, JournalState, State};
use esker_types::{ClusterId, JournalId, Seq, StoreId};
use esker_wal::{JournalStatus, OpenedWal, Recovered, WalOptions};
use std::path::{Path, PathBuf};

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

    /// The newest command of the metadata that this log knows of: the one that made its newest journal. Metadata that
    /// ends before it is older than the log, and would take what it does not know for something long forgotten.
    #[must_use]
    pub fn newest_metadata_index(&self) -> u64 {
        let journals = self.recovered.journals.iter();
        journals.map(|journal| journal.status.journal.created_index()).max().unwrap_or_default()
    }

    /// The disk that it is on.
    pub(crate) fn store(&self) -> StoreId {
        self.wal.identity().store
    }

    /// Checks that the log and the metadata are of one time, as far as they tell of each other, before either is
    /// changed. Where damage explains what is missing, the recovery says so.
    pub(crate) fn compare(&self, image: &State) -> Result<(), EngineError> {
        for (id, row) in &image.journals {
            if row.ensemble.contains(&self.store()) && !self.is_suspect(*id) {
                let found = self.status(*id).map_or(Held::Nothing, Held::Entries);
                compare_journal(image, row, found).map_err(|age| refusal(&self.dir, *id, age))?;
            }
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

/// What the log holds of a journal.
enum Held<'a> {
    Nothing,
    Entries(&'a JournalStatus),
}

/// Which of the two is from an earlier time, and how that shows.
enum Older {
    Log(String),
    Metadata(String),
}

fn compare_journal(image: &State, row: &Journal, held: Held<'_>) -> Result<(), Older> {
    let status = match held {
        Held::Entries(status) => status,
        // Between its making in the metadata and its opening in the log there may have been a crash. Partitions are
        // given to a registration when its journals are durable, and not before.
        Held::Nothing => {
            let led = image.partitions.values().any(|partition| {
                (partition.leader, partition.leader_incarnation) == (row.owner, row.incarnation)
            });
            return if led || row.drained > Seq::NONE {
                Err(Older::Log("holds nothing, although it was written".to_owned()))
            } else {
                Ok(())
            };
        }
    };
    let last = match row.state {
        JournalState::Rolled { end: last } | JournalState::Sealed { tail: last } => last,
        JournalState::Open | JournalState::Sealing => row.drained,
    };
    if status.last < last {
        let what = format!("ends at its entry {}, and {last} were acknowledged", status.last);
        return Err(Older::Log(what));
    }
    if status.trimmed > row.drained {
        let (trimmed, drained) = (status.trimmed, row.drained);
        let what = format!(
            "has given up {trimmed} entries, and the metadata knows of {drained} in the bucket"
        );
        return Err(Older::Metadata(what));
    }
    Ok(())
}

fn refusal(dir: &Path, id: JournalId, older: Older) -> EngineError {
    let what = match older {
        Older::Log(how) => format!(
            "the write-ahead log is older than the metadata: of journal {id} it {how}. Records that were acknowledged \
             since may be in the newest log only"
        ),
        Older::Metadata(how) => format!(
            "the metadata is older than the write-ahead log: of journal {id} the log {how}. Where those records went \
             is in the newest metadata only"
        ),
    };
    EngineError::Damaged(format!(
        "{}: {what}. Put the newest data directory back, the whole of it from one time",
        dir.display()
    ))
}
