//! Kafka's protocol on sockets: connections, dispatch, one file for each API.
//!
//! Handlers know the wire and the engine; the engine knows no wire. Every Kafka error code is chosen here, in
//! [`error_code`], from the engine's own errors.

mod alter_configs;
mod api;
mod assignment;
mod bounds;
mod broker;
mod connection;
mod coordinator;
mod dispatch;
mod error_code;
mod features;
mod fetch_session;
mod listener;
mod live_settings;
mod once;
mod options;
mod topics;

pub use broker::Broker;
pub use coordinator::CoordinatorOptions;
pub use listener::Listening;
pub use live_settings::LiveSettings;
pub use options::BrokerOptions;
