//! Two nodes over real sockets.

use crate::{
    CallError, Caller, Greeting, Liveness, PeerListener, PeerSecurity, Peers, PeersOptions,
    SecurityError, Sentinel, Service, ServiceError, ServiceId, Sign,
};
use bytes::Bytes;
use esker_env::real::Runtimes;
use esker_env::{BoxFuture, Env};
use esker_types::{BrokerId, ClusterId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

struct Echo;

impl Service for Echo {
    fn serve(
        &self,
        caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        Box::pin(async move {
            match &request[..] {
                b"refuse" => Err(ServiceError::new("no")),
                b"who" => Ok(Bytes::from(caller.node.to_string())),
                _ => Ok(request),
            }
        })
    }
}

fn greeting(node: i32, cluster: u128) -> Arc<Mutex<Greeting>> {
    let cluster = ClusterId(Uuid::from_u128(cluster));
    let directory = Uuid::from_u128(u128::from(node.unsigned_abs()));
    Arc::new(Mutex::new(Greeting { cluster, node: BrokerId(node), directory }))
}

async fn listening(env: &Env, cluster: u128) -> (PeerListener, String) {
    let listener = env.net.bind("127.0.0.1:0").await.unwrap();
    let services = [(ServiceId::Quorum, Arc::new(Echo) as Arc<dyn Service>)].into();
    let listener =
        PeerListener::start(env, listener, greeting(1, cluster), secured(env, SECRET), services);
    let address = listener.address().to_string();
    (listener, address)
}

const SECRET: &str = "a secret of the cluster";

fn secured(env: &Env, secret: &str) -> PeerSecurity {
    PeerSecurity::from_secret(secret.as_bytes(), &env.clock).unwrap()
}

fn peers(env: &Env, cluster: u128) -> Peers {
    Peers::new(env.clone(), greeting(2, cluster), PeersOptions::new(secured(env, SECRET)))
}

fn run(test: impl AsyncFnOnce(&Env)) {
    let runtimes = Runtimes::start(1, 1).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(test(&env));
}

const ONE: BrokerId = BrokerId(1);

#[test]
fn a_node_is_seen_alive_silent_and_gone() {
    run(async |env| {
        let listener = env.net.bind("127.0.0.1:0").await.unwrap();
        let liveness = Arc::new(Liveness::new(Arc::clone(&env.clock), 11)) as Arc<dyn Service>;
        let services = [(ServiceId::Liveness, liveness)].into();
        let listener =
            PeerListener::start(env, listener, greeting(1, 7), secured(env, SECRET), services);
        let at = listener.address().to_string();
        let sentinel = Sentinel::new(&peers(env, 7), Arc::clone(&env.clock));
        let (soon, long) = (Duration::from_millis(1), Duration::from_secs(60));
        assert_eq!(sentinel.look(ONE, &at, None, soon, long).await, Sign::Alive);
        assert_eq!(sentinel.look(ONE, &at, Some(11), soon, long).await, Sign::Alive);
        // Nobody waits for a process whose place another has taken.
        let before = sentinel.look(ONE, &at, Some(10), Duration::from_secs(60), long);
        assert_eq!(before.await, Sign::Gone);
        assert_eq!(
            sentinel.look(BrokerId(3), &at, None, soon, long).await,
            Sign::Silent,
            "another"
        );
        // The answer would come in a minute; that it is gone is known at once.
        let watching = sentinel.look(ONE, &at, Some(11), Duration::from_secs(60), long);
        let ending = async {
            env.clock.sleep(Duration::from_millis(20)).await;
            drop(listener);
        };
        let (sign, ()) = futures_util::future::join(watching, ending).await;
        assert_eq!(sign, Sign::Gone);
    });
}

#[test]
fn calls_are_answered_and_refusals_are_told() {
    run(async |env| {
        let (_listener, at) = listening(env, 7).await;
        let peers = peers(env, 7);
        let call =
            |body: &'static [u8]| peers.call(ONE, &at, ServiceId::Quorum, Bytes::from_static(body));
        assert_eq!(call(b"hello").await, Ok(Bytes::from_static(b"hello")));
        assert_eq!(call(b"who").await, Ok(Bytes::from_static(b"2")));
        let refused = CallError::Refused { address: at.clone(), reason: "no".to_owned() };
        assert_eq!(call(b"refuse").await, Err(refused));
        assert_eq!(call(b"").await, Ok(Bytes::new()));
        let not_served = peers.call(ONE, &at, ServiceId::Store, Bytes::new()).await;
        assert!(matches!(not_served, Err(CallError::Refused { .. })), "{not_served:?}");
    });
}

#[test]
fn many_calls_share_a_connection_and_long_bodies_come_whole() {
    run(async |env| {
        let (_listener, at) = listening(env, 7).await;
        let peers = peers(env, 7);
        let bodies = (1..=200_usize).map(|n| Bytes::from(vec![n.to_le_bytes()[0]; n * 9_000]));
        let calls = bodies.map(|body| {
            let (peers, at) = (peers.clone(), at.clone());
            async move {
                let echoed = peers.call(ONE, &at, ServiceId::Quorum, body.clone()).await;
                assert_eq!(echoed, Ok(body));
            }
        });
        futures_util::future::join_all(calls).await;
    });
}

#[test]
fn strangers_are_told_and_get_nowhere() {
    run(async |env| {
        let (_listener, at) = listening(env, 7).await;
        for (peers, node) in [(peers(env, 8), ONE), (peers(env, 7), BrokerId(3))] {
            let called = peers.call(node, &at, ServiceId::Quorum, Bytes::new()).await;
            assert!(matches!(called, Err(CallError::Stranger { .. })), "{called:?}");
        }
        // Who knows no cluster yet may ask.
        let unknown = peers(env, 0).call(ONE, &at, ServiceId::Quorum, Bytes::new()).await;
        assert_eq!(unknown, Ok(Bytes::new()));
    });
}

#[test]
fn a_peer_that_has_gone_is_unreachable_and_reached_again_when_it_is_back() {
    run(async |env| {
        let (listener, at) = listening(env, 7).await;
        let peers = peers(env, 7);
        let call = || peers.call(ONE, &at, ServiceId::Quorum, Bytes::from_static(b"x"));
        assert!(call().await.is_ok());
        drop(listener);
        while call().await.is_ok() {}
        while !matches!(call().await, Err(CallError::NobodyListens { .. })) {}
        let socket = loop {
            if let Ok(socket) = env.net.bind(&at).await {
                break socket;
            }
        };
        let services = [(ServiceId::Quorum, Arc::new(Echo) as Arc<dyn Service>)].into();
        let _listener =
            PeerListener::start(env, socket, greeting(1, 7), secured(env, SECRET), services);
        while call().await.is_err() {}
    });
}

#[test]
fn who_has_no_secret_or_another_one_gets_no_connection() {
    run(async |env| {
        let (_listener, at) = listening(env, 7).await;
        for security in [secured(env, "another secret, as long"), PeerSecurity::Open] {
            let peers = Peers::new(env.clone(), greeting(2, 7), PeersOptions::new(security));
            let called = peers.call(ONE, &at, ServiceId::Quorum, Bytes::new()).await;
            assert!(matches!(called, Err(CallError::Unreachable { .. })), "{called:?}");
        }
        let short = PeerSecurity::from_secret(b"short", &env.clock);
        assert!(matches!(short, Err(SecurityError::ShortSecret(5))));
    });
}
