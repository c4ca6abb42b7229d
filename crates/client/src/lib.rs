//! A Kafka client for Esker's own tools: it speaks to any Kafka, and does only what they need.
//!
//! [`Client`] keeps connections and metadata, finds leaders and coordinators, and retries what Kafka calls
//! retriable until a deadline. On top of it stand [`Producer`], [`Consumer`] and [`GroupMember`]; the calls of
//! administration are methods of the client. Topics are addressed by name, so that versions of requests that know
//! topics by id only are not used.
//!
//! Memory is bounded by options: bytes of a response, requests in flight on a connection, bytes a producer gathers.
//! Nothing here prints, logs, or touches the system but through `esker-env`.

mod aborted;
mod admin;
mod client;
mod connection;
mod consumer;
mod error;
mod group;
mod metadata;
mod offsets;
mod partitioner;
mod producer;
#[cfg(test)]
mod scripted;

pub use admin::{
    ConfigEntry, ConfigOp, ConfigResource, GroupDescription, GroupListing, GroupMemberInfo,
    NewTopic, assignment_of,
};
pub use client::{Client, ClientOptions};
pub use connection::{Connection, Reply};
pub use consumer::{Consumer, ConsumerOptions, Position, Received};
pub use error::{ClientError, ErrorKind};
pub use group::{GroupMember, GroupOptions, range_assignment};
pub use metadata::{Metadata, MetadataBroker, MetadataPartition, MetadataTopic, Topics};
pub use offsets::{At, FoundOffset};
pub use partitioner::{murmur2, partition_for_key};
pub use producer::{Acks, Delivery, Outgoing, Producer, ProducerOptions};
