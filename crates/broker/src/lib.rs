//! Kafka's protocol on sockets: connections, dispatch, one file for each API.
//!
//! Handlers know the wire and the engine; the engine knows no wire. Every Kafka error code is chosen here, in
//! [`error_code`], from the engine's own errors.

mod access;
mod api;
mod api_error;
mod bounds;
mod broker;
mod call;
mod client_info;
mod connection;
mod coordinator;
mod coordinator_options;
mod dedup;
mod dispatch;
mod error_code;
mod fetch_session;
mod leader_hint;
mod listed_brokers;
mod listener;
mod live_settings;
mod lookup;
mod options;
mod placement;
mod protocol_violation;
mod read_buffer;
mod throttled;
mod topic_creation;

pub use broker::Broker;
pub use coordinator_options::CoordinatorOptions;
pub use listener::Listening;
pub use live_settings::LiveSettings;
pub use options::BrokerOptions;

#[cfg(test)]
mod tests;
