//! LeaveGroup: members go, or are removed by an administrator.

use esker_types::{GroupId, MonoTime, Timestamp};

use crate::api::{
    Effects, GroupError, LeaveGroup, LeaveGroupResponse, LeavingMember, LeftMember, ReplyId,
    Response,
};
use crate::shard::{Cx, GroupShard};

impl GroupShard {
    /// LeaveGroup. Always answered at once: who rejoins after a failure is dropped for silence.
    pub fn on_leave_group(
        &mut self,
        now: MonoTime,
        wall: Timestamp,
        request: LeaveGroup,
        reply: ReplyId,
        out: &mut Effects,
    ) {
        let mut cx = Cx { now, wall, out };
        if let Err(error) = self.check_group_id(&request.group_id) {
            let response = LeaveGroupResponse { error: Some(error), members: Vec::new() };
            cx.reply(reply, Response::Leave(response));
            return;
        }
        let id = request.group_id;
        let exists = self.groups.contains_key(&id);
        let mut anybody = false;
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let result = if exists {
                self.leave(&id, &leaving, &mut cx)
            } else {
                Err(GroupError::UnknownMemberId)
            };
            anybody |= result.is_ok();
            members.push(LeftMember {
                member_id: leaving.member_id,
                group_instance_id: leaving.group_instance_id,
                error: result.err(),
            });
        }
        let response = LeaveGroupResponse { error: None, members };
        cx.reply(reply, Response::Leave(response));
        if anybody {
            self.after_leaving(&id, &mut cx);
        }
    }

    fn leave(
        &mut self,
        id: &GroupId,
        leaving: &LeavingMember,
        cx: &mut Cx<'_>,
    ) -> Result<(), GroupError> {
        let group = self.group_mut(id);
        let instance = leaving.group_instance_id.as_ref();
        let member = if leaving.member_id.is_empty() {
            let found = instance.and_then(|instance| group.static_member(instance));
            found.cloned().ok_or(GroupError::UnknownMemberId)?
        } else {
            if !group.pending_members.contains(&leaving.member_id) {
                group.check_member(&leaving.member_id, instance)?;
            }
            leaving.member_id.clone()
        };
        let reason = leaving.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group = %id, %member, reason, "member leaves");
        self.drop_member(id, &member, cx);
        Ok(())
    }

    fn after_leaving(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        // A group of promised ids only has nothing to rebalance.
        if !self.group_mut(id).is_in(crate::api::GroupState::Empty) {
            self.rebalance_or_complete(id, "members left", cx);
        }
    }
}
