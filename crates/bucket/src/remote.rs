//! A bucket in an object store, reached by the client library.

use crate::config::{BucketConfig, Checksum};
use crate::error::{from_store, retry, short_object, too_wide};
use crate::memory::PAGE_KEYS_MAX;
use crate::url::BucketUrl;
use bytes::Bytes;
use esker_env::{
    Blocking, BoxFuture, Bucket, BucketError, BucketErrorKind, Env, ListPage, ObjectKey, PieceSink,
    Spawner,
};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A longer body goes up in parts, so that a failure costs one part and not the whole.
const SINGLE_PUT_BYTES_MAX: usize = 64 << 20;
const PART_BYTES: usize = 16 << 20;
const PARTS_IN_FLIGHT: usize = 4;

/// A bucket in an object store. The client is built by the first request.
pub(crate) struct RemoteBucket {
    config: BucketConfig,
    spawner: Arc<dyn Spawner>,
    /// With a slash at its end, or empty.
    prefix: String,
    client: OnceCell<Client>,
    /// Built when the store turned out to have no bulk deletion.
    single: OnceCell<Client>,
    /// Whether bulk deletion is known not to work.
    is_single: AtomicBool,
}

#[derive(Clone)]
struct Client {
    objects: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
}

impl RemoteBucket {
    pub(crate) fn new(env: &Env, config: BucketConfig) -> Self {
        let prefix = match &config.url {
            BucketUrl::S3 { prefix, .. }
            | BucketUrl::Gcs { prefix, .. }
            | BucketUrl::Azure { container: _, prefix } => prefix.as_str(),
            BucketUrl::File(_) | BucketUrl::Memory => "",
        };
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let is_single = AtomicBool::new(config.single_delete);
        Self {
            spawner: Arc::clone(&env.spawner),
            prefix,
            client: OnceCell::new(),
            single: OnceCell::new(),
            is_single,
            config,
        }
    }

    async fn client(&self, operation: &'static str) -> Result<&Client, BucketError> {
        self.client.get_or_try_init(|| self.build(operation, self.config.clone())).await
    }

    /// Reading the machine's TLS roots takes milliseconds: not on a thread that serves others.
    async fn build(
        &self,
        operation: &'static str,
        config: BucketConfig,
    ) -> Result<Client, BucketError> {
        let build = move || {
            Client::build(&config).map_err(|error| BucketError {
                kind: BucketErrorKind::Invalid,
                operation,
                key: config.url.to_string(),
                message: error.to_string(),
            })
        };
        self.spawner.blocking(build).await
    }

    fn path(&self, operation: &'static str, key: &ObjectKey) -> Result<Path, BucketError> {
        Path::parse(format!("{}{key}", self.prefix))
            .map_err(|error| from_store(operation, key.as_str(), &error.into()))
    }

    async fn put_parts(&self, key: &ObjectKey, body: &[Bytes]) -> Result<(), BucketError> {
        let fail = |error: object_store::Error| from_store("put", key.as_str(), &error);
        let client = self.client("put").await?;
        let path = self.path("put", key)?;
        let mut upload = client.objects.put_multipart(&path).await.map_err(fail)?;
        // The calls number the parts; nothing is sent before the futures run.
        let parts: Vec<_> =
            split(body, PART_BYTES).into_iter().map(|part| upload.put_part(part)).collect();
        let sent: Result<(), _> =
            stream::iter(parts).map(Ok).try_for_each_concurrent(PARTS_IN_FLIGHT, |part| part).await;
        let outcome = match sent {
            Ok(()) => upload.complete().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            // Parts of an upload that never completes are paid for until somebody aborts it.
            if let Err(left) = upload.abort().await {
                tracing::warn!(%key, error = %left, "the parts of a failed upload remain");
            }
            return Err(fail(error));
        }
        Ok(())
    }

    /// Hands the bytes of a range to `take` as they come.
    async fn fetch(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
        mut take: impl FnMut(Bytes),
    ) -> Result<(), BucketError> {
        let fail = |error: object_store::Error| from_store("get", key.as_str(), &error);
        let wanted = range.end.saturating_sub(range.start);
        let wanted = usize::try_from(wanted).map_err(|_| too_wide("get", key, &range))?;
        if wanted == 0 {
            return Ok(());
        }
        let client = self.client("get").await?;
        let path = self.path("get", key)?;
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let found = client.objects.get_opts(&path, options).await.map_err(fail)?;
        // A store answers a range that passes the end with what there is.
        if found.range != range {
            return Err(short_object(key, &range, found.meta.size));
        }
        let mut stream = found.into_stream();
        let mut len = 0;
        while let Some(bytes) = stream.try_next().await.map_err(fail)? {
            len += bytes.len();
            if len > wanted {
                break;
            }
            take(bytes);
        }
        if len != wanted {
            let message = format!("the answer has {len} bytes instead of {wanted}");
            return Err(retry("get", key.as_str(), message));
        }
        Ok(())
    }

    /// Deletes at most as many keys as one request takes.
    async fn delete_batch(&self, keys: &[ObjectKey]) -> Vec<Result<(), BucketError>> {
        if !self.is_single.load(Ordering::Relaxed) {
            let client = match self.client("delete").await {
                Ok(client) => client,
                Err(error) => return vec![Err(error); keys.len()],
            };
            let results = self.delete_by(client, keys).await;
            let refused = |result: &Result<(), BucketError>| matches!(result, Err(error) if error.kind == BucketErrorKind::Invalid);
            // Every key refused, and not because of the bucket: the store does not know the request.
            if results.is_empty() || !results.iter().all(refused) || !self.can_be_single() {
                return results;
            }
            tracing::info!(bucket = %self.config.url, "bulk deletion refused, deleting one by one");
        }
        let config = BucketConfig { single_delete: true, ..self.config.clone() };
        let client = match self.single.get_or_try_init(|| self.build("delete", config)).await {
            Ok(client) => client,
            Err(error) => return vec![Err(error); keys.len()],
        };
        let results = self.delete_by(client, keys).await;
        if results.iter().any(Result::is_ok) {
            self.is_single.store(true, Ordering::Relaxed);
        }
        results
    }

    /// Whether the backend has a way around its bulk deletion.
    fn can_be_single(&self) -> bool {
        matches!(self.config.url, BucketUrl::S3 { .. })
    }

    async fn delete_by(&self, client: &Client, keys: &[ObjectKey]) -> Vec<Result<(), BucketError>> {
        let mut paths = Vec::with_capacity(keys.len());
        for key in keys {
            match self.path("delete", key) {
                Ok(path) => paths.push(Ok(path)),
                Err(error) => return vec![Err(error); keys.len()],
            }
        }
        let answers = client.objects.delete_stream(stream::iter(paths).boxed()).collect::<Vec<_>>();
        // The library panics on an answer about a key that was not asked for: foreign bytes must not kill us.
        let Ok(answers) = AssertUnwindSafe(answers).catch_unwind().await else {
            let error = retry("delete", keys[0].as_str(), "the answer makes no sense".to_owned());
            return vec![Err(error); keys.len()];
        };
        let meaning = |key: &ObjectKey, answer: &object_store::Result<Path>| match answer {
            Ok(_) => Ok(()),
            Err(error) => match from_store("delete", key.as_str(), error) {
                absent if absent.kind == BucketErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        };
        if answers.len() == keys.len() {
            return keys.iter().zip(&answers).map(|(key, answer)| meaning(key, answer)).collect();
        }
        // The request failed as a whole and has one answer; deletions are repeated without harm.
        let failed = answers.iter().find(|answer| answer.is_err());
        keys.iter()
            .map(|key| match failed {
                Some(answer) => meaning(key, answer),
                None => Err(retry("delete", key.as_str(), "no answer about this key".to_owned())),
            })
            .collect()
    }

    async fn page(&self, prefix: &str, after: Option<&ObjectKey>) -> Result<ListPage, BucketError> {
        let fail = |error: object_store::Error| from_store("list", prefix, &error);
        let client = self.client("list").await?;
        let full = format!("{}{prefix}", self.prefix);
        let offset = after.map(|key| format!("{}{key}", self.prefix));
        let mut page_token = None;
        let mut objects = Vec::new();
        // Some stores answer pages that hold nothing and still go on.
        let more = loop {
            let options = PaginatedListOptions {
                offset: offset.clone(),
                max_keys: Some(PAGE_KEYS_MAX),
                page_token: page_token.take(),
                ..PaginatedListOptions::default()
            };
            let prefix = (!full.is_empty()).then_some(full.as_str());
            let page = client.pages.list_paginated(prefix, options).await.map_err(fail)?;
            for object in page.result.objects {
                let key = object.location.as_ref().strip_prefix(&self.prefix);
                // What is not of our making is no object of ours.
                let Some(key) = key.filter(|key| is_key(key)) else { continue };
                if after.is_none_or(|after| key > after.as_str()) {
                    objects.push((ObjectKey::new(key), object.size));
                }
            }
            page_token = page.page_token;
            if page_token.is_none() || !objects.is_empty() {
                break page_token.is_some();
            }
        };
        objects.sort();
        Ok(ListPage { objects, more })
    }
}

impl Bucket for RemoteBucket {
    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            if body.iter().map(Bytes::len).sum::<usize>() > SINGLE_PUT_BYTES_MAX {
                return self.put_parts(key, &body).await;
            }
            let client = self.client("put").await?;
            let path = self.path("put", key)?;
            let payload = body.into_iter().filter(|part| !part.is_empty()).collect::<PutPayload>();
            match client.objects.put(&path, payload).await {
                Ok(_) => Ok(()),
                Err(error) => Err(from_store("put", key.as_str(), &error)),
            }
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, BucketError>> {
        Box::pin(async move {
            let wanted =
                usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let (mut first, mut body) = (Bytes::new(), Vec::new());
            let take = |bytes: Bytes| {
                if first.is_empty() {
                    first = bytes;
                    return;
                }
                if body.is_empty() {
                    body = Vec::with_capacity(wanted);
                    body.extend_from_slice(&first);
                }
                body.extend_from_slice(&bytes);
            };
            self.fetch(key, range, take).await?;
            Ok(if body.is_empty() { first } else { Bytes::from(body) })
        })
    }

    fn get_pieces<'a>(
        &'a self,
        key: &'a ObjectKey,
        range: Range<u64>,
        piece: usize,
        mut sink: PieceSink,
    ) -> BoxFuture<'a, Result<(), BucketError>> {
        Box::pin(async move {
            let mut left = range.end.saturating_sub(range.start);
            let mut begun = Vec::new();
            let take = |mut bytes: Bytes| {
                while !bytes.is_empty() {
                    let len = piece.min(usize::try_from(left).unwrap_or(usize::MAX));
                    if begun.capacity() < len {
                        begun = Vec::with_capacity(len);
                    }
                    let now = bytes.split_to(bytes.len().min(len - begun.len()));
                    begun.extend_from_slice(&now);
                    if begun.len() == len {
                        left -= len as u64;
                        sink(Bytes::from(std::mem::take(&mut begun)));
                    }
                }
            };
            self.fetch(key, range, take).await
        })
    }

    fn head<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<u64, BucketError>> {
        Box::pin(async move {
            let client = self.client("head").await?;
            let path = self.path("head", key)?;
            let meta = client.objects.head(&path).await;
            Ok(meta.map_err(|error| from_store("head", key.as_str(), &error))?.size)
        })
    }

    fn delete<'a>(&'a self, keys: Vec<ObjectKey>) -> BoxFuture<'a, Vec<Result<(), BucketError>>> {
        Box::pin(async move {
            let batch_max = if self.can_be_single() { 1000 } else { 256 };
            let mut results = Vec::with_capacity(keys.len());
            for batch in keys.chunks(batch_max) {
                results.extend(self.delete_batch(batch).await);
            }
            results
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
    ) -> BoxFuture<'a, Result<ListPage, BucketError>> {
        Box::pin(self.page(prefix, after))
    }
}

impl Client {
    fn build(config: &BucketConfig) -> Result<Self, object_store::Error> {
        match &config.url {
            BucketUrl::S3 { bucket, .. } => s3(config, bucket),
            #[cfg(feature = "gcp")]
            BucketUrl::Gcs { bucket, .. } => gcs(config, bucket),
            #[cfg(feature = "azure")]
            BucketUrl::Azure { container, .. } => azure(config, container),
            other => unreachable!("`{other}` is no remote bucket of this build"),
        }
    }

    fn of<S: ObjectStore + PaginatedListStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self { objects: Arc::<S>::clone(&store), pages: store }
    }
}

fn options(config: &BucketConfig) -> ClientOptions {
    // Whether plain HTTP is right was decided when the bucket was opened.
    let plain = config.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(plain)
        .with_timeout(config.request_timeout)
        .with_connect_timeout(config.connect_timeout)
        // Stores close idle connections after some seconds; a put must not meet a closed one.
        .with_pool_idle_timeout(Duration::from_secs(15))
        // One stream a connection: bulk transfers in parallel must not share one congestion window.
        .with_http1_only()
}

fn retries(config: &BucketConfig) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: config.retries,
        retry_timeout: config.retry_timeout,
    }
}

fn s3(config: &BucketConfig, bucket: &str) -> Result<Client, object_store::Error> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum as S3Checksum};
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &config.settings {
        if name.starts_with("AWS_") {
            let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse()?;
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!config.is_path_style())
        .with_unsigned_payload(config.unsigned_payload)
        .with_disable_bulk_delete(config.single_delete)
        .with_client_options(options(config))
        .with_retry(retries(config));
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        builder = builder.with_endpoint(match endpoint.split_once("://") {
            // The library expects the bucket's name in the host where it is not in the path.
            Some((scheme, host)) if !config.is_path_style() => {
                format!("{scheme}://{bucket}.{host}")
            }
            _ => endpoint.to_owned(),
        });
    }
    if let (Some(access), Some(secret)) = (&config.access_key, &config.secret_key) {
        builder = builder.with_access_key_id(access).with_secret_access_key(secret);
        if let Some(token) = &config.session_token {
            builder = builder.with_token(token);
        }
    }
    builder = match config.checksum {
        Some(Checksum::Crc64Nvme) => builder.with_checksum_algorithm(S3Checksum::CRC64NVME),
        Some(Checksum::Sha256) => builder.with_checksum_algorithm(S3Checksum::SHA256),
        None => builder,
    };
    Ok(Client::of(builder.build()?))
}

#[cfg(feature = "gcp")]
fn gcs(config: &BucketConfig, bucket: &str) -> Result<Client, object_store::Error> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let mut builder = GoogleCloudStorageBuilder::new();
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    for (name, value) in &config.settings {
        if name.starts_with("GOOGLE_") {
            let key: GoogleConfigKey = name.to_ascii_lowercase().parse()?;
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(bucket)
        .with_client_options(options(config))
        .with_retry(retries(config));
    Ok(Client::of(builder.build()?))
}

#[cfg(feature = "azure")]
fn azure(config: &BucketConfig, container: &str) -> Result<Client, object_store::Error> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in &config.settings {
        if name.starts_with("AZURE_") {
            let key: AzureConfigKey = name.to_ascii_lowercase().parse()?;
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    builder = builder
        .with_container_name(container)
        .with_client_options(options(config))
        .with_retry(retries(config));
    Ok(Client::of(builder.build()?))
}

fn is_key(text: &str) -> bool {
    let legal =
        |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'/' | b'.' | b'-');
    !text.is_empty() && !text.starts_with('/') && text.bytes().all(legal)
}

/// Cuts a body into payloads of `part_bytes`, the last one shorter, without copying. Some stores insist on equal
/// parts.
fn split(body: &[Bytes], part_bytes: usize) -> Vec<PutPayload> {
    let mut parts = Vec::new();
    let mut part: Vec<Bytes> = Vec::new();
    let mut room = part_bytes;
    for piece in body {
        let mut piece = piece.clone();
        while !piece.is_empty() {
            let taken = piece.split_to(piece.len().min(room));
            room -= taken.len();
            part.push(taken);
            if room == 0 {
                parts.push(part.drain(..).collect());
                room = part_bytes;
            }
        }
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_and_lose_nothing() {
        let body: Vec<Bytes> =
            [0, 7, 10, 1, 25].map(|len| Bytes::from(vec![len; len.into()])).into();
        let whole = body.concat();
        let parts = split(&body, 10);
        let lens: Vec<_> = parts.iter().map(PutPayload::content_length).collect();
        assert_eq!(lens, [10, 10, 10, 10, 3]);
        let joined: Vec<u8> =
            parts.into_iter().flat_map(|part| Bytes::from(part).to_vec()).collect();
        assert_eq!(joined, whole);
    }
}
