//! The `esker` program.

mod admin;
mod cluster;
mod command;
mod config;
mod dev_cluster;
mod logging;
mod metrics;
mod peers;
mod run;
mod trace_api;
mod traces;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match arguments.verb {
        command::Verb::Dev(options) if options.brokers > 1 => dev_cluster::serve(&options),
        command::Verb::Dev(options) => run::serve(config::Config::for_dev(&options)),
        command::Verb::Server(options) => run::serve(config::Config::from_file(&options)),
        command::Verb::Client(verb) => run::client(verb),
    }
}
