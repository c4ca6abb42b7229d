//! Calls of administration.

mod groups;
mod topics;

pub use groups::{GroupDescription, GroupListing, GroupMemberInfo, assignment_of};
pub use topics::{ConfigEntry, ConfigOp, ConfigResource, NewTopic};
