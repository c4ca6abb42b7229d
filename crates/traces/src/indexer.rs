//! From the topic of spans to files: each partition's by the broker that leads it.
//!
//! Records are read from where the catalogue ends, their spans are written into a file, the file is put, and its entry is written
//! into the catalogue. A crash in between leaves a file that no entry names. Two who index the same partition, in a move, disturb
//! nobody: of their entries the first counts (see [`crate::catalogue`]), and who wrote the other removes its file and goes on behind.

use crate::catalogue::Entry;
use crate::file::write;
use crate::store::TraceStore;
use crate::topics::make_catalogue_topic;
use crate::{CATALOGUE_TOPIC, SPANS_TOPIC};
use bytes::Bytes;
use esker_client::{
    At, ClientError, Consumer, ConsumerOptions, Outgoing, Position, Producer, ProducerOptions,
};
use esker_env::{Blocking, Env, ObjectKey};
use esker_otlp::span::{Span, spans_of_record};
use std::time::Duration;

/// Spans that make a file before its time.
const FILE_SPANS: usize = 200_000;
/// Bytes of records that make a file before its time.
const FILE_BYTES: usize = 64 << 20;

/// When files are made.
#[derive(Debug, Clone, Copy)]
pub struct IndexerOptions {
    /// How often what has come is made a file.
    pub every: Duration,
}

/// Why a round made no file.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error(transparent)]
    Topics(#[from] ClientError),
    #[error(transparent)]
    Bucket(#[from] esker_env::BucketError),
    #[error(transparent)]
    File(#[from] parquet::errors::ParquetError),
}

/// Makes files of spans, of the partitions of their topic that `led` says are this broker's.
pub async fn run(
    env: &Env,
    store: &TraceStore,
    options: IndexerOptions,
    led: impl Fn() -> Vec<i32>,
) {
    let mut told = false;
    loop {
        env.clock.sleep(options.every).await;
        match round(env, store, &led()).await {
            Ok(()) => told = false,
            Err(error) if !told => {
                tracing::warn!(%error, "spans are not indexed; they stay in the topic, and it is tried again");
                told = true;
            }
            Err(error) => tracing::debug!(%error, "spans are not indexed"),
        }
    }
}

async fn round(env: &Env, store: &TraceStore, partitions: &[i32]) -> Result<(), IndexError> {
    for partition in partitions {
        while index(env, store, *partition).await? {}
    }
    Ok(())
}

/// Makes the next file of a partition; whether there may be more to do.
async fn index(env: &Env, store: &TraceStore, partition: i32) -> Result<bool, IndexError> {
    let catalogue = store.catalogue().await?;
    let at = |at| [(SPANS_TOPIC.to_owned(), partition, at)];
    let place = async |at_place| {
        let found = store.client().list_offsets(&at(at_place), false).await?;
        Ok::<_, ClientError>(found.values().next().map_or(0, |place| place.offset))
    };
    let (start, end) = (place(At::Start).await?, place(At::End).await?);
    let first = catalogue.end(partition).unwrap_or(start).max(start);
    if first >= end {
        return Ok(false);
    }
    let read = read(store, partition, first, end).await?;
    let (bytes, key) = if read.spans.is_empty() {
        (0, None)
    } else {
        let key: String =
            format!("traces/{partition}/{first:020}-{:016x}.parquet", env.entropy.next_u64());
        let (spans, name) = (read.spans.clone(), ObjectKey::new(&key));
        let file = env.spawner.blocking(move || write(spans)).await?;
        let len = file.len() as u64;
        store.bucket().put(&name, vec![Bytes::from(file)]).await?;
        (len, Some(key))
    };
    let entry = Entry {
        partition,
        first,
        end: read.end,
        key: key.clone(),
        bytes,
        spans: read.spans.len() as u64,
        start_ns: read.spans.iter().map(|span| span.start_ns).min().unwrap_or_default(),
        end_ns: read.spans.iter().map(Span::end_ns).max().unwrap_or_default(),
    };
    announce(store, &entry).await?;
    let counts = store.catalogue().await?.files().any(|known| known.key == key);
    if let Some(key) = key.filter(|_| !counts) {
        tracing::info!(partition, first, "another broker has indexed these spans");
        store.bucket().delete(vec![ObjectKey::new(&key)]).await;
    }
    Ok(read.end < end)
}

/// What was read of a partition.
struct Read {
    spans: Vec<Span>,
    /// The offset behind the last record.
    end: i64,
}

async fn read(
    store: &TraceStore,
    partition: i32,
    first: i64,
    end: i64,
) -> Result<Read, ClientError> {
    let position = Position { topic: SPANS_TOPIC.into(), partition, offset: first, end: Some(end) };
    let options =
        ConsumerOptions { max_wait: Duration::from_millis(100), ..ConsumerOptions::default() };
    let mut consumer = Consumer::new(store.client().clone(), options, vec![position]);
    let mut read = Read { spans: Vec::new(), end };
    let (mut bytes, mut foreign) = (0, 0_u64);
    while let Some(records) = consumer.next().await? {
        for record in records {
            let value = record.value.unwrap_or_default();
            bytes += value.len();
            match spans_of_record(&value) {
                Ok(spans) => read.spans.extend(spans),
                Err(_) => foreign += 1,
            }
            read.end = record.offset + 1;
        }
        if read.spans.len() >= FILE_SPANS || bytes >= FILE_BYTES {
            break;
        }
        read.end = end;
    }
    if foreign > 0 {
        tracing::warn!(
            partition,
            first,
            foreign,
            "records of {SPANS_TOPIC} are no OTLP traces in protobuf (`otlp_proto`) and are left out"
        );
    }
    Ok(read)
}

async fn announce(store: &TraceStore, entry: &Entry) -> Result<(), ClientError> {
    make_catalogue_topic(store.client()).await?;
    let mut producer = Producer::new(store.client().clone(), ProducerOptions::default())?;
    let value = serde_json::to_vec(entry).expect("plain data");
    let record = Outgoing {
        topic: CATALOGUE_TOPIC.to_owned(),
        partition: Some(0),
        key: Some(Bytes::from(entry.partition.to_string())),
        value: Some(value.into()),
        ..Outgoing::default()
    };
    producer.send(&record).await?;
    producer.flush().await?;
    Ok(())
}
