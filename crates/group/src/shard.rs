//! One partition of `__consumer_offsets`: its groups, its offsets, what is on its way into the log, its timers.

use std::collections::BTreeMap;

use bytes::Bytes;
use esker_types::{GroupId, MonoTime, PartitionIndex, Timestamp, TopicName};

use crate::api::{
    AppendFailure, AppendId, DeleteGroupsResponse, Effect, Effects, GroupError, LogRecord,
    MemberId, OffsetCommitResponse, OffsetDeleteResponse, PartitionResult, Protocol, ReplyId,
    Response,
};
use crate::classic::group::Group;
use crate::offsets::{CommittedOffset, OffsetStore};
use crate::options::{Options, millis};
use crate::records::{group_key, offset_key, offset_value};
use crate::timers::{TimerKey, Timers};

/// What every handler needs: the time, and where effects go.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) now: MonoTime,
    pub(crate) wall: Timestamp,
    pub(crate) out: &'a mut Effects,
}

impl Cx<'_> {
    pub(crate) fn reply(&mut self, id: ReplyId, response: Response) {
        self.out.push(Effect::Reply { id, response });
    }
}

/// Whether the shard serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its log is being replayed.
    Loading,
    /// It serves.
    Active,
    /// Another broker serves, or none.
    Closed,
}

/// A change of durable state, as it goes into the log.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Of an offset; `None` removes it.
    Offset(GroupId, TopicName, PartitionIndex, Option<CommittedOffset>),
    /// Of a group, as a record value; `None` removes it.
    Group(GroupId, Option<Bytes>),
}

impl Write {
    fn record(&self) -> LogRecord {
        match self {
            Self::Offset(group, topic, partition, value) => LogRecord {
                key: offset_key(group, topic, *partition),
                value: value.as_ref().map(offset_value),
            },
            Self::Group(group, value) => LogRecord { key: group_key(group), value: value.clone() },
        }
    }
}

/// What happens when an append is committed or fails.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nothing: the change of live state stands either way.
    Nothing,
    /// The leader's assignment reaches the members.
    Assign { group: GroupId, generation: i32, assignment: BTreeMap<MemberId, Bytes> },
    /// A static member learns that it came back without a rebalance.
    Rejoin(Box<StaticRejoin>),
    /// OffsetCommit is answered.
    OffsetCommit(ReplyId, OffsetCommitResponse),
    /// OffsetDelete is answered.
    OffsetDelete(ReplyId, OffsetDeleteResponse),
    /// Groups are gone; they come back when the append fails.
    Remove { groups: Vec<Group>, answer: Option<(ReplyId, DeleteGroupsResponse)> },
}

/// A static member on its way back under a new id.
#[derive(Debug)]
pub(crate) struct StaticRejoin {
    pub(crate) group: GroupId,
    pub(crate) generation: i32,
    pub(crate) reply: ReplyId,
    pub(crate) new: MemberId,
    pub(crate) skips_assignment: bool,
    /// The leader before, which clients that cannot skip the assignment are told.
    pub(crate) old_leader: Option<MemberId>,
    pub(crate) old: MemberId,
    pub(crate) old_protocols: Vec<Protocol>,
    pub(crate) old_timeouts: (i32, i32),
}

#[derive(Debug)]
struct Pending {
    writes: Vec<Write>,
    then: Then,
}

/// One partition of `__consumer_offsets` as a state machine. See the crate's documentation.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) options: Options,
    pub(crate) phase: Phase,
    /// Live groups.
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) offsets: OffsetStore,
    /// Group records as the committed part of the log has them.
    pub(crate) durable_groups: BTreeMap<GroupId, Bytes>,
    /// Records of types that this version does not know, kept for snapshots.
    pub(crate) opaque: BTreeMap<Bytes, Bytes>,
    pub(crate) timers: Timers,
    /// Remaining initial delay of groups in their first rebalance, in milliseconds.
    pub(crate) initial_delay: BTreeMap<GroupId, InitialDelay>,
    pending: BTreeMap<AppendId, Pending>,
    append_id_next: u64,
}

/// The wait of an empty group for more members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InitialDelay {
    /// Length of the wait that is under way.
    pub(crate) delay_ms: i32,
    /// By how much it may be prolonged.
    pub(crate) remaining_ms: i32,
}

impl GroupShard {
    /// A shard that is being loaded: [`Self::replay`] or a snapshot fills it, [`Self::on_loaded`] opens it.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            phase: Phase::Loading,
            groups: BTreeMap::new(),
            offsets: OffsetStore::default(),
            durable_groups: BTreeMap::new(),
            opaque: BTreeMap::new(),
            timers: Timers::default(),
            initial_delay: BTreeMap::new(),
            pending: BTreeMap::new(),
            append_id_next: 0,
        }
    }

    /// Refuses requests while the shard does not serve.
    pub(crate) const fn check_active(&self) -> Result<(), GroupError> {
        match self.phase {
            Phase::Loading => Err(GroupError::CoordinatorLoadInProgress),
            Phase::Active => Ok(()),
            Phase::Closed => Err(GroupError::NotCoordinator),
        }
    }

    /// Sends changes to the log; `then` follows when the runtime tells the outcome.
    pub(crate) fn append(&mut self, writes: Vec<Write>, then: Then, cx: &mut Cx<'_>) {
        assert!(!writes.is_empty(), "an append has records");
        for write in &writes {
            if let Write::Offset(group, topic, partition, _) = write {
                self.offsets.begin(group, topic, *partition);
            }
        }
        let id = AppendId(self.append_id_next);
        self.append_id_next += 1;
        let records = writes.iter().map(Write::record).collect();
        self.pending.insert(id, Pending { writes, then });
        cx.out.push(Effect::Append { id, records });
    }

    /// Whether changes are on their way into the log.
    #[must_use]
    pub fn has_pending_appends(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The appends up to and including `id` are committed: durable state follows, replies are released.
    pub fn on_committed(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        id: AppendId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        while let Some(first) = self.pending.first_entry()
            && *first.key() <= id
        {
            let Pending { writes, then } = first.remove();
            for write in writes {
                match write {
                    Write::Offset(group, topic, partition, value) => {
                        self.offsets.commit(&group, &topic, partition, value);
                    }
                    Write::Group(group, Some(value)) => {
                        self.durable_groups.insert(group, value);
                    }
                    Write::Group(group, None) => {
                        self.durable_groups.remove(&group);
                    }
                }
            }
            self.complete(then, Ok(()), &mut cx);
        }
    }

    /// The append did not come about and never will. Appends after it may still succeed.
    pub fn on_append_failed(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        id: AppendId,
        failure: AppendFailure,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let Some(Pending { writes, then }) = self.pending.remove(&id) else { return };
        for write in writes {
            if let Write::Offset(group, topic, partition, _) = write {
                self.offsets.end(&group, &topic, partition);
            }
        }
        self.complete(then, Err(failure.error()), &mut cx);
    }

    fn complete(&mut self, then: Then, outcome: Result<(), GroupError>, cx: &mut Cx<'_>) {
        match then {
            Then::Nothing => {}
            Then::Assign { group, generation, assignment } => {
                self.finish_assign(&group, generation, &assignment, outcome, cx);
            }
            Then::Rejoin(rejoin) => self.finish_static_rejoin(*rejoin, outcome, cx),
            Then::OffsetCommit(reply, mut response) => {
                for (_, partitions) in &mut response.topics {
                    fail_partitions(partitions, outcome);
                }
                cx.reply(reply, Response::OffsetCommit(response));
            }
            Then::OffsetDelete(reply, mut response) => {
                for (_, partitions) in &mut response.topics {
                    fail_partitions(partitions, outcome);
                }
                cx.reply(reply, Response::OffsetDelete(response));
            }
            Then::Remove { groups, answer } => {
                if outcome.is_err() {
                    for group in groups {
                        self.groups.entry(group.id().clone()).or_insert(group);
                    }
                }
                if let Some((reply, mut response)) = answer {
                    for (_, result) in &mut response.groups {
                        *result = result.and(outcome);
                    }
                    cx.reply(reply, Response::DeleteGroups(response));
                }
            }
        }
    }

    /// When [`Self::on_tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.timers.next()
    }

    /// Does what is due: silent members are dropped, rebalances end, offsets expire.
    pub fn on_tick(&mut self, now: MonoTime, wall: Timestamp, out: &mut Effects) {
        let mut cx = Cx { now, wall, out };
        while let Some(key) = self.timers.pop_due(now) {
            match key {
                TimerKey::Session(group, member) => self.on_silence(&group, &member, &mut cx),
                TimerKey::Join(group) => self.on_join_deadline(&group, &mut cx),
                TimerKey::Sync(group) => self.on_sync_deadline(&group, &mut cx),
                TimerKey::Expiry => {
                    self.expire_offsets(&mut cx);
                    self.schedule_expiry(now);
                }
            }
        }
    }

    pub(crate) fn schedule_expiry(&mut self, now: MonoTime) {
        // Never in a tight loop, whatever is configured.
        let interval = self.options.offsets_retention_check_interval_ms.max(1);
        self.timers.schedule(TimerKey::Expiry, now.plus(millis(interval)));
    }

    /// The shard serves no more: the partition has another leader. Every parked request is answered; appends that
    /// are under way are forgotten.
    pub fn on_unload(&mut self, now: MonoTime, wall: Timestamp, out: &mut Effects) {
        let mut cx = Cx { now, wall, out };
        self.phase = Phase::Closed;
        for (_, pending) in std::mem::take(&mut self.pending) {
            if !matches!(pending.then, Then::Assign { .. } | Then::Rejoin(_)) {
                self.complete(pending.then, Err(GroupError::NotCoordinator), &mut cx);
            }
        }
        for id in self.groups.keys().cloned().collect::<Vec<_>>() {
            for member in self.group_mut(&id).member_ids() {
                self.answer_join_error(&id, &member, GroupError::NotCoordinator, &mut cx);
                self.answer_sync_error(&id, &member, GroupError::NotCoordinator, &mut cx);
            }
        }
        self.groups.clear();
        self.offsets = OffsetStore::default();
        self.durable_groups.clear();
        self.opaque.clear();
        self.timers.clear();
        self.initial_delay.clear();
    }
}

/// Applies the outcome of the append to the partitions that were part of it.
fn fail_partitions(partitions: &mut [PartitionResult], outcome: Result<(), GroupError>) {
    for (_, result) in partitions {
        *result = result.and(outcome);
    }
}
