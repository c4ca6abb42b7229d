//! Taking over from brokers that are dead: their journals are sealed, and what they led is led here from the sealed tails on.
//!
//! One broker takes over all that a registration has left ([`Command::ClaimRescue`]), so that it leads every partition whose records stand
//! in the journals that it drains. Whose turn it is follows from the metadata; who comes second is refused.

use crate::background::flush::Flusher;
use crate::context::Context;
use crate::follow::Follower;
use crate::journal::uncommitted::Uncommitted;
use crate::start::error::{EngineError, LogDamage};
use crate::start::recovery::{Directories, FoundJournal, RecoveredJournals, directory_of};
use crate::stores::hosted;
use crate::stores::messages::Taken;
use crate::stores::replication::Stores;
use esker_env::{Blocking, timeout};
use esker_journal::{Copy, Next, Quorum, Rescuer, SealAnswer};
use esker_meta::{Command, JournalState, PartitionElection, RegistrationId, Rejected, Reply};
use esker_meta_client::MetaError;
use esker_types::{JournalId, MonoTime, Seq, StoreId};
use esker_wal::{Bundle, BundleView, Wal};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Who stands behind others waits so long for each of them.
const TURN: Duration = Duration::from_millis(300);
/// How long a journal whose end only one store knows waits for another copy of it.
const COPY_PATIENCE: Duration = Duration::from_secs(1);

/// Why a rescue did not come to its end; it is tried again.
#[derive(Debug, thiserror::Error)]
enum RescueError {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Damaged(#[from] LogDamage),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("entry {seq} of journal {journal} is on no store that answers")]
    Missing { journal: JournalId, seq: Seq },
    #[error("partition records of journal {0} are led by another broker")]
    LedElsewhere(JournalId),
}

/// Registrations that this process has claimed.
#[derive(Default)]
struct Claimed {
    /// What they have left is not taken over yet.
    open: BTreeSet<RegistrationId>,
    done: BTreeSet<RegistrationId>,
}

/// Takes over from dead brokers.
pub(crate) struct BrokerRescue {
    pub(crate) context: Arc<Context>,
    pub(crate) wal: Wal,
    pub(crate) stores: Arc<Stores>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) uncommitted: Arc<Uncommitted>,
}

impl BrokerRescue {
    pub(crate) async fn run(&self) {
        let clock = &*self.context.env.clock;
        let mut images = self.context.meta.follow();
        let mut seen: BTreeMap<RegistrationId, MonoTime> = BTreeMap::new();
        let mut claimed = Claimed::default();
        loop {
            let orphans = self.context.image().orphans();
            seen.retain(|dead, _| orphans.contains(dead));
            let now = clock.now();
            for dead in orphans {
                let since = *seen.entry(dead).or_insert(now);
                if now.since(since) >= TURN * self.turn(dead) {
                    self.claim(dead, &mut claimed).await;
                }
            }
            if !claimed.open.is_empty() {
                match self.take_over(&claimed.open).await {
                    Ok(()) => claimed.done.append(&mut claimed.open),
                    Err(error) => tracing::warn!(%error, "taking over is tried again"),
                }
            }
            let waits = !claimed.open.is_empty() || !seen.is_empty();
            let limit = if waits { AGAIN_AFTER } else { Duration::from_secs(60) };
            if let Ok(Err(_)) = timeout(clock, limit, images.changed()).await {
                return;
            }
        }
    }

    /// How many brokers stand before this one: the dead one's next process, then those whose stores hold its journals.
    fn turn(&self, dead: RegistrationId) -> u32 {
        let image = self.context.image();
        let held: BTreeSet<StoreId> = image
            .journals
            .values()
            .filter(|row| (row.owner, row.incarnation) == (dead.broker, dead.incarnation))
            .flat_map(|row| row.ensemble.iter().copied())
            .collect();
        let mut brokers: Vec<_> = image
            .placeable()
            .map(|(id, row)| {
                let holds = row.stores.iter().any(|store| held.contains(store));
                let turn = id.get().wrapping_sub(dead.broker.get()).cast_unsigned();
                (id != dead.broker, !holds, turn, id)
            })
            .collect();
        brokers.sort_unstable();
        let place = brokers.iter().position(|(.., id)| *id == self.context.registration().broker);
        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(10)
    }

    /// Claims what `dead` has left, and with it what else the metadata gives to who does.
    async fn claim(&self, dead: RegistrationId, claimed: &mut Claimed) {
        let me = self.context.registration();
        let RegistrationId { broker, incarnation } = me;
        let command = Command::ClaimRescue { broker, incarnation, dead };
        match self.context.propose_until_known(command).await {
            Ok(_) => {
                tracing::info!(dead = %dead.broker, "this broker takes over");
                let image = self.context.image();
                let mine = image.rescuers.iter().filter(|(_, by)| **by == me).map(|(of, _)| *of);
                claimed.open.extend(mine.filter(|of| !claimed.done.contains(of)));
            }
            Err(MetaError::Rejected(Rejected::RescuedBy(_) | Rejected::BrokerAlive(_))) => {}
            Err(error) => tracing::warn!(%error, "the dead broker could not be claimed"),
        }
    }

    /// Fixes tails, leads the partitions from there on, and drains behind.
    async fn take_over(&self, dead: &BTreeSet<RegistrationId>) -> Result<(), RescueError> {
        let image = self.context.image();
        let theirs = image.journals.iter().filter(|(_, row)| {
            let owner = RegistrationId { broker: row.owner, incarnation: row.incarnation };
            dead.contains(&owner)
        });
        let dir = self.context.options.wal_dir.clone();
        let mut directories = Vec::new();
        for id in theirs.map(|(id, _)| *id) {
            let Some((drained, tail)) = self.tail_of(id).await? else { continue };
            if tail > drained {
                directories.push(self.read(id, drained, tail).await?);
            }
        }
        let image = self.context.image();
        let mut found = RecoveredJournals::default();
        found.add_in_turn(directories, &image, &dir)?;
        found.join_objects(&image, &dir)?;
        self.lead(dead, found).await
    }

    /// Elects this broker for the partitions of the dead, opens them with what was found, and has that drained.
    async fn lead(
        &self,
        dead: &BTreeSet<RegistrationId>,
        found: RecoveredJournals,
    ) -> Result<(), RescueError> {
        let image = self.context.image();
        let RecoveredJournals { tails, journals } = found;
        let is_theirs = |row: &esker_meta::Partition| {
            let leader = RegistrationId { broker: row.leader, incarnation: row.leader_incarnation };
            dead.contains(&leader)
        };
        let partitions: Vec<_> = image
            .partitions
            .iter()
            .filter(|(_, row)| is_theirs(row))
            .map(|(pid, row)| PartitionElection {
                partition: *pid,
                expect: row.leader_epoch,
                start: tails
                    .get(pid)
                    .and_then(|tail| tail.last())
                    .map_or(row.tiered_end, |last| last.end),
            })
            .collect();
        let wanted = partitions.len();
        self.follower.prepare(tails);
        if wanted > 0 {
            let RegistrationId { broker, incarnation } = self.context.registration();
            let command = Command::ElectLeaders { broker, incarnation, partitions };
            let reply = self.context.propose_until_known(command).await;
            self.follower.refresh();
            let Reply::Elected(elected) = reply? else {
                panic!("an election is answered with partitions")
            };
            tracing::info!(
                wanted,
                elected = elected.len(),
                "partitions are led by this broker now"
            );
        }
        self.follower.forget_prepared();
        self.drain(journals)
    }

    fn drain(&self, journals: Vec<FoundJournal>) -> Result<(), RescueError> {
        let image = self.context.image();
        let now = self.context.env.clock.now();
        let partition = |pid| self.follower.partition(pid);
        for journal in &journals {
            let foreign = journal.ends().any(|(pid, end)| {
                let row = image.partitions.get(&pid);
                row.is_some_and(|row| row.tiered_end < end) && partition(pid).is_none()
            });
            if foreign {
                return Err(RescueError::LedElsewhere(journal.id()));
            }
        }
        let attach = |journal: FoundJournal| {
            Arc::new(journal.attach(now, &self.wal, &self.uncommitted, partition))
        };
        self.flusher.add_sealed(journals.into_iter().map(attach).collect());
        Ok(())
    }

    /// How far a journal is drained and where it ends, which is a fact of the metadata from then on; nothing when everything in it is
    /// in the bucket.
    async fn tail_of(&self, id: JournalId) -> Result<Option<(Seq, Seq)>, RescueError> {
        loop {
            let image = self.context.image();
            let Some(row) = image.journals.get(&id) else { return Ok(None) };
            match row.state {
                JournalState::Sealed { tail } => return Ok(Some((row.drained, tail))),
                JournalState::Rolled { end } => return Ok(Some((row.drained, end))),
                JournalState::Open => {
                    panic!("journal {id} of a dead broker is open")
                }
                JournalState::Sealing => {
                    let tail = self.find_tail(id, row).await;
                    // Another may have been first: what it has decided the metadata says.
                    let fixed = Command::FixTail { journal: id, tail };
                    self.context.propose_until_known(fixed).await?;
                }
            }
        }
    }

    /// Seals the journal on as many stores as it takes to know its end, and sees to it that enough of them have all of it.
    async fn find_tail(&self, id: JournalId, row: &esker_meta::Journal) -> Seq {
        let clock = &*self.context.env.clock;
        let stores = u8::try_from(row.ensemble.len()).unwrap_or(u8::MAX);
        let quorum =
            Quorum::new(stores, row.ack_quorum).expect("a journal was opened with a quorum");
        let mut rescuer = Rescuer::new(quorum);
        let mut alone_since = None;
        loop {
            self.seal_all(id, row, &mut rescuer).await;
            match rescuer.next(row.drained) {
                Next::Fix { tail } => return tail,
                Next::Seal => {
                    tracing::warn!(journal = %id, "too few stores of the journal answer: its end is not known yet");
                }
                Next::Copy(copy) => {
                    if self.copy(id, row, copy).await {
                        rescuer.on_copied(copy.to, copy.upto);
                        continue;
                    }
                }
                Next::DrainFirst { tail, .. } => {
                    let since = *alone_since.get_or_insert_with(|| clock.now());
                    if clock.now().since(since) > COPY_PATIENCE {
                        tracing::warn!(journal = %id, "one copy is left of the journal's end: it is on its way to the bucket");
                        return tail;
                    }
                }
            }
            clock.sleep(AGAIN_AFTER).await;
        }
    }

    /// Asks all stores that have not answered, until enough have.
    async fn seal_all(&self, id: JournalId, row: &esker_meta::Journal, rescuer: &mut Rescuer) {
        let asked =
            row.ensemble.iter().enumerate().filter(|(place, _)| rescuer.answer(*place).is_none());
        let mut answers: FuturesUnordered<_> = asked
            .map(|(place, store)| async move { (place, self.seal_on(*store, id).await) })
            .collect();
        while let Some((place, answer)) = answers.next().await {
            if let Some(answer) = answer {
                rescuer.on_seal(place, answer);
            }
            if !matches!(rescuer.next(row.drained), Next::Seal) {
                return;
            }
        }
    }

    async fn seal_on(&self, store: StoreId, id: JournalId) -> Option<SealAnswer> {
        if store == self.stores.hosted.store() {
            return self.stores.hosted.seal(id).await.ok();
        }
        let sealed = self.stores.remote(store)?.seal(id).await;
        sealed.inspect_err(|error| tracing::debug!(%store, %error, "a store is not sealed")).ok()
    }

    /// Brings entries from one sealed store to another.
    async fn copy(&self, id: JournalId, row: &esker_meta::Journal, copy: Copy) -> bool {
        let (from, to) = (row.ensemble[copy.from], row.ensemble[copy.to]);
        let mut next = copy.after.next();
        while next <= copy.upto {
            let entries = self.entries(from, id, next, copy.upto).await;
            if entries.is_empty() {
                return false;
            }
            for entry in entries {
                let Ok(view) = hosted::parse(id, entry) else { return false };
                if view.seq() != next || !self.copy_to(to, view.into_bundle()).await {
                    return false;
                }
                next = next.next();
            }
        }
        true
    }

    async fn copy_to(&self, store: StoreId, bundle: Bundle) -> bool {
        let seq = bundle.seq();
        let taken = if store == self.stores.hosted.store() {
            self.stores.hosted.copy(bundle).await
        } else {
            let Some(remote) = self.stores.remote(store) else { return false };
            match remote.copy(bundle.to_bytes()).await {
                Ok(taken) => taken,
                Err(_) => return false,
            }
        };
        matches!(taken, Taken::Durable(upto) if upto >= seq)
    }

    /// Entries as a store has them.
    async fn entries(
        &self,
        store: StoreId,
        id: JournalId,
        from: Seq,
        upto: Seq,
    ) -> Vec<bytes::Bytes> {
        if store == self.stores.hosted.store() {
            return self.stores.hosted.read(id, from, upto).await.unwrap_or_default();
        }
        match self.stores.remote(store) {
            Some(remote) => remote.read(id, from, upto).await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// What is in a journal's undrained bundles: from this broker's log if it has all of them, else in memory from the others.
    async fn read(
        &self,
        id: JournalId,
        drained: Seq,
        tail: Seq,
    ) -> Result<Directories, RescueError> {
        let (image, now) = (self.context.image(), self.context.env.clock.wall());
        let status = self.wal.status(id);
        if status
            .is_some_and(|s| s.last >= tail && s.trimmed <= drained && s.damaged_from.is_none())
        {
            let wal = self.wal.clone();
            let read = move || {
                directory_of(&image, id, (drained, tail), now, |seq| {
                    let head = wal.read_head(id, seq)?;
                    let head = head.ok_or(esker_wal::ReadError::Lost { seq })?;
                    Ok::<_, esker_wal::ReadError>(Some((head, false)))
                })
            };
            let read = self.context.env.spawner.blocking(read).await;
            return read.map_err(|error| RescueError::Engine(error.into()));
        }
        let bundles = self.fetch(id, drained, tail).await?;
        let of = |seq: Seq| Ok::<_, RescueError>(Some((bundles[&seq].clone(), true)));
        directory_of(&image, id, (drained, tail), now, of)
    }

    async fn fetch(
        &self,
        id: JournalId,
        drained: Seq,
        tail: Seq,
    ) -> Result<BTreeMap<Seq, BundleView>, RescueError> {
        let image = self.context.image();
        let ensemble = image.journals.get(&id).map(|row| row.ensemble.clone()).unwrap_or_default();
        let mut bundles = BTreeMap::new();
        let mut next = drained.next();
        while next <= tail {
            let before = next;
            for store in &ensemble {
                for entry in self.entries(*store, id, next, tail).await {
                    if let Ok(view) = hosted::parse(id, entry)
                        && view.seq() == next
                    {
                        bundles.insert(next, view);
                        next = next.next();
                    }
                }
            }
            if next == before {
                return Err(RescueError::Missing { journal: id, seq: next });
            }
        }
        Ok(bundles)
    }
}
