//! A broker over an engine in memory and a directory that goes with the test.

use super::frames;
use crate::call::Response;
use crate::client_info::ClientInfo;
use crate::protocol_violation::ProtocolViolation;
use crate::{Broker, BrokerOptions, LiveSettings, dispatch};
use bytes::BytesMut;
use esker_bucket::MemoryBucket;
use esker_cache::MemoryCache;
use esker_engine::{Engine, EngineOptions, OpenedLog};
use esker_env::Env;
use esker_env::real::{Runtimes, SystemClock};
use esker_meta::Command;
use esker_meta_client::{MetaClient, SoloMeta};
use esker_record::BatchBuilder;
use esker_settings::BrokerSettings;
use esker_types::{BrokerId, ByteCount, ClusterId, Offset, Timestamp};
use esker_wire::Request;
use esker_wire::api::create_topics::{CreatableTopic, CreateTopicsRequest};
use std::sync::Arc;
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A broker and one client of it.
pub(crate) struct House {
    pub(crate) broker: Arc<Broker>,
    pub(crate) client: Arc<ClientInfo>,
}

/// Runs `work` in a house.
pub(crate) fn run<T>(work: impl AsyncFnOnce(&House) -> T) -> T {
    run_with(|_| {}, work)
}

/// Runs `work` in a house with other options.
pub(crate) fn run_with<T>(
    adjust: impl FnOnce(&mut BrokerOptions),
    work: impl AsyncFnOnce(&House) -> T,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let runtimes = Runtimes::start(1, 2).unwrap();
    let env = Env::real(&runtimes);
    let mut broker = BrokerOptions::default();
    broker.coordinator.partitions = 2;
    broker.coordinator.groups.group_initial_rebalance_delay_ms = 0;
    adjust(&mut broker);
    runtimes.block_on(async {
        let mut options = EngineOptions::new(BrokerId(1), dir.path().join("wal"));
        options.wal_segment = ByteCount::mib(1);
        options.wal_capacity = ByteCount::mib(8);
        let cluster = ClusterId(Uuid::from_u128(1));
        let meta = SoloMeta::new(Arc::new(SystemClock::new()));
        meta.propose(Command::FoundCluster { cluster }).await.unwrap();
        let settings = Arc::new(LiveSettings::new(BrokerId(1), BrokerSettings::default()));
        let log = OpenedLog::open(&env, cluster, &options).await.unwrap();
        let (bucket, cache) = (Arc::new(MemoryBucket::new()), MemoryCache::new(4 << 20));
        let (meta, cache) = (Arc::new(meta), Arc::new(cache));
        let resolve = Arc::clone(&settings) as _;
        let engine = Engine::start(env.clone(), log, meta, bucket, cache, resolve, options, None);
        let engine = engine.await.unwrap();
        let broker = Broker::new(Arc::clone(&engine), settings, broker);
        let client = Arc::new(ClientInfo::new(([127, 0, 0, 1], 40_000).into(), 0));
        let house = House { broker, client };
        let result = work(&house).await;
        engine.stop().await;
        result
    })
}

impl House {
    /// What becomes of a frame that has no length in front.
    pub(crate) async fn respond(&self, frame: &[u8]) -> Response {
        let mut pending = dispatch::start(&self.broker, &self.client, BytesMut::from(frame));
        std::future::poll_fn(|context| pending.poll(context)).await
    }

    /// The answer to a frame, length included.
    pub(crate) async fn frame(&self, frame: &[u8]) -> Vec<u8> {
        match self.respond(frame).await {
            Response::Frame { segments, .. } => segments.concat(),
            other => panic!("no frame but {other:?}"),
        }
    }

    /// Why a frame ends the connection.
    pub(crate) async fn violation(&self, frame: &[u8]) -> ProtocolViolation {
        match self.respond(frame).await {
            Response::Close(violation) => violation,
            other => panic!("not closed but {other:?}"),
        }
    }

    /// Asks, and looks at the answer.
    pub(crate) async fn ask<'a, R: Request<'a>, T>(
        &self,
        version: i16,
        request: &R,
        look: impl for<'b> FnOnce(R::Response<'b>) -> T,
    ) -> T {
        let answer = self.frame(&frames::frame(request, version)).await;
        look(frames::parse::<R>(version, &answer).unwrap().0)
    }

    /// Makes a topic of two partitions.
    pub(crate) async fn create(&self, name: &str) {
        let topic =
            CreatableTopic { name, num_partitions: 2, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
        let code = self.ask(5, &request, |answer| answer.topics.first().unwrap().error_code).await;
        assert_eq!(code, 0, "{name} is made");
    }
}

/// A batch of so many records of now.
pub(crate) fn batch(records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Offset::ZERO);
    for _ in 0..records {
        builder.append(Timestamp(NOW), Some(b"key"), Some(b"value"), &[]);
    }
    builder.build().to_vec()
}
