//! `esker cache`.

use crate::admin_api::{CacheCleared, CacheStats};
use crate::admin_http::call;
use crate::args::{AdminArgs, CacheVerb};
use crate::failure::{Exit, Failure};
use crate::ui::{Row, Ui, bytes};
use esker_env::Env;
use hyper::Method;

pub(super) async fn run(
    env: &Env,
    ui: Ui,
    admin: &AdminArgs,
    verb: CacheVerb,
) -> Result<(), Failure> {
    match verb {
        CacheVerb::Stats { output } => {
            let answer = call(env, &admin.admin, Method::GET, "/v1/cache/stats").await?;
            let stats: CacheStats = answer.json().await?;
            ui.rows(output.output, &[stats])
        }
        CacheVerb::Clear => {
            let answer = call(env, &admin.admin, Method::POST, "/v1/cache/clear").await?;
            match answer.json().await? {
                CacheCleared { cleared: true } => ui.line("cleared"),
                CacheCleared { cleared: false } => {
                    Err(Failure::new(Exit::Error, "the broker did not clear its cache"))
                }
            }
        }
    }
}

impl Row for CacheStats {
    const COLUMNS: &'static [&'static str] = &[
        "HITS",
        "MISSES",
        "MEMORY",
        "DISK",
        "GETS",
        "GET-BYTES",
        "GET-ERRORS",
        "HEDGES",
        "INSERTED",
        "DROPPED",
        "CORRUPT",
    ];
    const NARROW: usize = 6;

    fn cells(&self) -> Vec<String> {
        vec![
            (self.hits_memory + self.hits_disk + self.joined).to_string(),
            self.misses.to_string(),
            bytes(self.memory_bytes),
            bytes(self.disk_bytes),
            self.gets.to_string(),
            bytes(self.get_bytes),
            self.get_errors.to_string(),
            self.hedges.to_string(),
            self.inserted.to_string(),
            self.dropped.to_string(),
            self.corrupt.to_string(),
        ]
    }

    fn name(&self) -> &'static str {
        "cache"
    }
}
