//! DeleteRecords: raise the first readable offset.

use crate::access::{Access, Operation, Resource};
use crate::call::{Call, Outcome};
use crate::error_code;
use crate::lookup::find_partition;
use esker_engine::{Partition, TopicEntry, TopicRegistry};
use esker_types::{Offset, is_internal_topic};
use esker_wire::ErrorCode;
use esker_wire::api::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const ACCESS: Access = Access::Needs(Operation::Delete, Resource::Topic);

/// "Up to the high watermark."
const HIGH_WATERMARK: i64 = -1;

/// A partition, and where its log starts now.
type Trimmed = (i32, Result<Offset, ErrorCode>);

pub(crate) async fn handle(call: &Call<'_>, request: DeleteRecordsRequest<'_>) -> Outcome {
    let engine = call.broker.engine();
    let hosted = engine.topics();
    let mut trims = Vec::new();
    let mut results: BTreeMap<&str, Vec<Trimmed>> = BTreeMap::new();
    for ((topic, index), offset) in wanted(&request) {
        let trimmed = find(&hosted, topic, index).and_then(|partition| {
            let to = target(partition, offset)?;
            trims.push((partition.id, to));
            Ok(to.max(partition.position().log_start))
        });
        results.entry(topic).or_default().push((index, trimmed));
    }
    let moved = if trims.is_empty() { Ok(()) } else { engine.set_log_starts(trims).await };
    let failure = moved.err().map(|error| error_code::of_meta(&error));
    let results = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(partition_index, trimmed)| {
            let trimmed = failure.map_or(trimmed, Err);
            DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: trimmed.map_or(-1, Offset::get),
                error_code: trimmed.err().unwrap_or(ErrorCode::None).code(),
            }
        });
        DeleteRecordsTopicResult { name, partitions: partitions.collect() }
    });
    call.answer(DeleteRecordsResponse { topics: results.collect(), ..Default::default() })
}

/// What is asked for, by partition: of one that is named twice the last word counts, as in Kafka, and it is answered once.
fn wanted<'a>(request: &DeleteRecordsRequest<'a>) -> BTreeMap<(&'a str, i32), i64> {
    let topics = request.topics.iter();
    topics
        .flat_map(|topic| {
            let partitions = topic.partitions.to_vec().into_iter();
            partitions.map(move |wanted| ((topic.name, wanted.partition_index), wanted.offset))
        })
        .collect()
}

fn find<'a>(
    hosted: &'a TopicRegistry,
    topic: &str,
    index: i32,
) -> Result<&'a Arc<Partition>, ErrorCode> {
    let hosted = hosted.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if is_internal_topic(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = find_partition(hosted, index)?;
    may_delete(hosted).map(|()| partition)
}

/// Where the log is to start.
fn target(partition: &Partition, offset: i64) -> Result<Offset, ErrorCode> {
    let end = partition.position().high_watermark;
    let to = if offset == HIGH_WATERMARK { end } else { Offset(offset) };
    if to.get() < 0 || to > end { Err(ErrorCode::OffsetOutOfRange) } else { Ok(to) }
}

/// Records of a topic that only compacts go when newer ones replace them, and not before.
fn may_delete(topic: &TopicEntry) -> Result<(), ErrorCode> {
    if topic.settings.deletes { Ok(()) } else { Err(ErrorCode::PolicyViolation) }
}
