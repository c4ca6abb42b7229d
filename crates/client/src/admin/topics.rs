//! Topics and settings.

use crate::client::{Client, retry};
use crate::error::{ClientError, check};
use esker_wire::ApiKey;
use esker_wire::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use esker_wire::api::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use esker_wire::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use esker_wire::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use esker_wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use esker_wire::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use std::collections::BTreeMap;

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// How many replicas; -1 for the broker's default.
    pub replication_factor: i16,
    /// Its own settings.
    pub configs: Vec<(String, String)>,
}

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigResource<'a> {
    /// A topic's.
    Topic(&'a str),
    /// A broker's; empty for all brokers'.
    Broker(&'a str),
    /// A group's.
    Group(&'a str),
}

impl<'a> ConfigResource<'a> {
    const fn parts(self) -> (i8, &'a str) {
        match self {
            Self::Topic(name) => (2, name),
            Self::Broker(name) => (4, name),
            Self::Group(name) => (32, name),
        }
    }
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOp {
    /// Sets it.
    Set(String, String),
    /// Takes it back.
    Delete(String),
}

/// What is in force for one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if there is none, or it is not shown.
    pub value: Option<String>,
    /// Kafka's number of its source: 1 topic, 2 broker, 3 all brokers, 4 configuration file, 5 default.
    pub source: i8,
    /// Whether its value is a secret.
    pub is_sensitive: bool,
    /// Whether it cannot be changed.
    pub read_only: bool,
}

impl Client {
    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.options().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Makes a topic; with `dry` only judges whether it could be made. Returns its number of partitions, as far as
    /// the broker says.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        dry: bool,
    ) -> Result<Option<i32>, ClientError> {
        let what = format!("create topic `{}`", topic.name);
        retry!(self, &what, async {
            let configs: Vec<_> = topic
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
                .collect();
            let row = CreatableTopic {
                name: &topic.name,
                num_partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                configs: configs.into(),
                ..Default::default()
            };
            let request = CreateTopicsRequest {
                topics: vec![row].into(),
                timeout_ms: self.timeout_ms(),
                validate_only: dry,
            };
            let reply = self.call_any(&request).await?;
            let response: CreateTopicsResponse<'_> = reply.read()?;
            let mut partitions = None;
            for result in &response.topics {
                check(result.error_code, result.error_message, || what.clone())?;
                partitions = Some(result.num_partitions).filter(|count| *count > 0);
            }
            Ok(partitions)
        })
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let connection = self.any().await?;
        let timeout_ms = self.timeout_ms();
        // From version 6 on topics have ids here too.
        let request = if connection.version(ApiKey::DeleteTopics)? >= 6 {
            let topic = DeleteTopicState { name: Some(name), ..Default::default() };
            DeleteTopicsRequest { topics: vec![topic].into(), timeout_ms, ..Default::default() }
        } else {
            let topic_names = vec![name].into();
            DeleteTopicsRequest { topic_names, timeout_ms, ..Default::default() }
        };
        let reply = connection.call(&request).await?;
        let response: DeleteTopicsResponse<'_> = reply.read()?;
        self.forget_topic(name);
        for result in &response.responses {
            let what = || format!("delete topic `{name}`");
            check(result.error_code, result.error_message, what)?;
        }
        Ok(())
    }

    /// Gives a topic more partitions, `count` in all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_partitions(
        &self,
        name: &str,
        count: i32,
        dry: bool,
    ) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic { name, count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic].into(),
            timeout_ms: self.timeout_ms(),
            validate_only: dry,
        };
        let reply = self.call_any(&request).await?;
        let response: CreatePartitionsResponse<'_> = reply.read()?;
        self.forget_topic(name);
        for result in &response.results {
            let what = || format!("add partitions to topic `{name}`");
            check(result.error_code, result.error_message, what)?;
        }
        Ok(())
    }

    /// Reads settings, by name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn describe_configs(
        &self,
        of: ConfigResource<'_>,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let (resource_type, resource_name) = of.parts();
        let resource =
            DescribeConfigsResource { resource_type, resource_name, configuration_keys: None };
        let request =
            DescribeConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        let reply = self.call_any(&request).await?;
        let response: DescribeConfigsResponse<'_> = reply.read()?;
        let mut entries = Vec::new();
        for result in &response.results {
            let what = || format!("read the settings of `{resource_name}`");
            check(result.error_code, result.error_message, what)?;
            entries.extend(result.configs.iter().map(|config| ConfigEntry {
                name: config.name.to_owned(),
                value: config.value.map(str::to_owned),
                source: config.config_source,
                is_sensitive: config.is_sensitive,
                read_only: config.read_only,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes settings; with `dry` only judges whether they could be changed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn alter_configs(
        &self,
        of: ConfigResource<'_>,
        changes: &[ConfigOp],
        dry: bool,
    ) -> Result<(), ClientError> {
        let (resource_type, resource_name) = of.parts();
        let configs: Vec<_> = changes
            .iter()
            .map(|change| match change {
                ConfigOp::Set(name, value) => {
                    AlterableConfig { name, config_operation: 0, value: Some(value) }
                }
                ConfigOp::Delete(name) => {
                    AlterableConfig { name, config_operation: 1, value: None }
                }
            })
            .collect();
        let resource =
            AlterConfigsResource { resource_type, resource_name, configs: configs.into() };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource].into(), validate_only: dry };
        let reply = self.call_any(&request).await?;
        let response: IncrementalAlterConfigsResponse<'_> = reply.read()?;
        for result in &response.responses {
            let what = || format!("change settings of `{resource_name}`");
            check(result.error_code, result.error_message, what)?;
        }
        Ok(())
    }

    /// Deletes the records of partitions below an offset, -1 for all. Returns where each begins now.
    ///
    /// # Errors
    /// See [`ClientError`]; what was deleted before an error stays deleted.
    pub async fn delete_records(
        &self,
        topic: &str,
        below: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut done = BTreeMap::new();
        let what = format!("trim topic `{topic}`");
        retry!(self, &what, async {
            let missing = below
                .iter()
                .filter(|(partition, _)| !done.contains_key(*partition))
                .map(|(partition, offset)| (topic, *partition, *offset));
            for leader in self.by_leader(missing).await?.into_values() {
                let partitions = leader.topics.values().flatten();
                let partitions: Vec<_> = partitions
                    .map(|(partition_index, offset)| DeleteRecordsPartition {
                        partition_index: *partition_index,
                        offset: *offset,
                    })
                    .collect();
                let row = DeleteRecordsTopic { name: topic, partitions: partitions.into() };
                let timeout_ms = self.timeout_ms();
                let request = DeleteRecordsRequest { topics: vec![row].into(), timeout_ms };
                let reply = leader.connection.call(&request).await?;
                let response: DeleteRecordsResponse<'_> = reply.read()?;
                for partition in response.topics.iter().flat_map(|topic| topic.partitions) {
                    let index = partition.partition_index;
                    let what = || format!("trim {topic}-{index}");
                    check(partition.error_code, None, what).inspect_err(|_| {
                        self.forget_topic(topic);
                    })?;
                    done.insert(index, partition.low_watermark);
                }
            }
            Ok(())
        })?;
        Ok(done)
    }
}
