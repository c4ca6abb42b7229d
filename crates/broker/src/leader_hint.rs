//! Where a client is sent that came to the wrong broker: the leader in the answer, and where that is reached.
//!
//! Versions that cannot say so are told the error alone, and ask for metadata.

use crate::broker::Broker;
use esker_meta::{Broker as BrokerRow, Partition, State};
use esker_types::TopicId;
use std::collections::BTreeSet;

/// What the metadata says of a partition.
pub(crate) fn row_of(state: &State, topic: TopicId, index: i32) -> Option<&Partition> {
    let topic = state.topics.get(&topic)?;
    let id = topic.partitions.get(usize::try_from(index).ok()?)?;
    state.partitions.get(id).map(|row| &**row)
}

/// Where leaders are reached, each once: host, port, and all that is known of it.
pub(crate) fn endpoints<'a>(
    broker: &Broker,
    state: &'a State,
    leaders: impl Iterator<Item = i32>,
) -> Vec<(i32, i32, &'a BrokerRow)> {
    let leaders: BTreeSet<_> = leaders.filter(|leader| *leader >= 0).collect();
    let known = state.brokers.iter().filter(|(id, _)| leaders.contains(&id.get()));
    let port_of = |id: i32, row: &BrokerRow| {
        if id == broker.id() { broker.advertised_port() } else { i32::from(row.port) }
    };
    known.map(|(id, row)| (id.get(), port_of(id.get(), row), row)).collect()
}
