//! ListPartitionReassignments: partitions that are on their way to another leader.

use crate::access::{Access, Operation, Resource};
use crate::api::topics::metadata::Replicas;
use crate::call::{Call, Outcome};
use esker_meta::State;
use esker_types::{BrokerId, PartitionId};
use esker_wire::Array;
use esker_wire::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ACCESS: Access = Access::Needs(Operation::Describe, Resource::Cluster);

pub(crate) async fn handle(
    call: &Call<'_>,
    request: ListPartitionReassignmentsRequest<'_>,
) -> Outcome {
    let state = call.broker.engine().meta().image();
    let wanted = request.topics.as_ref().map(|topics| {
        let names = topics.iter().map(|topic| (topic.name, topic.partition_indexes.to_vec()));
        names.collect::<BTreeMap<_, _>>()
    });
    let mut topics: BTreeMap<&str, Vec<OngoingPartitionReassignment<'static>>> = BTreeMap::new();
    for (id, to) in &state.moves {
        let Some((name, moving)) = describe(&state, *id, *to) else { continue };
        let is_wanted = wanted.as_ref().is_none_or(|wanted| {
            wanted.get(name).is_some_and(|indexes| indexes.contains(&moving.partition_index))
        });
        if is_wanted {
            topics.entry(name).or_default().push(moving);
        }
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OngoingTopicReassignment { name, partitions: partitions.into() });
    let topics = topics.collect();
    call.answer(ListPartitionReassignmentsResponse {
        error_message: None,
        topics,
        ..Default::default()
    })
}

/// A move as Kafka tells it: the replicas are those of now and the next leader's, who is added where it is none of them.
fn describe(
    state: &State,
    id: PartitionId,
    to: BrokerId,
) -> Option<(&str, OngoingPartitionReassignment<'static>)> {
    let row = state.partitions.get(&id)?;
    let topic = state.topics.get(&row.topic)?;
    let mut replicas: BTreeSet<_> =
        Replicas::of(state, row, topic.replication_factor).all.into_iter().collect();
    let adding = replicas.insert(to.get());
    let moving = OngoingPartitionReassignment {
        partition_index: row.index.get(),
        replicas: replicas.into_iter().collect(),
        adding_replicas: if adding { Array::one(to.get()) } else { Array::new() },
        removing_replicas: if adding { Array::one(row.leader.get()) } else { Array::new() },
    };
    Some((topic.name.as_str(), moving))
}
