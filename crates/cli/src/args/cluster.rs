//! The command line of the verbs about the cluster.

use super::{DestroyArgs, OutputArgs};
use clap::Subcommand;

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterVerb {
    /// Say whether all is well, and what is not; ends with 4 when something is not
    Health {
        /// Ask again for so long until all is well
        #[arg(long, value_name = "SECONDS", default_value = "0")]
        wait: u64,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show brokers, quorum, and how much there is of what
    Describe {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Move partitions so that each broker leads as many as the others
    Balance {
        /// Only say what would be moved
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What to do with brokers.
#[derive(Debug, Subcommand)]
pub enum BrokerVerb {
    /// List brokers
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Have a broker lead nothing and hold nothing of others, so that it can be stopped
    Drain {
        /// Its `node.id`
        id: i32,
        /// How long to wait until it is drained; 0 only orders it
        #[arg(long, value_name = "SECONDS", default_value = "60")]
        wait: u64,
    },
    /// Take a drain back
    Resume {
        /// Its `node.id`
        id: i32,
    },
    /// Forget a broker that was stopped and will not come back
    Remove {
        /// Its `node.id`
        id: i32,
        #[command(flatten)]
        destroy: DestroyArgs,
    },
}

/// What to do with the metadata quorum.
#[derive(Debug, Subcommand)]
pub enum QuorumVerb {
    /// Show its voters, and how far each is
    Describe {
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// What to do with journals.
#[derive(Debug, Subcommand)]
pub enum JournalVerb {
    /// List the journals that still hold something that is not in the bucket
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one of them
    Describe {
        /// Its id
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}
