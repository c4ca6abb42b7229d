//! What this machine can do: the denominators of the benchmarks, one JSON document a limit.
//!
//! A figure of the broker means little without the limit that it runs into. These loops do the same system calls with
//! nothing around them, in the same run.

mod disk;
mod get;
mod line;
mod loopback;
mod memory;

use anyhow::Result;
use clap::{Parser, Subcommand};
use esker_env::Env;
use esker_env::real::Runtimes;
use esker_load::NullBroker;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    limit: Limit,
}

#[derive(Debug, Subcommand)]
enum Limit {
    /// Group commit and nothing else: writers that wait, one thread that writes and syncs
    Disk {
        /// Where the file goes
        dir: PathBuf,
        /// Writers, each with one write under way
        #[arg(long, default_value = "16")]
        writers: usize,
        /// Bytes of a write, a multiple of 4096
        #[arg(long, default_value = "16384")]
        bytes: usize,
        /// How long
        #[arg(long, default_value = "3")]
        seconds: f64,
    },
    /// One TCP connection to oneself, as fast as it goes
    Loopback {
        /// Bytes of a write and of a read
        #[arg(long, default_value = "262144")]
        bytes: usize,
        /// How long
        #[arg(long, default_value = "2")]
        seconds: f64,
    },
    /// Copying memory
    Memory,
    /// Ranged reads of a bucket, side by side
    Get {
        /// The bucket: file:///DIR, s3://BUCKET/PREFIX, …
        bucket: String,
        /// Requests under way
        #[arg(long, default_value = "8")]
        depth: usize,
        /// Bytes of a request
        #[arg(long, default_value = "8388608")]
        bytes: u64,
    },
    /// A line of some latency and bandwidth to a server of this machine, until it is killed
    Line {
        /// Where it listens
        address: String,
        /// Where the server is
        target: String,
        /// Delay of each direction, in milliseconds
        #[arg(long, default_value = "25")]
        ms: f64,
        /// What the line carries from the server, in MB/s
        #[arg(long, default_value = "200")]
        mb_per_second: f64,
    },
    /// A broker that says yes to everything, until it is killed
    Null {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:9092")]
        address: String,
        /// Partitions of every topic
        #[arg(long, default_value = "16")]
        partitions: i32,
    },
}

#[expect(clippy::print_stdout, reason = "the result")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtimes = Runtimes::start(2, 2)?;
    let env = Env::real(&runtimes);
    let found = match arguments.limit {
        Limit::Disk { dir, writers, bytes, seconds } => {
            disk::group_commit(&env, &dir, writers, bytes, seconds)?
        }
        Limit::Loopback { bytes, seconds } => {
            runtimes.block_on(loopback::stream(&env, bytes, seconds))?
        }
        Limit::Memory => memory::copy(&env),
        Limit::Get { bucket, depth, bytes } => {
            runtimes.block_on(get::parallel(&env, &bucket, depth, bytes))?
        }
        Limit::Line { address, target, ms, mb_per_second } => {
            let delay = Duration::from_secs_f64(ms / 1e3);
            let rate = mb_per_second * 1e6;
            runtimes.block_on(line::serve(&env, &address, target, delay, rate))?;
            return Ok(());
        }
        Limit::Null { address, partitions } => {
            let broker = runtimes.block_on(NullBroker::start(&env, &address, partitions))?;
            println!("{}", broker.address());
            runtimes.block_on(std::future::pending::<()>());
            return Ok(());
        }
    };
    println!("{found}");
    Ok(())
}
