//! Batches that have left the memory and are not flushed yet, read back from the write-ahead log.

use crate::objects::fetched::FetchedBatches;
use bytes::Bytes;
use esker_env::{Blocking, Spawner};
use esker_plog::{BatchLocation, TailBatch};
use esker_types::{JournalId, Seq};
use esker_wal::{BundleError, BundleView, Wal};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why an entry of a journal could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalReadError {
    /// The log did not give it; try again.
    #[error("entry {seq} of journal {journal}: {source}")]
    Unavailable {
        /// The journal.
        journal: JournalId,
        /// The entry.
        seq: Seq,
        /// What the log said.
        source: Arc<esker_wal::ReadError>,
    },
    /// It has been flushed and trimmed meanwhile.
    #[error("entry {seq} of journal {journal}: trimmed")]
    Trimmed {
        /// The journal.
        journal: JournalId,
        /// The entry.
        seq: Seq,
    },
    /// It is no bundle.
    #[error("entry {seq} of journal {journal}: {source}")]
    Corrupt {
        /// The journal.
        journal: JournalId,
        /// The entry.
        seq: Seq,
        /// What is wrong with it.
        source: BundleError,
    },
}

/// Reads journals of this broker's own log.
#[derive(Clone)]
pub(crate) struct JournalReader {
    spawner: Arc<dyn Spawner>,
    wal: Wal,
}

/// Which frames of an entry are wanted, and for which batch of which tail.
type WantedFrames = BTreeMap<(JournalId, Seq), Vec<(usize, usize, usize)>>;

impl JournalReader {
    pub(crate) fn new(spawner: &Arc<dyn Spawner>, wal: &Wal) -> Self {
        Self { spawner: Arc::clone(spawner), wal: wal.clone() }
    }

    /// The first of `batches` that are in the journal; `None` when it was trimmed meanwhile.
    pub(crate) async fn read(
        &self,
        batches: Vec<TailBatch>,
    ) -> Result<Option<FetchedBatches>, JournalReadError> {
        let wal = self.wal.clone();
        let read = move || {
            let mut fetched = FetchedBatches::default();
            let mut open: Option<(JournalId, Seq, BundleView)> = None;
            for batch in batches {
                let BatchLocation::Journal { journal, seq, frame } = batch.location else { break };
                if open.as_ref().is_none_or(|(j, s, _)| (*j, *s) != (journal, seq)) {
                    let Some(view) = read_bundle(&wal, journal, seq)? else { break };
                    open = Some((journal, seq, view));
                }
                if let Some((_, _, view)) = &open {
                    fetched.push(view.frame(frame as usize).payload);
                }
            }
            Ok(Some(fetched).filter(|fetched| !fetched.batches.is_empty()))
        };
        self.spawner.blocking(read).await
    }

    /// The bytes of batches of one tail, in order, from memory or from the log.
    pub(crate) async fn bytes_of_tail(
        &self,
        tail: Vec<TailBatch>,
    ) -> Result<Vec<Bytes>, JournalReadError> {
        let tails = self.load(vec![tail]).await?;
        Ok(tails.iter().flatten().map(loaded_bytes).cloned().collect())
    }

    /// Batches of many tails, with their bytes in memory. An entry of the log holds batches of many
    /// partitions, and is read once for all of them.
    pub(crate) async fn load(
        &self,
        mut tails: Vec<Vec<TailBatch>>,
    ) -> Result<Vec<Vec<TailBatch>>, JournalReadError> {
        let wanted = wanted_frames(&tails);
        if wanted.is_empty() {
            return Ok(tails);
        }
        let wal = self.wal.clone();
        let load = move || {
            for ((journal, seq), frames) in wanted {
                let view = read_bundle(&wal, journal, seq)?
                    .ok_or(JournalReadError::Trimmed { journal, seq })?;
                for (which, index, frame) in frames {
                    tails[which][index].location = BatchLocation::Memory(view.frame(frame).payload);
                }
            }
            Ok(tails)
        };
        self.spawner.blocking(load).await
    }
}

fn wanted_frames(tails: &[Vec<TailBatch>]) -> WantedFrames {
    let mut wanted = WantedFrames::new();
    for (which, tail) in tails.iter().enumerate() {
        for (index, batch) in tail.iter().enumerate() {
            if let BatchLocation::Journal { journal, seq, frame } = batch.location {
                wanted.entry((journal, seq)).or_default().push((which, index, frame as usize));
            }
        }
    }
    wanted
}

/// An entry; `None` when it was trimmed. Blocks.
fn read_bundle(
    wal: &Wal,
    journal: JournalId,
    seq: Seq,
) -> Result<Option<BundleView>, JournalReadError> {
    let read = wal.read_bundle(journal, seq).map_err(|source| {
        let source = Arc::new(source);
        JournalReadError::Unavailable { journal, seq, source }
    });
    let parse = |bundle| {
        BundleView::parse(bundle).map_err(|source| JournalReadError::Corrupt {
            journal,
            seq,
            source,
        })
    };
    read?.map(parse).transpose()
}

/// The bytes of a batch that [`JournalReader::load`] has brought into memory.
pub(crate) fn loaded_bytes(batch: &TailBatch) -> &Bytes {
    batch.bytes().expect("what was brought into memory stays there")
}
