//! What the admin interface tells of the cluster, and what it may be asked to do.

use esker_cli::admin_api::cluster::{
    BrokerStatus, ClusterStatus, Finding, JournalStatus, JournalStore, PlannedMove, QuorumStatus,
    VoterStatus,
};
use esker_meta::{Broker, BrokerState, Command, Journal, JournalState, Reply, State};
use esker_meta_client::MetaError;
use esker_node::{Node, QuorumDescription};
use esker_types::{BrokerId, PartitionId, StoreId};
use std::collections::BTreeMap;

/// The cluster as this node sees it.
pub(crate) async fn status(node: &Node) -> ClusterStatus {
    let image = node.engine().meta().image();
    let quorum = describe_quorum(&node.describe_quorum().await);
    let brokers = describe_brokers(&image, quorum.leader);
    let leaderless = image.partitions.values().filter(|row| !image.has_leader(row)).count();
    let mut findings = cluster_findings(&image, &quorum, leaderless);
    findings.extend(own_findings(node));
    ClusterStatus {
        cluster: image.cluster.to_string(),
        asked: node.engine().options().broker.get(),
        topics: image.topics.len() as u64,
        partitions: image.partitions.len() as u64,
        partitions_without_leader: leaderless as u64,
        moves: image.moves.len() as u64,
        journals: image.journals.len() as u64,
        quorum,
        brokers,
        findings,
    }
}

fn describe_quorum(quorum: &QuorumDescription) -> QuorumStatus {
    let leads = |node| quorum.leader == Some(node);
    let newest = quorum.voters.iter().find(|voter| leads(voter.node)).and_then(|v| v.last_entry);
    let voters = quorum.voters.iter().map(|voter| VoterStatus {
        id: voter.node.get(),
        address: voter.address.clone(),
        leads: leads(voter.node),
        last_entry: voter.last_entry,
        lag: newest.zip(voter.last_entry).map(|(newest, last)| newest.saturating_sub(last)),
    });
    QuorumStatus {
        leader: quorum.leader.map(BrokerId::get),
        term: quorum.term,
        applied: quorum.applied,
        voters: voters.collect(),
    }
}

fn describe_brokers(image: &State, controller: Option<i32>) -> Vec<BrokerStatus> {
    let mut leads: BTreeMap<BrokerId, u64> = BTreeMap::new();
    for row in image.partitions.values() {
        *leads.entry(row.leader).or_default() += 1;
    }
    let describe = |(id, row): (&BrokerId, &Broker)| {
        let leads = leads.get(id).copied().unwrap_or_default();
        let journals = || image.journals.values();
        let holds = journals().filter(|journal| {
            journal.owner != *id && journal.ensemble.iter().any(|store| row.stores.contains(store))
        });
        let holds = holds.count() as u64;
        let state = match row.state {
            BrokerState::Active => "active",
            BrokerState::Fenced => "fenced",
            BrokerState::Draining if leads == 0 && holds == 0 => "drained",
            BrokerState::Draining => "draining",
        };
        BrokerStatus {
            id: id.get(),
            state: state.to_owned(),
            address: format!("{}:{}", row.host, row.port),
            peer: row.peer.clone().unwrap_or_default(),
            rack: row.rack.clone(),
            leads,
            journals: journals().filter(|journal| journal.owner == *id).count() as u64,
            holds,
            controller: controller == Some(id.get()),
        }
    };
    image.brokers.iter().map(describe).collect()
}

fn finding(reason: &str, what: String, advice: &str) -> Finding {
    Finding { reason: reason.to_owned(), what, advice: advice.to_owned() }
}

fn cluster_findings(image: &State, quorum: &QuorumStatus, leaderless: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    if quorum.leader.is_none() {
        found.push(finding(
            "no-quorum-leader",
            "no node leads the metadata quorum".to_owned(),
            "start nodes until a majority of the voters is there, and look whether they reach each other",
        ));
    }
    for voter in quorum.voters.iter().filter(|voter| is_behind(voter, quorum)) {
        found.push(finding(
            "voter-behind",
            format!("voter {} lacks entries of the metadata log", voter.id),
            "start it if it is down; else look at its disk and the way to it",
        ));
    }
    for (id, row) in image.brokers.iter().filter(|(_, row)| !row.is_alive()) {
        found.push(finding(
            "broker-dead",
            format!("broker {id} ({}:{}) is thought dead", row.host, row.port),
            "start it again, or `esker broker remove` it when it will not come back",
        ));
    }
    if leaderless > 0 {
        found.push(finding(
            "no-leader",
            format!("{leaderless} partitions have no leader"),
            "wait a moment: others take over; if it lasts, too few of the disks that hold their journals are there",
        ));
    }
    for (id, journal) in &image.journals {
        let alive = journal.ensemble.iter().filter(|store| is_alive(image, store)).count();
        let of = journal.ensemble.len();
        let is_open = matches!(journal.state, JournalState::Open);
        if alive < usize::from(journal.ack_quorum) {
            found.push(finding(
                "journal-stalled",
                format!(
                    "journal {id} of broker {}: {alive} of its {of} disks are there",
                    journal.owner
                ),
                "start the brokers that have the others; what it holds is not in the bucket yet",
            ));
        } else if is_open && alive < of {
            found.push(finding(
                "journal-short",
                format!("journal {id} of broker {}: {alive} of its {of} disks are there", journal.owner),
                "wait a moment: it goes on to other disks if there are brokers enough; else start more",
            ));
        }
    }
    found
}

/// More than a moment's entries, or never heard of by the leader.
fn is_behind(voter: &VoterStatus, quorum: &QuorumStatus) -> bool {
    /// Entries that may be on their way.
    const UNDER_WAY: u64 = 1000;
    let is_asked_by_leader = quorum.voters.iter().any(|voter| voter.leads && voter.lag == Some(0))
        && quorum.voters.iter().filter(|voter| voter.last_entry.is_some()).count() > 1;
    match voter.lag {
        Some(lag) => lag > UNDER_WAY,
        None => is_asked_by_leader && !voter.leads,
    }
}

/// What is the matter with this broker alone.
fn own_findings(node: &Node) -> Vec<Finding> {
    let (engine, mut found) = (node.engine(), Vec::new());
    let id = engine.options().broker;
    if engine.is_failed() {
        found.push(finding(
            "disk-failed",
            format!("the write-ahead log of broker {id} failed"),
            "look at the device and the kernel's log, then restart the broker",
        ));
    }
    if engine.flush_status().failing {
        found.push(finding(
            "bucket-failing",
            format!("broker {id} cannot put objects into the bucket"),
            "records are safe in the write-ahead log; `esker doctor` examines the bucket",
        ));
    }
    let space = engine.wal().space();
    if space.capacity > 0 && space.used * 10 > space.capacity * 9 {
        found.push(finding(
            "log-full",
            format!("the write-ahead log of broker {id} is nearly full"),
            "records come faster than the bucket takes them: look at it, or set esker.wal.capacity.bytes higher",
        ));
    }
    found
}

fn broker_of<'a>(image: &'a State, store: &StoreId) -> Option<(&'a BrokerId, &'a Broker)> {
    image.brokers.iter().find(|(_, row)| row.stores.contains(store))
}

fn is_alive(image: &State, store: &StoreId) -> bool {
    broker_of(image, store).is_some_and(|(_, row)| row.is_alive())
}

/// All journals that still hold something.
pub(crate) fn journals(image: &State) -> Vec<JournalStatus> {
    image.journals.iter().map(|(id, row)| describe_journal(image, &id.to_string(), row)).collect()
}

fn describe_journal(image: &State, id: &str, row: &Journal) -> JournalStatus {
    let (state, end) = match row.state {
        JournalState::Open => ("open", None),
        JournalState::Rolled { end } => ("rolled", Some(end.0)),
        JournalState::Sealing => ("sealing", None),
        JournalState::Sealed { tail } => ("sealed", Some(tail.0)),
    };
    let store = |store: &StoreId| JournalStore {
        store: store.to_string(),
        broker: broker_of(image, store).map(|(id, _)| id.get()),
        alive: is_alive(image, store),
    };
    JournalStatus {
        id: id.to_owned(),
        owner: row.owner.get(),
        shard: row.shard,
        state: state.to_owned(),
        end,
        drained: row.drained.0,
        acks: row.ack_quorum,
        stores: row.ensemble.iter().map(store).collect(),
    }
}

/// What was asked for cannot be done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It does not exist.
    NotFound(String),
    /// It makes no sense now.
    Conflict(String),
    /// It may succeed later.
    Unavailable(String),
}

impl From<MetaError> for Refusal {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::Rejected(reason) => match reason {
                esker_meta::Rejected::UnknownBroker(_) => Self::NotFound(reason.to_string()),
                reason => Self::Conflict(reason.to_string()),
            },
            MetaError::Unavailable(reason) | MetaError::Failed(reason) => Self::Unavailable(reason),
        }
    }
}

/// What may be done with a broker.
pub(crate) fn broker_command(broker: BrokerId, verb: &str) -> Option<Command> {
    match verb {
        "drain" => Some(Command::DrainBroker { broker }),
        "resume" => Some(Command::ResumeBroker { broker }),
        "remove" => Some(Command::RemoveBroker { broker }),
        _ => None,
    }
}

/// Has a command ordered.
pub(crate) async fn order(node: &Node, command: Command) -> Result<(), Refusal> {
    let reply = node.engine().meta().propose(command).await?;
    match reply {
        Reply::Done => Ok(()),
        reply => Err(Refusal::Conflict(format!("{reply:?}"))),
    }
}

/// The moves of a topic's partitions, or of one of them, to a broker.
pub(crate) fn topic_moves(
    image: &State,
    topic: &str,
    partition: Option<i32>,
    to: BrokerId,
) -> Result<Command, Refusal> {
    let row = image.topic_names.iter().find(|(name, _)| name.as_str() == topic);
    let row = row.and_then(|(_, id)| image.topics.get(id));
    let row = row.ok_or_else(|| Refusal::NotFound(format!("no topic `{topic}`")))?;
    match image.brokers.get(&to).map(|row| row.state) {
        None => return Err(Refusal::NotFound(format!("no broker {to}"))),
        Some(BrokerState::Active) => {}
        Some(_) => {
            let what = format!("broker {to} may lead nothing: it is dead or being drained");
            return Err(Refusal::Conflict(what));
        }
    }
    let wanted: Vec<PartitionId> = match partition {
        None => row.partitions.clone(),
        Some(index) => {
            let found = usize::try_from(index).ok().and_then(|index| row.partitions.get(index));
            let what = || Refusal::NotFound(format!("topic `{topic}` has no partition {index}"));
            vec![*found.ok_or_else(what)?]
        }
    };
    Ok(Command::MoveLeaders { moves: wanted.into_iter().map(|id| (id, Some(to))).collect() })
}

/// What balance would move.
pub(crate) fn balance(image: &State) -> (Vec<PlannedMove>, Command) {
    let plan = image.plan_balance();
    let describe = |(id, to): &(PartitionId, BrokerId)| {
        let row = image.partitions.get(id)?;
        Some(PlannedMove {
            topic: image.topics.get(&row.topic)?.name.to_string(),
            partition: row.index.get(),
            from: row.leader.get(),
            to: to.get(),
        })
    };
    let told = plan.iter().filter_map(describe).collect();
    (
        told,
        Command::MoveLeaders { moves: plan.into_iter().map(|(id, to)| (id, Some(to))).collect() },
    )
}
