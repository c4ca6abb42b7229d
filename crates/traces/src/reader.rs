//! Looking for spans in one file: by id, through its Bloom filter, or by what they say.

use crate::catalogue::Entry;
use crate::file::from_batch;
use crate::query::Query;
use bytes::Bytes;
use esker_env::{Bucket, ObjectKey};
use esker_otlp::span::Span;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{ProjectionMask, arrow_reader::ArrowReaderMetadata};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// What is read of the end of a file at first: most footers fit.
const FOOTER_HINT: usize = 64 << 10;
/// Rows that are taken apart together.
const BATCH_ROWS: usize = 1024;

/// A file in the bucket.
struct BucketFile {
    bucket: Arc<dyn Bucket>,
    key: ObjectKey,
    len: u64,
}

impl AsyncFileReader for BucketFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = async move {
            let read = self.bucket.get_range(&self.key, range).await;
            read.map_err(|error| ParquetError::External(Box::new(error)))
        };
        read.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let read = async move {
            let len = self.len;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_HINT));
            reader.load_and_finish(self, len).await.map(Arc::new)
        };
        read.boxed()
    }
}

type Builder = ParquetRecordBatchStreamBuilder<BucketFile>;

/// Opens the file of an entry; none where it has none.
async fn open(bucket: &Arc<dyn Bucket>, entry: &Entry) -> ParquetResult<Option<Builder>> {
    let Some(key) = &entry.key else { return Ok(None) };
    let bucket = Arc::clone(bucket);
    let mut file = BucketFile { bucket, key: ObjectKey::new(key), len: entry.bytes };
    let metadata =
        ArrowReaderMetadata::load_async(&mut file, ArrowReaderOptions::default()).await?;
    Ok(Some(Builder::new_with_metadata(file, metadata).with_batch_size(BATCH_ROWS)))
}

/// The spans of a trace in a file.
///
/// # Errors
/// The bucket's, and those of a damaged file.
pub async fn find_trace(
    bucket: &Arc<dyn Bucket>,
    entry: &Entry,
    trace_id: &str,
) -> ParquetResult<Vec<Span>> {
    let Some(mut builder) = open(bucket, entry).await? else { return Ok(Vec::new()) };
    let column = column(&builder, "trace_id")?;
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        let bloom = builder.get_row_group_column_bloom_filter(group, column).await?;
        if bloom.is_none_or(|bloom| bloom.check(trace_id)) {
            groups.push(group);
        }
    }
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = trace_id.to_owned();
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
    let is_wanted = ArrowPredicateFn::new(mask, move |batch| {
        let rows = from_batch(&batch);
        Ok(rows.iter().map(|row| Some(row.trace_id == wanted)).collect())
    });
    let filter = RowFilter::new(vec![Box::new(is_wanted)]);
    collect(builder.with_row_groups(groups).with_row_filter(filter).build()?).await
}

/// The spans in a file that a query looks for.
///
/// # Errors
/// The bucket's, and those of a damaged file.
pub async fn search(
    bucket: &Arc<dyn Bucket>,
    entry: &Entry,
    query: &Query,
) -> ParquetResult<Vec<Span>> {
    let Some(builder) = open(bucket, entry).await? else { return Ok(Vec::new()) };
    let columns =
        ["service_name", "name", "status", "start_ns", "duration_ns", "attributes", "resource"];
    let columns: ParquetResult<Vec<_>> =
        columns.iter().map(|name| column(&builder, name)).collect();
    let mask = ProjectionMask::leaves(builder.parquet_schema(), columns?);
    let query = query.clone();
    let is_wanted = ArrowPredicateFn::new(mask, move |batch| {
        let rows = from_batch(&batch);
        Ok(rows.iter().map(|row| Some(query.matches(row))).collect())
    });
    let filter = RowFilter::new(vec![Box::new(is_wanted)]);
    collect(builder.with_row_filter(filter).build()?).await
}

fn column(builder: &Builder, name: &str) -> ParquetResult<usize> {
    let columns = builder.parquet_schema().columns();
    let found = columns.iter().position(|column| column.name() == name);
    found.ok_or_else(|| ParquetError::General(format!("the file has no column `{name}`")))
}

async fn collect(mut rows: ParquetRecordBatchStream<BucketFile>) -> ParquetResult<Vec<Span>> {
    let mut spans = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        spans.extend(from_batch(&batch));
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write;

    fn spans(count: usize) -> Vec<Span> {
        (0..count)
            .map(|n| Span {
                trace_id: format!("{:032x}", n / 3 + 1),
                span_id: format!("{n:016x}"),
                name: format!("step {}", n % 3),
                service: "shop".to_owned(),
                start_ns: i64::try_from(n).unwrap(),
                duration_ns: i64::try_from(n).unwrap() * 10,
                attributes_json: r#"[{"key":"http.method","value":{"stringValue":"GET"}}]"#
                    .to_owned(),
                ..Span::default()
            })
            .collect()
    }

    fn run(test: impl AsyncFnOnce(Arc<dyn Bucket>, Entry, Vec<Span>)) {
        let runtimes = esker_env::real::Runtimes::start(1, 1).unwrap();
        let env = esker_env::Env::real(&runtimes);
        runtimes.block_on(async {
            let url = "memory:".parse().unwrap();
            let config = esker_bucket::BucketConfig::from_vars(url, |_| None).unwrap();
            let bucket = esker_bucket::open(&env, &config).unwrap();
            let spans = spans(3000);
            let file = write(spans.clone()).unwrap();
            let entry = Entry {
                partition: 0,
                first: 0,
                end: 1,
                key: Some("traces/a.parquet".to_owned()),
                bytes: file.len() as u64,
                spans: 3000,
                start_ns: 0,
                end_ns: 0,
            };
            let key = ObjectKey::new("traces/a.parquet");
            bucket.put(&key, vec![file.into()]).await.unwrap();
            test(bucket, entry, spans).await;
        });
    }

    #[test]
    fn a_trace_is_found_by_its_id_with_all_that_was_written() {
        run(async |bucket, entry, spans| {
            let found = find_trace(&bucket, &entry, &format!("{:032x}", 500)).await.unwrap();
            assert_eq!(found, spans[1497..1500]);
            assert_eq!(find_trace(&bucket, &entry, &"f".repeat(32)).await.unwrap(), []);
        });
    }

    #[test]
    fn spans_are_found_by_what_they_say() {
        run(async |bucket, entry, spans| {
            let query = Query {
                operation: Some("step 1".to_owned()),
                duration_min_ns: 29_900,
                attributes: vec![("http.method".to_owned(), "GET".to_owned())],
                ..Query::default()
            };
            let found = search(&bucket, &entry, &query).await.unwrap();
            let wanted: Vec<_> = spans.iter().filter(|span| query.matches(span)).cloned().collect();
            assert_eq!((found.len(), &found), (wanted.len(), &wanted));
            assert!(!found.is_empty());
        });
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        run(async |bucket, mut entry, _| {
            entry.bytes -= 1;
            assert!(find_trace(&bucket, &entry, "x").await.is_err());
        });
    }
}
