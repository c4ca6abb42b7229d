//! DescribeGroups and ListGroups: what administrators see. Live state, so that they see a rebalance under way.

use bytes::Bytes;

use crate::api::{DescribedGroup, DescribedMember, GroupError, GroupState, ListedGroup};
use crate::shard::GroupShard;

/// The only kind of group here, as ListGroups names it.
const CLASSIC: &str = "classic";

impl GroupShard {
    /// A group, or `None` if there is none: older versions of the request then answer with the state `Dead`,
    /// version 6 with `GROUP_ID_NOT_FOUND`.
    ///
    /// # Errors
    /// While the shard does not serve.
    pub fn describe_group(&self, group: &str) -> Result<Option<DescribedGroup>, GroupError> {
        self.check_active()?;
        let Some(group) = self.groups.get(group) else { return Ok(None) };
        let stable = group.is_in(GroupState::Stable);
        let protocol = group.protocol_name().filter(|_| stable);
        let members = group.members().iter().map(|(id, member)| DescribedMember {
            member_id: id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            assignment: member.assignment.clone(),
        });
        Ok(Some(DescribedGroup {
            state: group.state(),
            protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
            protocol_data: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        }))
    }

    /// The groups in one of `states` and of one of `types`, both in any case of letters; empty filters pass all.
    ///
    /// # Errors
    /// While the shard does not serve.
    pub fn list_groups(
        &self,
        states: &[String],
        types: &[String],
    ) -> Result<Vec<ListedGroup>, GroupError> {
        self.check_active()?;
        let passes = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        if !passes(types, CLASSIC) {
            return Ok(Vec::new());
        }
        let groups = self.groups.iter().filter(|(_, group)| passes(states, group.state().name()));
        Ok(groups
            .map(|(id, group)| ListedGroup {
                group_id: id.clone(),
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                state: group.state(),
                group_type: CLASSIC,
            })
            .collect())
    }
}
