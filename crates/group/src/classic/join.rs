//! JoinGroup: becoming, and staying, a member.

use esker_types::{GroupId, MonoTime, Timestamp};
use uuid::Uuid;

use crate::api::{
    Effects, GroupError, GroupState, InstanceId, JoinGroup, MemberId, ReplyId, Response,
};
use crate::classic::fits_record;
use crate::classic::group::{Group, Member};
use crate::classic::rebalance::{join_error, joined};
use crate::options::millis;
use crate::records::group_value;
use crate::shard::{Cx, GroupShard, StaticRejoin, Then, Write};
use crate::timers::TimerKey;

/// Most ids of a group that were given out and not yet joined with. Kafka has no bound, and lets a stranger fill
/// its memory; no real group comes near this one.
const PENDING_MEMBERS_MAX: usize = 10_000;
/// Most bytes of a client's name that go into a member id.
const ID_PREFIX_MAX: usize = 1_024;

impl JoinGroup {
    /// How long the member may take to rejoin, and how long it may be silent.
    fn timeouts(&self) -> (i32, i32) {
        let rebalance = match self.rebalance_timeout_ms {
            ..0 => self.session_timeout_ms,
            timeout => timeout,
        };
        (rebalance, self.session_timeout_ms)
    }

    fn reason(&self) -> &str {
        self.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("not provided")
    }

    /// A new member id: what the client calls itself, and something that nobody else has.
    fn make_member_id(&self) -> MemberId {
        let prefix = self.group_instance_id.as_deref().unwrap_or(&self.client_id);
        let cut = prefix.floor_char_boundary(ID_PREFIX_MAX.min(prefix.len()));
        let unique = uuid::Builder::from_random_bytes(self.fresh.to_be_bytes()).into_uuid();
        MemberId::new(&format!("{}-{}", &prefix[..cut], Uuid::hyphenated(unique)))
    }

    fn fits_records(&self) -> bool {
        let texts = [
            self.client_id.as_str(),
            &self.client_host,
            &self.protocol_type,
            self.group_instance_id.as_deref().unwrap_or_default(),
        ];
        texts.into_iter().all(fits_record)
            && self.protocols.iter().all(|offer| fits_record(&offer.name))
    }
}

impl GroupShard {
    /// JoinGroup. The answer comes when the rebalance ends, or at once with an error or the current generation.
    pub fn on_join_group(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: JoinGroup,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let id = request.group_id.clone();
        let member_id = request.member_id.clone();
        let is_new = !self.groups.contains_key(&id);
        if let Err(error) = self.check_join(&request) {
            cx.reply(reply, Response::Join(join_error(member_id, error)));
            return;
        }
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
        if let Err(error) = self.check_size(&request) {
            self.drop_member(&id, &request.member_id, &mut cx);
            cx.reply(reply, Response::Join(join_error(MemberId::none(), error)));
        } else if member_id.is_empty() {
            self.join_new(request, reply, &mut cx);
        } else {
            self.join_existing(request, reply, &mut cx);
        }
        if is_new {
            // Also when the request was refused: who asks for the group is told, as by Kafka, that it is there and empty.
            let mut record = Group::new(id.clone()).to_record(&Default::default());
            record.state_timestamp = self.group_mut(&id).state_timestamp();
            let write = Write::Group(id, Some(group_value(&record)));
            self.append(vec![write], Then::Nothing, &mut cx);
        }
    }

    fn check_join(&self, request: &JoinGroup) -> Result<(), GroupError> {
        self.check_group_id(&request.group_id)?;
        let bounds =
            self.options.group_min_session_timeout_ms..=self.options.group_max_session_timeout_ms;
        if !bounds.contains(&request.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !request.fits_records() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if !request.member_id.is_empty() && !self.groups.contains_key(&request.group_id) {
            return Err(GroupError::UnknownMemberId);
        }
        Ok(())
    }

    /// Members that are in stay in; others only come in while there is room.
    fn check_size(&mut self, request: &JoinGroup) -> Result<(), GroupError> {
        let max = self.options.group_size_max();
        let group = self.group_mut(&request.group_id);
        let member = group.member(&request.member_id);
        let accepted = match group.state() {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(Member::is_awaiting_join) || group.awaiting_join_count() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || group.members().len() < max
            }
        };
        if accepted { Ok(()) } else { Err(GroupError::GroupMaxSizeReached) }
    }

    fn join_new(&mut self, request: JoinGroup, reply: ReplyId, cx: &mut Cx<'_>) {
        let id = &request.group_id;
        let group = self.group_mut(id);
        if !group.supports(&request.protocol_type, &request.protocols) {
            let error = GroupError::InconsistentGroupProtocol;
            cx.reply(reply, Response::Join(join_error(MemberId::none(), error)));
            return;
        }
        let new = request.make_member_id();
        if let Some(instance) = request.group_instance_id.clone() {
            match group.static_member(&instance).cloned() {
                Some(old) => self.rejoin_static(request, &instance, &old, new, reply, cx),
                None => self.add_member(request, new, reply, cx),
            }
        } else if request.requires_known_member_id {
            if group.pending_members.len() >= PENDING_MEMBERS_MAX {
                let error = GroupError::GroupMaxSizeReached;
                cx.reply(reply, Response::Join(join_error(MemberId::none(), error)));
                return;
            }
            group.pending_members.insert(new.clone());
            let deadline = cx.now.plus(millis(request.session_timeout_ms));
            self.timers.schedule(TimerKey::Session(id.clone(), new.clone()), deadline);
            cx.reply(reply, Response::Join(join_error(new, GroupError::MemberIdRequired)));
        } else {
            self.add_member(request, new, reply, cx);
        }
    }

    fn add_member(&mut self, request: JoinGroup, new: MemberId, reply: ReplyId, cx: &mut Cx<'_>) {
        let timeouts = request.timeouts();
        let reason = request.reason().to_owned();
        let id = request.group_id;
        let (client, host) = (request.client_id, request.client_host);
        let member =
            Member::new(request.group_instance_id, client, host, timeouts, request.protocols);
        let group = self.group_mut(&id);
        if group.is_in(GroupState::PreparingRebalance)
            && group.previous_state() == GroupState::Empty
        {
            group.new_member_added = true;
        }
        group.add(&new, &request.protocol_type, member);
        self.park_join(&id, &new, reply, cx);
        // The session begins when the rebalance ends; until then only this bounds the wait.
        let deadline = cx.now.plus(self.options.new_member_join_timeout);
        self.timers.schedule(TimerKey::Session(id.clone(), new), deadline);
        self.rebalance_or_complete(&id, &reason, cx);
    }

    fn join_existing(&mut self, request: JoinGroup, reply: ReplyId, cx: &mut Cx<'_>) {
        let member_id = request.member_id.clone();
        let group = self.group_mut(&request.group_id);
        if !group.supports(&request.protocol_type, &request.protocols) {
            let error = GroupError::InconsistentGroupProtocol;
            cx.reply(reply, Response::Join(join_error(member_id, error)));
            return;
        }
        if group.pending_members.contains(&member_id) {
            let owned = |instance: &InstanceId| group.static_member(instance).is_some();
            if request.group_instance_id.as_ref().is_some_and(owned) {
                // The id was given to a dynamic member; the instance belongs to somebody.
                let error = GroupError::FencedInstanceId;
                cx.reply(reply, Response::Join(join_error(member_id, error)));
                return;
            }
            self.add_member(request, member_id, reply, cx);
            return;
        }
        if let Err(error) = group.check_member(&member_id, request.group_instance_id.as_ref()) {
            cx.reply(reply, Response::Join(join_error(member_id, error)));
            return;
        }
        let unchanged = group.member(&member_id).is_some_and(|m| m.protocols == request.protocols);
        let leads = group.is_leader(&member_id);
        match group.state() {
            GroupState::CompletingRebalance if unchanged => {
                // The answer got lost: the same again.
                let response = joined(group, &member_id, leads);
                cx.reply(reply, Response::Join(response));
            }
            GroupState::Stable if unchanged && !leads => {
                let response = joined(group, &member_id, false);
                cx.reply(reply, Response::Join(response));
            }
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => {
                let timeouts = request.timeouts();
                let reason = request.reason().to_owned();
                let id = request.group_id;
                group.update(&member_id, request.protocols, timeouts);
                self.park_join(&id, &member_id, reply, cx);
                self.rebalance_or_complete(&id, &reason, cx);
            }
            GroupState::Empty | GroupState::Dead => {
                let error = GroupError::UnknownMemberId;
                cx.reply(reply, Response::Join(join_error(member_id, error)));
            }
        }
    }

    /// A static member is back, without its old id. In a stable group nothing has to change but the id.
    fn rejoin_static(
        &mut self,
        request: JoinGroup,
        instance: &InstanceId,
        old: &MemberId,
        new: MemberId,
        reply: ReplyId,
        cx: &mut Cx<'_>,
    ) {
        let (timeouts, reason) = (request.timeouts(), request.reason().to_owned());
        let id = request.group_id;
        let group = self.group_mut(&id);
        let old_leader = group.leader().cloned();
        let before = group.member(old).expect("static members are members").clone();
        self.replace_static(&id, old, &new, cx);
        let group = self.group_mut(&id);
        group.update(&new, request.protocols, timeouts);
        self.park_join(&id, &new, reply, cx);
        self.restart_session(&id, &new, cx);
        let group = self.group_mut(&id);
        tracing::info!(group = %id, %instance, %old, %new, "static member is back");
        match group.state() {
            GroupState::Stable
                if Some(group.select_protocol().as_str()) == group.protocol_name() =>
            {
                let value = group_value(&group.to_record(&group.assignment()));
                let rejoin = StaticRejoin {
                    group: id.clone(),
                    generation: group.generation(),
                    reply,
                    new,
                    skips_assignment: request.supports_skipping_assignment,
                    old_leader,
                    old: old.clone(),
                    old_protocols: before.protocols,
                    old_timeouts: (before.rebalance_timeout_ms, before.session_timeout_ms),
                };
                let then = Then::Rejoin(Box::new(rejoin));
                self.append(vec![Write::Group(id, Some(value))], then, cx);
            }
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare_rebalance(&id, &reason, cx);
            }
            _ => self.maybe_complete_join(&id, cx),
        }
    }

    /// Moves a static member to a new id; whoever still uses the old one is fenced.
    fn replace_static(&mut self, id: &GroupId, old: &MemberId, new: &MemberId, cx: &mut Cx<'_>) {
        self.timers.cancel(&TimerKey::Session(id.clone(), old.clone()));
        self.answer_join_error(id, old, GroupError::FencedInstanceId, cx);
        self.answer_sync_error(id, old, GroupError::FencedInstanceId, cx);
        let (join, sync) = self.group_mut(id).replace_static(old, new);
        assert!(join.is_none() && sync.is_none(), "both were answered above");
    }

    /// The new id of a static member is in the log, or not.
    pub(crate) fn finish_static_rejoin(
        &mut self,
        rejoin: StaticRejoin,
        outcome: Result<(), GroupError>,
        cx: &mut Cx<'_>,
    ) {
        let id = &rejoin.group;
        let Some(group) = self.groups.get_mut(id) else { return };
        let waits = group.member(&rejoin.new).is_some_and(|member| member.awaits(rejoin.reply));
        let same = group.is_in(GroupState::Stable) && group.generation() == rejoin.generation;
        if !waits || !same {
            // A rebalance has come in between and answers; or it is answered already.
            return;
        }
        group.take_join(&rejoin.new);
        match outcome {
            Ok(()) => {
                let leads = group.is_leader(&rejoin.new);
                let skips = rejoin.skips_assignment;
                let mut response = joined(group, &rejoin.new, skips && leads);
                response.skip_assignment = skips && leads;
                if !skips {
                    // Told of the old leader, the member does not take itself for one and assigns nothing.
                    response.leader = rejoin.old_leader.unwrap_or_else(MemberId::none);
                }
                cx.reply(rejoin.reply, Response::Join(response));
            }
            Err(error) => {
                group.update(&rejoin.new, rejoin.old_protocols, rejoin.old_timeouts);
                self.replace_static(id, &rejoin.new, &rejoin.old, cx);
                self.restart_session(id, &rejoin.old, cx);
                let response = join_error(MemberId::none(), error);
                cx.reply(rejoin.reply, Response::Join(response));
            }
        }
    }
}
