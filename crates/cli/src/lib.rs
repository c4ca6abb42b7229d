//! The client verbs of the `esker` program: topics, groups, records, and the chores of a broker.
//!
//! Tables are for people; `--output json` is for programs and stays stable. Data goes to standard output, talk and
//! progress to standard error. The process ends with 0 when all went well, 1 for an error, 2 for a question that makes
//! no sense, 3 when what was asked for does not exist, 4 when something is not healthy, 5 when time ran out.

pub mod admin_api;
mod admin_http;
mod args;
mod calendar;
mod failure;
mod format;
mod offset_spec;
mod ui;
mod verbs;

pub use admin_http::is_ready as admin_is_ready;
pub use args::ClientVerb;
pub use ui::table;

use clap::Subcommand;
use esker_env::Env;
use std::process::ExitCode;

/// A program that has these verbs and no others; `esker` adds its own.
#[must_use]
pub fn command() -> clap::Command {
    let program = clap::Command::new("esker").subcommand_required(true);
    ClientVerb::augment_subcommands(program)
}

/// Carries a verb out. `program` is the whole command line, for completions.
pub async fn run(env: &Env, program: clap::Command, verb: ClientVerb) -> ExitCode {
    let ui = ui::Ui::of_process();
    match verbs::run(env, &ui, program, verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.complain(&failure);
            failure.exit.into()
        }
    }
}
