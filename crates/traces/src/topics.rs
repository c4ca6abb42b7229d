//! The two topics, made when they are needed.

use crate::{CATALOGUE_TOPIC, SPANS_TOPIC};
use esker_client::{Client, ClientError, ErrorKind, NewTopic};
use esker_wire::ErrorCode;

/// Partitions of the topic of spans, if nobody has made it before.
const SPANS_PARTITIONS: i32 = 4;

/// Makes the topic of spans unless it is there.
pub(crate) async fn make_spans_topic(client: &Client) -> Result<(), ClientError> {
    make(client, SPANS_TOPIC, SPANS_PARTITIONS, vec![]).await
}

/// Makes the catalogue's topic unless it is there. It has one partition, whose order decides, and keeps everything.
pub(crate) async fn make_catalogue_topic(client: &Client) -> Result<(), ClientError> {
    let for_ever =
        [("retention.ms", "-1"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")];
    let configs = for_ever.map(|(key, value)| (key.to_owned(), value.to_owned()));
    make(client, CATALOGUE_TOPIC, 1, configs.to_vec()).await
}

async fn make(
    client: &Client,
    name: &str,
    partitions: i32,
    configs: Vec<(String, String)>,
) -> Result<(), ClientError> {
    match client.topic(name, false).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        found => return found.map(drop),
    }
    let topic = NewTopic { name: name.to_owned(), partitions, replication_factor: -1, configs };
    match client.create_topic(&topic, false).await {
        // Somebody else was faster.
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
        made => made.map(drop),
    }
}
