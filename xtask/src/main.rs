//! Chores of the repository: `cargo xtask <command>`.
//!
//! One file a command; this one only hands over.

mod codegen;
mod files;
mod import_schema;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  codegen [--check]     generate the code of esker-wire from its schema; --check: only compare
  import-schema <dir>   rewrite the schema from the message definitions of a Kafka release (*.json)";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["codegen"] => codegen::run(codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(codegen::Mode::Check),
        ["import-schema", dir] => import_schema::run(dir.as_ref()),
        _ => {
            files::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            files::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
