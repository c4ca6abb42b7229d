//! A member of a classic consumer group.

use crate::admin::assignment_of;
use crate::client::{Client, retry};
use crate::consumer::{Consumer, ConsumerOptions, Position, Received};
use crate::error::{ClientError, check};
use crate::metadata::Topics;
use crate::offsets::At;
use esker_types::MonoTime;
use esker_wire::api::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition as Assigned,
};
use esker_wire::api::consumer_protocol_subscription::ConsumerProtocolSubscription;
use esker_wire::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use esker_wire::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use esker_wire::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use esker_wire::api::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use esker_wire::{ApiKey, ErrorCode, Message, Reader};
use futures_util::future::{Either, select};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Version in which subscriptions and assignments are written: the first that all consumers since 2019 read.
const PROTOCOL_VERSION: i16 = 1;

/// Settings of a member.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Silence after which the coordinator drops it.
    pub session_timeout: Duration,
    /// How long it may take to join again when others come or go.
    pub rebalance_timeout: Duration,
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// Where partitions without a committed offset begin.
    pub reset: At,
    /// How it reads.
    pub consumer: ConsumerOptions,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_mins(1),
            heartbeat: Duration::from_secs(3),
            reset: At::Start,
            consumer: ConsumerOptions::default(),
        }
    }
}

/// Partitions of topics, shared out among members.
type Shares = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

/// A member of a group. It keeps its place only while [`GroupMember::next`] runs: one that is not asked for records
/// within the session timeout joins anew.
#[derive(Debug)]
pub struct GroupMember {
    client: Client,
    group: String,
    topics: Vec<String>,
    options: GroupOptions,
    member_id: String,
    generation: i32,
    consumer: Consumer,
    next_heartbeat: MonoTime,
    joined: bool,
}

impl GroupMember {
    /// A member that will read `topics`. It joins when it is asked for records.
    #[must_use]
    pub fn new(client: Client, group: String, topics: Vec<String>, options: GroupOptions) -> Self {
        let consumer = Consumer::new(client.clone(), options.consumer.clone(), Vec::new());
        let next_heartbeat = client.env().clock.now();
        Self {
            client,
            group,
            topics,
            options,
            member_id: String::new(),
            generation: -1,
            consumer,
            next_heartbeat,
            joined: false,
        }
    }

    /// The next records of the partitions that are this member's. A rebalance happens in here; records that were
    /// handed out before it and not committed may come to another member again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Vec<Received>, ClientError> {
        loop {
            if !self.joined {
                self.join().await?;
            }
            let clock = Arc::clone(&self.client.env().clock);
            if clock.now() >= self.next_heartbeat {
                self.heartbeat().await?;
                continue;
            }
            let due = clock.sleep_until(self.next_heartbeat);
            if self.consumer.positions().next().is_none() {
                due.await;
                continue;
            }
            let reading = std::pin::pin!(self.consumer.next());
            if let Either::Left((records, _)) = select(reading, due).await
                && let Some(records) = records?
            {
                return Ok(records);
            }
        }
    }

    /// Commits offsets: for each partition the next one to be read.
    ///
    /// # Errors
    /// See [`ClientError`]. A member that lost its place gets an error, and joins anew when asked for records.
    pub async fn commit(
        &mut self,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let (client, group) = (self.client.clone(), self.group.clone());
        let outcome = retry!(client, "commit offsets", async {
            client.commit_as(&group, &self.member_id, self.generation, offsets).await
        });
        if let Err(error) = &outcome {
            self.on_code(error.code());
        }
        outcome
    }

    /// Leaves the group, so that others need not wait for the session timeout.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn leave(self) -> Result<(), ClientError> {
        if self.member_id.is_empty() {
            return Ok(());
        }
        let connection = self.client.coordinator(&self.group).await?;
        // From version 3 on several may leave at once.
        let request = if connection.version(ApiKey::LeaveGroup)? >= 3 {
            let member = MemberIdentity {
                member_id: &self.member_id,
                group_instance_id: None,
                ..Default::default()
            };
            LeaveGroupRequest {
                group_id: &self.group,
                members: vec![member].into(),
                ..Default::default()
            }
        } else {
            LeaveGroupRequest {
                group_id: &self.group,
                member_id: &self.member_id,
                ..Default::default()
            }
        };
        let reply = connection.call(&request).await?;
        let response: LeaveGroupResponse<'_> = reply.read()?;
        check(response.error_code, None, || format!("leave group `{}`", self.group))
    }

    async fn heartbeat(&mut self) -> Result<(), ClientError> {
        let connection = self.client.coordinator(&self.group).await?;
        let request = HeartbeatRequest {
            group_id: &self.group,
            generation_id: self.generation,
            member_id: &self.member_id,
            group_instance_id: None,
        };
        let reply = connection.call(&request).await?;
        let response: HeartbeatResponse = reply.read()?;
        self.next_heartbeat = self.client.env().clock.now().plus(self.options.heartbeat);
        let outcome =
            check(response.error_code, None, || format!("stay in group `{}`", self.group));
        match outcome {
            Err(error) if !self.on_code(error.code()) && !error.may_pass() => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes a code that means joining again. Returns whether it is one.
    fn on_code(&mut self, code: Option<ErrorCode>) -> bool {
        match code {
            Some(ErrorCode::RebalanceInProgress) => {}
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                self.member_id.clear();
                self.generation = -1;
            }
            _ => return false,
        }
        self.joined = false;
        true
    }

    async fn join(&mut self) -> Result<(), ClientError> {
        let (client, what) = (self.client.clone(), format!("join group `{}`", self.group));
        let assignment = retry!(client, &what, async { self.join_once().await })?;
        let positions = self.begin(&assignment).await?;
        self.consumer =
            Consumer::new(self.client.clone(), self.options.consumer.clone(), positions);
        self.next_heartbeat = self.client.env().clock.now().plus(self.options.heartbeat);
        self.joined = true;
        Ok(())
    }

    /// One round of joining; what is not an answer yet is an error that may pass.
    async fn join_once(&mut self) -> Result<BTreeMap<String, Vec<i32>>, ClientError> {
        let again = || {
            let code = ErrorCode::CoordinatorLoadInProgress.code();
            ClientError::broker("join a group that changes", code, None)
        };
        let connection = self.client.coordinator(&self.group).await?;
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let subscription = ConsumerProtocolSubscription {
            topics: names.into(),
            user_data: None,
            ..Default::default()
        };
        let metadata = versioned(subscription.to_bytes(PROTOCOL_VERSION)?);
        let protocol = JoinGroupRequestProtocol { name: "range", metadata: &metadata };
        let millis = |wait: Duration| i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let member_id = self.member_id.clone();
        let request = JoinGroupRequest {
            group_id: &self.group,
            session_timeout_ms: millis(self.options.session_timeout),
            rebalance_timeout_ms: millis(self.options.rebalance_timeout),
            member_id: &member_id,
            group_instance_id: None,
            protocol_type: "consumer",
            protocols: vec![protocol].into(),
            reason: None,
        };
        let reply = connection.call_for(&request, self.options.rebalance_timeout).await?;
        let joined: JoinGroupResponse<'_> = reply.read()?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            joined.member_id.clone_into(&mut self.member_id);
            return Err(again());
        }
        let outcome = check(joined.error_code, None, || format!("join group `{}`", self.group));
        if let Err(error) = outcome {
            return Err(if self.on_code(error.code()) { again() } else { error });
        }
        joined.member_id.clone_into(&mut self.member_id);
        self.generation = joined.generation_id;
        let shares = if joined.leader == joined.member_id {
            self.share_out(&joined).await?
        } else {
            Shares::new()
        };
        let shares = encode_shares(&shares)?;
        let assignments: Vec<_> = shares
            .iter()
            .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
            .collect();
        let request = SyncGroupRequest {
            group_id: &self.group,
            generation_id: self.generation,
            member_id: joined.member_id,
            group_instance_id: None,
            protocol_type: Some("consumer"),
            protocol_name: Some("range"),
            assignments: assignments.into(),
        };
        let reply = connection.call_for(&request, self.options.rebalance_timeout).await?;
        let synced: SyncGroupResponse<'_> = reply.read()?;
        let outcome = check(synced.error_code, None, || format!("join group `{}`", self.group));
        if let Err(error) = outcome {
            return Err(if self.on_code(error.code()) { again() } else { error });
        }
        assignment_of(synced.assignment).ok_or_else(|| {
            ClientError::malformed(
                connection.address(),
                "SyncGroup",
                "an assignment in another form",
            )
        })
    }

    /// As leader: shares the partitions of all topics out among all members.
    async fn share_out(&self, joined: &JoinGroupResponse<'_>) -> Result<Shares, ClientError> {
        let mut members = BTreeMap::new();
        for member in &joined.members {
            let mut reader = Reader::new(member.metadata);
            let version = reader.i16().clamp(0, ConsumerProtocolSubscription::NEWEST);
            let topics = match ConsumerProtocolSubscription::decode(&mut reader, version) {
                Ok(subscription) => subscription.topics.iter().map(str::to_owned).collect(),
                Err(_) => Vec::new(),
            };
            members.insert(member.member_id.to_owned(), topics);
        }
        let names: std::collections::BTreeSet<&str> =
            members.values().flatten().map(String::as_str).collect();
        let names: Vec<_> = names.into_iter().collect();
        let metadata = self.client.metadata(Topics::Named(&names)).await?;
        let partitions = metadata
            .topics
            .into_iter()
            .map(|(name, topic)| (name, topic.partitions.len()))
            .collect();
        Ok(range_assignment(&members, &partitions))
    }

    /// Where the assigned partitions begin.
    async fn begin(
        &self,
        assignment: &BTreeMap<String, Vec<i32>>,
    ) -> Result<Vec<Position>, ClientError> {
        let committed = self.client.fetch_offsets(&self.group).await?;
        let rows = || {
            assignment.iter().flat_map(|(topic, rows)| rows.iter().map(|row| (topic.clone(), *row)))
        };
        let unknown: Vec<_> = rows()
            .filter(|row| !committed.contains_key(row))
            .map(|(topic, partition)| (topic, partition, self.options.reset))
            .collect();
        let mut found =
            self.client.list_offsets(&unknown, self.options.consumer.read_committed).await?;
        // A time after the last record stands for the end.
        let late: Vec<_> = found
            .iter()
            .filter(|(_, place)| place.offset < 0)
            .map(|((topic, partition), _)| (topic.clone(), *partition, At::End))
            .collect();
        found.extend(self.client.list_offsets(&late, self.options.consumer.read_committed).await?);
        Ok(rows()
            .map(|row| {
                let offset = committed
                    .get(&row)
                    .copied()
                    .or_else(|| found.get(&row).map(|place| place.offset))
                    .unwrap_or(0);
                Position { topic: row.0.as_str().into(), partition: row.1, offset, end: None }
            })
            .collect())
    }
}

fn versioned(body: Vec<u8>) -> Vec<u8> {
    [PROTOCOL_VERSION.to_be_bytes().to_vec(), body].concat()
}

fn encode_shares(shares: &Shares) -> Result<BTreeMap<String, Vec<u8>>, ClientError> {
    let encode = |(member, topics): (&String, &BTreeMap<String, Vec<i32>>)| {
        let assigned: Vec<_> = topics
            .iter()
            .map(|(topic, partitions)| Assigned { topic, partitions: partitions.as_slice().into() })
            .collect();
        let assignment =
            ConsumerProtocolAssignment { assigned_partitions: assigned.into(), user_data: None };
        Ok((member.clone(), versioned(assignment.to_bytes(PROTOCOL_VERSION)?)))
    };
    shares.iter().map(encode).collect()
}

/// Kafka's range assignor: each topic's partitions in runs, members by id, the first ones get one more where it does
/// not come out even.
#[must_use]
pub fn range_assignment(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, usize>,
) -> BTreeMap<String, BTreeMap<String, Vec<i32>>> {
    let mut shares: Shares =
        members.keys().map(|member| (member.clone(), BTreeMap::new())).collect();
    for (topic, count) in partitions {
        let takers: Vec<_> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        if takers.is_empty() {
            continue;
        }
        let (each, more) = (count / takers.len(), count % takers.len());
        let mut next = 0..i32::try_from(*count).unwrap_or(i32::MAX);
        for (index, member) in takers.into_iter().enumerate() {
            let run: Vec<_> = next.by_ref().take(each + usize::from(index < more)).collect();
            if let Some(topics) = shares.get_mut(member).filter(|_| !run.is_empty()) {
                topics.insert(topic.clone(), run);
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kafkas() {
        let topics =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let members = BTreeMap::from([
            ("a".to_owned(), topics(&["x", "y"])),
            ("b".to_owned(), topics(&["x"])),
            ("c".to_owned(), topics(&[])),
        ]);
        let partitions =
            BTreeMap::from([("x".to_owned(), 5), ("y".to_owned(), 1), ("z".to_owned(), 3)]);
        let shares = range_assignment(&members, &partitions);
        assert_eq!(
            shares["a"],
            BTreeMap::from([("x".into(), vec![0, 1, 2]), ("y".into(), vec![0])])
        );
        assert_eq!(shares["b"], BTreeMap::from([("x".into(), vec![3, 4])]));
        assert!(shares["c"].is_empty());
        let encoded = encode_shares(&shares).unwrap();
        assert_eq!(assignment_of(&encoded["a"]).unwrap(), shares["a"]);
        assert_eq!(assignment_of(b"\x00\x01\xff"), None);
    }
}
