//! OffsetDelete.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code::of_group_result;
use esker_group::OffsetDelete;
use esker_types::{GroupId, PartitionIndex, TopicName};
use esker_wire::ErrorCode;
use esker_wire::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use std::collections::BTreeMap;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Delete, Resource::Group);

pub(crate) async fn handle(call: &Call<'_>, request: OffsetDeleteRequest<'_>) -> Outcome {
    let group_id = GroupId::new(request.group_id);
    let hosted = call.broker.engine().topics();
    let exists = |topic: &str, index: i32| {
        hosted.by_name(topic).is_some_and(|t| t.partition(PartitionIndex(index)).is_some())
    };
    let topics = request.topics.iter().filter_map(|topic| {
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index)
            .filter(|index| exists(topic.name, *index))
            .map(PartitionIndex)
            .collect();
        let name = TopicName::new(topic.name).ok()?;
        (!partitions.is_empty()).then_some((name, partitions))
    });
    let delete = OffsetDelete { group_id: group_id.clone(), topics: topics.collect() };
    let (error, deleted) = match call.broker.coordinator.ask(&group_id, delete).await {
        Ok(deleted) => (deleted.error, deleted.topics),
        Err(error) => (Some(error), Vec::new()),
    };
    if error.is_some() {
        let error_code = of_group_result(error);
        return call.answer(OffsetDeleteResponse { error_code, ..Default::default() });
    }
    let mut codes = BTreeMap::new();
    for (topic, partitions) in &deleted {
        for (index, result) in partitions {
            codes.insert((topic.as_str(), index.get()), of_group_result(result.err()));
        }
    }
    let named = request.topics.iter().filter(|topic| !topic.partitions.is_empty());
    let topics = named.map(|topic| OffsetDeleteResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: codes
                    .get(&(topic.name, partition.partition_index))
                    .copied()
                    .unwrap_or_else(|| ErrorCode::UnknownTopicOrPartition.code()),
            })
            .collect(),
    });
    call.answer(OffsetDeleteResponse { topics: topics.collect(), ..Default::default() })
}
