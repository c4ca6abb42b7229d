//! One module a verb.

mod bench;
mod cache;
mod cluster;
mod config;
mod consume;
mod doctor;
mod group;
mod produce;
mod tier;
mod topic;
mod traces;
mod wal;

use crate::args::{AdminArgs, ClientVerb, ClusterArgs, TopicVerb};
use crate::failure::{Exit, Failure};
use crate::offset_spec::Place;
use crate::ui::Ui;
use crate::verbs::cluster::Asked;
use esker_client::{At, Client, ClientOptions};
use esker_env::Env;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) async fn run(
    env: &Env,
    ui: &Ui,
    mut program: clap::Command,
    verb: ClientVerb,
) -> Result<(), Failure> {
    let ui = *ui;
    match verb {
        ClientVerb::Topic { verb: TopicVerb::Move { place, to, admin }, .. } => {
            asked(env, ui, &admin).move_topic(&place, to).await
        }
        ClientVerb::Topic { cluster, verb } => {
            let client = client(env, &cluster);
            match verb {
                TopicVerb::Produce(args) => produce::run(&client, ui, &args).await,
                TopicVerb::Consume(args) => consume::run(&client, ui, &args).await,
                verb => topic::run(&client, ui, verb).await,
            }
        }
        ClientVerb::Group { cluster, verb } => group::run(&client(env, &cluster), ui, verb).await,
        ClientVerb::Cluster { admin, verb } => asked(env, ui, &admin).cluster(verb).await,
        ClientVerb::Broker { admin, verb } => asked(env, ui, &admin).broker(verb).await,
        ClientVerb::Quorum { admin, verb } => asked(env, ui, &admin).quorum(verb).await,
        ClientVerb::Journal { admin, verb } => asked(env, ui, &admin).journal(verb).await,
        ClientVerb::Traces { admin, verb } => traces::run(env, ui, &admin, verb).await,
        ClientVerb::Tier { admin, verb } => tier::run(env, ui, &admin, verb).await,
        ClientVerb::Cache { admin, verb } => cache::run(env, ui, &admin, verb).await,
        ClientVerb::Wal { verb } => wal::run(env, ui, &verb),
        ClientVerb::Doctor(args) => doctor::run(env, ui, &args).await,
        ClientVerb::Bench { cluster, verb } => bench::run(&client(env, &cluster), ui, verb).await,
        ClientVerb::Config { verb } => config::run(ui, &verb),
        ClientVerb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut program, "esker", &mut script);
            ui.write(&script)
        }
    }
}

const fn asked<'a>(env: &'a Env, ui: Ui, admin: &'a AdminArgs) -> Asked<'a> {
    Asked { env, ui, admin }
}

fn client(env: &Env, cluster: &ClusterArgs) -> Client {
    let deadline = Duration::from_secs(cluster.timeout.max(1));
    let options = ClientOptions {
        brokers: cluster.brokers.clone(),
        client_id: "esker-cli".to_owned(),
        connect_timeout: deadline.min(Duration::from_secs(5)),
        deadline,
        ..ClientOptions::default()
    };
    Client::new(env.clone(), options)
}

/// Offsets of places, one a partition.
async fn find_places(
    client: &Client,
    partitions: &[(String, i32)],
    place: Place,
    read_committed: bool,
) -> Result<BTreeMap<(String, i32), i64>, Failure> {
    let at = match place {
        Place::Start(_) => At::Start,
        Place::End(_) => At::End,
        Place::Time(millis) => At::Timestamp(millis),
        Place::Exact(offset) => {
            return Ok(partitions.iter().map(|row| (row.clone(), offset)).collect());
        }
    };
    let look = async |rows: Vec<(String, i32)>, at| {
        let wanted: Vec<_> =
            rows.into_iter().map(|(topic, partition)| (topic, partition, at)).collect();
        client.list_offsets(&wanted, read_committed).await
    };
    let found = look(partitions.to_vec(), at).await?;
    // No record is that late: the end is where one would be.
    let late = found.iter().filter(|(_, place)| place.offset < 0).map(|(row, _)| row.clone());
    let mut ends = look(late.collect(), At::End).await?;
    Ok(found
        .into_iter()
        .map(|(row, found)| {
            let found = ends.remove(&row).unwrap_or(found).offset;
            let offset = match place {
                Place::Start(more) => found.saturating_add(more),
                Place::End(fewer) => found.saturating_sub(fewer).max(0),
                _ => found,
            };
            (row, offset)
        })
        .collect())
}

/// The partitions of a topic, or those of them that were asked for.
async fn partitions_of(
    client: &Client,
    topic: &str,
    only: &[i32],
) -> Result<Vec<(String, i32)>, Failure> {
    let found = client.topic(topic, false).await?;
    let all: Vec<_> = found.partitions.iter().map(|row| row.index).collect();
    if let Some(missing) = only.iter().find(|index| !all.contains(index)) {
        let what = format!("topic `{topic}` has no partition {missing}: it has {}", all.len());
        return Err(Failure::new(Exit::NotFound, what));
    }
    let wanted = if only.is_empty() { all } else { only.to_vec() };
    Ok(wanted.into_iter().map(|index| (topic.to_owned(), index)).collect())
}

/// The present, in milliseconds since 1970.
fn now(client: &Client) -> i64 {
    client.env().clock.wall().get()
}
