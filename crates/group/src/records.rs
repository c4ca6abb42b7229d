//! Keys and values of `__consumer_offsets`, byte for byte as Kafka 4.3 writes them.
//!
//! A key begins with its type (16 bits), a value with its version. We write the versions that Kafka writes and
//! read all that it reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use esker_types::{GroupId, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName};
use uuid::Uuid;

use crate::api::{InstanceId, MemberId};
use crate::codec::{Damaged, Reader, Writer};
use crate::offsets::CommittedOffset;

/// Key type of a committed offset before Kafka 0.9; same layout as [`KEY_OFFSET`].
const KEY_OFFSET_LEGACY: i16 = 0;
/// Key type of a committed offset.
const KEY_OFFSET: i16 = 1;
/// Key type of a classic group.
const KEY_GROUP: i16 = 2;
/// Version of offset values that clients gave an expiry time; the only version that has one.
const OFFSET_VALUE_EXPIRING: i16 = 1;
/// Version of all other offset values.
const OFFSET_VALUE: i16 = 4;
/// Version of group values.
const GROUP_VALUE: i16 = 3;
/// Tagged field of an offset value that holds the topic id.
const TAG_TOPIC_ID: usize = 0;
/// First version of either value with compact lengths and tagged fields.
const COMPACT_FROM: i16 = 4;

/// A parsed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Of a committed offset.
    Offset(GroupId, TopicName, PartitionIndex),
    /// Of a classic group.
    Group(GroupId),
    /// Of a type that this version does not know.
    Other,
}

/// A classic group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<MemberId>,
    pub(crate) state_timestamp: Option<Timestamp>,
    pub(crate) members: Vec<MemberRecord>,
}

/// A member of a classic group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) member_id: MemberId,
    pub(crate) group_instance_id: Option<InstanceId>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

impl MemberRecord {
    /// Two strings, two timeouts, two byte strings and an id, all empty, in the most compact version.
    const LEN_MIN: usize = 3 + 4 + 2;
}

impl GroupRecord {
    /// The record, unless it says that a member or an instance exists twice: no coordinator writes that.
    pub(crate) fn consistent(self) -> Option<Self> {
        let ids: BTreeSet<_> = self.members.iter().map(|member| &member.member_id).collect();
        let instances = || self.members.iter().filter_map(|m| m.group_instance_id.as_ref());
        let unique = ids.len() == self.members.len()
            && instances().collect::<BTreeSet<_>>().len() == instances().count();
        unique.then_some(self)
    }
}

pub(crate) fn offset_key(group: &GroupId, topic: &TopicName, partition: PartitionIndex) -> Bytes {
    let mut key = Writer::new(KEY_OFFSET);
    key.str(group.as_str());
    key.str(topic.as_str());
    key.i32(partition.get());
    key.finish()
}

pub(crate) fn group_key(group: &GroupId) -> Bytes {
    let mut key = Writer::new(KEY_GROUP);
    key.str(group.as_str());
    key.finish()
}

pub(crate) fn parse_key(bytes: &[u8]) -> Result<Key, Damaged> {
    let mut reader = Reader::new(bytes);
    Ok(match reader.i16()? {
        KEY_OFFSET_LEGACY | KEY_OFFSET => {
            let group = GroupId::new(reader.str()?);
            let topic = TopicName::new(reader.str()?).map_err(|_| Damaged)?;
            Key::Offset(group, topic, PartitionIndex(reader.i32()?))
        }
        KEY_GROUP => Key::Group(GroupId::new(reader.str()?)),
        _ => Key::Other,
    })
}

pub(crate) fn offset_value(value: &CommittedOffset) -> Bytes {
    if let Some(expire) = value.expire_timestamp {
        let mut out = Writer::new(OFFSET_VALUE_EXPIRING);
        out.i64(value.offset.get());
        out.str(&value.metadata);
        out.i64(value.commit_timestamp.get());
        out.i64(expire.get());
        return out.finish();
    }
    let mut out = Writer::new(OFFSET_VALUE).compact();
    out.i64(value.offset.get());
    out.i32(value.leader_epoch.get());
    out.str(&value.metadata);
    out.i64(value.commit_timestamp.get());
    let id = value.topic_id.0.as_bytes().as_slice();
    out.tagged((value.topic_id != TopicId::ZERO).then_some((TAG_TOPIC_ID, id)));
    out.finish()
}

pub(crate) fn parse_offset_value(bytes: &[u8]) -> Result<CommittedOffset, Damaged> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if !(0..=OFFSET_VALUE).contains(&version) {
        return Err(Damaged);
    }
    if version >= COMPACT_FROM {
        reader.set_compact();
    }
    let offset = Offset(reader.i64()?);
    let leader_epoch = if version >= 3 { LeaderEpoch(reader.i32()?) } else { LeaderEpoch::NONE };
    let metadata = Arc::from(reader.str()?);
    let commit_timestamp = Timestamp(reader.i64()?);
    let expire_timestamp = match version {
        OFFSET_VALUE_EXPIRING => Some(Timestamp(reader.i64()?)).filter(|at| *at != Timestamp::NONE),
        _ => None,
    };
    let mut topic_id = TopicId::ZERO;
    reader.tagged(|tag, bytes| {
        if tag == TAG_TOPIC_ID
            && let Ok(id) = Uuid::from_slice(bytes)
        {
            topic_id = TopicId(id);
        }
    })?;
    Ok(CommittedOffset {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp,
        expire_timestamp,
        topic_id,
    })
}

pub(crate) fn group_value(group: &GroupRecord) -> Bytes {
    let mut out = Writer::new(GROUP_VALUE);
    out.str(&group.protocol_type);
    out.i32(group.generation);
    out.nullable_str(group.protocol.as_deref());
    out.nullable_str(group.leader.as_ref().map(MemberId::as_str));
    out.i64(group.state_timestamp.unwrap_or(Timestamp::NONE).get());
    out.count(group.members.len());
    for member in &group.members {
        out.str(member.member_id.as_str());
        out.nullable_str(member.group_instance_id.as_deref());
        out.str(&member.client_id);
        out.str(&member.client_host);
        out.i32(member.rebalance_timeout_ms);
        out.i32(member.session_timeout_ms);
        out.bytes(&member.subscription);
        out.bytes(&member.assignment);
    }
    out.finish()
}

pub(crate) fn parse_group_value(bytes: &[u8]) -> Result<GroupRecord, Damaged> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if !(0..=COMPACT_FROM).contains(&version) {
        return Err(Damaged);
    }
    if version >= COMPACT_FROM {
        reader.set_compact();
    }
    let protocol_type = reader.str()?.to_owned();
    let generation = reader.i32()?;
    let protocol = reader.nullable_str()?.map(str::to_owned);
    let leader = reader.nullable_str()?.map(MemberId::new);
    let state_timestamp = if version >= 2 { Some(Timestamp(reader.i64()?)) } else { None };
    let count = reader.count(MemberRecord::LEN_MIN)?;
    let mut members = Vec::new();
    for _ in 0..count {
        let member_id = MemberId::new(reader.str()?);
        let group_instance_id =
            if version >= 3 { reader.nullable_str()?.map(InstanceId::from) } else { None };
        let client_id = reader.str()?.to_owned();
        let client_host = reader.str()?.to_owned();
        let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
        let session_timeout_ms = reader.i32()?;
        let subscription = reader.bytes()?;
        let assignment = reader.bytes()?;
        reader.tagged(|_, _| {})?;
        members.push(MemberRecord {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        });
    }
    reader.tagged(|_, _| {})?;
    Ok(GroupRecord {
        protocol_type,
        generation,
        protocol,
        leader,
        state_timestamp: state_timestamp.filter(|at| *at != Timestamp::NONE),
        members,
    })
}
