//! A connection: requests go out as they come, answers come back in the same order.

use crate::error::ClientError;
use bytes::{Bytes, BytesMut};
use esker_env::{ByteStream, Env, TaskPlacement, timeout};
use esker_wire::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use esker_wire::{
    ApiKey, ErrorCode, Frame, Message, Request, decode_response_header, encode_request_frame,
};
use futures_util::future::{Either, select};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// Requests on a connection that wait for their answers; more wait to be sent.
const PIPELINE_MAX: usize = 64;

/// Memory that is set aside for an answer before its bytes are there.
const RESERVE_MAX: usize = 256 << 10;

/// Newest versions that this client speaks where it does not speak the newest: later ones know topics by id only.
const BY_NAME: [(ApiKey, i16); 4] = [
    (ApiKey::Produce, 12),
    (ApiKey::Fetch, 12),
    (ApiKey::OffsetCommit, 9),
    (ApiKey::OffsetFetch, 9),
];

struct Sent {
    frame: Frame,
    correlation_id: i32,
    /// `None` where no answer comes.
    answer: Option<oneshot::Sender<Bytes>>,
}

/// A connection to a broker. It lives as long as someone holds it and nothing fails.
#[derive(Debug)]
pub struct Connection {
    address: Arc<str>,
    client_id: Arc<str>,
    requests: mpsc::Sender<Sent>,
    correlation: AtomicI32,
    versions: BTreeMap<i16, (i16, i16)>,
    env: Env,
    request_timeout: Duration,
}

/// An answer, still as bytes.
#[derive(Debug)]
pub struct Reply {
    frame: Bytes,
    address: Arc<str>,
    api: ApiKey,
    version: i16,
}

impl Reply {
    /// Reads it. `M` must be the response of the request that was sent.
    ///
    /// # Errors
    /// [`ClientError::Malformed`].
    pub fn read<'a, M: Message<'a>>(&'a self) -> Result<M, ClientError> {
        let wrong = ClientError::decode(&self.address, self.api.name());
        let (_, mut body) =
            decode_response_header(&self.frame, self.api, self.version).map_err(&wrong)?;
        M::decode(&mut body, self.version).map_err(&wrong)
    }

    /// Its bytes, for sharing what is borrowed from it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.frame
    }

    /// The version that was spoken.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }
}

impl Connection {
    /// Connects and learns what the broker serves.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub(crate) async fn open(
        env: &Env,
        address: &str,
        client_id: &Arc<str>,
        connect_timeout: Duration,
        request_timeout: Duration,
        response_bytes_max: usize,
    ) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { address: address.to_owned(), source };
        let stream = timeout(&*env.clock, connect_timeout, env.net.connect(address))
            .await
            .map_err(|_| failed(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))?
            .map_err(failed)?;
        let (requests, outgoing) = mpsc::channel(PIPELINE_MAX);
        let work = run(stream, outgoing, response_bytes_max);
        env.spawner.spawn(TaskPlacement::Background, "client connection", Box::pin(work));
        let mut connection = Self {
            address: address.into(),
            client_id: Arc::clone(client_id),
            requests,
            correlation: AtomicI32::new(1),
            versions: BTreeMap::new(),
            env: env.clone(),
            request_timeout,
        };
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    /// Asks which versions are served, at the newest version first and at version 0 where that is not known.
    async fn negotiate(&self) -> Result<BTreeMap<i16, (i16, i16)>, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "esker",
            client_software_version: env!("CARGO_PKG_VERSION"),
            ..Default::default()
        };
        for version in [ApiKey::ApiVersions.newest_stable(), 0] {
            let mut reply = self.call_at(&request, version, self.request_timeout).await?;
            // The error itself comes at version 0, whatever was asked.
            let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
            if version > 0 && reply.frame.get(4..6) == Some(&unsupported[..]) {
                continue;
            }
            reply.version = version;
            let response: ApiVersionsResponse<'_> = reply.read()?;
            crate::error::check(response.error_code, None, || format!("greet {}", self.address))?;
            let served = |api: esker_wire::api::api_versions::ApiVersion| {
                (api.api_key, (api.min_version, api.max_version))
            };
            return Ok(response.api_keys.iter().map(served).collect());
        }
        Err(ClientError::Unsupported {
            address: self.address.to_string(),
            api: ApiKey::ApiVersions,
        })
    }

    /// The broker's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it broke.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// The version in which an API is spoken with this broker.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version(&self, api: ApiKey) -> Result<i16, ClientError> {
        let cap = BY_NAME.iter().find(|(limited, _)| *limited == api);
        let newest = cap.map_or_else(|| api.newest_stable(), |(_, version)| *version);
        let served = self.versions.get(&api.code()).copied();
        served
            .map(|(oldest, latest)| (oldest.max(api.oldest()), latest.min(newest)))
            .filter(|(oldest, version)| oldest <= version)
            .map(|(_, version)| version)
            .ok_or_else(|| ClientError::Unsupported { address: self.address.to_string(), api })
    }

    /// Sends a request in the version that is spoken and waits for the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<'a, R: Request<'a>>(&self, request: &R) -> Result<Reply, ClientError> {
        self.call_for(request, Duration::ZERO).await
    }

    /// As [`Connection::call`], for a request that the broker may hold back for `held`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call_for<'a, R: Request<'a>>(
        &self,
        request: &R,
        held: Duration,
    ) -> Result<Reply, ClientError> {
        self.call_at(request, self.version(R::API)?, self.request_timeout + held).await
    }

    async fn call_at<'a, R: Request<'a>>(
        &self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<Reply, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.send(request, version, Some(answer)).await?;
        let api = R::API;
        let frame = timeout(&*self.env.clock, limit, answered)
            .await
            .map_err(|_| ClientError::Timeout {
                address: self.address.to_string(),
                api: api.name(),
                after: limit,
            })?
            .map_err(|_| self.closed(api))?;
        Ok(Reply { frame, address: Arc::clone(&self.address), api, version })
    }

    /// Sends a request that is not answered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub(crate) async fn tell<'a, R: Request<'a>>(&self, request: &R) -> Result<(), ClientError> {
        self.send(request, self.version(R::API)?, None).await
    }

    async fn send<'a, R: Request<'a>>(
        &self,
        request: &R,
        version: i16,
        answer: Option<oneshot::Sender<Bytes>>,
    ) -> Result<(), ClientError> {
        let correlation_id = self.correlation.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = encode_request_frame(correlation_id, Some(&self.client_id), request, version)?;
        let sent = Sent { frame, correlation_id, answer };
        self.requests.send(sent).await.map_err(|_| self.closed(R::API))
    }

    fn closed(&self, api: ApiKey) -> ClientError {
        ClientError::Closed { address: self.address.to_string(), api: api.name() }
    }
}

/// The connection's task: writes and reads until one side ends. Whoever still waits sees their sender dropped.
async fn run(
    stream: Box<dyn ByteStream>,
    outgoing: mpsc::Receiver<Sent>,
    response_bytes_max: usize,
) {
    let (reader, writer) = tokio::io::split(stream);
    let (waiting, answers) = mpsc::channel(PIPELINE_MAX);
    let writing = std::pin::pin!(write(writer, outgoing, waiting));
    let reading = std::pin::pin!(read(reader, answers, response_bytes_max));
    // Either end of the work is the end of the connection; the reader outlives a writer that is done, for the
    // answers that are still to come.
    if let Either::Left((Ok(()), reading)) = select(writing, reading).await {
        let _broken = reading.await;
    }
}

type Waiting = (i32, oneshot::Sender<Bytes>);

async fn write(
    mut writer: impl AsyncWriteExt + Unpin,
    mut outgoing: mpsc::Receiver<Sent>,
    waiting: mpsc::Sender<Waiting>,
) -> io::Result<()> {
    while let Some(sent) = outgoing.recv().await {
        if let Some(answer) = sent.answer
            && waiting.send((sent.correlation_id, answer)).await.is_err()
        {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for segment in sent.frame.segments() {
            writer.write_all(segment).await?;
        }
        if outgoing.is_empty() {
            writer.flush().await?;
        }
    }
    Ok(())
}

async fn read(
    mut reader: impl AsyncReadExt + Unpin,
    mut answers: mpsc::Receiver<Waiting>,
    bytes_max: usize,
) -> io::Result<()> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    loop {
        let size = reader.read_i32().await?;
        let size = usize::try_from(size).map_err(|_| invalid("a negative size"))?;
        if !(4..=bytes_max).contains(&size) {
            return Err(invalid("an answer of a size that is not allowed"));
        }
        let frame = read_frame(&mut reader, size).await?;
        let (correlation_id, answer) =
            answers.try_recv().map_err(|_| invalid("an answer that nobody waits for"))?;
        if frame[..4] != correlation_id.to_be_bytes() {
            return Err(invalid("an answer to another request"));
        }
        // Who waited may have given up.
        let _gone = answer.send(frame);
    }
}

/// Reads `size` bytes; memory grows with what has come, not with what is announced.
async fn read_frame(reader: &mut (impl AsyncReadExt + Unpin), size: usize) -> io::Result<Bytes> {
    let mut frame = BytesMut::with_capacity(size.min(RESERVE_MAX));
    while frame.len() < size {
        let missing = size - frame.len();
        if frame.capacity() == frame.len() {
            frame.reserve(missing.min(frame.len().max(RESERVE_MAX)));
        }
        let read =
            reader.take(u64::try_from(missing).unwrap_or(u64::MAX)).read_buf(&mut frame).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}
