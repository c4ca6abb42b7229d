//! Answers about traces: from the files, and from the end of the topic that no file has yet.

use crate::catalogue::{Catalogue, Entry};
use crate::query::{Query, TraceSummary, summarize};
use crate::{CATALOGUE_TOPIC, SPANS_TOPIC, reader};
use esker_client::{At, Client, ClientError, Consumer, ConsumerOptions, ErrorKind, Position};
use esker_env::Bucket;
use esker_otlp::span::{Span, spans_of_record};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use parquet::errors::ParquetError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Files that are read side by side.
const FILES_AT_ONCE: usize = 8;
/// Spans of one answer at most: a trace may be longer than anybody reads.
pub const SPANS_MAX: usize = 50_000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The topics could not be read.
    #[error("read the topics of traces: {0}")]
    Topics(#[from] ClientError),
    /// A file could not be read.
    #[error("read {file}: {error}")]
    File {
        /// Its key.
        file: String,
        /// Why.
        error: ParquetError,
    },
}

/// What is known of traces.
pub struct TraceStore {
    client: Client,
    bucket: Arc<dyn Bucket>,
    known: Mutex<Known>,
}

/// The catalogue as far as it was read.
#[derive(Default)]
struct Known {
    catalogue: Catalogue,
    /// The next offset of its topic.
    next: i64,
}

impl std::fmt::Debug for TraceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceStore").finish_non_exhaustive()
    }
}

impl TraceStore {
    /// A store whose topics are at `client`'s brokers and whose files are in `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: Arc<dyn Bucket>) -> Self {
        Self { client, bucket, known: Mutex::default() }
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The bucket.
    #[must_use]
    pub const fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.bucket
    }

    /// The catalogue with everything that was written into it before this call.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn catalogue(&self) -> Result<Catalogue, ClientError> {
        match self.client.topic(CATALOGUE_TOPIC, false).await {
            Ok(_) => {}
            // Nobody has made a file yet; a question makes no topic.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Catalogue::default()),
            Err(error) => return Err(error),
        }
        let mut known = self.known.lock().await;
        let wanted = [(CATALOGUE_TOPIC.to_owned(), 0, At::End)];
        let found = self.client.list_offsets(&wanted, false).await?;
        let end = found.values().next().map_or(0, |place| place.offset);
        let Known { catalogue, next } = &mut *known;
        let positions = vec![Position {
            topic: CATALOGUE_TOPIC.into(),
            partition: 0,
            offset: *next,
            end: Some(end),
        }];
        if *next < end {
            let mut consumer = Consumer::new(self.client.clone(), quick(), positions);
            while let Some(records) = consumer.next().await? {
                for record in records {
                    *next = record.offset + 1;
                    let value = record.value.unwrap_or_default();
                    match serde_json::from_slice::<Entry>(&value) {
                        Ok(entry) => {
                            catalogue.apply(entry);
                        }
                        Err(error) => {
                            let offset = record.offset;
                            tracing::warn!(offset, %error, "an entry of the traces' catalogue cannot be read");
                        }
                    }
                }
            }
        }
        Ok(catalogue.clone())
    }

    /// The spans of a trace, the earliest first; each once, however often it was sent.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn trace(&self, trace_id: &str) -> Result<Vec<Span>, StoreError> {
        let catalogue = self.catalogue().await?;
        let files = catalogue.files().cloned().collect::<Vec<_>>();
        let find = |entry: Entry| async move {
            let found = reader::find_trace(&self.bucket, &entry, trace_id).await;
            found.map_err(|error| file_error(&entry, error))
        };
        let found: Vec<_> = stream::iter(files.into_iter().map(find))
            .buffer_unordered(FILES_AT_ONCE)
            .try_collect()
            .await?;
        let mut spans: Vec<Span> = found.into_iter().flatten().collect();
        let is_wanted = |span: &Span| span.trace_id == trace_id;
        spans.extend(self.recent(&catalogue, is_wanted).await?);
        spans.sort_by(|a, b| (a.start_ns, &a.span_id).cmp(&(b.start_ns, &b.span_id)));
        let mut seen = BTreeSet::new();
        spans.retain(|span| seen.insert(span.span_id.clone()));
        spans.truncate(SPANS_MAX);
        Ok(spans)
    }

    /// The traces that a query looks for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn search(&self, query: &Query) -> Result<Vec<TraceSummary>, StoreError> {
        Ok(summarize(&self.spans_of(query).await?, query.limit))
    }

    /// The operations of each service that has sent spans since then, in nanoseconds since 1970.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn services(
        &self,
        since_ns: i64,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
        let mut services: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for span in self.spans_of(&Query { since_ns, ..Query::default() }).await? {
            services.entry(span.service).or_default().insert(span.name);
        }
        Ok(services)
    }

    async fn spans_of(&self, query: &Query) -> Result<Vec<Span>, StoreError> {
        let catalogue = self.catalogue().await?;
        let in_time = |entry: &&Entry| entry.end_ns >= query.since_ns;
        let files = catalogue.files().filter(in_time).cloned().collect::<Vec<_>>();
        let find = |entry: Entry| async move {
            let found = reader::search(&self.bucket, &entry, query).await;
            found.map_err(|error| file_error(&entry, error))
        };
        let mut spans = self.recent(&catalogue, |span| query.matches(span)).await?;
        let mut found = stream::iter(files.into_iter().map(find)).buffered(FILES_AT_ONCE);
        while let Some(more) = found.try_next().await? {
            spans.extend(more);
            if spans.len() >= SPANS_MAX {
                break;
            }
        }
        Ok(spans)
    }

    /// Spans that are in no file yet.
    async fn recent(
        &self,
        catalogue: &Catalogue,
        is_wanted: impl Fn(&Span) -> bool,
    ) -> Result<Vec<Span>, ClientError> {
        let topic = match self.client.topic(SPANS_TOPIC, false).await {
            Ok(topic) => topic,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let at = |at: At| {
            let rows = topic.partitions.iter().map(|row| (SPANS_TOPIC.to_owned(), row.index, at));
            rows.collect::<Vec<_>>()
        };
        let ends = self.client.list_offsets(&at(At::End), false).await?;
        let starts = self.client.list_offsets(&at(At::Start), false).await?;
        let positions = ends.into_iter().filter_map(|((topic, partition), end)| {
            let start = starts.get(&(topic.clone(), partition)).map_or(0, |place| place.offset);
            let offset = catalogue.end(partition).unwrap_or(start).max(start);
            let position =
                Position { topic: topic.into(), partition, offset, end: Some(end.offset) };
            (offset < end.offset).then_some(position)
        });
        let mut consumer = Consumer::new(self.client.clone(), quick(), positions.collect());
        let mut spans = Vec::new();
        while let Some(records) = consumer.next().await? {
            for record in records {
                // What is no span, the indexer tells of.
                let rows = spans_of_record(&record.value.unwrap_or_default()).unwrap_or_default();
                spans.extend(rows.into_iter().filter(&is_wanted));
            }
            if spans.len() >= SPANS_MAX {
                break;
            }
        }
        Ok(spans)
    }
}

/// A consumer that waits for nothing: it reads to an end that is there.
fn quick() -> ConsumerOptions {
    ConsumerOptions { max_wait: Duration::from_millis(100), ..ConsumerOptions::default() }
}

fn file_error(entry: &Entry, error: ParquetError) -> StoreError {
    StoreError::File { file: entry.key.clone().unwrap_or_default(), error }
}
