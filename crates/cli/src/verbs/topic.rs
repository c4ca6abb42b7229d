//! `esker topic`, but for produce and consume.

use super::{find_places, now, partitions_of};
use crate::args::{DestroyArgs, OutputFormat, TopicVerb};
use crate::failure::{Exit, Failure};
use crate::offset_spec::OffsetSpec;
use crate::ui::{Row, Ui, table};
use esker_client::{At, Client, ConfigOp, ConfigResource, MetadataTopic, NewTopic, Topics};
use esker_wire::ErrorCode;
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) async fn run(client: &Client, ui: Ui, verb: TopicVerb) -> Result<(), Failure> {
    match verb {
        TopicVerb::List { regex, internal, output } => {
            let rows = list(client, regex.as_deref(), internal).await?;
            ui.rows(output.output, &rows)
        }
        TopicVerb::Create { names, partitions, replicas, set, if_not_exists, dry_run } => {
            for name in names {
                let topic = NewTopic {
                    name,
                    partitions,
                    replication_factor: replicas,
                    configs: set.clone(),
                };
                create(client, ui, &topic, if_not_exists, dry_run).await?;
            }
            Ok(())
        }
        TopicVerb::Describe { name, all, output } => {
            describe(client, ui, &name, all, output.output).await
        }
        TopicVerb::Alter { name, set, unset, partitions, dry_run } => {
            let changes: Vec<_> = set
                .into_iter()
                .map(|(key, value)| ConfigOp::Set(key, value))
                .chain(unset.into_iter().map(ConfigOp::Delete))
                .collect();
            alter(client, ui, &name, &changes, partitions, dry_run).await
        }
        TopicVerb::Delete { names, destroy } => delete(client, ui, &names, destroy).await,
        TopicVerb::Trim { name, before, partitions, destroy } => {
            trim(client, ui, &name, &before, &partitions, destroy).await
        }
        TopicVerb::Produce(_) | TopicVerb::Consume(_) | TopicVerb::Move { .. } => {
            unreachable!("others carry them out")
        }
    }
}

#[derive(Serialize)]
struct Listed {
    name: String,
    partitions: usize,
    replicas: usize,
    id: String,
    internal: bool,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["NAME", "PARTITIONS", "REPLICAS", "ID", "INTERNAL"];
    const NARROW: usize = 3;

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.partitions.to_string(),
            self.replicas.to_string(),
            self.id.clone(),
            self.internal.to_string(),
        ]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn replicas_of(topic: &MetadataTopic) -> usize {
    topic.partitions.first().map_or(0, |partition| partition.replicas.len())
}

async fn list(
    client: &Client,
    pattern: Option<&str>,
    internal: bool,
) -> Result<Vec<Listed>, Failure> {
    let topics = matching(client, &[pattern.unwrap_or("")], internal).await?;
    Ok(topics
        .into_iter()
        .map(|topic| Listed {
            partitions: topic.partitions.len(),
            replicas: replicas_of(&topic),
            id: topic.id.to_string(),
            internal: topic.is_internal,
            name: topic.name,
        })
        .collect())
}

/// Topics whose names match one of the regular expressions.
pub(super) async fn matching(
    client: &Client,
    patterns: &[&str],
    internal: bool,
) -> Result<Vec<MetadataTopic>, Failure> {
    let patterns = regex::RegexSet::new(patterns)
        .map_err(|error| Failure::usage(format!("no regular expression: {error}")))?;
    let metadata = client.metadata(Topics::All).await?;
    let wanted =
        |topic: &MetadataTopic| (internal || !topic.is_internal) && patterns.is_match(&topic.name);
    Ok(metadata.topics.into_values().filter(wanted).collect())
}

async fn create(
    client: &Client,
    ui: Ui,
    topic: &NewTopic,
    if_not_exists: bool,
    dry_run: bool,
) -> Result<(), Failure> {
    let name = &topic.name;
    match client.create_topic(topic, dry_run).await {
        Ok(_) if dry_run => ui.line(&format!("{name}: could be created")),
        Ok(Some(count)) => ui.line(&format!("{name}: created, partitions: {count}")),
        Ok(None) => ui.line(&format!("{name}: created")),
        Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) && if_not_exists => {
            ui.line(&format!("{name}: exists"))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    replicas: usize,
    partitions: Vec<DescribedPartition>,
    configs: Vec<DescribedConfig>,
}

#[derive(Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    log_start_offset: Option<i64>,
    high_watermark: Option<i64>,
}

#[derive(Serialize)]
struct DescribedConfig {
    name: String,
    value: Option<String>,
    source: &'static str,
}

async fn describe(
    client: &Client,
    ui: Ui,
    name: &str,
    all: bool,
    output: OutputFormat,
) -> Result<(), Failure> {
    let topic = client.topic(name, false).await?;
    let led = topic.partitions.iter().filter(|row| row.leader >= 0);
    let led: Vec<_> = led.map(|row| (name.to_owned(), row.index)).collect();
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for (at, found) in [At::Start, At::End].into_iter().zip(&mut found) {
        let wanted: Vec<_> =
            led.iter().map(|(topic, partition)| (topic.clone(), *partition, at)).collect();
        *found = client.list_offsets(&wanted, false).await?;
    }
    let [starts, ends] = found;
    let configs = match client.describe_configs(ConfigResource::Topic(name)).await {
        Ok(entries) => entries,
        // A broker without this request still has a topic to show.
        Err(esker_client::ClientError::Unsupported { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let described = Described {
        id: topic.id.to_string(),
        internal: topic.is_internal,
        replicas: replicas_of(&topic),
        partitions: topic
            .partitions
            .into_iter()
            .map(|row| {
                let key = (name.to_owned(), row.index);
                DescribedPartition {
                    partition: row.index,
                    leader: row.leader,
                    leader_epoch: row.leader_epoch,
                    replicas: row.replicas,
                    log_start_offset: starts.get(&key).map(|place| place.offset),
                    high_watermark: ends.get(&key).map(|place| place.offset),
                }
            })
            .collect(),
        configs: configs
            .into_iter()
            .filter(|config| all || config.source == 1)
            .map(|config| DescribedConfig {
                name: config.name,
                value: config.value,
                source: source_name(config.source),
            })
            .collect(),
        name: topic.name,
    };
    match output {
        OutputFormat::Json => ui.json(&described),
        OutputFormat::Jsonl => {
            ui.line(&serde_json::to_string(&described).expect("it is plain data"))
        }
        OutputFormat::Name => ui.line(&described.name),
        OutputFormat::Table | OutputFormat::Wide => ui.write(render(&described).as_bytes()),
    }
}

const fn source_name(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "broker",
        3 => "cluster",
        4 => "file",
        5 => "default",
        8 => "group",
        _ => "unknown",
    }
}

fn render(topic: &Described) -> String {
    let unknown =
        |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let head = [("NAME", topic.name.clone()), ("ID", topic.id.clone())];
    let head = head.iter().map(|(title, text)| format!("{title:<10}{text}\n")).collect::<String>();
    let partitions = table(
        &["PARTITION", "LEADER", "EPOCH", "REPLICAS", "LOG-START", "HIGH-WATERMARK"],
        topic.partitions.iter().map(|row| {
            vec![
                row.partition.to_string(),
                row.leader.to_string(),
                row.leader_epoch.to_string(),
                format!("{:?}", row.replicas),
                unknown(row.log_start_offset),
                unknown(row.high_watermark),
            ]
        }),
    );
    if topic.configs.is_empty() {
        return format!("{head}\n{partitions}");
    }
    let configs = table(
        &["SETTING", "VALUE", "SET-ON"],
        topic.configs.iter().map(|row| {
            let value = row.value.clone().unwrap_or_else(|| "-".to_owned());
            vec![row.name.clone(), value, row.source.to_owned()]
        }),
    );
    format!("{head}\n{partitions}\n{configs}")
}

async fn alter(
    client: &Client,
    ui: Ui,
    name: &str,
    changes: &[ConfigOp],
    partitions: Option<i32>,
    dry_run: bool,
) -> Result<(), Failure> {
    if changes.is_empty() && partitions.is_none() {
        let failure = Failure::usage("nothing to change");
        return Err(failure.hint("say --set KEY=VALUE, --unset KEY or --partitions N"));
    }
    // Kafka sets a topic's values even where there is no such topic.
    client.topic(name, false).await?;
    if !changes.is_empty() {
        client.alter_configs(ConfigResource::Topic(name), changes, dry_run).await?;
    }
    if let Some(count) = partitions {
        client.create_partitions(name, count, dry_run).await?;
    }
    ui.line(&format!("{name}: {}", if dry_run { "could be changed" } else { "changed" }))
}

async fn delete(
    client: &Client,
    ui: Ui,
    names: &[String],
    destroy: DestroyArgs,
) -> Result<(), Failure> {
    for name in names {
        client.topic(name, false).await?;
    }
    if destroy.dry_run {
        return names.iter().try_for_each(|name| ui.line(&format!("{name}: would be deleted")));
    }
    let what = format!("delete {} with all their records", names.join(", "));
    ui.confirm(&what, destroy.yes)?;
    for name in names {
        client.delete_topic(name).await?;
        ui.line(&format!("{name}: deleted"))?;
    }
    Ok(())
}

async fn trim(
    client: &Client,
    ui: Ui,
    name: &str,
    before: &str,
    only: &[i32],
    destroy: DestroyArgs,
) -> Result<(), Failure> {
    let spec = OffsetSpec::parse(before, now(client)).map_err(Failure::usage)?;
    if spec.to.is_some() {
        return Err(Failure::usage("a topic is trimmed up to one place, not between two"));
    }
    let partitions = partitions_of(client, name, only).await?;
    let below = find_places(client, &partitions, spec.from, false).await?;
    if destroy.dry_run {
        return below.iter().try_for_each(|((_, partition), offset)| {
            ui.line(&format!("{name}-{partition}: would begin at {offset}"))
        });
    }
    ui.confirm(&format!("delete the records of {name} before {before}"), destroy.yes)?;
    let below = below.into_iter().map(|((_, partition), offset)| (partition, offset)).collect();
    let begun = client.delete_records(name, &below).await.map_err(|error| {
        let beyond = error.code() == Some(ErrorCode::OffsetOutOfRange);
        let failure = Failure::from(error);
        if beyond {
            failure.hint("no partition reaches that far: `end` is the furthest")
        } else {
            failure
        }
    })?;
    for (partition, offset) in begun {
        ui.line(&format!("{name}-{partition}: begins at {offset}"))?;
    }
    if below.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("topic `{name}` has no partitions")));
    }
    Ok(())
}
