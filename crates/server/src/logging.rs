//! Structured logs on standard error: text on a terminal, JSON lines elsewhere.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. `ESKER_LOG` chooses what is logged (`info`, `debug`, `esker_engine=debug`, …), `ESKER_LOG_FORMAT`
/// how (`text` or `json`).
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("ESKER_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,openraft=warn,openraft::raft::responder=error,object_store=warn")
    });
    let format = std::env::var("ESKER_LOG_FORMAT").unwrap_or_default();
    let terminal = std::io::stderr().is_terminal();
    let json = format == "json" || (format != "text" && !terminal);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        builder.with_ansi(colour).init();
    }
}
