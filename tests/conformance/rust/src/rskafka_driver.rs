//! Drives a broker with rskafka: pure Rust, no groups.

mod common;

use chrono::{DateTime, Utc};
use common::{Call, Outcome, Shown, decode, encode, print, read_records};
use rskafka::client::error::Error as KafkaError;
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::error::Error;

const TIMEOUT_MS: i32 = 30_000;
const BATCH_BYTES_MAX: usize = 700_000;

#[tokio::main]
async fn main() -> Outcome {
    let call = Call::from_args()?;
    let client = ClientBuilder::new(vec![call.bootstrap.clone()]).build().await?;
    match call.verb.as_str() {
        "create" => create(&client, &call).await,
        "produce" => produce(&client, &call).await,
        "read" => read(&client, &call).await,
        "times" => times(&client, &call).await,
        "errors" => errors(&client, &call).await,
        verb => Err(format!("unknown verb `{verb}`").into()),
    }
}

async fn partition(client: &Client, call: &Call) -> Result<PartitionClient, Box<dyn Error>> {
    Ok(client.partition_client(call.topic.clone(), 0, UnknownTopicHandling::Retry).await?)
}

async fn create(client: &Client, call: &Call) -> Outcome {
    let partitions = i32::try_from(call.number(0)?)?;
    client.controller_client()?.create_topic(&call.topic, partitions, 1, TIMEOUT_MS).await?;
    print(&partitions)
}

async fn produce(client: &Client, call: &Call) -> Outcome {
    let compression = match call.word(0)? {
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::NoCompression,
    };
    let target = partition(client, call).await?;
    let (mut batch, mut size, mut offsets) = (Vec::new(), 0, Vec::new());
    for given in read_records()? {
        let mut headers = BTreeMap::new();
        for (name, value) in &given.headers {
            headers.insert(name.clone(), decode(value.as_ref())?.unwrap_or_default());
        }
        let (key, value) = (decode(given.key.as_ref())?, decode(given.value.as_ref())?);
        let record = Record { key, value, headers, timestamp: Utc::now() };
        size += record.approximate_size();
        batch.push(record);
        if size > BATCH_BYTES_MAX {
            offsets.extend(target.produce(std::mem::take(&mut batch), compression).await?);
            size = 0;
        }
    }
    if !batch.is_empty() {
        offsets.extend(target.produce(batch, compression).await?);
    }
    print(&offsets)
}

async fn read(client: &Client, call: &Call) -> Outcome {
    let (mut next, count) = (call.number(0)?, call.number(1)?);
    let end = next + count;
    let source = partition(client, call).await?;
    while next < end {
        let (records, _high_watermark) = source.fetch_records(next, 1..5_000_000, 5_000).await?;
        for got in records.iter().filter(|got| (next..end).contains(&got.offset)) {
            let headers =
                got.record.headers.iter().map(|(k, v)| (k.clone(), Some(encode(v)))).collect();
            let key = got.record.key.as_deref().map(encode);
            let value = got.record.value.as_deref().map(encode);
            print(&Shown { key, value, headers, offset: got.offset })?;
        }
        next = records.last().map_or(next, |got| got.offset + 1);
    }
    Ok(())
}

async fn times(client: &Client, call: &Call) -> Outcome {
    let source = partition(client, call).await?;
    let mut found = Vec::new();
    for index in 0..call.words().len() {
        let at =
            DateTime::<Utc>::from_timestamp_millis(call.number(index)?).ok_or("no such time")?;
        found.push(source.get_offset(OffsetAt::Timestamp(at)).await?);
    }
    found.push(source.get_offset(OffsetAt::Earliest).await?);
    let end = source.get_offset(OffsetAt::Latest).await?;
    // rskafka asks for neither the stable end nor the newest record.
    found.extend([end, end, end - 1]);
    print(&found)
}

fn name(outcome: Result<(), KafkaError>) -> String {
    match outcome {
        Ok(()) => "none".to_owned(),
        Err(KafkaError::ServerError { protocol_error, .. }) => {
            // The names of rskafka's variants are Kafka's in another case.
            let text = format!("{protocol_error:?}");
            let mut out = String::new();
            for (index, letter) in text.chars().enumerate() {
                if index > 0 && letter.is_uppercase() {
                    out.push('_');
                }
                out.extend(letter.to_uppercase());
            }
            out
        }
        Err(other) => other.to_string(),
    }
}

async fn errors(client: &Client, call: &Call) -> Outcome {
    let controller = client.controller_client()?;
    let mut seen = BTreeMap::new();
    seen.insert("exists", name(controller.create_topic(&call.topic, 1, 1, TIMEOUT_MS).await));
    seen.insert("name", name(controller.create_topic("no name", 1, 1, TIMEOUT_MS).await));
    let replicated = format!("{}-replicas", call.topic);
    seen.insert("replicas", name(controller.create_topic(replicated, 1, 3, TIMEOUT_MS).await));
    let unknown = format!("{}-unknown", call.topic);
    seen.insert("unknown", name(controller.delete_topic(unknown, TIMEOUT_MS).await));
    let large = Record {
        key: None,
        value: Some(vec![0; 3 << 20]),
        headers: BTreeMap::new(),
        timestamp: Utc::now(),
    };
    let sent =
        partition(client, call).await?.produce(vec![large], Compression::NoCompression).await;
    seen.insert("large", name(sent.map(|_| ())));
    print(&seen)
}
