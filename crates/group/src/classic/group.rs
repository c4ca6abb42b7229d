//! One classic group: its members and what they agree on. Knows neither time-outs nor the log.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use esker_types::{GroupId, Timestamp};

use crate::api::{GroupError, GroupState, InstanceId, JoinedMember, MemberId, Protocol, ReplyId};
use crate::records::{GroupRecord, MemberRecord};
use crate::subscription::{CONSUMER, add_topics};

/// A member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) group_instance_id: Option<InstanceId>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In order of preference.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// Has not been through a rebalance yet; may then be dropped although it waits for one.
    pub(crate) is_new: bool,
    awaiting_join: Option<ReplyId>,
    pub(crate) awaiting_sync: Option<ReplyId>,
}

impl Member {
    /// A member that joins for the first time.
    pub(crate) const fn new(
        group_instance_id: Option<InstanceId>,
        client_id: String,
        client_host: String,
        timeouts: (i32, i32),
        protocols: Vec<Protocol>,
    ) -> Self {
        Self {
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: timeouts.0,
            session_timeout_ms: timeouts.1,
            protocols,
            assignment: Bytes::new(),
            is_new: true,
            awaiting_join: None,
            awaiting_sync: None,
        }
    }

    pub(crate) const fn is_awaiting_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    pub(crate) fn awaits(&self, reply: ReplyId) -> bool {
        self.awaiting_join == Some(reply)
    }

    /// Members that wait for the coordinator are not silent; new ones are dropped nevertheless.
    pub(crate) const fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// What the member said under a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|offer| offer.name == protocol);
        found.map(|offer| offer.metadata.clone()).unwrap_or_default()
    }
}

/// A classic group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    id: GroupId,
    state: GroupState,
    previous_state: GroupState,
    state_timestamp: Option<Timestamp>,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<MemberId>,
    generation: i32,
    members: BTreeMap<MemberId, Member>,
    static_members: BTreeMap<InstanceId, MemberId>,
    /// Number of members that offer each protocol.
    supported: BTreeMap<String, usize>,
    awaiting_join_count: usize,
    /// Ids that were given out and not yet joined with.
    pub(crate) pending_members: BTreeSet<MemberId>,
    /// Members that have their generation and not yet asked for their assignment.
    pub(crate) pending_sync: BTreeSet<MemberId>,
    /// Somebody joined during the initial delay, which is therefore prolonged.
    pub(crate) new_member_added: bool,
    /// The generation whose assignment is on its way into the log.
    pub(crate) syncing_generation: Option<i32>,
    subscribed_topics: Option<BTreeSet<String>>,
}

impl Group {
    /// A group without members.
    pub(crate) const fn new(id: GroupId) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous_state: GroupState::Empty,
            state_timestamp: None,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            generation: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            supported: BTreeMap::new(),
            awaiting_join_count: 0,
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            new_member_added: false,
            syncing_generation: None,
            subscribed_topics: None,
        }
    }

    /// The group that a record describes. Its sessions are for the caller to start.
    pub(crate) fn from_record(id: GroupId, record: GroupRecord) -> Self {
        let mut group = Self::new(id);
        let protocol = record.protocol.clone().unwrap_or_default();
        for stored in record.members {
            let rebalance_timeout_ms = match stored.rebalance_timeout_ms {
                -1 => stored.session_timeout_ms,
                timeout => timeout,
            };
            let offer = Protocol { name: protocol.clone(), metadata: stored.subscription };
            let timeouts = (rebalance_timeout_ms, stored.session_timeout_ms);
            let (client_id, client_host) = (stored.client_id, stored.client_host);
            let instance = stored.group_instance_id;
            let mut member = Member::new(instance, client_id, client_host, timeouts, vec![offer]);
            member.assignment = stored.assignment;
            member.is_new = false;
            group.insert(stored.member_id, member);
        }
        group.protocol_type = Some(record.protocol_type).filter(|kind| !kind.is_empty());
        group.protocol_name = record.protocol;
        group.generation = record.generation;
        let leader = record.leader.filter(|leader| group.members.contains_key(leader));
        group.leader = leader.or_else(|| group.members.keys().next().cloned());
        group.state_timestamp = record.state_timestamp;
        let empty = group.members.is_empty();
        group.state = if empty { GroupState::Empty } else { GroupState::Stable };
        group.previous_state = group.state;
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// What is stored of the group, with `assignment` in place of the members' own.
    pub(crate) fn to_record(&self, assignment: &BTreeMap<MemberId, Bytes>) -> GroupRecord {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(member_id, member)| MemberRecord {
            member_id: member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment.get(member_id).cloned().unwrap_or_default(),
        });
        GroupRecord {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp: self.state_timestamp,
            members: members.collect(),
        }
    }

    pub(crate) const fn id(&self) -> &GroupId {
        &self.id
    }

    pub(crate) const fn state(&self) -> GroupState {
        self.state
    }

    pub(crate) fn is_in(&self, state: GroupState) -> bool {
        self.state == state
    }

    pub(crate) const fn previous_state(&self) -> GroupState {
        self.previous_state
    }

    pub(crate) const fn state_timestamp(&self) -> Option<Timestamp> {
        self.state_timestamp
    }

    pub(crate) const fn generation(&self) -> i32 {
        self.generation
    }

    pub(crate) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(crate) fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    pub(crate) const fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub(crate) fn is_leader(&self, member: &MemberId) -> bool {
        self.leader.as_ref() == Some(member)
    }

    pub(crate) const fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    pub(crate) fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn member_ids(&self) -> Vec<MemberId> {
        self.members.keys().cloned().collect()
    }

    /// Access to what may change without bookkeeping; the fields with bookkeeping are private to this file.
    pub(crate) fn member_mut(&mut self, id: &MemberId) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub(crate) fn static_member(&self, instance: &str) -> Option<&MemberId> {
        self.static_members.get(instance)
    }

    pub(crate) const fn awaiting_join_count(&self) -> usize {
        self.awaiting_join_count
    }

    /// Whether nobody is missing for the next generation.
    pub(crate) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join_count && self.pending_members.is_empty()
    }

    /// How long members may take to rejoin: as long as the slowest asks for.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Changes the state.
    ///
    /// # Panics
    /// For a transition that is not in the picture of `classic.rs`.
    pub(crate) fn transition(&mut self, to: GroupState, wall: Timestamp) {
        use GroupState::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        let legal = match to {
            PreparingRebalance => matches!(self.state, Stable | CompletingRebalance | Empty),
            CompletingRebalance | Empty => self.state == PreparingRebalance,
            Stable => self.state == CompletingRebalance,
            Dead => false,
        };
        assert!(legal, "group {:?} goes from {:?} to {to:?}", self.id, self.state);
        self.previous_state = self.state;
        self.state = to;
        self.state_timestamp = Some(wall);
    }

    /// Whether somebody with these protocols may become or stay a member.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_in(GroupState::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|offer| {
                self.supported.get(&offer.name).copied().unwrap_or(0) == self.members.len()
            })
    }

    /// Checks that a member exists and that nobody has taken over its instance.
    pub(crate) fn check_member(
        &self,
        member_id: &MemberId,
        instance: Option<&InstanceId>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            let owner = self.static_members.get(instance).ok_or(GroupError::UnknownMemberId)?;
            if owner != member_id {
                return Err(GroupError::FencedInstanceId);
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    fn count_protocols(&mut self, protocols: &[Protocol], up: bool) {
        let names: BTreeSet<&str> = protocols.iter().map(|offer| offer.name.as_str()).collect();
        for name in names {
            let count = self.supported.entry(name.to_owned()).or_default();
            if up {
                *count += 1;
            } else {
                *count -= 1;
            }
            if *count == 0 {
                self.supported.remove(name);
            }
        }
    }

    fn insert(&mut self, id: MemberId, member: Member) {
        self.count_protocols(&member.protocols, true);
        self.awaiting_join_count += usize::from(member.is_awaiting_join());
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(InstanceId::clone(instance), id.clone());
        }
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Takes a member in; the first one leads and decides the protocol type.
    pub(crate) fn add(&mut self, id: &MemberId, protocol_type: &str, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        assert!(self.protocol_type.as_deref() == Some(protocol_type), "checked before");
        self.pending_members.remove(id);
        self.insert(id.clone(), member);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
    }

    /// Takes a member or a promised id out; another member leads if it led.
    ///
    /// # Panics
    /// While a JoinGroup of the member is parked.
    pub(crate) fn remove(&mut self, id: &MemberId) -> Option<Member> {
        self.pending_members.remove(id);
        self.pending_sync.remove(id);
        let member = self.members.remove(id)?;
        self.count_protocols(&member.protocols, false);
        assert!(!member.is_awaiting_join(), "a parked request is answered before");
        if let Some(instance) = &member.group_instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes what a member offers; nothing in the group depends on the old offer any more.
    pub(crate) fn update(&mut self, id: &MemberId, protocols: Vec<Protocol>, timeouts: (i32, i32)) {
        let member = self.members.get_mut(id).expect("members are updated after a look-up");
        let old = std::mem::replace(&mut member.protocols, protocols);
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts;
        let new = member.protocols.clone();
        self.count_protocols(&old, false);
        self.count_protocols(&new, true);
    }

    /// Parks a JoinGroup; returns the one that was parked before.
    pub(crate) fn park_join(&mut self, id: &MemberId, reply: ReplyId) -> Option<ReplyId> {
        let member = self.members.get_mut(id).expect("joins are parked after a look-up");
        let before = member.awaiting_join.replace(reply);
        self.awaiting_join_count += usize::from(before.is_none());
        before
    }

    /// Takes the parked JoinGroup of a member.
    pub(crate) fn take_join(&mut self, id: &MemberId) -> Option<ReplyId> {
        let reply = self.members.get_mut(id)?.awaiting_join.take();
        self.awaiting_join_count -= usize::from(reply.is_some());
        reply
    }

    /// Gives a static member a new id; everything else stays. Its parked requests are returned.
    pub(crate) fn replace_static(
        &mut self,
        old: &MemberId,
        new: &MemberId,
    ) -> (Option<ReplyId>, Option<ReplyId>) {
        let join = self.take_join(old);
        let led = self.is_leader(old);
        let mut member = self.remove(old).expect("static members are members");
        let sync = member.awaiting_sync.take();
        self.insert(new.clone(), member);
        if led {
            self.leader = Some(new.clone());
        }
        (join, sync)
    }

    /// Makes sure that the leader is among those who joined. False when there is no leader to be had.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(Member::is_awaiting_join) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.is_awaiting_join());
        let Some((id, _)) = joined else { return false };
        self.leader = Some(id.clone());
        true
    }

    /// Begins the next generation with the members that are there.
    pub(crate) fn begin_generation(&mut self, wall: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        if self.members.is_empty() {
            self.protocol_name = None;
            self.transition(GroupState::Empty, wall);
        } else {
            self.protocol_name = Some(self.select_protocol());
            self.transition(GroupState::CompletingRebalance, wall);
        }
        self.subscribed_topics = self.compute_subscribed_topics();
        self.pending_sync.clear();
    }

    /// The protocol that most members prefer among those that all offer; the leader decides a tie.
    pub(crate) fn select_protocol(&self) -> String {
        let common =
            |offer: &&Protocol| self.supported.get(&offer.name) == Some(&self.members.len());
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(common);
            let vote = vote.expect("members are let in only with a common protocol");
            *votes.entry(&vote.name).or_default() += 1;
        }
        let most = votes.values().copied().max();
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let leader = leader.expect("a group with members has a leader");
        let mut preferred = leader.protocols.iter().map(|offer| offer.name.as_str());
        let chosen = preferred.find(|name| votes.get(name).copied() == most);
        chosen.expect("the leader offers every common protocol").to_owned()
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol_name.as_deref()?;
        for member in self.members.values() {
            add_topics(&member.metadata(protocol), &mut topics).ok()?;
        }
        Some(topics)
    }

    /// Whether member metadata are subscriptions.
    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether it is known which topics the members want.
    pub(crate) const fn knows_subscribed_topics(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// Whether members want the topic. Consumers whose subscription cannot be read count as wanting all.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// All members with their metadata under the chosen protocol: what the leader needs.
    pub(crate) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| JoinedMember {
            member_id: id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }

    /// What the members have been assigned.
    pub(crate) fn assignment(&self) -> BTreeMap<MemberId, Bytes> {
        let members = self.members.iter();
        members.map(|(id, member)| (id.clone(), member.assignment.clone())).collect()
    }

    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) {
        let awaiting = self.members.values().filter(|member| member.is_awaiting_join()).count();
        assert_eq!(awaiting, self.awaiting_join_count);
        for (instance, id) in &self.static_members {
            assert_eq!(self.members[id].group_instance_id.as_ref(), Some(instance));
        }
        let statics = self.members.values().filter(|m| m.group_instance_id.is_some()).count();
        assert_eq!(statics, self.static_members.len(), "no two members own an instance");
        for (name, count) in &self.supported {
            let offering = self.members.values();
            let offering = offering.filter(|m| m.protocols.iter().any(|p| p.name == *name));
            assert_eq!(offering.count(), *count);
        }
        match &self.leader {
            Some(leader) => assert!(self.members.contains_key(leader)),
            None => assert!(self.members.is_empty()),
        }
        match self.state {
            GroupState::Empty => assert!(self.members.is_empty()),
            GroupState::Stable | GroupState::CompletingRebalance => {
                assert!(!self.members.is_empty());
                assert!(self.protocol_name.is_some());
            }
            GroupState::PreparingRebalance => {}
            GroupState::Dead => panic!("dead groups are in no map"),
        }
        assert!(self.pending_members.iter().all(|id| !self.members.contains_key(id)));
        if !self.members.is_empty() {
            let common = self.supported.values().any(|&count| count == self.members.len());
            assert!(common, "members share a protocol");
        }
    }
}
