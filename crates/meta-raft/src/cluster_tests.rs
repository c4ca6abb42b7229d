//! Several voters over real sockets and files.

use crate::{Quorum, QuorumError, QuorumOptions, QuorumService, Voter};
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_meta::{Command, ConfigChange, ConfigResource, Rejected};
use esker_meta_client::{MetaClient, MetaError};
use esker_peer::{
    Greeting, Liveness, PeerListener, PeerSecurity, Peers, PeersOptions, Service, ServiceId,
};
use esker_types::{BrokerId, ClusterId};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// When a voter stands for election.
const SOON: Duration = Duration::from_millis(300);

/// One voter's place: it outlives its process.
struct Seat {
    voter: Voter,
    dir: TempDir,
}

struct Running {
    quorum: Quorum,
    listener: PeerListener,
}

impl Running {
    async fn stop(self) {
        self.listener.stop();
        self.quorum.close().await;
    }
}

/// Ports that are free now.
async fn seats(env: &Env, count: i32) -> Vec<Seat> {
    // All at once, so that they differ.
    let binding = (0..count).map(|_| env.net.bind("127.0.0.1:0"));
    let listeners = futures_util::future::join_all(binding).await;
    let seats = (1..).zip(&listeners).map(|(node, listener)| {
        let address = listener.as_ref().unwrap().local_addr().to_string();
        let voter = Voter { node: BrokerId(node), address };
        Seat { voter, dir: tempfile::tempdir().unwrap() }
    });
    seats.collect()
}

fn voters(seats: &[Seat]) -> Vec<Voter> {
    seats.iter().map(|seat| seat.voter.clone()).collect()
}

async fn open(
    env: &Env,
    seat: &Voter,
    dir: &Path,
    voters: Vec<Voter>,
    election_timeout: Duration,
) -> Result<Running, QuorumError> {
    let greeting =
        Greeting { cluster: ClusterId::default(), node: seat.node, directory: Uuid::nil() };
    let greeting = Arc::new(Mutex::new(greeting));
    let peers =
        Peers::new(env.clone(), Arc::clone(&greeting), PeersOptions::new(PeerSecurity::Open));
    let service = QuorumService::default();
    let liveness = Arc::new(Liveness::new(Arc::clone(&env.clock), 1)) as Arc<dyn Service>;
    let services = [
        (ServiceId::Quorum, Arc::new(service.clone()) as Arc<dyn Service>),
        (ServiceId::Liveness, liveness),
    ];
    let services = services.into();
    let socket = loop {
        // Whoever had the port before may be on its way out.
        if let Ok(socket) = env.net.bind(&seat.address).await {
            break socket;
        }
    };
    let listener = PeerListener::start(env, socket, greeting, PeerSecurity::Open, services);
    let options = QuorumOptions {
        dir: dir.to_owned(),
        node: seat.node,
        voters,
        election_timeout,
        propose_timeout: Duration::from_secs(60),
        snapshot_every: 50,
        snapshot_every_bytes: 1 << 20,
        reaches: 0,
    };
    let quorum = Quorum::open(env, options, peers, service).await?;
    Ok(Running { quorum, listener })
}

async fn start(env: &Env, seats: &[Seat], place: usize) -> Running {
    let seat = &seats[place];
    open(env, &seat.voter, seat.dir.path(), voters(seats), SOON).await.unwrap()
}

async fn start_all(env: &Env, seats: &[Seat]) -> Vec<Running> {
    let starting = (0..seats.len()).map(|place| start(env, seats, place));
    futures_util::future::join_all(starting).await
}

fn set(name: &str, value: &str) -> Command {
    let resource = ConfigResource::Broker(None);
    let change = ConfigChange::Resource(resource, name.to_owned(), Some(value.to_owned()));
    Command::AlterConfigs { changes: vec![change] }
}

fn value(quorum: &Quorum, name: &str) -> Option<String> {
    quorum.image().configs.get(&ConfigResource::Broker(None))?.get(name).cloned()
}

fn run(test: impl AsyncFnOnce(&Env)) {
    let runtimes = Runtimes::start(1, 2).unwrap();
    let env = Env::real(&runtimes);
    runtimes.block_on(test(&env));
}

#[test]
fn three_found_a_quorum_and_any_of_them_takes_proposals() {
    run(async |env| {
        let seats = seats(env, 3).await;
        let nodes = start_all(env, &seats).await;
        for (number, node) in nodes.iter().enumerate() {
            node.quorum.propose(set(&format!("name-{number}"), "x")).await.unwrap();
            // A proposer reads its own write.
            assert!(value(&node.quorum, &format!("name-{number}")).is_some());
        }
        let rejected = nodes[2].quorum.propose(Command::DeleteTopic { topic: Default::default() });
        let rejected = rejected.await;
        assert!(
            matches!(rejected, Err(MetaError::Rejected(Rejected::UnknownTopic(_)))),
            "{rejected:?}"
        );
        assert_eq!(nodes[0].quorum.image().voters.len(), 3);
        for node in nodes {
            node.stop().await;
        }
    });
}

#[test]
fn a_quorum_goes_on_without_its_leader_and_the_leader_catches_up() {
    run(async |env| {
        let seats = seats(env, 3).await;
        let mut nodes = start_all(env, &seats).await;
        nodes[0].quorum.propose(set("before", "1")).await.unwrap();
        let leader = nodes[0].quorum.leader().await.unwrap();
        let place = usize::try_from(leader.0 - 1).unwrap();
        nodes.remove(place).stop().await;
        // More entries than a snapshot covers: what the leader missed is no longer in the log.
        for number in 0..130 {
            nodes[number % 2].quorum.propose(set("during", &number.to_string())).await.unwrap();
        }
        let back = start(env, &seats, place).await;
        assert_eq!(value(&back.quorum, "before").as_deref(), Some("1"));
        assert_eq!(value(&back.quorum, "during").as_deref(), Some("129"));
        back.quorum.propose(set("after", "1")).await.unwrap();
        nodes.push(back);
        for node in nodes {
            node.stop().await;
        }
    });
}

#[test]
fn a_leader_whose_process_has_ended_is_replaced_before_its_time_is_over() {
    run(async |env| {
        let seats = seats(env, 3).await;
        // Founders who have shared the votes wait for so long, too.
        let patience = Duration::from_secs(15);
        let starting = seats
            .iter()
            .map(|seat| open(env, &seat.voter, seat.dir.path(), voters(&seats), patience));
        let nodes = futures_util::future::join_all(starting).await;
        let mut others: Vec<_> = nodes.into_iter().map(Result::unwrap).collect();
        others[0].quorum.propose(set("before", "1")).await.unwrap();
        let ended = others[0].quorum.leader().await.unwrap();
        others.remove(usize::try_from(ended.0 - 1).unwrap()).stop().await;
        let mut leaders = others[0].quorum.leaders();
        let since = env.clock.now();
        leaders.wait_for(|leader| leader.filter(|id| *id != ended)).await.unwrap();
        assert!(env.clock.now().since(since) < patience, "it was waited for");
        others[1].quorum.propose(set("after", "1")).await.unwrap();
        for node in others {
            node.stop().await;
        }
    });
}

#[test]
fn nothing_is_decided_by_a_minority() {
    run(async |env| {
        let seats = seats(env, 3).await;
        let mut nodes = start_all(env, &seats).await;
        nodes[0].quorum.propose(set("a", "1")).await.unwrap();
        nodes.remove(1).stop().await;
        nodes.remove(1).stop().await;
        let alone = &nodes[0].quorum;
        let proposed = alone.propose(set("a", "2"));
        let result = esker_env::timeout(&*env.clock, Duration::from_secs(2), proposed).await;
        assert!(result.is_err(), "{result:?}");
        assert_eq!(value(alone, "a").as_deref(), Some("1"));
        // With one of the others it goes on.
        let back = start(env, &seats, 1).await;
        alone.propose(set("a", "3")).await.unwrap();
        back.quorum.propose(set("b", "1")).await.unwrap();
        assert_eq!(value(&back.quorum, "a").as_deref(), Some("3"));
    });
}

#[test]
fn one_that_comes_late_joins_and_one_that_lost_its_disk_is_refused() {
    run(async |env| {
        let seats = seats(env, 3).await;
        let two = vec![start(env, &seats, 0), start(env, &seats, 1)];
        let two = futures_util::future::join_all(two).await;
        two[0].quorum.propose(set("early", "1")).await.unwrap();
        let late = start(env, &seats, 2).await;
        assert_eq!(value(&late.quorum, "early").as_deref(), Some("1"));
        late.stop().await;
        let empty = tempfile::tempdir().unwrap();
        let wiped = open(env, &seats[2].voter, empty.path(), voters(&seats), SOON).await;
        let error = wiped.err().expect("the quorum knows another directory").to_string();
        assert!(error.contains("esker quorum remove 3"), "{error}");
        // The directory that it knows comes back.
        let back = start(env, &seats, 2).await;
        back.quorum.propose(set("late", "1")).await.unwrap();
    });
}
