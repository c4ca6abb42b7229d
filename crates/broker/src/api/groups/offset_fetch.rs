//! OffsetFetch: what a group has committed. An unknown group or partition has committed nothing, which is no error.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::dedup::once;
use crate::error_code::of_group;
use esker_group::{CommittedOffset, GroupError, GroupShard};
use esker_types::{GroupId, PartitionIndex, TopicId, TopicName};
use esker_wire::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use esker_wire::{ErrorCode, Uuid};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Group);

/// First version that asks for several groups.
const BATCHED: i16 = 8;
/// First version that names topics by id.
const BY_ID: i16 = 10;
/// First version whose answer has an error of its own.
const TOP_LEVEL_ERROR: i16 = 2;

/// A topic that is asked for, or found: its name as asked, its id, its partitions.
struct Wanted {
    name: String,
    id: Uuid,
    /// The name that offsets are stored under; an error when the id is unknown.
    stored: Result<String, ErrorCode>,
    partitions: Vec<i32>,
}

/// A topic's answer.
struct Found {
    name: String,
    id: Uuid,
    partitions: Vec<FoundPartition>,
}

struct FoundPartition {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: ErrorCode,
}

impl FoundPartition {
    fn new(index: i32, committed: Option<&CommittedOffset>) -> Self {
        Self {
            index,
            offset: committed.map_or(-1, |c| c.offset.get()),
            leader_epoch: committed.map_or(-1, |c| c.leader_epoch.get()),
            metadata: committed.map_or_else(String::new, |c| c.metadata.to_string()),
            error: ErrorCode::None,
        }
    }

    fn failed(index: i32, error: ErrorCode) -> Self {
        Self { error, ..Self::new(index, None) }
    }
}

pub(crate) async fn handle(call: &Call<'_>, request: OffsetFetchRequest<'_>) -> Outcome {
    if call.version() >= BATCHED {
        let mut groups = Vec::new();
        let groups_once =
            once(request.groups.iter(), |group| group.topics.is_none().then_some(group.group_id));
        for group in groups_once {
            let wanted = group.topics.as_ref().map(|topics| {
                topics
                    .iter()
                    .map(|topic| {
                        let partitions = topic.partition_indexes.iter().collect();
                        wanted(call, topic.name, topic.topic_id, partitions)
                    })
                    .collect()
            });
            groups.push((group.group_id, find(call, group.group_id, wanted).await));
        }
        return answer_groups(call, &groups);
    }
    let wanted = request.topics.as_ref().map(|topics| {
        topics
            .iter()
            .map(|topic| {
                let partitions = topic.partition_indexes.iter().collect();
                wanted(call, topic.name, Uuid::nil(), partitions)
            })
            .collect()
    });
    let found = find(call, request.group_id, wanted).await;
    answer_one(call, &request, found)
}

fn wanted(call: &Call<'_>, name: &str, id: Uuid, partitions: Vec<i32>) -> Wanted {
    let stored = if call.version() >= BY_ID {
        let topics = call.broker.engine().topics();
        let topic = topics.by_id(TopicId(id));
        topic.map(|topic| topic.name.to_string()).ok_or(ErrorCode::UnknownTopicId)
    } else {
        Ok(name.to_owned())
    };
    Wanted { name: name.to_owned(), id, stored, partitions }
}

async fn find(
    call: &Call<'_>,
    group: &str,
    wanted: Option<Vec<Wanted>>,
) -> Result<Vec<Found>, ErrorCode> {
    let group_id = GroupId::new(group);
    let group = group.to_owned();
    let seen = call
        .broker
        .coordinator
        .look_at_group(&group_id, move |shard| match wanted {
            Some(wanted) => look(shard, &group, wanted),
            None => look_at_all(shard, &group),
        })
        .await;
    let mut found = seen.and_then(|found| found).map_err(of_group)?;
    if call.version() >= BY_ID {
        let topics = call.broker.engine().topics();
        for topic in found.iter_mut().filter(|topic| topic.id.is_nil()) {
            topic.id = topics.by_name(&topic.name).map_or(Uuid::nil(), |known| known.id.0);
        }
    }
    Ok(found)
}

fn look(shard: &GroupShard, group: &str, wanted: Vec<Wanted>) -> Result<Vec<Found>, GroupError> {
    wanted
        .into_iter()
        .map(|wanted| {
            let partitions = wanted
                .partitions
                .iter()
                .map(|index| match &wanted.stored {
                    Err(code) => Ok(FoundPartition::failed(*index, *code)),
                    Ok(name) => {
                        let committed = shard.fetch_offset(group, name, PartitionIndex(*index))?;
                        Ok(FoundPartition::new(*index, committed))
                    }
                })
                .collect::<Result<_, _>>()?;
            Ok(Found { name: wanted.name, id: wanted.id, partitions })
        })
        .collect()
}

fn look_at_all(shard: &GroupShard, group: &str) -> Result<Vec<Found>, GroupError> {
    let mut found: Vec<(TopicName, Found)> = Vec::new();
    for (topic, partition, committed) in shard.fetch_all_offsets(group)? {
        let row = FoundPartition::new(partition.get(), Some(committed));
        match found.last_mut() {
            Some((last, known)) if last == topic => known.partitions.push(row),
            _ => {
                let (name, id) = (topic.to_string(), Uuid::nil());
                found.push((topic.clone(), Found { name, id, partitions: vec![row] }));
            }
        }
    }
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

fn answer_groups(call: &Call<'_>, groups: &[(&str, Result<Vec<Found>, ErrorCode>)]) -> Outcome {
    let groups = groups.iter().map(|(group_id, found)| {
        let topics = found.iter().flatten().map(|topic| OffsetFetchResponseTopics {
            name: &topic.name,
            topic_id: topic.id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetFetchResponsePartitions {
                    partition_index: partition.index,
                    committed_offset: partition.offset,
                    committed_leader_epoch: partition.leader_epoch,
                    metadata: Some(&partition.metadata),
                    error_code: partition.error.code(),
                })
                .collect(),
        });
        OffsetFetchResponseGroup {
            group_id,
            topics: topics.collect(),
            error_code: found.as_ref().err().copied().unwrap_or(ErrorCode::None).code(),
        }
    });
    call.answer(OffsetFetchResponse { groups: groups.collect(), ..Default::default() })
}

fn answer_one(
    call: &Call<'_>,
    request: &OffsetFetchRequest<'_>,
    found: Result<Vec<Found>, ErrorCode>,
) -> Outcome {
    let (found, code) = match found {
        Ok(found) => (found, ErrorCode::None),
        // Versions without an error of their own say it of every partition.
        Err(code) if call.version() < TOP_LEVEL_ERROR => {
            let topics = request.topics.iter().flat_map(|topics| topics.iter());
            let found = topics.map(|topic| Found {
                name: topic.name.to_owned(),
                id: Uuid::nil(),
                partitions: topic
                    .partition_indexes
                    .iter()
                    .map(|index| FoundPartition::failed(index, code))
                    .collect(),
            });
            (found.collect(), ErrorCode::None)
        }
        Err(code) => (Vec::new(), code),
    };
    let topics = found.iter().map(|topic| OffsetFetchResponseTopic {
        name: &topic.name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.index,
                committed_offset: partition.offset,
                committed_leader_epoch: partition.leader_epoch,
                metadata: Some(&partition.metadata),
                error_code: partition.error.code(),
            })
            .collect(),
    });
    call.answer(OffsetFetchResponse {
        topics: topics.collect(),
        error_code: code.code(),
        ..Default::default()
    })
}
