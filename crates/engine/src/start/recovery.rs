//! The start: what earlier registrations of this broker left in the write-ahead log.
//!
//! Registering has moved their open journals to `Sealing`. Each is sealed in the log (durably, so
//! that no older process can append to it), its tail becomes a fact of the metadata, and its
//! undrained batches become the tails of their partitions. Draining them comes later, behind new
//! appends.

use crate::journal::durability_listener::DurabilityListener;
use crate::journal::owned::{Committed, OwnedJournal};
use crate::journal::uncommitted::Uncommitted;
use crate::partition::led::Partition;
use crate::start::error::{EngineError, LogDamage};
use esker_env::{Blocking, Env};
use esker_journal::{Next, Quorum, Replica, Rescuer, SealStep};
use esker_meta::{Command, JournalState, State};
use esker_meta_client::MetaClient;
use esker_plog::{BatchLocation, TailBatch};
use esker_record::unproved_age;
use esker_types::{
    BrokerId, Bug, JournalId, LongQueue, MonoTime, Offset, PartitionId, Seq, StoreId, Timestamp,
    planted,
};
use esker_wal::{BundleView, FrameFlags, JournalStatus, ReadError, Recovered, Wal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Undrained batches of each partition, in order.
pub(crate) type RecoveredTails = BTreeMap<PartitionId, Vec<TailBatch>>;

/// What the log held.
#[derive(Default)]
pub(crate) struct RecoveredJournals {
    pub(crate) tails: RecoveredTails,
    /// Sealed journals with something to drain, oldest first.
    pub(crate) journals: Vec<FoundJournal>,
}

/// A sealed journal and the ends of its bundles.
pub(crate) struct FoundJournal {
    id: JournalId,
    drained: Seq,
    tail: Seq,
    bundles: Vec<(Seq, usize, BTreeMap<PartitionId, Offset>)>,
}

impl FoundJournal {
    pub(crate) const fn id(&self) -> JournalId {
        self.id
    }

    /// Where each partition's records end in each bundle.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (PartitionId, Offset)> {
        self.bundles.iter().flat_map(|(.., ends)| ends.iter().map(|(pid, end)| (*pid, *end)))
    }

    /// The journal with its bundles tied to the opened partitions. Batches of deleted partitions
    /// are forgotten.
    pub(crate) fn attach(
        self,
        at: MonoTime,
        wal: &Wal,
        uncommitted: &Arc<Uncommitted>,
        partition: impl Fn(PartitionId) -> Option<Arc<Partition>>,
    ) -> OwnedJournal {
        let undrained: LongQueue<_> = self
            .bundles
            .into_iter()
            .map(|(seq, bytes, ends)| Committed {
                seq,
                bytes,
                at,
                ends: ends
                    .into_iter()
                    .filter_map(|(pid, end)| Some((partition(pid)?, end)))
                    .collect(),
            })
            .collect();
        OwnedJournal::sealed(self.id, wal, uncommitted, (self.drained, self.tail), undrained)
    }
}

/// What recovery works with.
pub(crate) struct Recovery<'a> {
    pub(crate) env: &'a Env,
    pub(crate) meta: &'a dyn MetaClient,
    pub(crate) wal: &'a Wal,
    pub(crate) listener: &'a DurabilityListener,
    /// What the log held when it was opened.
    pub(crate) recovered: &'a Recovered,
    /// The log's directory, and the disk that it is on.
    pub(crate) dir: &'a Path,
    pub(crate) store: StoreId,
    pub(crate) broker: BrokerId,
}

impl Recovery<'_> {
    /// Seals what is open, fixes tails, reads directories.
    pub(crate) async fn run(&self) -> Result<RecoveredJournals, EngineError> {
        let image = self.meta.image();
        self.drop_forgotten(&image)?;
        let rows: Vec<_> = image.journals.iter().map(|(id, row)| (*id, row.clone())).collect();
        let mut found = RecoveredJournals { tails: BTreeMap::new(), journals: Vec::new() };
        // Journals of other brokers are on other disks.
        for (id, row) in rows.into_iter().filter(|(_, row)| row.owner == self.broker) {
            let tail = self.tail_of(id, &row).await?;
            if tail <= row.drained {
                self.wal.drop_journal(id)?;
                continue;
            }
            found.add(self.read(id, row.drained, tail).await?, self.dir)?;
        }
        found.join_objects(&self.meta.image(), self.dir)?;
        Ok(found)
    }

    /// Gives up journals that the metadata has forgotten: everything in them is in the bucket.
    pub(crate) fn drop_forgotten(&self, image: &State) -> Result<(), EngineError> {
        for journal in &self.recovered.journals {
            if !image.journals.contains_key(&journal.status.journal) {
                self.wal.drop_journal(journal.status.journal)?;
            }
        }
        Ok(())
    }

    /// Where a journal ends, which is a fact of the metadata from then on.
    async fn tail_of(&self, id: JournalId, row: &esker_meta::Journal) -> Result<Seq, EngineError> {
        if !row.ensemble.contains(&self.store) {
            let store = row.ensemble.first().copied().unwrap_or_default();
            let dir = self.dir.to_owned();
            return Err(LogDamage::OtherDisk { dir, journal: id, store }.into());
        }
        match row.state {
            JournalState::Sealing => self.seal(id, row).await,
            JournalState::Sealed { tail } => Ok(tail),
            JournalState::Rolled { end } => Ok(end),
            JournalState::Open => Err(LogDamage::OpenElsewhere { journal: id }.into()),
        }
    }

    /// Seals a journal in the log and fixes its tail.
    async fn seal(&self, id: JournalId, row: &esker_meta::Journal) -> Result<Seq, EngineError> {
        let ignored = planted(Bug::WalDamageIgnored);
        // Damage may have swallowed a journal that the log does not know, unless it was made after
        // the damage was seen; of each one that it knows the log says what is damaged of it.
        // Sealing would make the unknown one known, and empty.
        let logged = self.recovered.journals.iter().any(|found| found.status.journal == id);
        let suspect = self.recovered.lost_before.is_some_and(|before| id < before);
        if suspect && !logged && !ignored {
            return Err(self.records_lost(id).into());
        }
        let status = seal(self.wal, self.listener, id).await?;
        let lost = status.damaged_from.is_some() && !ignored;
        let Some(mut tail) = find_tail(row, self.store, &status, lost) else {
            return Err(self.records_lost(id).into());
        };
        if planted(Bug::TailFixedShort) {
            tail = Seq(tail.get().saturating_sub(1));
        }
        self.env.fail_point("recovery: sealed").await;
        self.meta.propose(Command::FixTail { journal: id, tail }).await?;
        self.env.fail_point("recovery: tail fixed").await;
        Ok(tail)
    }

    /// What is in a journal's undrained bundles.
    async fn read(
        &self,
        id: JournalId,
        drained: Seq,
        tail: Seq,
    ) -> Result<Directories, EngineError> {
        let (wal, image, now) = (self.wal.clone(), self.meta.image(), self.env.clock.wall());
        let read = move || read_directories(&wal, &image, id, (drained, tail), now);
        self.env.spawner.blocking(read).await.map_err(|error| match error {
            ReadError::Corrupt { .. } | ReadError::Lost { .. } => self.records_lost(id).into(),
            other => other.into(),
        })
    }

    /// The refusal to start on a log that lost what it had promised.
    fn records_lost(&self, journal: JournalId) -> LogDamage {
        let dir = self.dir.to_owned();
        let (file, what) = match self.recovered.problems.as_slice() {
            [] => (dir.clone(), "what was written is not there".to_owned()),
            [first, others @ ..] => {
                let more = match others.len() {
                    0 => String::new(),
                    count => format!(" (and {count} more)"),
                };
                (dir.join(&first.file), format!("at byte {}: {}{more}", first.position, first.what))
            }
        };
        LogDamage::RecordsLost { dir, file, journal, what }
    }
}

/// Seals a journal in the log and answers what is there of it.
async fn seal(
    wal: &Wal,
    listener: &DurabilityListener,
    id: JournalId,
) -> Result<JournalStatus, EngineError> {
    wal.seal(id)?;
    wait_for(wal, listener, id, |status| status.state == esker_wal::JournalState::Sealed).await
}

/// Waits until what is durable of a journal is as wanted.
pub(crate) async fn wait_for(
    wal: &Wal,
    listener: &DurabilityListener,
    id: JournalId,
    wanted: impl Fn(&JournalStatus) -> bool,
) -> Result<JournalStatus, EngineError> {
    loop {
        let changed = listener.changed.notified();
        let mut changed = std::pin::pin!(changed);
        changed.as_mut().enable();
        match wal.status(id) {
            Some(status) if wanted(&status) => return Ok(status),
            _ => match listener.failure.get() {
                Some(failure) => return Err(EngineError::LogFailed(failure.clone())),
                None => changed.await,
            },
        }
    }
}

/// Where a journal ends that is sealed in this store, by the rules of the journal protocol. `None`
/// when this store alone cannot tell: it lost something, or the journal has others that may know
/// more.
fn find_tail(
    row: &esker_meta::Journal,
    store: StoreId,
    status: &JournalStatus,
    lost: bool,
) -> Option<Seq> {
    let quorum = Quorum::new(u8::try_from(row.ensemble.len()).ok()?, row.ack_quorum)?;
    let own_index = row.ensemble.iter().position(|member| *member == store)?;
    let mut replica = Replica::recovered(true, lost, status.last, status.trimmed);
    let SealStep::Answer(answer) = replica.on_seal() else { return None };
    let mut rescuer = Rescuer::new(quorum);
    rescuer.on_seal(own_index, answer);
    match rescuer.next(row.drained) {
        Next::Fix { tail } => Some(tail),
        Next::Seal | Next::Copy(_) | Next::DrainFirst { .. } => None,
    }
}

pub(crate) type Directories = (FoundJournal, Vec<(PartitionId, TailBatch)>);

/// Reads what is in a journal's undrained bundles. Blocks.
fn read_directories(
    wal: &Wal,
    image: &State,
    id: JournalId,
    (drained, tail): (Seq, Seq),
    now: Timestamp,
) -> Result<Directories, ReadError> {
    directory_of(image, id, (drained, tail), now, |seq| {
        let head = wal.read_head(id, seq);
        if head.is_err() && planted(Bug::WalDamageIgnored) {
            return Ok(None);
        }
        let head = head?.ok_or(ReadError::Lost { seq })?;
        Ok(Some((head, false)))
    })
}

/// What is in a journal's undrained bundles. `read` gives one, and whether its batches are to be kept in memory.
pub(crate) fn directory_of<E>(
    image: &State,
    id: JournalId,
    (drained, tail): (Seq, Seq),
    now: Timestamp,
    read: impl Fn(Seq) -> Result<Option<(BundleView, bool)>, E>,
) -> Result<Directories, E> {
    let mut journal = FoundJournal { id, drained, tail, bundles: Vec::new() };
    let mut batches = Vec::new();
    for seq in (drained.get() + 1..=tail.get()).map(Seq) {
        let Some((head, in_memory)) = read(seq)? else { continue };
        let mut ends = BTreeMap::new();
        let mut bytes = 0;
        for number in 0..head.frame_count() {
            let frame = head.meta(number);
            bytes += head.payload_len(number);
            let Some(row) = image.partitions.get(&frame.partition) else { continue };
            let end = frame.last_offset.next();
            ends.insert(frame.partition, end);
            if end <= row.tiered_end {
                continue;
            }
            let frame_number = u32::try_from(number).expect("a bundle has few frames");
            let batch = TailBatch {
                base: frame.base_offset,
                end,
                max_timestamp: frame.max_timestamp,
                ages_from: if frame.flags.contains(FrameFlags::AGES) {
                    frame.max_timestamp
                } else {
                    // It was taken before now: what is kept a little longer is not lost.
                    unproved_age(frame.max_timestamp, now)
                },
                leader_epoch: frame.leader_epoch,
                len: u32::try_from(head.payload_len(number)).expect("a frame is below 4 GiB"),
                location: if in_memory {
                    BatchLocation::Memory(head.frame(number).payload)
                } else {
                    BatchLocation::Journal { journal: id, seq, frame: frame_number }
                },
            };
            batches.push((frame.partition, batch));
        }
        journal.bundles.push((seq, bytes, ends));
    }
    Ok((journal, batches))
}

impl RecoveredJournals {
    pub(crate) fn add(
        &mut self,
        (journal, batches): Directories,
        dir: &Path,
    ) -> Result<(), LogDamage> {
        for (pid, batch) in batches {
            let tail = self.tails.entry(pid).or_default();
            if tail.last().is_some_and(|last| last.end != batch.base) {
                return Err(LogDamage::Gap {
                    dir: dir.to_owned(),
                    partition: pid,
                    journal: journal.id,
                    base: batch.base,
                    end: tail.last().map_or(Offset::NONE, |last| last.end),
                });
            }
            tail.push(batch);
        }
        self.journals.push(journal);
        Ok(())
    }

    /// Adds the journals of several registrations in the order in which their records go on, which is told by the records alone: who
    /// led later may have opened its journals earlier.
    pub(crate) fn add_in_turn(
        &mut self,
        mut found: Vec<Directories>,
        image: &State,
        dir: &Path,
    ) -> Result<(), LogDamage> {
        while !found.is_empty() {
            let next = found.iter().position(|(_, batches)| self.goes_on_with(image, batches));
            // Where none does, something is missing: adding one says what.
            self.add(found.remove(next.unwrap_or(0)), dir)?;
        }
        Ok(())
    }

    /// Whether the first of these batches of each partition is the next one.
    fn goes_on_with(&self, image: &State, batches: &[(PartitionId, TailBatch)]) -> bool {
        let mut seen = BTreeSet::new();
        batches.iter().filter(|(pid, _)| seen.insert(*pid)).all(|(pid, first)| {
            match (self.tails.get(pid).and_then(|tail| tail.last()), image.partitions.get(pid)) {
                (Some(last), _) => last.end == first.base,
                (None, Some(row)) => first.base <= row.tiered_end,
                (None, None) => true,
            }
        })
    }

    /// Where objects end, the log has to go on.
    pub(crate) fn join_objects(&self, image: &State, dir: &Path) -> Result<(), LogDamage> {
        for (pid, tail) in &self.tails {
            let (Some(row), Some(first)) = (image.partitions.get(pid), tail.first()) else {
                continue;
            };
            if first.base > row.tiered_end {
                return Err(LogDamage::GapBehindObjects {
                    dir: dir.to_owned(),
                    partition: *pid,
                    base: first.base,
                    tiered_end: row.tiered_end,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_types::{BrokerId, Incarnation};
    use uuid::Uuid;

    /// The first journal of registration `number`, with batches of one record.
    fn directories(number: u64, batches: &[(u64, i64)]) -> Directories {
        let id = JournalId::new(number, 0);
        let batch = |base: i64| TailBatch {
            base: Offset(base),
            end: Offset(base + 1),
            max_timestamp: Timestamp(0),
            ages_from: Timestamp(0),
            leader_epoch: esker_types::LeaderEpoch(0),
            len: 1,
            location: BatchLocation::Memory(bytes::Bytes::from_static(b"x")),
        };
        let batches = batches.iter().map(|(pid, base)| (PartitionId(*pid), batch(*base)));
        let journal = FoundJournal { id, drained: Seq(0), tail: Seq(1), bundles: Vec::new() };
        (journal, batches.collect())
    }

    /// Two partitions, of which nothing is in the bucket.
    fn image() -> State {
        let registration = Box::new(esker_meta::Registration {
            process: 1,
            host: "localhost".to_owned(),
            port: 9092,
            peer: None,
            rack: None,
            stores: vec![],
        });
        let create = Command::CreateTopic {
            topic: esker_types::TopicId::default(),
            name: esker_types::TopicName::new("t").unwrap(),
            partitions: vec![esker_meta::NewPartition { leader: BrokerId(1) }; 2],
            replication_factor: 1,
            configs: vec![],
        };
        let mut state = State::default();
        for command in [Command::Register { broker: BrokerId(1), registration }, create] {
            let index = state.applied + 1;
            state.apply(index, &esker_meta::Proposal { now: Timestamp(0), command });
        }
        state
    }

    #[test]
    fn journals_of_several_registrations_are_joined_as_their_records_go_on() {
        let (dir, image) = (Path::new("wal"), image());
        let [one, two] = [0, 1].map(|place| image.partitions.keys().nth(place).unwrap().get());
        // Who led in the middle opened its journal last, who led at the end opened it before.
        let begin = || directories(3, &[(one, 0), (one, 1), (two, 0)]);
        let end = || directories(5, &[(one, 3)]);
        let found = vec![end(), directories(9, &[(one, 2), (two, 1)]), begin()];
        let mut joined = RecoveredJournals::default();
        joined.add_in_turn(found, &image, dir).unwrap();
        let order: Vec<_> = joined.journals.iter().map(FoundJournal::id).collect();
        assert_eq!(order, [3, 9, 5].map(|number| JournalId::new(number, 0)));
        let bases: Vec<_> =
            joined.tails[&PartitionId(one)].iter().map(|batch| batch.base).collect();
        assert_eq!(bases, [0, 1, 2, 3].map(Offset));
        // What is missing is told.
        let refused = RecoveredJournals::default().add_in_turn(vec![end(), begin()], &image, dir);
        assert!(matches!(refused, Err(LogDamage::Gap { .. })), "{refused:?}");
    }

    #[test]
    fn one_store_tells_the_tail_only_where_it_is_the_seal_quorum() {
        let (mine, other) = (StoreId(Uuid::from_u128(1)), StoreId(Uuid::from_u128(2)));
        let row = |ensemble: Vec<StoreId>, ack_quorum| esker_meta::Journal {
            owner: BrokerId(1),
            incarnation: Incarnation(1),
            shard: 0,
            request: 0,
            ensemble,
            ack_quorum,
            state: JournalState::Sealing,
            drained: Seq(2),
        };
        let status = JournalStatus {
            journal: JournalId::new(1, 0),
            state: esker_wal::JournalState::Sealed,
            last: Seq(5),
            trimmed: Seq(2),
            damaged_from: None,
        };
        assert_eq!(find_tail(&row(vec![mine], 1), mine, &status, false), Some(Seq(5)));
        assert_eq!(find_tail(&row(vec![mine], 1), mine, &status, true), None, "it lost data");
        assert_eq!(find_tail(&row(vec![other], 1), mine, &status, false), None, "another's");
        let two = row(vec![other, mine], 1);
        assert_eq!(find_tail(&two, mine, &status, false), None, "the other one may have more");
    }
}
