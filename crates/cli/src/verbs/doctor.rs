//! `esker doctor`: what is wrong, and what to do about it.

mod bucket;

use super::{client, tier};
use crate::admin_http::send;
use crate::args::DoctorArgs;
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui};
use esker_client::{Client, Topics};
use esker_env::Env;
use hyper::Method;
use serde::Serialize;

/// Share of the write-ahead log in use, in percent, from which on it is worth a warning.
const WAL_USED_WARN: u64 = 70;

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Finding {
    check: String,
    ok: bool,
    found: String,
    advice: Option<&'static str>,
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["CHECK", "RESULT", "FOUND", "TRY"];
    const NARROW: usize = 4;

    fn cells(&self) -> Vec<String> {
        vec![
            self.check.clone(),
            if self.ok { "ok" } else { "WRONG" }.to_owned(),
            self.found.clone(),
            self.advice.unwrap_or("").to_owned(),
        ]
    }

    fn name(&self) -> &str {
        &self.check
    }
}

pub(super) async fn run(env: &Env, ui: Ui, args: &DoctorArgs) -> Result<(), Failure> {
    let mut findings = match &args.bucket {
        Some(url) => bucket::examine(env, ui, url, args.create).await?,
        None => {
            let mut findings = Vec::new();
            check_cluster(&client(env, &args.cluster), &mut findings).await;
            check_broker(env, &args.admin.admin, &mut findings).await;
            findings
        }
    };
    for finding in findings.iter_mut().filter(|finding| finding.ok) {
        finding.advice = None;
    }
    ui.rows(args.output.output, &findings)?;
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Unhealthy,
            format!("{count} of {} checks failed", findings.len()),
        )),
    }
}

async fn check_cluster(client: &Client, findings: &mut Vec<Finding>) {
    let mut push = |check: &str, ok, found, advice| {
        findings.push(Finding { check: check.to_owned(), ok, found, advice: Some(advice) });
    };
    let running = "is the broker running, and is --brokers right?";
    let metadata = match client.metadata(Topics::All).await {
        Ok(metadata) => metadata,
        Err(error) => return push("kafka", false, error.to_string(), running),
    };
    push("kafka", true, format!("{} brokers", metadata.brokers.len()), running);
    for broker in metadata.brokers.values() {
        let address = broker.address();
        let found = match client.connect(&address).await {
            Ok(_) => Ok(format!("{} answers", broker.id)),
            Err(error) => Err(format!("{}: {error}", broker.id)),
        };
        let advice =
            "clients must reach the address that brokers advertise: `advertised.listeners`";
        let ok = found.is_ok();
        push("broker", ok, found.unwrap_or_else(|found| found), advice);
    }
    let partitions: Vec<_> = metadata
        .topics
        .values()
        .flat_map(|topic| topic.partitions.iter().map(move |row| (&topic.name, row)))
        .collect();
    let leaderless: Vec<_> = partitions
        .iter()
        .filter(|(_, row)| row.leader < 0)
        .map(|(name, row)| format!("{name}-{}", row.index))
        .collect();
    let found = match leaderless.as_slice() {
        [] => format!("{} partitions, all with a leader", partitions.len()),
        [first, rest @ ..] => format!("{first} and {} more have no leader", rest.len()),
    };
    push("leaders", leaderless.is_empty(), found, "start the brokers that are missing");
}

async fn check_broker(env: &Env, address: &str, findings: &mut Vec<Finding>) {
    let mut push = |check: &str, ok, found, advice| {
        findings.push(Finding { check: check.to_owned(), ok, found, advice: Some(advice) });
    };
    let ready = match send(env, address, Method::GET, "/readyz").await {
        Ok((status, answer)) => {
            let text = answer.text().await.unwrap_or_default().trim().to_owned();
            if status.is_success() { Ok(text) } else { Err(text) }
        }
        Err(failure) => {
            return push(
                "admin",
                false,
                failure.what,
                "is the broker running, and is --admin right?",
            );
        }
    };
    let ok = ready.is_ok();
    push("ready", ok, ready.unwrap_or_else(|text| text), "look into the broker's log");
    let status = match tier::status(env, address).await {
        Ok(status) => status,
        Err(failure) => return push("tier", false, failure.what, "look into the broker's log"),
    };
    let advice = "the bucket does not take writes: look into the broker's log for its answer";
    let found = if status.flush_failing { "flushes fail" } else { "flushes succeed" };
    push("bucket", !status.flush_failing, found.to_owned(), advice);
    let percent = status.wal_used_bytes.saturating_mul(100) / status.wal_capacity_bytes.max(1);
    let advice = "raise `esker.wal.capacity.bytes`, or find out why flushes are slow";
    push("wal", percent < WAL_USED_WARN, format!("{percent} % in use"), advice);
}
