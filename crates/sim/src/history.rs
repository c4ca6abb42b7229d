//! What clients did and saw, in the form that `tests/checker` reads: one JSON object a line.
//!
//! An operation is begun (`invoke`) and completed: `ok` happened, `fail` did not, `info` may have.

use crate::model::Target;
use bytes::Bytes;
use esker_client::Received;
use serde_json::{Value, json};

/// The operations so far.
#[derive(Debug, Default)]
pub struct History(Vec<Value>);

/// The text of a partition in a history.
fn key(target: Target) -> String {
    format!("{}-{}", target.0, target.1)
}

/// A value as it stands in a history: what tells it from others, without its padding.
#[must_use]
pub fn short(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A value with what it is compared by: its offset, its name, a checksum of all of it.
fn told(offset: Option<i64>, value: &[u8], epoch: Option<i32>) -> Value {
    let mut details = json!({ "sum": crc_fast::crc32_iscsi(value) });
    if let Some(epoch) = epoch {
        details["epoch"] = json!(epoch);
    }
    json!([offset, short(value), details])
}

impl History {
    fn push(&mut self, nanos: u64, process: &str, kind: &str, f: &str, value: Value) {
        let index = self.0.len();
        self.0.push(json!({
            "index": index, "time": nanos, "process": process, "type": kind, "f": f, "value": value,
        }));
    }

    /// A send of `values`; with `base` they were acknowledged from there on.
    pub fn send(
        &mut self,
        nanos: u64,
        process: &str,
        kind: &str,
        target: Target,
        values: &[Bytes],
        base: Option<i64>,
    ) {
        let sends: Vec<_> = (0..)
            .zip(values)
            .map(|(place, value)| {
                json!(["send", key(target), told(base.map(|base| base + place), value, None)])
            })
            .collect();
        self.push(nanos, process, kind, "send", json!(sends));
    }

    /// A poll that answered `records`, or the last ones of a partition.
    pub fn poll(&mut self, nanos: u64, process: &str, target: Target, records: &[&Received]) {
        let told = records.iter().map(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            told(Some(record.offset), value, Some(record.leader_epoch))
        });
        let reads = json!({ key(target): told.collect::<Vec<_>>() });
        self.push(nanos, process, "ok", "poll", json!([["poll", reads]]));
    }

    /// A process begins to read a partition somewhere.
    pub fn assign(&mut self, nanos: u64, process: &str, target: Target) {
        self.push(nanos, process, "ok", "assign", json!([key(target)]));
    }

    /// Records below `offset` may be gone from now on.
    pub fn trim(&mut self, nanos: u64, target: Target, offset: i64) {
        self.push(nanos, "admin", "info", "trim", json!({ key(target): offset }));
    }

    /// All partitions are read from their beginnings to their ends from here on.
    pub fn last_polls(&mut self, nanos: u64) {
        self.push(nanos, "final", "info", "final-polls", json!(null));
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(Value::to_string).collect()
    }
}
