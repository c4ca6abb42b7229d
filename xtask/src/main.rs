//! Chores of the repository: `cargo xtask <command>`.
//!
//! One file a command; this one only hands over.

mod codegen;
mod dev;
mod files;
mod import_schema;
mod shell;
mod test;
mod tidy;
mod verify;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  dev [OPTION]...       build and start one broker with everything in one process
  test [--full]         run all tests; --full: with the long black-box suites
  verify                formatting, rules, generated code, lints
  tidy                  the rules that no compiler knows: layers, sizes, leftovers
  codegen [--check]     generate the code of esker-wire from its schema; --check: only compare
  import-schema <dir>   rewrite the schema from the message definitions of a Kafka release (*.json)";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["dev", ..] => dev::run(&args[1..]),
        ["test"] => test::run(test::Extent::Core),
        ["test", "--full"] => test::run(test::Extent::Full),
        ["verify"] => verify::run(),
        ["tidy"] => tidy::run(),
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
