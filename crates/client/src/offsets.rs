//! Where partitions begin and end, and where times are in them.

use crate::client::{Client, retry};
use crate::connection::Connection;
use crate::error::{ClientError, check};
use esker_wire::ApiKey;
use esker_wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The first record that is there.
    Start,
    /// Behind the last record.
    End,
    /// The first record at this time or later, in milliseconds since 1970.
    Timestamp(i64),
}

impl At {
    /// Kafka's number for it.
    const fn code(self) -> i64 {
        match self {
            Self::Start => -2,
            Self::End => -1,
            Self::Timestamp(ms) => ms,
        }
    }
}

/// A place that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// Its offset; -1 where no record is that late.
    pub offset: i64,
    /// Time of the record there, -1 where nobody asked for one.
    pub timestamp: i64,
}

/// Partitions with what belongs to them, by leader.
pub(crate) struct Leader<T> {
    pub(crate) connection: Arc<Connection>,
    /// By topic.
    pub(crate) topics: BTreeMap<String, Vec<(i32, T)>>,
}

impl Client {
    /// Sorts partitions by their leaders.
    pub(crate) async fn by_leader<T: Clone>(
        &self,
        partitions: impl Iterator<Item = (&str, i32, T)>,
    ) -> Result<BTreeMap<i32, Leader<T>>, ClientError> {
        let mut leaders = BTreeMap::<i32, Leader<T>>::new();
        for (topic, partition, what) in partitions {
            let (id, connection) = self.leader(topic, partition).await?;
            let leader =
                leaders.entry(id).or_insert_with(|| Leader { connection, topics: BTreeMap::new() });
            leader.topics.entry(topic.to_owned()).or_default().push((partition, what));
        }
        Ok(leaders)
    }

    /// Looks places up in partitions. A partition is asked for once.
    ///
    /// # Errors
    /// See [`ClientError`]; one partition that fails fails all.
    pub async fn list_offsets(
        &self,
        wanted: &[(String, i32, At)],
        read_committed: bool,
    ) -> Result<BTreeMap<(String, i32), FoundOffset>, ClientError> {
        let mut found = BTreeMap::new();
        retry!(self, "look offsets up", async {
            let missing = wanted
                .iter()
                .filter(|(topic, partition, _)| !found.contains_key(&(topic.clone(), *partition)))
                .map(|(topic, partition, at)| (topic.as_str(), *partition, *at));
            let mut failed = None;
            for leader in self.by_leader(missing).await?.into_values() {
                let outcome = self.list_offsets_at(&leader, read_committed, &mut found).await;
                if let Err(error) = outcome {
                    failed = Some(error);
                }
            }
            failed.map_or(Ok(()), Err)
        })?;
        Ok(found)
    }

    async fn list_offsets_at(
        &self,
        leader: &Leader<At>,
        read_committed: bool,
        found: &mut BTreeMap<(String, i32), FoundOffset>,
    ) -> Result<(), ClientError> {
        let topics: Vec<_> = leader
            .topics
            .iter()
            .map(|(name, partitions)| {
                let partitions: Vec<_> = partitions
                    .iter()
                    .map(|(partition, at)| ListOffsetsPartition {
                        partition_index: *partition,
                        timestamp: at.code(),
                        ..Default::default()
                    })
                    .collect();
                ListOffsetsTopic { name, partitions: partitions.into() }
            })
            .collect();
        let isolates = leader.connection.version(ApiKey::ListOffsets)? >= 2;
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: i8::from(read_committed && isolates),
            topics: topics.into(),
            ..Default::default()
        };
        let reply = leader.connection.call(&request).await?;
        let response: ListOffsetsResponse<'_> = reply.read()?;
        let mut failed = None;
        for topic in &response.topics {
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let what = || format!("look up offsets of {}-{index}", topic.name);
                if let Err(error) = check(partition.error_code, None, what) {
                    self.forget_topic(topic.name);
                    failed = failed.or(Some(error));
                    continue;
                }
                let place =
                    FoundOffset { offset: partition.offset, timestamp: partition.timestamp };
                found.insert((topic.name.to_owned(), index), place);
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let answered =
            |name: &String, partition: i32| found.contains_key(&(name.clone(), partition));
        let complete = leader
            .topics
            .iter()
            .all(|(name, rows)| rows.iter().all(|(partition, _)| answered(name, *partition)));
        if complete {
            Ok(())
        } else {
            let problem = "partitions are missing";
            Err(ClientError::malformed(leader.connection.address(), "ListOffsets", problem))
        }
    }
}
