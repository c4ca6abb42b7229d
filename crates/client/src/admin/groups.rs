//! Groups and their offsets.

use crate::client::{Client, retry};
use crate::error::{ClientError, check};
use crate::metadata::Topics;
use esker_wire::api::consumer_protocol_assignment::ConsumerProtocolAssignment;
use esker_wire::api::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use esker_wire::api::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use esker_wire::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use esker_wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use esker_wire::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use esker_wire::{ApiKey, ErrorCode, Message, Reader};
use std::collections::BTreeMap;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub id: String,
    /// What it is for: `consumer` for consumers.
    pub protocol_type: String,
    /// Its state; empty where the broker does not say.
    pub state: String,
    /// Its type, such as `classic`; empty where the broker does not say.
    pub group_type: String,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMemberInfo {
    /// Its id.
    pub id: String,
    /// Its lasting id, if it has one.
    pub instance_id: Option<String>,
    /// What its client says it is.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What is assigned to it; `None` where that is in no form of consumers.
    pub assignment: Option<BTreeMap<String, Vec<i32>>>,
}

/// A group as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// What it is for.
    pub protocol_type: String,
    /// Its assignor.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMemberInfo>,
}

/// Reads an assignment in the form that consumers give it.
#[must_use]
pub fn assignment_of(bytes: &[u8]) -> Option<BTreeMap<String, Vec<i32>>> {
    if bytes.is_empty() {
        return Some(BTreeMap::new());
    }
    let mut reader = Reader::new(bytes);
    let version = reader.i16().clamp(0, ConsumerProtocolAssignment::NEWEST);
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).ok()?;
    let topics = assignment.assigned_partitions.iter();
    Some(topics.map(|topic| (topic.topic.to_owned(), topic.partitions.to_vec())).collect())
}

impl Client {
    /// All groups of all brokers, by id.
    ///
    /// # Errors
    /// See [`ClientError`]; one broker that does not answer fails all: a list with holes would mislead.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let metadata = self.metadata(Topics::Named(&[])).await?;
        let mut groups = BTreeMap::new();
        for broker in metadata.brokers.values() {
            retry!(self, "list groups", async {
                let connection = self.connect(&broker.address()).await?;
                let reply = connection.call(&ListGroupsRequest::default()).await?;
                let response: ListGroupsResponse<'_> = reply.read()?;
                check(response.error_code, None, || "list groups".to_owned())?;
                for group in &response.groups {
                    let listing = GroupListing {
                        id: group.group_id.to_owned(),
                        protocol_type: group.protocol_type.to_owned(),
                        state: group.group_state.to_owned(),
                        group_type: group.group_type.to_owned(),
                    };
                    groups.insert(listing.id.clone(), listing);
                }
                Ok(())
            })?;
        }
        Ok(groups.into_values().collect())
    }

    /// A group as it is.
    ///
    /// # Errors
    /// See [`ClientError`]; a group that does not exist is of kind `NotFound`, also where an older broker calls it
    /// dead.
    pub async fn describe_group(&self, id: &str) -> Result<GroupDescription, ClientError> {
        let what = format!("describe group `{id}`");
        retry!(self, &what, async {
            let connection = self.coordinator(id).await?;
            let request = DescribeGroupsRequest { groups: vec![id].into(), ..Default::default() };
            let reply = connection.call(&request).await?;
            let response: DescribeGroupsResponse<'_> = reply.read()?;
            let group = response.groups.first().ok_or_else(|| {
                ClientError::malformed(connection.address(), "DescribeGroups", "no group in it")
            })?;
            check(group.error_code, group.error_message, || what.clone())?;
            if group.group_state == "Dead" {
                let code = ErrorCode::GroupIdNotFound.code();
                return Err(ClientError::broker(what.clone(), code, None));
            }
            let members = group.members.iter().map(|member| GroupMemberInfo {
                id: member.member_id.to_owned(),
                instance_id: member.group_instance_id.map(str::to_owned),
                client_id: member.client_id.to_owned(),
                host: member.client_host.to_owned(),
                assignment: assignment_of(member.member_assignment),
            });
            Ok(GroupDescription {
                id: group.group_id.to_owned(),
                state: group.group_state.to_owned(),
                protocol_type: group.protocol_type.to_owned(),
                protocol: group.protocol_data.to_owned(),
                members: members.collect(),
            })
        })
    }

    /// All offsets that a group has committed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn fetch_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
        let what = format!("read the offsets of group `{group}`");
        retry!(self, &what, async {
            let connection = self.coordinator(group).await?;
            // From version 8 on several groups are asked for at once.
            let several = connection.version(ApiKey::OffsetFetch)? >= 8;
            let request = if several {
                let row =
                    OffsetFetchRequestGroup { group_id: group, topics: None, ..Default::default() };
                OffsetFetchRequest { groups: vec![row].into(), ..Default::default() }
            } else {
                OffsetFetchRequest { group_id: group, topics: None, ..Default::default() }
            };
            let reply = connection.call(&request).await?;
            let response: OffsetFetchResponse<'_> = reply.read()?;
            check(response.error_code, None, || what.clone())?;
            let mut rows = Vec::new();
            for topic in &response.topics {
                rows.extend(topic.partitions.iter().map(|row| {
                    (topic.name, row.partition_index, row.committed_offset, row.error_code)
                }));
            }
            for group in &response.groups {
                check(group.error_code, None, || what.clone())?;
                for topic in &group.topics {
                    rows.extend(topic.partitions.iter().map(|row| {
                        (topic.name, row.partition_index, row.committed_offset, row.error_code)
                    }));
                }
            }
            let mut offsets = BTreeMap::new();
            for (topic, partition, offset, code) in rows {
                check(code, None, || what.clone())?;
                if offset >= 0 {
                    offsets.insert((topic.to_owned(), partition), offset);
                }
            }
            Ok(offsets)
        })
    }

    /// Sets offsets of a group that has no members.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), ClientError> {
        let what = format!("set offsets of group `{group}`");
        retry!(self, &what, async { self.commit_as(group, "", -1, offsets).await })
    }

    /// Commits offsets as a member, or from outside with an empty member id and generation -1.
    pub(crate) async fn commit_as(
        &self,
        group: &str,
        member_id: &str,
        generation: i32,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), ClientError> {
        let mut topics = BTreeMap::<&str, Vec<_>>::new();
        for ((topic, partition), offset) in offsets {
            topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(""),
            });
        }
        let row = |(name, partitions): (&'_ str, Vec<_>)| (name.to_owned(), partitions);
        let owned: Vec<_> = topics.into_iter().map(row).collect();
        let topics: Vec<_> = owned
            .iter()
            .map(|(name, partitions)| OffsetCommitRequestTopic {
                name,
                partitions: partitions.as_slice().into(),
                ..Default::default()
            })
            .collect();
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: generation,
            member_id,
            group_instance_id: None,
            retention_time_ms: -1,
            topics: topics.into(),
        };
        let reply = self.coordinator(group).await?.call(&request).await?;
        let response: OffsetCommitResponse<'_> = reply.read()?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                check(partition.error_code, None, || {
                    let index = partition.partition_index;
                    format!("set the offset of group `{group}` on {}-{index}", topic.name)
                })?;
            }
        }
        Ok(())
    }

    /// Deletes a group that has no members.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_group(&self, id: &str) -> Result<(), ClientError> {
        let what = format!("delete group `{id}`");
        retry!(self, &what, async {
            let connection = self.coordinator(id).await?;
            let request = DeleteGroupsRequest { groups_names: vec![id].into() };
            let reply = connection.call(&request).await?;
            let response: DeleteGroupsResponse<'_> = reply.read()?;
            for result in &response.results {
                check(result.error_code, None, || what.clone())?;
            }
            Ok(())
        })
    }
}
