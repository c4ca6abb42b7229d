//! What all connections share.

use crate::coordinator::Coordinator;
use crate::fetch_session::FetchSessions;
use crate::listed_brokers::ListedBrokers;
use crate::live_settings::LiveSettings;
use crate::options::BrokerOptions;
use crate::topic_creation::TopicCreator;
use esker_engine::Engine;
use esker_env::{Budget, Env};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// The request side of a broker.
pub struct Broker {
    engine: Arc<Engine>,
    options: BrokerOptions,
    settings: Arc<LiveSettings>,
    request_memory: Budget,
    advertised_port: AtomicU16,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) listed_brokers: ListedBrokers,
    pub(crate) topics: TopicCreator,
    pub(crate) coordinator: Coordinator,
    pub(crate) connections: AtomicUsize,
    pub(crate) next_connection: AtomicU64,
    /// Producer ids reserved and not given out.
    pub(crate) producer_ids: Mutex<std::ops::Range<i64>>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Broker {
    /// The request side over `engine`.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        settings: Arc<LiveSettings>,
        options: BrokerOptions,
    ) -> Arc<Self> {
        let broker = Arc::new(Self {
            topics: TopicCreator::new(Arc::clone(&engine), &options),
            coordinator: Coordinator::new(Arc::clone(&engine), &options.coordinator),
            request_memory: Budget::new(options.request_memory),
            advertised_port: AtomicU16::new(options.advertised_port),
            listed_brokers: ListedBrokers::default(),
            fetch_sessions: FetchSessions::new(
                options.fetch_sessions_max,
                engine.env().entropy.fork("fetch sessions"),
            ),
            connections: AtomicUsize::new(0),
            next_connection: AtomicU64::new(0),
            producer_ids: Mutex::new(0..0),
            engine,
            settings,
            options,
        });
        broker.coordinator.start();
        broker
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The settings by Kafka's names.
    #[must_use]
    pub fn settings(&self) -> &Arc<LiveSettings> {
        &self.settings
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &BrokerOptions {
        &self.options
    }

    pub(crate) fn env(&self) -> &Env {
        self.engine.env()
    }

    pub(crate) fn request_memory(&self) -> &Budget {
        &self.request_memory
    }

    pub(crate) fn entropy(&self) -> &dyn esker_env::Entropy {
        &*self.engine.env().entropy
    }

    /// The host that clients are told.
    pub(crate) fn advertised_host(&self) -> &str {
        &self.options.advertised_host
    }

    /// The port that clients are told.
    pub(crate) fn advertised_port(&self) -> i32 {
        i32::from(self.advertised_port.load(Ordering::Relaxed))
    }

    pub(crate) fn bound_to(&self, port: u16) {
        // Only an advertised port that nobody chose follows the socket.
        let chosen = self.options.advertised_port;
        self.advertised_port.store(if chosen == 0 { port } else { chosen }, Ordering::Relaxed);
    }

    /// This broker's number.
    pub(crate) fn id(&self) -> i32 {
        self.engine.options().broker.get()
    }

    /// The number of this broker's registration, which rises with each start.
    pub(crate) fn registration(&self, state: &esker_meta::State) -> i32 {
        let row = state.brokers.get(&self.engine.options().broker);
        row.map_or(-1, |row| i32::try_from(row.incarnation.get()).unwrap_or(i32::MAX))
    }

    /// Incremental fetch sessions.
    #[must_use]
    pub fn fetch_session_count(&self) -> usize {
        self.fetch_sessions.len()
    }

    /// Open connections.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}
