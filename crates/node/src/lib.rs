//! A node: the broker, the engine and the metadata, put together, and the directory that holds them.

mod data_dir;
mod node;

pub use data_dir::{DataDir, DataDirError, Identity};
pub use node::{Node, NodeError, NodeOptions};
