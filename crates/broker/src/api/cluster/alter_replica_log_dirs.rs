//! AlterReplicaLogDirs: a broker has one directory, so that a replica is in the right one or nowhere.

use crate::access::{Access, Operation, Resource};
use crate::api::cluster::describe_log_dirs::log_dir;
use crate::call::{Call, Outcome};
use crate::lookup::find_partition;
use esker_wire::ErrorCode;
use esker_wire::api::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Alter, Resource::Cluster);

pub(crate) async fn handle(call: &Call<'_>, request: AlterReplicaLogDirsRequest<'_>) -> Outcome {
    let ours = log_dir(call.broker);
    let hosted = call.broker.engine().topics();
    let judge = |path: &str, topic: &str, index: i32| {
        if path != ours {
            return Err(ErrorCode::LogDirNotFound);
        }
        let topic = hosted.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        match find_partition(topic, index) {
            Err(ErrorCode::NotLeaderOrFollower) => Err(ErrorCode::ReplicaNotAvailable),
            found => found.map(drop),
        }
    };
    let results = request.dirs.iter().flat_map(|dir| {
        dir.topics.into_iter().map(move |topic| {
            let partitions = topic.partitions.iter().map(|index| {
                let error = judge(dir.path, topic.name, index).err().unwrap_or(ErrorCode::None);
                AlterReplicaLogDirPartitionResult {
                    partition_index: index,
                    error_code: error.code(),
                }
            });
            AlterReplicaLogDirTopicResult {
                topic_name: topic.name,
                partitions: partitions.collect(),
            }
        })
    });
    call.answer(AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() })
}
