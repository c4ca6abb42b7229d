//! `esker group`.

use super::{find_places, now, partitions_of};
use crate::args::{DestroyArgs, GroupVerb, OutputFormat};
use crate::failure::{Exit, Failure};
use crate::offset_spec::{OffsetSpec, Place};
use crate::ui::{Row, Ui, table};
use esker_client::{At, Client, ClientError, ErrorKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn run(client: &Client, ui: Ui, verb: GroupVerb) -> Result<(), Failure> {
    match verb {
        GroupVerb::List { output } => {
            let groups = client.list_groups().await?;
            let rows: Vec<_> = groups
                .into_iter()
                .map(|group| Listed {
                    group: group.id,
                    state: group.state,
                    group_type: group.group_type,
                    protocol_type: group.protocol_type,
                })
                .collect();
            ui.rows(output.output, &rows)
        }
        GroupVerb::Describe { id, output } => describe(client, ui, &id, output.output).await,
        GroupVerb::Seek { id, to, topics, dry_run, output } => {
            let rows = seek(client, &id, &to, &topics, dry_run).await?;
            ui.rows(output.output, &rows)
        }
        GroupVerb::Delete { ids, destroy } => delete(client, ui, &ids, destroy).await,
    }
}

#[derive(Serialize)]
struct Listed {
    group: String,
    state: String,
    #[serde(rename = "type")]
    group_type: String,
    protocol_type: String,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["GROUP", "STATE", "TYPE", "PROTOCOL-TYPE"];
    const NARROW: usize = 2;

    fn cells(&self) -> Vec<String> {
        vec![
            self.group.clone(),
            self.state.clone(),
            self.group_type.clone(),
            self.protocol_type.clone(),
        ]
    }

    fn name(&self) -> &str {
        &self.group
    }
}

#[derive(Serialize)]
struct Described {
    group: String,
    state: String,
    protocol_type: String,
    protocol: String,
    total_lag: i64,
    members: Vec<Member>,
    partitions: Vec<Lag>,
}

#[derive(Serialize)]
struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    partitions: usize,
}

#[derive(Serialize)]
struct Lag {
    topic: String,
    partition: i32,
    committed_offset: Option<i64>,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    member_id: Option<String>,
    client_id: Option<String>,
}

async fn describe(client: &Client, ui: Ui, id: &str, output: OutputFormat) -> Result<(), Failure> {
    let group = client.describe_group(id).await?;
    let committed = client.fetch_offsets(id).await?;
    let mut owners = BTreeMap::new();
    for member in &group.members {
        for (topic, partitions) in member.assignment.iter().flatten() {
            for partition in partitions {
                owners.insert((topic.clone(), *partition), (&member.id, &member.client_id));
            }
        }
    }
    let rows: BTreeSet<_> = committed.keys().chain(owners.keys()).cloned().collect();
    let mut ends = BTreeMap::new();
    let topics: BTreeSet<_> = rows.iter().map(|(topic, _)| topic.clone()).collect();
    for topic in topics {
        let wanted: Vec<_> = rows
            .iter()
            .filter(|(name, _)| *name == topic)
            .map(|(name, partition)| (name.clone(), *partition, At::End))
            .collect();
        match client.list_offsets(&wanted, false).await {
            Ok(found) => ends.extend(found),
            // The group still has offsets of a topic that was deleted.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(ClientError::Invalid(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let partitions: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let committed_offset = committed.get(&row).copied();
            let log_end_offset = ends.get(&row).map(|place| place.offset);
            let owner = owners.get(&row);
            Lag {
                committed_offset,
                log_end_offset,
                lag: committed_offset
                    .zip(log_end_offset)
                    .map(|(committed, end)| end.saturating_sub(committed).max(0)),
                member_id: owner.map(|(member, _)| (*member).clone()),
                client_id: owner.map(|(_, client)| (*client).clone()),
                topic: row.0,
                partition: row.1,
            }
        })
        .collect();
    let described = Described {
        total_lag: partitions.iter().filter_map(|row| row.lag).sum(),
        members: group
            .members
            .iter()
            .map(|member| Member {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                host: member.host.clone(),
                partitions: member.assignment.iter().flatten().map(|(_, rows)| rows.len()).sum(),
            })
            .collect(),
        group: group.id,
        state: group.state,
        protocol_type: group.protocol_type,
        protocol: group.protocol,
        partitions,
    };
    match output {
        OutputFormat::Json => ui.json(&described),
        OutputFormat::Jsonl => ui.line(&serde_json::to_string(&described).expect("plain data")),
        OutputFormat::Name => ui.line(&described.group),
        OutputFormat::Table | OutputFormat::Wide => {
            ui.write(render(&described, output == OutputFormat::Wide).as_bytes())
        }
    }
}

fn render(group: &Described, wide: bool) -> String {
    let head: String = [
        ("GROUP", group.group.clone()),
        ("STATE", group.state.clone()),
        ("ASSIGNOR", group.protocol.clone()),
        ("MEMBERS", group.members.len().to_string()),
        ("TOTAL-LAG", group.total_lag.to_string()),
    ]
    .iter()
    .map(|(title, text)| format!("{title:<10}  {text}").trim_end().to_owned() + "\n")
    .collect();
    let unknown = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut columns = vec!["TOPIC", "PARTITION", "COMMITTED", "LOG-END", "LAG", "CLIENT-ID"];
    columns.extend(wide.then_some("MEMBER-ID"));
    let rows = table(
        &columns,
        group.partitions.iter().map(|row| {
            let mut cells = vec![
                row.topic.clone(),
                row.partition.to_string(),
                unknown(row.committed_offset),
                unknown(row.log_end_offset),
                unknown(row.lag),
                text(&row.client_id),
            ];
            cells.extend(wide.then(|| text(&row.member_id)));
            cells
        }),
    );
    format!("{head}\n{rows}")
}

#[derive(Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    prior_offset: Option<i64>,
    new_offset: i64,
}

impl Row for Moved {
    const COLUMNS: &'static [&'static str] = &["TOPIC", "PARTITION", "PRIOR", "NEW"];
    const NARROW: usize = 4;

    fn cells(&self) -> Vec<String> {
        let prior = self.prior_offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        vec![self.topic.clone(), self.partition.to_string(), prior, self.new_offset.to_string()]
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

async fn seek(
    client: &Client,
    id: &str,
    to: &str,
    topics: &[String],
    dry_run: bool,
) -> Result<Vec<Moved>, Failure> {
    let spec = OffsetSpec::parse(to, now(client)).map_err(Failure::usage)?;
    if spec.to.is_some() {
        return Err(Failure::usage("a group is set to one place, not between two"));
    }
    let committed = client.fetch_offsets(id).await?;
    let mut partitions: Vec<(String, i32)> = Vec::new();
    if topics.is_empty() {
        partitions.extend(committed.keys().cloned());
        if partitions.is_empty() {
            let failure =
                Failure::new(Exit::NotFound, format!("group `{id}` has no offsets to be moved"));
            return Err(failure.hint("say for which topics with --topics"));
        }
    }
    for topic in topics {
        partitions.extend(partitions_of(client, topic, &[]).await?);
    }
    let mut offsets = find_places(client, &partitions, spec.from, false).await?;
    if !matches!(spec.from, Place::Exact(_)) {
        // `+N` and `-N` stay within what is there.
        let starts = find_places(client, &partitions, Place::Start(0), false).await?;
        let ends = find_places(client, &partitions, Place::End(0), false).await?;
        for (row, offset) in &mut offsets {
            let (start, end) = (starts[row], ends[row]);
            *offset = (*offset).clamp(start, end.max(start));
        }
    }
    if !dry_run {
        client.commit_offsets(id, &offsets).await?;
    }
    Ok(offsets
        .into_iter()
        .map(|(row, new_offset)| Moved {
            prior_offset: committed.get(&row).copied(),
            topic: row.0,
            partition: row.1,
            new_offset,
        })
        .collect())
}

async fn delete(
    client: &Client,
    ui: Ui,
    ids: &[String],
    destroy: DestroyArgs,
) -> Result<(), Failure> {
    if destroy.dry_run {
        for id in ids {
            let group = client.describe_group(id).await?;
            ui.line(&match group.members.len() {
                0 => format!("{id}: would be deleted"),
                count => format!("{id}: could not be deleted, it has {count} members"),
            })?;
        }
        return Ok(());
    }
    ui.confirm(&format!("delete {} with their offsets", ids.join(", ")), destroy.yes)?;
    for id in ids {
        client.delete_group(id).await?;
        ui.line(&format!("{id}: deleted"))?;
    }
    Ok(())
}
