//! A runtime for tests: virtual time, a log in memory, replies by number.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use esker_types::{
    GroupId, LeaderEpoch, MonoTime, Offset, PartitionIndex, Timestamp, TopicId, TopicName,
};

use crate::*;

/// Where wall time begins; monotonic time begins at 0.
const WALL: i64 = 1_700_000_000_000;

pub(super) struct World {
    pub(super) shard: GroupShard,
    pub(super) now_ms: u64,
    /// Committed records, in order.
    pub(super) log: Vec<LogRecord>,
    /// Appends that are not committed yet.
    pub(super) appends: VecDeque<(AppendId, Vec<LogRecord>)>,
    /// Commit appends as soon as they come.
    pub(super) commits_at_once: bool,
    replies: BTreeMap<ReplyId, Response>,
    replies_count: u64,
    fresh: u128,
}

/// What a test client sends in JoinGroup; fields are changed where a test cares.
pub(super) fn join_request(member: &str) -> JoinGroup {
    JoinGroup {
        group_id: GroupId::new("g"),
        member_id: MemberId::new(member),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", &["t"])],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        reason: None,
        fresh: 0,
    }
}

/// A protocol whose metadata subscribe to `topics`.
pub(super) fn protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut metadata = vec![0, 0];
    metadata.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        metadata.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        metadata.extend(topic.as_bytes());
    }
    metadata.extend((-1i32).to_be_bytes());
    Protocol { name: name.to_owned(), metadata: metadata.into() }
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        let mut world = Self::unloaded(options);
        world.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
        world
    }

    /// A world whose shard is still loading.
    pub(super) fn unloaded(options: Options) -> Self {
        Self {
            shard: GroupShard::new(options),
            now_ms: 0,
            log: Vec::new(),
            appends: VecDeque::new(),
            commits_at_once: true,
            replies: BTreeMap::new(),
            replies_count: 0,
            fresh: 0,
        }
    }

    /// Defaults without the initial delay.
    pub(super) fn eager() -> Self {
        Self::new(Options { group_initial_rebalance_delay_ms: 0, ..Options::default() })
    }

    pub(super) fn wall(&self) -> Timestamp {
        Timestamp(WALL + i64::try_from(self.now_ms).expect("short test"))
    }

    pub(super) fn mono(&self) -> MonoTime {
        MonoTime(self.now_ms * 1_000_000)
    }

    pub(super) fn run(
        &mut self,
        step: impl FnOnce(&mut GroupShard, MonoTime, Timestamp, &mut Effects),
    ) {
        let mut out = Effects::new();
        let (now, wall) = (self.mono(), self.wall());
        step(&mut self.shard, now, wall, &mut out);
        for effect in out {
            match effect {
                Effect::Append { id, records } => {
                    assert!(!records.is_empty());
                    self.appends.push_back((id, records));
                }
                Effect::Reply { id, response } => {
                    assert!(id.0 < self.replies_count, "an answer nobody asked for");
                    let before = self.replies.insert(id, response);
                    assert!(before.is_none(), "two answers to {id:?}: {before:?}");
                }
            }
        }
        for group in self.shard.groups.values() {
            group.assert_consistent();
        }
        if self.commits_at_once {
            self.commit();
        }
    }

    /// Commits all appends that are under way.
    pub(super) fn commit(&mut self) {
        while self.commit_one() {}
    }

    pub(super) fn commit_one(&mut self) -> bool {
        let Some((id, records)) = self.appends.pop_front() else { return false };
        self.log.extend(records);
        self.run(|shard, now, wall, out| shard.on_committed(now, wall, id, out));
        true
    }

    /// Fails the oldest append that is under way.
    pub(super) fn fail_one(&mut self, failure: AppendFailure) {
        let (id, _) = self.appends.pop_front().expect("an append is under way");
        self.run(|shard, now, wall, out| shard.on_append_failed(now, wall, id, failure, out));
    }

    /// Lets time pass, with every deadline at its moment.
    pub(super) fn advance(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(deadline) = self.shard.next_deadline()
            && deadline.0 <= end * 1_000_000
        {
            self.now_ms = self.now_ms.max(deadline.0.div_ceil(1_000_000));
            self.run(|shard, now, wall, out| shard.on_tick(now, wall, out));
        }
        self.now_ms = end;
    }

    fn request(&mut self) -> ReplyId {
        self.replies_count += 1;
        ReplyId(self.replies_count - 1)
    }

    pub(super) fn is_answered(&self, id: ReplyId) -> bool {
        self.replies.contains_key(&id)
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = ReplyId> + use<> {
        (0..self.replies_count).map(ReplyId)
    }

    pub(super) fn join(&mut self, mut request: JoinGroup) -> ReplyId {
        let reply = self.request();
        self.fresh += 1;
        request.fresh = self.fresh;
        self.run(|shard, now, wall, out| shard.on_join_group(now, wall, request, reply, out));
        reply
    }

    pub(super) fn joined(&mut self, id: ReplyId) -> JoinGroupResponse {
        match self.replies.get(&id) {
            Some(Response::Join(response)) => response.clone(),
            other => panic!("{id:?}: {other:?}"),
        }
    }

    /// A JoinGroup that is answered at once.
    pub(super) fn join_now(&mut self, request: JoinGroup) -> JoinGroupResponse {
        let reply = self.join(request);
        self.joined(reply)
    }

    pub(super) fn sync(
        &mut self,
        member: &MemberId,
        generation: i32,
        assignments: &[(&MemberId, &'static str)],
    ) -> ReplyId {
        let request = SyncGroup {
            group_id: GroupId::new("g"),
            generation_id: generation,
            member_id: member.clone(),
            group_instance_id: None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: None,
            assignments: assignments
                .iter()
                .map(|(id, text)| ((*id).clone(), Bytes::from_static(text.as_bytes())))
                .collect(),
        };
        self.sync_request(request)
    }

    pub(super) fn sync_request(&mut self, request: SyncGroup) -> ReplyId {
        let reply = self.request();
        self.run(|shard, now, wall, out| shard.on_sync_group(now, wall, request, reply, out));
        reply
    }

    /// The assignment in a SyncGroup response, or its error.
    pub(super) fn synced(&self, id: ReplyId) -> Result<String, GroupError> {
        match self.replies.get(&id) {
            Some(Response::Sync(response)) => match response.error {
                None => Ok(String::from_utf8(response.assignment.to_vec()).expect("text")),
                Some(error) => Err(error),
            },
            other => panic!("{id:?}: {other:?}"),
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        member: &MemberId,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.heartbeat_as(member, generation, None)
    }

    pub(super) fn heartbeat_as(
        &mut self,
        member: &MemberId,
        generation: i32,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        let reply = self.request();
        let request = Heartbeat {
            group_id: GroupId::new("g"),
            generation_id: generation,
            member_id: member.clone(),
            group_instance_id: instance.map(InstanceId::from),
        };
        self.run(|shard, now, wall, out| shard.on_heartbeat(now, wall, &request, reply, out));
        match self.replies.get(&reply) {
            Some(Response::Heartbeat(result)) => *result,
            other => panic!("{other:?}"),
        }
    }

    /// LeaveGroup for (member id, instance) pairs; the outcome of each.
    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Option<GroupError>> {
        let reply = self.request();
        let members = members.iter().map(|(id, instance)| LeavingMember {
            member_id: MemberId::new(id),
            group_instance_id: instance.map(InstanceId::from),
            reason: None,
        });
        let request = LeaveGroup { group_id: GroupId::new("g"), members: members.collect() };
        self.run(|shard, now, wall, out| shard.on_leave_group(now, wall, request, reply, out));
        match self.replies.get(&reply) {
            Some(Response::Leave(response)) => {
                assert_eq!(response.error, None);
                response.members.iter().map(|member| member.error).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// OffsetCommit of one offset in partition 0.
    pub(super) fn commit_offset(
        &mut self,
        member: &str,
        generation: i32,
        name: &str,
        offset: i64,
    ) -> ReplyId {
        let partition = CommitPartition {
            partition: PartitionIndex(0),
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            metadata: Some("meta".to_owned()),
        };
        let topic = CommitTopic {
            topic: topic(name),
            topic_id: TopicId::ZERO,
            partitions: vec![partition],
        };
        self.offset_commit(OffsetCommit {
            group_id: GroupId::new("g"),
            generation_id: generation,
            member_id: MemberId::new(member),
            group_instance_id: None,
            retention_time_ms: None,
            tells_missing_group: true,
            topics: vec![topic],
        })
    }

    pub(super) fn offset_commit(&mut self, request: OffsetCommit) -> ReplyId {
        let reply = self.request();
        self.run(|shard, now, wall, out| shard.on_offset_commit(now, wall, request, reply, out));
        reply
    }

    /// The outcome of the only partition of an OffsetCommit.
    pub(super) fn committed(&self, id: ReplyId) -> Result<(), GroupError> {
        match self.replies.get(&id) {
            Some(Response::OffsetCommit(response)) => response.topics[0].1[0].1,
            other => panic!("{id:?}: {other:?}"),
        }
    }

    /// The committed offset of partition 0.
    pub(super) fn offset(&self, topic: &str) -> Option<i64> {
        let found = self.shard.fetch_offset("g", topic, PartitionIndex(0)).expect("serving");
        found.map(|committed| committed.offset.get())
    }

    /// OffsetDelete of partition 0 of each topic.
    pub(super) fn delete_offsets(&mut self, topics: &[&str]) -> OffsetDeleteResponse {
        let reply = self.request();
        let topics = topics.iter().map(|name| (topic(name), vec![PartitionIndex(0)])).collect();
        let request = OffsetDelete { group_id: GroupId::new("g"), topics };
        self.run(|shard, now, wall, out| shard.on_offset_delete(now, wall, request, reply, out));
        match self.replies.get(&reply) {
            Some(Response::OffsetDelete(response)) => response.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// OffsetDelete whose answer may take a while.
    pub(super) fn request_delete_offset(&mut self, name: &str) {
        let reply = self.request();
        let topics = vec![(topic(name), vec![PartitionIndex(0)])];
        let request = OffsetDelete { group_id: GroupId::new("g"), topics };
        self.run(|shard, now, wall, out| shard.on_offset_delete(now, wall, request, reply, out));
    }

    pub(super) fn delete_group(&mut self, group: &str) -> ReplyId {
        let reply = self.request();
        let groups = vec![GroupId::new(group)];
        self.run(|shard, now, wall, out| shard.on_delete_groups(now, wall, groups, reply, out));
        reply
    }

    pub(super) fn deleted(&self, id: ReplyId) -> Result<(), GroupError> {
        match self.replies.get(&id) {
            Some(Response::DeleteGroups(response)) => response.groups[0].1,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&self) -> GroupState {
        let described = self.shard.describe_group("g").expect("serving");
        described.map_or(GroupState::Dead, |group| group.state)
    }

    /// A group of `count` dynamic members, stable at the generation that is returned; the first one leads.
    pub(super) fn stable(&mut self, count: usize) -> (Vec<MemberId>, i32) {
        let first = self.join(join_request(""));
        self.advance(0);
        let mut ids = vec![self.joined(first).member_id];
        let mut generation = self.joined(first).generation_id;
        for _ in 1..count {
            let joining = self.join(join_request(""));
            let again: Vec<_> = ids.iter().map(|id| self.join(join_request(id.as_str()))).collect();
            generation = self.joined(joining).generation_id;
            ids.push(self.joined(joining).member_id);
            assert!(again.iter().all(|&reply| self.is_answered(reply)));
        }
        let leader = ids[0].clone();
        let assignments: Vec<_> = ids.iter().map(|id| (id, "assigned")).collect();
        self.sync(&leader, generation, &assignments);
        for id in &ids[1..] {
            let reply = self.sync(id, generation, &[]);
            assert_eq!(self.synced(reply).as_deref(), Ok("assigned"));
        }
        assert_eq!(self.state(), GroupState::Stable);
        (ids, generation)
    }

    /// Puts a shard that is loaded from the log in the place of the one that is there, which is unloaded.
    pub(super) fn reload(&mut self) {
        self.run(|shard, now, wall, out| shard.on_unload(now, wall, out));
        assert!(self.requests().all(|id| self.is_answered(id)), "unloading answers everybody");
        self.shard = self.reloaded().shard;
    }

    /// A second shard, loaded from the committed log.
    pub(super) fn reloaded(&self) -> Self {
        let mut other = Self::unloaded(self.shard.options.clone());
        other.now_ms = self.now_ms;
        for (offset, record) in (0..).zip(&self.log) {
            let value = record.value.as_deref();
            other.shard.replay(&record.key, value, Offset(offset)).expect("our own record");
        }
        other.log = self.log.clone();
        other.run(|shard, now, wall, out| shard.on_loaded(now, wall, out));
        other
    }
}
