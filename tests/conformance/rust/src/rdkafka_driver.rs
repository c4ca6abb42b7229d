//! Drives a broker with the rdkafka crate: librdkafka through async Rust.

mod common;

use common::{Call, Outcome, Shown, decode, encode, print, read_records};
use futures::future::try_join_all;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let call = Call::from_args()?;
    match call.verb.as_str() {
        "create" => create(&call).await,
        "produce" => produce(&call).await,
        "read" => read(&call).await,
        "group" => group(&call).await,
        "times" => times(&call),
        "admin" => admin(&call).await,
        "errors" => errors(&call).await,
        verb => Err(format!("unknown verb `{verb}`").into()),
    }
}

fn config(call: &Call) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &call.bootstrap);
    config
}

fn administrator(call: &Call) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    config(call).create()
}

fn topic<'a>(name: &'a str, partitions: i32, replication: i32) -> NewTopic<'a> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
}

async fn create(call: &Call) -> Outcome {
    let partitions = i32::try_from(call.number(0)?)?;
    let made = [topic(&call.topic, partitions, 1)];
    for outcome in administrator(call)?.create_topics(&made, &AdminOptions::new()).await? {
        outcome.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    print(&partitions)
}

async fn produce(call: &Call) -> Outcome {
    let mut config = config(call);
    config.set("compression.codec", call.word(0)?).set("acks", call.word(1)?).set("linger.ms", "5");
    if call.word(1)? == "all" {
        config.set("enable.idempotence", "true");
    }
    let producer: FutureProducer = config.create()?;
    let mut waiting = Vec::new();
    for given in read_records()? {
        let (key, value) = (decode(given.key.as_ref())?, decode(given.value.as_ref())?);
        let mut headers = OwnedHeaders::new();
        for (name, value) in &given.headers {
            headers = headers.insert(Header { key: name, value: decode(value.as_ref())?.as_ref() });
        }
        let mut record =
            FutureRecord::<Vec<u8>, Vec<u8>>::to(&call.topic).partition(0).headers(headers);
        record.key = key.as_ref();
        record.payload = value.as_ref();
        // Taken in order here; the acknowledgements are waited for together.
        waiting.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut offsets = Vec::new();
    for delivered in try_join_all(waiting).await? {
        offsets.push(delivered.map_err(|(error, _)| error)?.offset);
    }
    print(&offsets)
}

fn show(got: &BorrowedMessage<'_>) -> Outcome {
    let headers = got.headers().into_iter().flat_map(Headers::iter);
    print(&Shown {
        key: got.key().map(encode),
        value: got.payload().map(encode),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(encode))).collect(),
        offset: got.offset(),
    })
}

fn consumer<C: rdkafka::config::FromClientConfig>(call: &Call) -> Result<C, KafkaError> {
    config(call)
        .set("group.id", format!("group-{}", call.topic))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .create()
}

async fn next(consumer: &StreamConsumer) -> Result<BorrowedMessage<'_>, Box<dyn Error>> {
    Ok(tokio::time::timeout(PATIENCE, consumer.recv()).await??)
}

async fn read(call: &Call) -> Outcome {
    let consumer: StreamConsumer = consumer(call)?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&call.topic, 0, Offset::Offset(call.number(0)?))?;
    consumer.assign(&from)?;
    for _ in 0..call.number(1)? {
        show(&next(&consumer).await?)?;
    }
    Ok(())
}

async fn group(call: &Call) -> Outcome {
    let consumer: StreamConsumer = consumer(call)?;
    consumer.subscribe(&[&call.topic])?;
    for _ in 0..call.number(0)? {
        let got = next(&consumer).await?;
        show(&got)?;
        consumer.store_offset_from_message(&got)?;
    }
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(())
}

fn times(call: &Call) -> Outcome {
    let consumer: BaseConsumer = consumer(call)?;
    let mut found = Vec::new();
    for index in 0..call.words().len() {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&call.topic, 0, Offset::Offset(call.number(index)?))?;
        let answer = consumer.offsets_for_times(asked, PATIENCE)?;
        found.push(answer.elements()[0].offset().to_raw().unwrap_or(-1));
    }
    let (start, end) = consumer.fetch_watermarks(&call.topic, 0, PATIENCE)?;
    // The crate asks for neither the stable end nor the newest record.
    found.extend([start, end, end, end - 1]);
    print(&found)
}

async fn admin(call: &Call) -> Outcome {
    let admin = administrator(call)?;
    let options = AdminOptions::new();
    let mut seen = BTreeMap::new();
    for outcome in admin.create_partitions(&[NewPartitions::new(&call.topic, 3)], &options).await? {
        outcome.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    let metadata = admin.inner().fetch_metadata(Some(&call.topic), PATIENCE)?;
    seen.insert("partitions", serde_json::json!(metadata.topics()[0].partitions().len()));
    let resource = ResourceSpecifier::Topic(&call.topic);
    for outcome in admin
        .alter_configs(&[AlterConfig::new(resource).set("retention.ms", "123456")], &options)
        .await?
    {
        outcome.map_err(|(name, code)| format!("{name:?}: {code}"))?;
    }
    for described in admin.describe_configs([&resource], &options).await? {
        let described = described.map_err(|code| code.to_string())?;
        let entry = described.get("retention.ms").ok_or("no retention.ms")?;
        seen.insert("retention.ms", serde_json::json!(entry.value));
        seen.insert("source", serde_json::json!(format!("{:?}", entry.source)));
    }
    let mut below = TopicPartitionList::new();
    below.add_partition_offset(&call.topic, 0, Offset::Offset(5))?;
    let deleted = admin.delete_records(&below, &options).await?;
    let low = deleted.elements()[0].offset().to_raw();
    seen.insert("low watermark", serde_json::json!(low));
    print(&seen)
}

/// Kafka's name of an error: mostly the crate's, in capitals.
fn name(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::InvalidTopic => return "INVALID_TOPIC_EXCEPTION".to_owned(),
        RDKafkaErrorCode::MessageSizeTooLarge => return "MESSAGE_TOO_LARGE".to_owned(),
        _ => {}
    }
    let mut out = String::new();
    for (index, letter) in format!("{code:?}").chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}

async fn errors(call: &Call) -> Outcome {
    let admin = administrator(call)?;
    let options = AdminOptions::new();
    let mut seen = BTreeMap::new();
    let replicated = format!("{}-replicas", call.topic);
    let attempts = [
        ("exists", topic(&call.topic, 1, 1)),
        ("name", topic("no name", 1, 1)),
        ("replicas", topic(&replicated, 1, 3)),
    ];
    for (why, attempt) in attempts {
        for outcome in admin.create_topics(&[attempt], &options).await? {
            seen.insert(why, outcome.map_or_else(|(_, code)| name(code), |_| "none".to_owned()));
        }
    }
    let unknown = format!("{}-unknown", call.topic);
    for outcome in admin.delete_topics(&[&unknown], &options).await? {
        seen.insert("unknown", outcome.map_or_else(|(_, code)| name(code), |_| "none".to_owned()));
    }
    let producer: FutureProducer = config(call).set("message.max.bytes", "10000000").create()?;
    let large = vec![0_u8; 3 << 20];
    let record = FutureRecord::<Vec<u8>, Vec<u8>>::to(&call.topic).payload(&large);
    let outcome = match producer.send(record, PATIENCE).await {
        Ok(_) => "none".to_owned(),
        Err((error, _)) => error.rdkafka_error_code().map_or_else(|| error.to_string(), name),
    };
    seen.insert("large", outcome);
    print(&seen)
}
