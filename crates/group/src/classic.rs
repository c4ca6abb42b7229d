//! Classic groups: the coordinator counts members and generations, a member (the leader) assigns.
//!
//! ```text
//!            join                    all joined, or time is up           leader's assignment committed
//!  Empty ──────────► Preparing ───────────────────────► Completing ───────────────────────► Stable
//!    ▲               Rebalance ◄─────────────────────── Rebalance                             │
//!    │                 │  ▲       join, leave, silence                                        │
//!    └─────────────────┘  └───────────────────────────────────────────────────────────────────┘
//!     nobody joined                          join, leave, silence
//! ```
//! A group that is in no map is dead.

pub(crate) mod group;
mod heartbeat;
mod join;
mod leave;
mod rebalance;
mod sync;

use esker_types::GroupId;

use crate::api::{GroupError, InstanceId, MemberId};
use crate::classic::group::Group;
use crate::shard::GroupShard;

/// Longest string of the record formats, which write its length in 16 bits.
const TEXT_LEN_MAX: usize = 32_767;

/// Whether a name can be stored.
pub(crate) const fn fits_record(text: &str) -> bool {
    text.len() <= TEXT_LEN_MAX
}

impl GroupShard {
    /// Refuses requests while loading, after unloading, and for groups without a storable name.
    pub(crate) fn check_group_id(&self, group: &GroupId) -> Result<(), GroupError> {
        self.check_active()?;
        if group.as_str().is_empty() || !fits_record(group.as_str()) {
            return Err(GroupError::InvalidGroupId);
        }
        Ok(())
    }

    /// The group, for code that has seen that it exists.
    pub(crate) fn group_mut(&mut self, id: &GroupId) -> &mut Group {
        self.groups.get_mut(id).expect("the group was looked up before")
    }

    /// Checks a request of a member of an existing generation.
    pub(crate) fn check_generation(
        &self,
        group_id: &GroupId,
        member_id: &MemberId,
        instance: Option<&InstanceId>,
        generation: i32,
    ) -> Result<(), GroupError> {
        let group = self.groups.get(group_id).ok_or(GroupError::UnknownMemberId)?;
        group.check_member(member_id, instance)?;
        if generation == group.generation() { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }
}
