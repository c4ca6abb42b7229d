//! The course of a rebalance: from the first reason for one to the next generation.

use std::collections::BTreeMap;

use bytes::Bytes;
use esker_types::GroupId;

use crate::api::{
    GroupError, GroupState, JoinGroupResponse, MemberId, ReplyId, Response, SyncGroupResponse,
};
use crate::classic::group::{Group, Member};
use crate::options::millis;
use crate::records::group_value;
use crate::shard::{Cx, GroupShard, InitialDelay, Then, Write};
use crate::timers::TimerKey;

/// A JoinGroup response that says no.
pub(crate) fn join_error(member_id: MemberId, error: GroupError) -> JoinGroupResponse {
    JoinGroupResponse {
        error: Some(error),
        generation_id: -1,
        protocol_type: None,
        protocol_name: None,
        leader: MemberId::none(),
        skip_assignment: false,
        member_id,
        members: Vec::new(),
    }
}

/// A SyncGroup response that says no.
pub(crate) const fn sync_error(error: GroupError) -> SyncGroupResponse {
    SyncGroupResponse {
        error: Some(error),
        protocol_type: None,
        protocol_name: None,
        assignment: Bytes::new(),
    }
}

/// The current generation, as a member learns of it.
pub(crate) fn joined(group: &Group, member_id: &MemberId, with_members: bool) -> JoinGroupResponse {
    JoinGroupResponse {
        error: None,
        generation_id: group.generation(),
        protocol_type: group.protocol_type().map(str::to_owned),
        protocol_name: group.protocol_name().map(str::to_owned),
        leader: group.leader().cloned().unwrap_or_else(MemberId::none),
        skip_assignment: false,
        member_id: member_id.clone(),
        members: if with_members { group.joined_members() } else { Vec::new() },
    }
}

impl GroupShard {
    /// Starts a member's session anew.
    pub(crate) fn restart_session(&mut self, group: &GroupId, member: &MemberId, cx: &Cx<'_>) {
        let Some(found) = self.groups.get(group).and_then(|group| group.member(member)) else {
            return;
        };
        let deadline = cx.now.plus(millis(found.session_timeout_ms));
        self.timers.schedule(TimerKey::Session(group.clone(), member.clone()), deadline);
    }

    /// Answers a member's parked JoinGroup, if there is one, with an error.
    pub(crate) fn answer_join_error(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        error: GroupError,
        cx: &mut Cx<'_>,
    ) {
        if let Some(reply) = self.group_mut(group).take_join(member) {
            cx.reply(reply, Response::Join(join_error(member.clone(), error)));
        }
    }

    /// Answers a member's parked SyncGroup, if there is one, with an error.
    pub(crate) fn answer_sync_error(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        error: GroupError,
        cx: &mut Cx<'_>,
    ) {
        let parked = self.group_mut(group).member_mut(member);
        if let Some(reply) = parked.and_then(|member| member.awaiting_sync.take()) {
            cx.reply(reply, Response::Sync(sync_error(error)));
        }
    }

    /// Takes a member or a promised id out of its group, with its session and its parked requests.
    pub(crate) fn drop_member(&mut self, group: &GroupId, member: &MemberId, cx: &mut Cx<'_>) {
        self.timers.cancel(&TimerKey::Session(group.clone(), member.clone()));
        self.answer_join_error(group, member, GroupError::UnknownMemberId, cx);
        self.answer_sync_error(group, member, GroupError::UnknownMemberId, cx);
        self.group_mut(group).remove(member);
    }

    /// Parks a JoinGroup until the rebalance ends. An earlier one of the same member is answered: its connection
    /// is gone or it was repeated.
    pub(crate) fn park_join(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        reply: ReplyId,
        cx: &mut Cx<'_>,
    ) {
        if let Some(before) = self.group_mut(group).park_join(member, reply) {
            let response = join_error(member.clone(), GroupError::RebalanceInProgress);
            cx.reply(before, Response::Join(response));
        }
    }

    /// Begins a rebalance where the state allows one, else sees whether the one under way can end.
    pub(crate) fn rebalance_or_complete(&mut self, id: &GroupId, reason: &str, cx: &mut Cx<'_>) {
        if self.group_mut(id).is_in(GroupState::PreparingRebalance) {
            self.maybe_complete_join(id, cx);
        } else {
            self.prepare_rebalance(id, reason, cx);
        }
    }

    /// Begins a rebalance. An empty group waits a while for more members; others wait for theirs to rejoin.
    pub(crate) fn prepare_rebalance(&mut self, id: &GroupId, reason: &str, cx: &mut Cx<'_>) {
        let initial_ms = self.options.group_initial_rebalance_delay_ms.max(0);
        let group = self.group_mut(id);
        let state = group.state();
        tracing::info!(group = %id, generation = group.generation(), state = state.name(), reason, "rebalance begins");
        if state == GroupState::CompletingRebalance {
            self.reset_assignment(id, GroupError::RebalanceInProgress, cx);
        }
        self.timers.cancel(&TimerKey::Sync(id.clone()));
        let group = self.group_mut(id);
        group.pending_sync.clear();
        group.transition(GroupState::PreparingRebalance, cx.wall);
        if state == GroupState::Empty {
            group.new_member_added = false;
            let remaining_ms = group.rebalance_timeout_ms().saturating_sub(initial_ms).max(0);
            let delay = InitialDelay { delay_ms: initial_ms, remaining_ms };
            self.initial_delay.insert(id.clone(), delay);
            self.timers.schedule(TimerKey::Join(id.clone()), cx.now.plus(millis(initial_ms)));
        } else if group.has_all_members_joined() {
            self.complete_join(id, cx);
        } else {
            let deadline = cx.now.plus(millis(group.rebalance_timeout_ms()));
            self.timers.schedule(TimerKey::Join(id.clone()), deadline);
        }
    }

    /// Ends the join phase if nobody is missing. The initial delay is always waited for.
    pub(crate) fn maybe_complete_join(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        let group = self.group_mut(id);
        if group.is_in(GroupState::PreparingRebalance)
            && group.has_all_members_joined()
            && group.previous_state() != GroupState::Empty
        {
            self.complete_join(id, cx);
        }
    }

    /// The time to join is up, or the initial delay is over.
    pub(crate) fn on_join_deadline(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if let Some(delay) = self.initial_delay.remove(id)
            && group.new_member_added
            && delay.remaining_ms != 0
        {
            group.new_member_added = false;
            let initial_ms = self.options.group_initial_rebalance_delay_ms.max(0);
            let next = InitialDelay {
                delay_ms: initial_ms.min(delay.remaining_ms),
                remaining_ms: delay.remaining_ms.saturating_sub(delay.delay_ms).max(0),
            };
            self.initial_delay.insert(id.clone(), next);
            self.timers.schedule(TimerKey::Join(id.clone()), cx.now.plus(millis(next.delay_ms)));
            return;
        }
        self.complete_join(id, cx);
    }

    /// Ends the join phase: dynamic members that have not joined are out, the others get the next generation.
    pub(crate) fn complete_join(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        self.timers.cancel(&TimerKey::Join(id.clone()));
        self.initial_delay.remove(id);
        let missing = |(_, member): &(&MemberId, &Member)| {
            !member.is_awaiting_join() && member.group_instance_id.is_none()
        };
        let missing = self.group_mut(id).members().iter().filter(missing);
        let missing: Vec<MemberId> = missing.map(|(id, _)| id.clone()).collect();
        for member in &missing {
            self.drop_member(id, member, cx);
        }
        let group = self.group_mut(id);
        if !group.elect_joined_leader() && !group.members().is_empty() {
            // Only static members are left and none of them is here: they keep their places for another round.
            let deadline = cx.now.plus(millis(group.rebalance_timeout_ms()));
            self.timers.schedule(TimerKey::Join(id.clone()), deadline);
            return;
        }
        group.begin_generation(cx.wall);
        tracing::info!(group = %id, generation = group.generation(), members = group.members().len(), "generation begins");
        if group.is_in(GroupState::Empty) {
            let value = group_value(&group.to_record(&BTreeMap::new()));
            self.append(vec![Write::Group(id.clone(), Some(value))], Then::Nothing, cx);
            return;
        }
        for member in group.member_ids() {
            let group = self.group_mut(id);
            if let Some(reply) = group.take_join(&member) {
                let response = joined(group, &member, group.is_leader(&member));
                cx.reply(reply, Response::Join(response));
            }
            group.pending_sync.insert(member.clone());
            if let Some(found) = group.member_mut(&member) {
                found.is_new = false;
            }
            self.restart_session(id, &member, cx);
        }
        let deadline = cx.now.plus(millis(self.group_mut(id).rebalance_timeout_ms()));
        self.timers.schedule(TimerKey::Sync(id.clone()), deadline);
    }

    /// Members that have not asked for their assignment in time are out.
    pub(crate) fn on_sync_deadline(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let late = std::mem::take(&mut group.pending_sync);
        let syncing = matches!(group.state(), GroupState::CompletingRebalance | GroupState::Stable);
        if !syncing || late.is_empty() {
            return;
        }
        for member in &late {
            self.drop_member(id, member, cx);
        }
        self.prepare_rebalance(id, "members did not ask for their assignment", cx);
    }

    /// A session has run out.
    pub(crate) fn on_silence(&mut self, id: &GroupId, member: &MemberId, cx: &mut Cx<'_>) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if group.pending_members.contains(member) {
            group.remove(member);
        } else {
            let Some(found) = group.member(member) else { return };
            if found.has_satisfied_heartbeat() {
                return;
            }
            tracing::info!(group = %id, %member, "member is silent, dropped");
            self.drop_member(id, member, cx);
            if !self.group_mut(id).is_in(GroupState::PreparingRebalance) {
                self.prepare_rebalance(id, "a member is silent", cx);
                return;
            }
        }
        let group = self.group_mut(id);
        if group.is_in(GroupState::PreparingRebalance) && group.has_all_members_joined() {
            self.complete_join(id, cx);
        }
    }

    /// Takes assignments back that nobody has seen yet, and tells those who wait for theirs.
    pub(crate) fn reset_assignment(&mut self, id: &GroupId, error: GroupError, cx: &mut Cx<'_>) {
        for member in self.group_mut(id).member_ids() {
            let found = self.group_mut(id).member_mut(&member).expect("listed just now");
            found.assignment = Bytes::new();
            let waited = found.awaiting_sync.is_some();
            self.answer_sync_error(id, &member, error, cx);
            if waited {
                self.restart_session(id, &member, cx);
            }
        }
    }
}
