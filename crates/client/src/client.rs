//! Connections, metadata, leaders and coordinators.

use crate::connection::{Connection, Reply};
use crate::error::{ClientError, check};
use crate::metadata::{Metadata, MetadataTopic, Topics};
use esker_env::Env;
use esker_types::MonoTime;
use esker_wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use esker_wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use esker_wire::{ApiKey, ErrorCode, Request};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Brokers to begin with, as `HOST:PORT`.
    pub brokers: Vec<String>,
    /// What the client says it is.
    pub client_id: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How long an operation is tried while errors last that may pass.
    pub deadline: Duration,
    /// Largest answer that is read.
    pub response_bytes_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            client_id: "esker".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(60),
            response_bytes_max: 256 << 20,
        }
    }
}

/// Pause before the second attempt; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A client of one cluster. Cloning it is cheap; clones share connections.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Env,
    options: ClientOptions,
    client_id: Arc<str>,
    /// One entry an address; its lock is held while connecting, so that one connection is made.
    connections: parking_lot::Mutex<BTreeMap<String, Slot>>,
    metadata: parking_lot::Mutex<Metadata>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

impl Client {
    /// A client. Connects when something is asked of it.
    #[must_use]
    pub fn new(env: Env, options: ClientOptions) -> Self {
        let client_id = options.client_id.as_str().into();
        let (connections, metadata) = Default::default();
        Self(Arc::new(Inner { env, options, client_id, connections, metadata }))
    }

    /// The world it lives in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Its settings.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    /// A connection to `address`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(&self, address: &str) -> Result<Arc<Connection>, ClientError> {
        let slot = Arc::clone(self.0.connections.lock().entry(address.to_owned()).or_default());
        let mut slot = slot.lock().await;
        if let Some(connection) = &*slot
            && !connection.is_closed()
        {
            return Ok(Arc::clone(connection));
        }
        let options = &self.0.options;
        let connection = Connection::open(
            &self.0.env,
            address,
            &self.0.client_id,
            options.connect_timeout,
            options.request_timeout,
            options.response_bytes_max,
        )
        .await?;
        let connection = Arc::new(connection);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// A connection to any broker: one that is known, else one to begin with.
    ///
    /// # Errors
    /// The last broker's, when none answers.
    pub async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let known: Vec<_> =
            self.0.metadata.lock().brokers.values().map(crate::MetadataBroker::address).collect();
        let mut last = None;
        for address in self.0.options.brokers.iter().chain(&known) {
            match self.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Invalid("no broker is given".to_owned())))
    }

    /// A connection to a broker by its number, as metadata knew it last.
    ///
    /// # Errors
    /// See [`ClientError`]; a number that metadata does not know may pass.
    pub async fn broker(&self, id: i32) -> Result<Arc<Connection>, ClientError> {
        let address = self.0.metadata.lock().brokers.get(&id).map(crate::MetadataBroker::address);
        let address = address.ok_or_else(|| {
            let code = ErrorCode::LeaderNotAvailable.code();
            ClientError::broker(format!("find broker {id}"), code, None)
        })?;
        self.connect(&address).await
    }

    /// Sends a request to any broker.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call_any<'a, R: Request<'a>>(&self, request: &R) -> Result<Reply, ClientError> {
        self.any().await?.call(request).await
    }

    /// Asks for metadata anew.
    ///
    /// # Errors
    /// See [`ClientError`]; errors of single topics are in the answer.
    pub async fn metadata(&self, topics: Topics<'_>) -> Result<Metadata, ClientError> {
        retry!(self, "read metadata", async { self.metadata_once(topics).await })
    }

    async fn metadata_once<'a>(&self, topics: Topics<'a>) -> Result<Metadata, ClientError> {
        let connection = self.any().await?;
        let version = connection.version(ApiKey::Metadata)?;
        let (names, create) = match topics {
            // Before version 1 an empty list stands for all.
            Topics::All => ((version == 0).then_some(&[][..]), false),
            Topics::Named(names) => (Some(names), false),
            Topics::Created(names) => (Some(names), true),
        };
        let named = |names: &[&'a str]| -> Vec<_> {
            let topic =
                |name: &&'a str| MetadataRequestTopic { name: Some(*name), ..Default::default() };
            names.iter().map(topic).collect()
        };
        let request = MetadataRequest {
            topics: names.map(|names| named(names).into()),
            // Older brokers always do.
            allow_auto_topic_creation: create || version < 4,
            ..Default::default()
        };
        let reply = connection.call(&request).await?;
        let response: MetadataResponse<'_> = reply.read()?;
        check(response.error_code, None, || "read metadata".to_owned())?;
        let metadata = Metadata::read(&response);
        self.remember(&metadata);
        Ok(metadata)
    }

    /// Keeps what is new: the brokers as a whole, and topics one by one.
    fn remember(&self, metadata: &Metadata) {
        let mut known = self.0.metadata.lock();
        known.cluster_id.clone_from(&metadata.cluster_id);
        known.controller = metadata.controller;
        known.brokers.clone_from(&metadata.brokers);
        for (name, topic) in &metadata.topics {
            if topic.error_code == 0 {
                known.topics.insert(name.clone(), topic.clone());
            } else {
                known.topics.remove(name);
            }
        }
    }

    /// A topic, as it was seen last or else as brokers see it now. `create` lets brokers make it.
    ///
    /// # Errors
    /// See [`ClientError`]; a topic that does not exist is an error of kind `NotFound`, at once unless `create`.
    pub async fn topic(&self, name: &str, create: bool) -> Result<MetadataTopic, ClientError> {
        if let Some(topic) = self.0.metadata.lock().topics.get(name) {
            return Ok(topic.clone());
        }
        let names = [name];
        let topics = if create { Topics::Created(&names) } else { Topics::Named(&names) };
        let what = format!("find topic `{name}`");
        retry!(self, &what, async {
            let metadata = self.metadata_once(topics).await?;
            let topic = metadata.topics.into_values().next();
            let topic = topic.ok_or_else(|| {
                ClientError::broker(&what, ErrorCode::UnknownTopicOrPartition.code(), None)
            })?;
            let missing = topic.error_code == ErrorCode::UnknownTopicOrPartition.code();
            if missing && !create {
                return Err(ClientError::Invalid(String::new()));
            }
            check(topic.error_code, None, || what.clone())?;
            Ok(topic)
        })
        .map_err(|error| match error {
            ClientError::Invalid(text) if text.is_empty() => {
                ClientError::broker(what, ErrorCode::UnknownTopicOrPartition.code(), None)
            }
            other => other,
        })
    }

    /// Forgets what is known of a topic, after a broker said that it is no longer so.
    pub fn forget_topic(&self, name: &str) {
        self.0.metadata.lock().topics.remove(name);
    }

    /// A connection to the leader of a partition, with the leader's number.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn leader(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<(i32, Arc<Connection>), ClientError> {
        let found = self.topic(topic, false).await?;
        let what = || format!("find the leader of {topic}-{partition}");
        let row = found.partitions.iter().find(|row| row.index == partition).ok_or_else(|| {
            ClientError::Invalid(format!(
                "topic `{topic}` has no partition {partition}: it has {}",
                found.partitions.len()
            ))
        })?;
        if row.leader < 0 {
            self.forget_topic(topic);
            let code = ErrorCode::LeaderNotAvailable.code();
            return Err(ClientError::broker(what(), code, None));
        }
        match self.broker(row.leader).await {
            Ok(connection) => Ok((row.leader, connection)),
            Err(error) => {
                self.forget_topic(topic);
                Err(error)
            }
        }
    }

    /// A connection to the coordinator of a group.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn coordinator(&self, group: &str) -> Result<Arc<Connection>, ClientError> {
        let connection = self.any().await?;
        let what = || format!("find the coordinator of group `{group}`");
        // From version 4 on several are asked for at once.
        let several = connection.version(ApiKey::FindCoordinator)? >= 4;
        let request = if several {
            FindCoordinatorRequest { coordinator_keys: vec![group].into(), ..Default::default() }
        } else {
            FindCoordinatorRequest { key: group, ..Default::default() }
        };
        let reply = connection.call(&request).await?;
        let response: FindCoordinatorResponse<'_> = reply.read()?;
        let (code, message, host, port) = match response.coordinators.first() {
            Some(found) if several => {
                (found.error_code, found.error_message, found.host, found.port)
            }
            _ => (response.error_code, response.error_message, response.host, response.port),
        };
        check(code, message, what)?;
        let address = crate::MetadataBroker { id: 0, host: host.to_owned(), port, rack: None };
        self.connect(&address.address()).await
    }

    /// Attempts at `what`, which begin now. See [`retry!`].
    pub(crate) fn attempts<'a>(&'a self, what: &'a str) -> Attempts<'a> {
        Attempts { client: self, what, begun: self.0.env.clock.now(), pause: PAUSE_MIN }
    }
}

/// Attempts at one thing.
pub(crate) struct Attempts<'a> {
    client: &'a Client,
    what: &'a str,
    begun: MonoTime,
    pause: Duration,
}

impl Attempts<'_> {
    /// Waits before the next attempt, if there is to be one after this error: if it may pass and there is time.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.may_pass() {
            return Err(error);
        }
        let Inner { env, options, .. } = &*self.client.0;
        let after = env.clock.now().since(self.begun);
        // A broker that is not there is waited for less long than one that is busy.
        let patience = match error {
            ClientError::Connect { .. } => options.connect_timeout,
            _ => options.deadline,
        };
        if after + self.pause >= patience {
            return Err(match error {
                ClientError::Connect { .. } => error,
                last => {
                    let (what, last) = (self.what.to_owned(), Box::new(last));
                    ClientError::Deadline { what, after, last }
                }
            });
        }
        let jitter = env.entropy.below(1 + u64::try_from(self.pause.as_micros()).unwrap_or(0) / 2);
        env.clock.sleep(self.pause / 2 + Duration::from_micros(jitter)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

/// Tries until it succeeds, the error will not pass, or the client's deadline passes. A macro, as futures of closures that
/// borrow are not known to be `Send`, and spawned tasks use this client.
macro_rules! retry {
    ($client:expr, $what:expr, $attempt:expr) => {{
        let mut attempts = $client.attempts($what);
        loop {
            match $attempt.await {
                Ok(value) => break Ok(value),
                Err(error) => match attempts.after(error).await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
            }
        }
    }};
}

pub(crate) use retry;
