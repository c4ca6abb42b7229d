//! `esker wal`.

use crate::args::{OutputFormat, WalVerb};
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui, bytes};
use esker_env::Env;
use esker_wal::{InspectedRecord, Inspection, inspect};
use serde::Serialize;

#[derive(Serialize)]
struct Journal {
    journal: String,
    state: String,
    first: u64,
    last: u64,
    damaged_from: Option<u64>,
}

impl Row for Journal {
    const COLUMNS: &'static [&'static str] = &["JOURNAL", "STATE", "FIRST", "LAST", "DAMAGED-FROM"];
    const NARROW: usize = 5;

    fn cells(&self) -> Vec<String> {
        vec![
            self.journal.clone(),
            self.state.clone(),
            self.first.to_string(),
            self.last.to_string(),
            self.damaged_from.map_or_else(|| "-".to_owned(), |seq| seq.to_string()),
        ]
    }

    fn name(&self) -> &str {
        &self.journal
    }
}

#[derive(Serialize)]
struct Record {
    file: String,
    position: u64,
    kind: String,
    journal: String,
    seq: u64,
    len: u32,
    intact: bool,
}

impl Row for Record {
    const COLUMNS: &'static [&'static str] =
        &["FILE", "POSITION", "KIND", "JOURNAL", "SEQ", "BYTES", "INTACT"];
    const NARROW: usize = 7;

    fn cells(&self) -> Vec<String> {
        vec![
            self.file.clone(),
            self.position.to_string(),
            self.kind.clone(),
            self.journal.clone(),
            self.seq.to_string(),
            self.len.to_string(),
            self.intact.to_string(),
        ]
    }

    fn name(&self) -> &str {
        &self.file
    }
}

#[derive(Serialize)]
struct Inspected {
    store: String,
    cluster: String,
    scanned_bytes: u64,
    torn: bool,
    lost_journals: bool,
    problems: Vec<String>,
    journals: Vec<Journal>,
    records: Vec<Record>,
}

pub(super) fn run(env: &Env, ui: Ui, verb: &WalVerb) -> Result<(), Failure> {
    let WalVerb::Inspect { dir, records: wants_records, output } = verb;
    let mut records = Vec::new();
    let mut visit = |record: InspectedRecord<'_>| {
        if *wants_records {
            records.push(Record {
                file: record.file.to_owned(),
                position: record.position,
                kind: format!("{:?}", record.kind).to_lowercase(),
                journal: record.journal.to_string(),
                seq: record.seq.0,
                len: record.len,
                intact: record.intact,
            });
        }
    };
    let found = inspect(env, dir, &mut visit).map_err(|error| {
        let failure = Failure::new(Exit::Error, format!("inspect {}: {error}", dir.display()));
        failure.hint("the log of a broker is `wal` in its data directory")
    })?;
    let inspected = describe(&found, records);
    match output.output {
        OutputFormat::Json => ui.json(&inspected)?,
        format if *wants_records => ui.rows(format, &inspected.records)?,
        format => ui.rows(format, &inspected.journals)?,
    }
    if !matches!(output.output, OutputFormat::Json) {
        let torn = if inspected.torn { ", its last commit was not finished" } else { "" };
        ui.note(&format!("{} scanned{torn}", bytes(inspected.scanned_bytes)));
        inspected.problems.iter().for_each(|problem| ui.note(problem));
    }
    if inspected.problems.is_empty() && !inspected.lost_journals {
        Ok(())
    } else {
        let what = format!("{} holds damage", dir.display());
        Err(Failure::new(Exit::Unhealthy, what))
    }
}

fn describe(found: &Inspection, records: Vec<Record>) -> Inspected {
    let journals = found.recovered.journals.iter().map(|journal| Journal {
        journal: journal.status.journal.to_string(),
        state: format!("{:?}", journal.status.state).to_lowercase(),
        first: journal.status.trimmed.0 + 1,
        last: journal.status.last.0,
        damaged_from: journal.status.damaged_from.map(|seq| seq.0),
    });
    Inspected {
        store: found.identity.store.to_string(),
        cluster: found.identity.cluster.to_string(),
        scanned_bytes: found.recovered.scanned_bytes,
        torn: found.recovered.torn,
        lost_journals: found.recovered.lost_before.is_some(),
        problems: found.recovered.problems.iter().map(ToString::to_string).collect(),
        journals: journals.collect(),
        records,
    }
}
