//! A node: the broker, the engine and the metadata, put together, and the directory that holds them.

mod counted_bucket;
mod data_dir;
mod node;

pub use counted_bucket::BucketRequests;
pub use data_dir::{DataDir, DataDirError, Identity};
pub use esker_controller::ControllerOptions;
pub use esker_engine::Copies;
pub use esker_meta_raft::{QuorumDescription, Voter, VoterDescription};
pub use esker_peer::{PeerSecurity, derived_id};
pub use node::{Node, NodeError, NodeFailure, NodeOptions, PeerNodes};
