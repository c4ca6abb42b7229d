//! `esker tier`.

use crate::admin_api::{FlushLine, TierStatus, VerifyLine};
use crate::admin_http::call;
use crate::args::{AdminArgs, TierVerb};
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui, bytes};
use esker_env::Env;
use hyper::Method;

pub(super) async fn run(
    env: &Env,
    ui: Ui,
    admin: &AdminArgs,
    verb: TierVerb,
) -> Result<(), Failure> {
    match verb {
        TierVerb::Status { output } => {
            let status = status(env, &admin.admin).await?;
            ui.rows(output.output, &[status])
        }
        TierVerb::Flush { topic } => flush(env, ui, &admin.admin, topic.as_deref()).await,
        TierVerb::Verify => verify(env, ui, &admin.admin).await,
    }
}

pub(super) async fn status(env: &Env, address: &str) -> Result<TierStatus, Failure> {
    call(env, address, Method::GET, "/v1/tier/status").await?.json().await
}

impl Row for TierStatus {
    const COLUMNS: &'static [&'static str] = &[
        "IN-BUCKET",
        "OBJECTS",
        "UNFLUSHED",
        "OLDEST",
        "WAL",
        "FLUSHES",
        "TAIL-MEMORY",
        "GARBAGE",
    ];
    const NARROW: usize = 6;

    fn cells(&self) -> Vec<String> {
        vec![
            bytes(self.tiered_bytes),
            self.objects.to_string(),
            bytes(self.unflushed_bytes),
            self.oldest_unflushed_ms.map_or_else(|| "-".to_owned(), |age| format!("{age} ms")),
            format!("{} of {}", bytes(self.wal_used_bytes), bytes(self.wal_capacity_bytes)),
            if self.flush_failing { "failing" } else { "ok" }.to_owned(),
            bytes(self.tail_memory_bytes),
            self.garbage_objects.to_string(),
        ]
    }

    fn name(&self) -> &'static str {
        "tier"
    }
}

async fn flush(env: &Env, ui: Ui, address: &str, topic: Option<&str>) -> Result<(), Failure> {
    // Names of topics need no escape in a query: letters, digits, `.`, `_` and `-`.
    if let Some(name) = topic {
        esker_types::TopicName::new(name).map_err(|error| Failure::usage(error.to_string()))?;
    }
    let path = topic.map_or_else(
        || "/v1/tier/flush".to_owned(),
        |topic| format!("/v1/tier/flush?topic={topic}"),
    );
    let bar = ui.progress("flush", None);
    let mut answer = call(env, address, Method::POST, &path).await?;
    while let Some(line) = answer.json_line::<FlushLine>().await? {
        match line {
            FlushLine::Progress { flushed_bytes, total_bytes } => {
                bar.set_length(total_bytes);
                bar.set_position(flushed_bytes);
            }
            FlushLine::Failed(problem) => return Err(Failure::new(Exit::Error, problem.error)),
            FlushLine::Done(status) => {
                bar.finish_and_clear();
                let (objects, tiered) = (status.objects, bytes(status.tiered_bytes));
                return ui.line(&format!("flushed: {tiered} in {objects} objects"));
            }
        }
    }
    Err(Failure::new(Exit::Error, "the broker ended its answer before the flush ended"))
}

async fn verify(env: &Env, ui: Ui, address: &str) -> Result<(), Failure> {
    let bar = ui.progress("verify", Some(0));
    let mut answer = call(env, address, Method::POST, "/v1/tier/verify").await?;
    while let Some(line) = answer.json_line::<VerifyLine>().await? {
        match line {
            VerifyLine::Progress { read_bytes, total_bytes } => {
                bar.set_length(total_bytes);
                bar.set_position(read_bytes);
            }
            VerifyLine::Damaged { object, problem } => ui.line(&format!("{object}: {problem}"))?,
            VerifyLine::Failed(problem) => return Err(Failure::new(Exit::Error, problem.error)),
            VerifyLine::Done { objects, bytes: read, damaged } => {
                bar.finish_and_clear();
                let read = bytes(read);
                ui.line(&format!("verified: {objects} objects, {read}, {damaged} damaged"))?;
                return match damaged {
                    0 => Ok(()),
                    count => {
                        Err(Failure::new(Exit::Unhealthy, format!("{count} objects are damaged")))
                    }
                };
            }
        }
    }
    Err(Failure::new(Exit::Error, "the broker ended its answer before everything was verified"))
}
