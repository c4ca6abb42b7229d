//! Creating topics: those that clients create, those that they ask for, and the groups' own.

use crate::api_error::ApiError;
use crate::coordinator_options::CoordinatorOptions;
use crate::live_settings::check_topic_setting;
use crate::options::BrokerOptions;
use crate::placement;
use esker_engine::Engine;
use esker_meta::{Command, NewPartition};
use esker_types::{TopicId, TopicName, is_internal_topic};
use esker_wire::{ErrorCode, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The topic of the groups' records.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// A topic to be created.
pub(crate) struct NewTopic {
    pub(crate) name: TopicName,
    pub(crate) partitions: i32,
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(String, String)>,
}

/// Creates topics.
pub(crate) struct TopicCreator {
    engine: Arc<Engine>,
    /// What a topic gets that nobody said anything about.
    partitions_default: i32,
    replication_factor_default: i16,
    offsets_topic: CoordinatorOptions,
    /// One at a time: two clients that ask for one missing topic create it once.
    creating: tokio::sync::Mutex<()>,
}

impl TopicCreator {
    pub(crate) fn new(engine: Arc<Engine>, options: &BrokerOptions) -> Self {
        Self {
            engine,
            partitions_default: options.partitions_default,
            replication_factor_default: options.replication_factor_default,
            offsets_topic: options.coordinator.clone(),
            creating: tokio::sync::Mutex::new(()),
        }
    }

    /// Creates a topic and waits until requests find it.
    pub(crate) async fn create(&self, new: NewTopic) -> Result<TopicId, ApiError> {
        let topic = TopicId(Uuid::from_u128(self.engine.env().entropy.next_u128()));
        let count = usize::try_from(new.partitions).expect("the caller checked the number");
        let command = Command::CreateTopic {
            topic,
            name: new.name,
            partitions: self.leaders(count),
            replication_factor: new.replication_factor,
            configs: new.configs,
        };
        let created = self.engine.meta().propose(command).await;
        self.engine.refresh();
        created?;
        Ok(topic)
    }

    /// Who leads so many new partitions.
    pub(crate) fn leaders(&self, count: usize) -> Vec<NewPartition> {
        let entropy = &*self.engine.env().entropy;
        let own = self.engine.options().broker;
        placement::leaders(&self.engine.meta().image(), entropy, own, count)
    }

    /// Creates a topic that a client asked for without creating it, with the broker's defaults.
    /// Internal topics are made as who keeps them makes them; what nobody keeps yet is not made.
    pub(crate) async fn create_automatically(&self, name: &TopicName) -> Result<(), ErrorCode> {
        match name.as_str() {
            OFFSETS_TOPIC => self.ensure_offsets_topic().await,
            name if is_internal_topic(name) => Err(ErrorCode::UnknownTopicOrPartition),
            _ => {
                let new = NewTopic {
                    name: name.clone(),
                    partitions: self.partitions_default,
                    replication_factor: self.replication_factor_default,
                    configs: Vec::new(),
                };
                self.ensure(new).await.map_err(|error| error.code)
            }
        }
    }

    /// Creates the offsets topic if there is none.
    pub(crate) async fn ensure_offsets_topic(&self) -> Result<(), ErrorCode> {
        let options = &self.offsets_topic;
        let new = NewTopic {
            name: TopicName::new(OFFSETS_TOPIC).expect("a legal name"),
            partitions: options.partitions,
            replication_factor: options.replication_factor,
            configs: vec![
                ("cleanup.policy".to_owned(), "compact".to_owned()),
                ("compression.type".to_owned(), "producer".to_owned()),
                ("segment.bytes".to_owned(), options.segment_bytes.to_string()),
            ],
        };
        self.ensure(new).await.map_err(|error| {
            tracing::warn!(message = %error.message, "cannot create the offsets topic");
            error.code
        })
    }

    /// Creates a topic if there is none of its name.
    async fn ensure(&self, new: NewTopic) -> Result<(), ApiError> {
        let _one_at_a_time = self.creating.lock().await;
        if self.engine.topics().by_name(new.name.as_str()).is_some() {
            return Ok(());
        }
        match self.create(new).await {
            Ok(_) => Ok(()),
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Judges the settings of a topic that is being created. Of those that are named twice the last one counts.
pub(crate) fn check_topic_configs<'a>(
    configs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, String)>, ApiError> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let canonical = check_topic_setting(name, value)
            .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))?;
        checked.insert(name, canonical);
    }
    Ok(checked.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_settings_that_are_named_twice_the_last_counts() {
        let configs = [("retention.ms", "5"), ("retention.ms", "7")];
        let checked = check_topic_configs(configs.into_iter()).unwrap();
        assert_eq!(checked, [("retention.ms".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused() {
        let error = check_topic_configs([("retention.s", "5")].into_iter()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
    }
}
