//! Details of one partition in an object: a list of typed items, each skippable.
//!
//! An item is `kind u32 | len u32 | len bytes`, in the order of kinds. Entries have a fixed width, producers
//! excepted. Of the two producer kinds at most one is there.

use crate::field;
use crate::layout::Corrupt;
use esker_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

const EPOCHS: u32 = 1;
const ABORTED: u32 = 2;
const TIMES: u32 = 3;
const PRODUCERS_FULL: u32 = 4;
const PRODUCERS_DELTA: u32 = 5;

const ITEM_HEADER_BYTES: usize = 8;
const EPOCH_BYTES: usize = 16;
const ABORTED_BYTES: usize = 32;
const TIME_BYTES: usize = 16;
const PRODUCER_BYTES: usize = 32;
const PRODUCER_BATCH_BYTES: usize = 32;

/// Batches that are remembered of a producer, as Kafka does.
pub(crate) const PRODUCER_BATCHES_MAX: usize = 5;

/// Where a leader epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of its first batch in this object.
    pub start: Offset,
}

/// A transaction that was aborted, listed where its marker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer: ProducerId,
    /// First offset of the transaction.
    pub first_offset: Offset,
    /// Offset of the marker.
    pub last_offset: Offset,
    /// Last stable offset when the marker was written.
    pub last_stable_offset: Offset,
}

/// An entry of the sparse time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    /// Largest timestamp in the stretch that begins at `offset`.
    pub max_timestamp: Timestamp,
    /// First offset of the stretch.
    pub offset: Offset,
}

/// Whether a producer section stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerKind {
    /// All producers of the partition.
    Full,
    /// Those that changed since the previous object of the partition.
    Delta,
}

/// A batch that a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

/// What is known of an idempotent producer at the end of a partition's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The producer.
    pub producer: ProducerId,
    /// The newest epoch that wrote.
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote the last marker; −1 when none did.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub open_txn_first: Option<Offset>,
    /// When it last wrote.
    pub last_seen: Timestamp,
    /// Its last batches, oldest first; at most five.
    pub batches: Vec<ProducerBatch>,
}

/// Writes the items of one partition.
#[derive(Debug, Default)]
pub(crate) struct PropsWriter {
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) aborted: Vec<AbortedTxn>,
    pub(crate) times: Vec<TimeEntry>,
    pub(crate) producers: Option<(ProducerKind, Vec<ProducerEntry>)>,
}

impl PropsWriter {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        item(out, EPOCHS, self.epochs.is_empty(), |out| {
            for entry in &self.epochs {
                out.extend_from_slice(&i64::from(entry.epoch.get()).to_le_bytes());
                out.extend_from_slice(&entry.start.get().to_le_bytes());
            }
        });
        item(out, ABORTED, self.aborted.is_empty(), |out| {
            for entry in &self.aborted {
                out.extend_from_slice(&entry.producer.get().to_le_bytes());
                out.extend_from_slice(&entry.first_offset.get().to_le_bytes());
                out.extend_from_slice(&entry.last_offset.get().to_le_bytes());
                out.extend_from_slice(&entry.last_stable_offset.get().to_le_bytes());
            }
        });
        item(out, TIMES, self.times.is_empty(), |out| {
            for entry in &self.times {
                out.extend_from_slice(&entry.max_timestamp.get().to_le_bytes());
                out.extend_from_slice(&entry.offset.get().to_le_bytes());
            }
        });
        if let Some((kind, producers)) = &self.producers {
            let kind = match kind {
                ProducerKind::Full => PRODUCERS_FULL,
                ProducerKind::Delta => PRODUCERS_DELTA,
            };
            item(out, kind, false, |out| {
                producers.iter().for_each(|producer| encode_producer(producer, out));
            });
        }
    }
}

fn item(out: &mut Vec<u8>, kind: u32, empty: bool, content: impl FnOnce(&mut Vec<u8>)) {
    if empty {
        return;
    }
    out.extend_from_slice(&kind.to_le_bytes());
    let len_at = out.len();
    out.extend_from_slice(&[0; 4]);
    content(out);
    let len = field::to_u32(out.len() - len_at - 4);
    out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}

fn encode_producer(producer: &ProducerEntry, out: &mut Vec<u8>) {
    assert!(producer.batches.len() <= PRODUCER_BATCHES_MAX, "a producer keeps five batches");
    let count = u16::try_from(producer.batches.len()).expect("at most five");
    let open_txn_first = producer.open_txn_first.unwrap_or(Offset::NONE);
    out.extend_from_slice(&producer.producer.get().to_le_bytes());
    out.extend_from_slice(&producer.epoch.get().to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&producer.coordinator_epoch.to_le_bytes());
    out.extend_from_slice(&open_txn_first.get().to_le_bytes());
    out.extend_from_slice(&producer.last_seen.get().to_le_bytes());
    for batch in &producer.batches {
        out.extend_from_slice(&batch.first_sequence.to_le_bytes());
        out.extend_from_slice(&batch.last_sequence.to_le_bytes());
        out.extend_from_slice(&batch.base_offset.get().to_le_bytes());
        out.extend_from_slice(&batch.last_offset.get().to_le_bytes());
        out.extend_from_slice(&batch.timestamp.get().to_le_bytes());
    }
}

/// The items of one partition, read in place.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PropsView<'a> {
    epochs: &'a [u8],
    aborted: &'a [u8],
    times: &'a [u8],
    producers: Option<(ProducerKind, &'a [u8])>,
}

impl<'a> PropsView<'a> {
    /// Checks the structure of all items.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut view = Self::default();
        let mut rest = bytes;
        let mut previous = 0;
        while !rest.is_empty() {
            let (header, tail) =
                rest.split_at_checked(ITEM_HEADER_BYTES).ok_or(Corrupt("props cut short"))?;
            let len = field::to_usize(u64::from(field::u32(header, 4)));
            let (content, tail) = tail.split_at_checked(len).ok_or(Corrupt("props item length"))?;
            rest = tail;
            let whole = |width: usize| match len.is_multiple_of(width) {
                true => Ok(content),
                false => Err(Corrupt("props entry width")),
            };
            let kind = field::u32(header, 0);
            if kind <= previous {
                return Err(Corrupt("order of props items"));
            }
            previous = kind;
            match kind {
                EPOCHS => view.epochs = whole(EPOCH_BYTES)?,
                ABORTED => view.aborted = whole(ABORTED_BYTES)?,
                TIMES => view.times = whole(TIME_BYTES)?,
                PRODUCERS_FULL | PRODUCERS_DELTA => {
                    let producers = match kind {
                        PRODUCERS_FULL => ProducerKind::Full,
                        _ => ProducerKind::Delta,
                    };
                    view.producers = Some((producers, content));
                    view.check_producers(content)?;
                }
                _ => {}
            }
        }
        view.check_epochs()?;
        Ok(view)
    }

    fn check_epochs(&self) -> Result<(), Corrupt> {
        let fits = |entry: &[u8]| i32::try_from(field::i64(entry, 0)).is_ok();
        match self.epochs.chunks_exact(EPOCH_BYTES).all(fits) {
            true => Ok(()),
            false => Err(Corrupt("leader epoch")),
        }
    }

    fn check_producers(&self, mut rest: &[u8]) -> Result<(), Corrupt> {
        while !rest.is_empty() {
            let count = match rest.len() >= PRODUCER_BYTES {
                true => usize::from(field::u16(rest, 10)),
                false => return Err(Corrupt("producer entry")),
            };
            let len = PRODUCER_BYTES + count * PRODUCER_BATCH_BYTES;
            if count > PRODUCER_BATCHES_MAX || rest.len() < len {
                return Err(Corrupt("producer batches"));
            }
            rest = &rest[len..];
        }
        Ok(())
    }

    pub(crate) fn epochs(&self) -> impl Iterator<Item = EpochStart> + use<'a> {
        self.epochs.chunks_exact(EPOCH_BYTES).map(|entry| EpochStart {
            epoch: LeaderEpoch(i32::try_from(field::i64(entry, 0)).expect("checked when parsed")),
            start: Offset(field::i64(entry, 8)),
        })
    }

    pub(crate) fn aborted(&self) -> impl Iterator<Item = AbortedTxn> + use<'a> {
        self.aborted.chunks_exact(ABORTED_BYTES).map(|entry| AbortedTxn {
            producer: ProducerId(field::i64(entry, 0)),
            first_offset: Offset(field::i64(entry, 8)),
            last_offset: Offset(field::i64(entry, 16)),
            last_stable_offset: Offset(field::i64(entry, 24)),
        })
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = TimeEntry> + use<'a> {
        self.times.chunks_exact(TIME_BYTES).map(|entry| TimeEntry {
            max_timestamp: Timestamp(field::i64(entry, 0)),
            offset: Offset(field::i64(entry, 8)),
        })
    }

    pub(crate) fn producer_kind(&self) -> Option<ProducerKind> {
        self.producers.map(|(kind, _)| kind)
    }

    pub(crate) fn producers(&self) -> impl Iterator<Item = ProducerEntry> + use<'a> {
        let mut rest = self.producers.map_or(&[][..], |(_, content)| content);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let count = usize::from(field::u16(rest, 10));
            let (entry, tail) = rest.split_at(PRODUCER_BYTES + count * PRODUCER_BATCH_BYTES);
            rest = tail;
            let open_txn_first = Offset(field::i64(entry, 16));
            Some(ProducerEntry {
                producer: ProducerId(field::i64(entry, 0)),
                epoch: ProducerEpoch(field::i16(entry, 8)),
                coordinator_epoch: field::i32(entry, 12),
                open_txn_first: (open_txn_first != Offset::NONE).then_some(open_txn_first),
                last_seen: Timestamp(field::i64(entry, 24)),
                batches: entry[PRODUCER_BYTES..]
                    .chunks_exact(PRODUCER_BATCH_BYTES)
                    .map(|batch| ProducerBatch {
                        first_sequence: field::i32(batch, 0),
                        last_sequence: field::i32(batch, 4),
                        base_offset: Offset(field::i64(batch, 8)),
                        last_offset: Offset(field::i64(batch, 16)),
                        timestamp: Timestamp(field::i64(batch, 24)),
                    })
                    .collect(),
            })
        })
    }
}
