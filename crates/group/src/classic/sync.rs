//! SyncGroup: the leader hands in the assignment, everybody gets their part.

use std::collections::BTreeMap;

use bytes::Bytes;
use esker_types::{GroupId, MonoTime, Timestamp};

use crate::api::{
    Effects, GroupError, GroupState, MemberId, ReplyId, Response, SyncGroup, SyncGroupResponse,
};
use crate::classic::group::Group;
use crate::classic::rebalance::sync_error;
use crate::records::group_value;
use crate::shard::{Cx, GroupShard, Then, Write};
use crate::timers::TimerKey;

/// The member's part of the assignment.
fn assigned(group: &Group, member: &MemberId) -> SyncGroupResponse {
    SyncGroupResponse {
        error: None,
        protocol_type: group.protocol_type().map(str::to_owned),
        protocol_name: group.protocol_name().map(str::to_owned),
        assignment: group.member(member).map(|m| m.assignment.clone()).unwrap_or_default(),
    }
}

impl GroupShard {
    /// SyncGroup. Answered at once in a stable group, else when the leader's assignment is committed.
    pub fn on_sync_group(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: SyncGroup,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        if let Err(error) = self.check_sync(&request) {
            cx.reply(reply, Response::Sync(sync_error(error)));
            return;
        }
        let (id, member) = (&request.group_id, &request.member_id);
        let group = self.group_mut(id);
        group.pending_sync.remove(member);
        let all_synced = group.pending_sync.is_empty();
        if group.is_in(GroupState::Stable) {
            let response = assigned(group, member);
            cx.reply(reply, Response::Sync(response));
            self.restart_session(id, member, &cx);
        } else {
            assert!(group.is_in(GroupState::CompletingRebalance), "other states were refused");
            let found = group.member_mut(member).expect("checked");
            if let Some(before) = found.awaiting_sync.replace(reply) {
                let again = sync_error(GroupError::RebalanceInProgress);
                cx.reply(before, Response::Sync(again));
            }
        }
        if all_synced {
            self.timers.cancel(&TimerKey::Sync(id.clone()));
        }
        let group = self.group_mut(id);
        if group.is_in(GroupState::CompletingRebalance)
            && group.is_leader(member)
            && group.syncing_generation != Some(group.generation())
        {
            self.store_assignment(request, &mut cx);
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), GroupError> {
        self.check_group_id(&request.group_id)?;
        let instance = request.group_instance_id.as_ref();
        let (id, member) = (&request.group_id, &request.member_id);
        self.check_generation(id, member, instance, request.generation_id)?;
        let group = self.groups.get(id).ok_or(GroupError::UnknownMemberId)?;
        // Older versions of the request do not name the protocol.
        let differs = |asked: &Option<String>, is: Option<&str>| {
            asked.as_deref().is_some_and(|asked| asked != is.unwrap_or_default())
        };
        if differs(&request.protocol_type, group.protocol_type())
            || differs(&request.protocol_name, group.protocol_name())
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match group.state() {
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    /// Sends the leader's assignment to the log. Members that it leaves out get an empty one.
    fn store_assignment(&mut self, request: SyncGroup, cx: &mut Cx<'_>) {
        let id = request.group_id;
        let group = self.group_mut(&id);
        let generation = group.generation();
        let members = group.members();
        let known = request.assignments.into_iter().filter(|(id, _)| members.contains_key(id));
        let assignment: BTreeMap<MemberId, Bytes> = known.collect();
        let value = group_value(&group.to_record(&assignment));
        group.syncing_generation = Some(generation);
        let then = Then::Assign { group: id.clone(), generation, assignment };
        self.append(vec![Write::Group(id, Some(value))], then, cx);
    }

    /// The leader's assignment is in the log, or not. Of no interest if a new rebalance has begun.
    pub(crate) fn finish_assign(
        &mut self,
        id: &GroupId,
        generation: i32,
        assignment: &BTreeMap<MemberId, Bytes>,
        outcome: Result<(), GroupError>,
        cx: &mut Cx<'_>,
    ) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if group.syncing_generation == Some(generation) {
            group.syncing_generation = None;
        }
        if !group.is_in(GroupState::CompletingRebalance) || group.generation() != generation {
            return;
        }
        if let Err(error) = outcome {
            self.reset_assignment(id, error, cx);
            self.prepare_rebalance(id, "the assignment could not be stored", cx);
            return;
        }
        group.transition(GroupState::Stable, cx.wall);
        for member in group.member_ids() {
            let group = self.group_mut(id);
            let found = group.member_mut(&member).expect("listed just now");
            found.assignment = assignment.get(&member).cloned().unwrap_or_default();
            if let Some(reply) = found.awaiting_sync.take() {
                let response = assigned(group, &member);
                cx.reply(reply, Response::Sync(response));
                self.restart_session(id, &member, cx);
            }
        }
    }
}
