//! Requests about offsets: commit, delete, expire; and the end of groups, which takes their offsets along.

use std::collections::BTreeMap;
use std::sync::Arc;

use esker_types::{GroupId, MonoTime, Timestamp, TopicName};

use crate::api::{
    DeleteGroupsResponse, Effects, GroupError, GroupState, OffsetCommit, OffsetCommitResponse,
    OffsetDelete, OffsetDeleteResponse, ReplyId, Response,
};
use crate::classic::fits_record;
use crate::classic::group::Group;
use crate::offsets::CommittedOffset;
use crate::options::Options;
use crate::shard::{Cx, GroupShard, Then, Write};
use crate::timers::TimerKey;

/// Since when an offset of a group waits to expire; `None` while the group uses it.
#[derive(Debug, Clone, Copy)]
enum ExpiryBase {
    /// Since the group became empty, or since the commit where that is unknown.
    Empty(Option<Timestamp>),
    /// Since the commit.
    Commit,
}

impl Group {
    /// Kafka's rule: offsets of an empty group count from the moment it became empty; of a stable consumer group,
    /// and of clients that are in no group, from the commit; others do not expire.
    fn expiry_base(&self) -> Option<ExpiryBase> {
        if self.protocol_type().is_none() {
            return Some(ExpiryBase::Commit);
        }
        match self.state() {
            GroupState::Empty => Some(ExpiryBase::Empty(self.state_timestamp())),
            GroupState::Stable
                if self.uses_consumer_protocol() && self.knows_subscribed_topics() =>
            {
                Some(ExpiryBase::Commit)
            }
            _ => None,
        }
    }
}

fn is_expired(
    offset: &CommittedOffset,
    base: ExpiryBase,
    options: &Options,
    wall: Timestamp,
) -> bool {
    if let Some(expire) = offset.expire_timestamp {
        return wall >= expire;
    }
    let since = match base {
        ExpiryBase::Empty(Some(since)) => since,
        ExpiryBase::Empty(None) | ExpiryBase::Commit => offset.commit_timestamp,
    };
    wall.get().saturating_sub(since.get()) >= options.offsets_retention_ms()
}

impl GroupShard {
    /// OffsetCommit. Answered when the offsets are in the log; readers see them from then on.
    pub fn on_offset_commit(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: OffsetCommit,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let verdict = self.check_commit(&request, &cx);
        if verdict.is_ok() {
            // Clients that are in no group commit under a name all the same: it becomes a group of offsets only, as in Kafka
            // also when each of its offsets is refused.
            let id = &request.group_id;
            self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        }
        let mut writes = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut results = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let metadata = partition.metadata.unwrap_or_default();
                let result = verdict.and_then(|()| self.check_metadata(&metadata));
                results.push((partition.partition, result));
                if result.is_err() {
                    continue;
                }
                let expire = request.retention_time_ms;
                let value = CommittedOffset {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: Arc::from(metadata),
                    commit_timestamp: wall,
                    expire_timestamp: expire.map(|ms| Timestamp(wall.get().saturating_add(ms))),
                    topic_id: topic.topic_id,
                };
                let group = request.group_id.clone();
                let name = topic.topic.clone();
                writes.push(Write::Offset(group, name, partition.partition, Some(value)));
            }
            topics.push((topic.topic, results));
        }
        let response = OffsetCommitResponse { topics };
        if writes.is_empty() {
            cx.reply(reply, Response::OffsetCommit(response));
            return;
        }
        self.append(writes, Then::OffsetCommit(reply, response), &mut cx);
    }

    fn check_metadata(&self, metadata: &str) -> Result<(), GroupError> {
        let max = usize::try_from(self.options.offset_metadata_max_bytes).unwrap_or(0);
        // Counting stops where it has become too much.
        let too_long = metadata.encode_utf16().nth(max).is_some();
        if too_long || !fits_record(metadata) {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        Ok(())
    }

    fn check_commit(&mut self, request: &OffsetCommit, cx: &Cx<'_>) -> Result<(), GroupError> {
        // The empty name is a group to commit in, if only for old clients.
        self.check_active()?;
        let (id, member) = (&request.group_id, &request.member_id);
        if !fits_record(id.as_str()) {
            return Err(GroupError::InvalidGroupId);
        }
        let in_group = request.generation_id >= 0;
        let Some(group) = self.groups.get(id) else {
            return match (in_group, request.tells_missing_group) {
                (false, _) => Ok(()),
                (true, true) => Err(GroupError::GroupIdNotFound),
                (true, false) => Err(GroupError::IllegalGeneration),
            };
        };
        if !in_group && group.is_in(GroupState::Empty) {
            return Ok(());
        }
        let instance = request.group_instance_id.as_ref();
        if in_group || !member.is_empty() || instance.is_some() {
            self.check_generation(id, member, instance, request.generation_id)?;
        } else {
            return Err(GroupError::UnknownMemberId);
        }
        if group.is_in(GroupState::CompletingRebalance) {
            return Err(GroupError::RebalanceInProgress);
        }
        // A commit shows that the member lives.
        self.restart_session(id, member, cx);
        Ok(())
    }

    /// The committed offset of a partition, for OffsetFetch. Unknown groups, topics and partitions have none, and
    /// that is no error. Nothing is unstable yet: `require_stable` makes a difference with transactions only.
    ///
    /// # Errors
    /// While the shard does not serve.
    pub fn fetch_offset(
        &self,
        group: &str,
        topic: &str,
        partition: esker_types::PartitionIndex,
    ) -> Result<Option<&CommittedOffset>, GroupError> {
        self.check_active()?;
        Ok(self.offsets.get(group, topic, partition))
    }

    /// All committed offsets of a group, for OffsetFetch without topics; in order.
    ///
    /// # Errors
    /// While the shard does not serve.
    pub fn fetch_all_offsets(
        &self,
        group: &str,
    ) -> Result<
        impl Iterator<Item = (&TopicName, esker_types::PartitionIndex, &CommittedOffset)>,
        GroupError,
    > {
        self.check_active()?;
        Ok(self.offsets.committed(group))
    }

    /// OffsetDelete. Answered when the log has forgotten the offsets.
    pub fn on_offset_delete(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: OffsetDelete,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let id = &request.group_id;
        if let Err(error) = self.check_offset_delete(id) {
            let response = OffsetDeleteResponse { error: Some(error), topics: Vec::new() };
            cx.reply(reply, Response::OffsetDelete(response));
            return;
        }
        let group = &self.groups[id];
        let mut writes = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for (topic, partitions) in request.topics {
            let subscribed = group.is_subscribed_to(topic.as_str());
            let result = if subscribed { Err(GroupError::GroupSubscribedToTopic) } else { Ok(()) };
            let stored = partitions
                .iter()
                .filter(|&&partition| self.offsets.has_any(id, topic.as_str(), partition));
            if !subscribed {
                writes.extend(
                    stored.map(|&partition| {
                        Write::Offset(id.clone(), topic.clone(), partition, None)
                    }),
                );
            }
            topics.push((topic, partitions.into_iter().map(|index| (index, result)).collect()));
        }
        let response = OffsetDeleteResponse { error: None, topics };
        if writes.is_empty() {
            cx.reply(reply, Response::OffsetDelete(response));
        } else {
            self.append(writes, Then::OffsetDelete(reply, response), &mut cx);
        }
    }

    fn check_offset_delete(&self, id: &GroupId) -> Result<(), GroupError> {
        self.check_group_id(id)?;
        let group = self.groups.get(id).ok_or(GroupError::GroupIdNotFound)?;
        if group.is_in(GroupState::Empty) || group.uses_consumer_protocol() {
            Ok(())
        } else {
            Err(GroupError::NonEmptyGroup)
        }
    }

    /// DeleteGroups, for those of the groups that belong to this shard. Answered when the log has forgotten them.
    pub fn on_delete_groups(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        groups: Vec<GroupId>,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let mut writes = Vec::new();
        let mut removed = Vec::new();
        let mut results = Vec::with_capacity(groups.len());
        for id in groups {
            let result = self.check_delete_group(&id);
            if result.is_ok() {
                let offsets = self.offsets.all(id.as_str());
                writes.extend(offsets.map(|(topic, partition, _)| {
                    Write::Offset(id.clone(), topic.clone(), partition, None)
                }));
                writes.push(Write::Group(id.clone(), None));
                removed.push(self.remove_empty(&id));
            }
            results.push((id, result));
        }
        let response = DeleteGroupsResponse { groups: results };
        if writes.is_empty() {
            cx.reply(reply, Response::DeleteGroups(response));
        } else {
            let then = Then::Remove { groups: removed, answer: Some((reply, response)) };
            self.append(writes, then, &mut cx);
        }
    }

    fn check_delete_group(&self, id: &GroupId) -> Result<(), GroupError> {
        // Any name that offsets were committed under, also the empty one.
        self.check_active()?;
        let group = self.groups.get(id).ok_or(GroupError::GroupIdNotFound)?;
        if group.is_in(GroupState::Empty) { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    /// Takes an empty group out, with the ids it has promised.
    fn remove_empty(&mut self, id: &GroupId) -> Group {
        let mut group = self.groups.remove(id).expect("looked up before");
        for member in std::mem::take(&mut group.pending_members) {
            self.timers.cancel(&TimerKey::Session(id.clone(), member));
        }
        group
    }

    /// The topics are gone, and with them the offsets in them.
    pub fn on_topics_deleted(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        topics: &[TopicName],
        out: &mut Effects,
    ) {
        if self.check_active().is_err() {
            return;
        }
        let mut cx = Cx { now, wall, out };
        let groups: Vec<GroupId> = self.offsets.groups().cloned().collect();
        for id in groups {
            let gone = self.offsets.all(id.as_str()).filter(|(topic, ..)| topics.contains(topic));
            let writes: Vec<Write> = gone
                .map(|(topic, partition, _)| {
                    Write::Offset(id.clone(), topic.clone(), partition, None)
                })
                .collect();
            if !writes.is_empty() {
                self.append(writes, Then::Nothing, &mut cx);
            }
        }
    }

    /// Forgets expired offsets, and empty groups that have no offsets left. One append a group.
    pub(crate) fn expire_offsets(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        for id in ids {
            let group = &self.groups[&id];
            let mut keeps_any = false;
            let mut writes = Vec::new();
            let mut subscribed = BTreeMap::new();
            for (topic, partition, offset) in self.offsets.all(id.as_str()) {
                let subscribed = *subscribed
                    .entry(topic)
                    .or_insert_with(|| group.is_subscribed_to(topic.as_str()));
                // A change under way decides about the offset, not its age.
                let expired = match (group.expiry_base(), offset) {
                    (Some(base), Some(offset)) if !subscribed => {
                        is_expired(offset, base, &self.options, cx.wall)
                    }
                    _ => false,
                };
                if expired {
                    writes.push(Write::Offset(id.clone(), topic.clone(), partition, None));
                } else {
                    keeps_any = true;
                }
            }
            let mut groups = Vec::new();
            if !keeps_any && group.is_in(GroupState::Empty) {
                writes.push(Write::Group(id.clone(), None));
                groups.push(self.remove_empty(&id));
            }
            if !writes.is_empty() {
                self.append(writes, Then::Remove { groups, answer: None }, cx);
            }
        }
    }
}
