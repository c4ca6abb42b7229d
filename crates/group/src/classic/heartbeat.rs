//! Heartbeat: a member lives, and learns whether it has to rejoin.

use esker_types::{MonoTime, Timestamp};

use crate::api::{Effects, GroupError, GroupState, Heartbeat, ReplyId, Response};
use crate::shard::{Cx, GroupShard};

impl GroupShard {
    /// Heartbeat. Always answered at once.
    pub fn on_heartbeat(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: &Heartbeat,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        let result = self.heartbeat(request, &cx);
        cx.reply(reply, Response::Heartbeat(result));
    }

    fn heartbeat(&mut self, request: &Heartbeat, cx: &Cx<'_>) -> Result<(), GroupError> {
        self.check_group_id(&request.group_id)?;
        let (id, member) = (&request.group_id, &request.member_id);
        let instance = request.group_instance_id.as_ref();
        self.check_generation(id, member, instance, request.generation_id)?;
        // Members may send heartbeats while they wait for their assignment.
        self.restart_session(id, member, cx);
        match self.group_mut(id).state() {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }
}
