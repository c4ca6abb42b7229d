//! DeleteRecords: raise the first readable offset.

use crate::dispatch::{Answer, Call};
use crate::error_code;
use crate::topics::find_partition;
use esker_engine::TopicEntry;
use esker_types::{Offset, is_internal_topic};
use esker_wire::ErrorCode;
use esker_wire::api::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use std::collections::BTreeMap;

/// "Up to the high watermark."
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(
    call: &Call<'_>,
    request: DeleteRecordsRequest<'_>,
) -> Result<Answer, String> {
    let engine = call.broker.engine();
    let topics = engine.topics();
    let mut results = Vec::new();
    let mut trims = BTreeMap::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for wanted in &topic.partitions {
            let found = match topics.by_name(topic.name) {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(_) if is_internal_topic(topic.name) => Err(ErrorCode::InvalidTopicException),
                Some(hosted) => find_partition(hosted, wanted.partition_index)
                    .and_then(|found| may_delete(hosted).map(|()| found)),
            };
            let trimmed = found.and_then(|partition| {
                let position = partition.position();
                let to = match wanted.offset {
                    HIGH_WATERMARK => position.high_watermark,
                    offset => Offset(offset),
                };
                if to.get() < 0 || to > position.high_watermark {
                    return Err(ErrorCode::OffsetOutOfRange);
                }
                let furthest = trims.entry(partition.id).or_insert(to);
                *furthest = to.max(*furthest);
                Ok(to.max(position.log_start))
            });
            partitions.push((wanted.partition_index, trimmed));
        }
        if !partitions.is_empty() {
            results.push((topic.name, partitions));
        }
    }
    let failure = if trims.is_empty() {
        None
    } else {
        engine
            .set_log_starts(trims.into_iter().collect())
            .await
            .err()
            .map(|error| error_code::of_meta(&error))
    };
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
    call.answer(&DeleteRecordsResponse { topics: results.collect(), ..Default::default() })
}

/// Records of a topic that only compacts go when newer ones replace them, and not before.
fn may_delete(topic: &TopicEntry) -> Result<(), ErrorCode> {
    if topic.settings.deletes { Ok(()) } else { Err(ErrorCode::PolicyViolation) }
}
