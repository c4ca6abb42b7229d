//! One process: a node made of its parts.

mod data_dir;
mod node;

pub use data_dir::{DataDir, DataDirError, Identity};
pub use node::{Node, NodeError, NodeOptions};
