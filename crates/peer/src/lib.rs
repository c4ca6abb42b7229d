//! How the nodes of a cluster talk: requests and responses of several services over one connection for each pair.
//!
//! ```text
//! Peers ──call(address, service, request)──▶ connection ──frames──▶ PeerListener ──▶ Service::serve
//!       ◀───────────── response ────────────            ◀────────
//! ```
//!
//! Nodes prove to each other that they belong together ([`PeerSecurity`]): nobody else gets as far as a greeting. A
//! connection begins with a greeting in either direction, which says the cluster and the node: whoever belongs to
//! another cluster gets no further. After that come frames (`docs/formats/peer-protocol.md`). Requests of a connection are
//! handed to their service in the order in which they were sent; responses come back as they are ready.
//!
//! A call fails when its connection does. It was then executed once, or not at all: callers repeat only what may be repeated.

mod client;
mod error;
mod frame;
mod greeting;
mod liveness;
mod security;
mod server;

pub use client::{Peers, PeersOptions, PendingAnswer};
pub use error::{CallError, ServiceError};
pub use frame::{FRAME_LEN_MAX, ServiceId};
pub use greeting::Greeting;
pub use liveness::{Liveness, ProcessId, Sentinel, Sign};
pub use security::{PeerSecurity, SECRET_LEN_MIN, SecurityError, derived_id};
pub use server::{Caller, PeerListener, Service, Services};

#[cfg(test)]
mod tests;
