//! Whether a node is there: a question that is always on its way to it.
//!
//! The answer comes after as long as the asker says. When the process ends before, its machine closes the connection, and the
//! next attempt to connect is refused: that tells a death within milliseconds. A process that hangs, and a machine that is gone or
//! cut off, are silent.

use crate::client::Peers;
use crate::error::{CallError, ServiceError};
use crate::frame::ServiceId;
use crate::server::{Caller, Service};
use bytes::Bytes;
use esker_env::{BoxFuture, Clock, timeout};
use esker_types::BrokerId;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that an answer is kept back.
const HOLD_MAX: Duration = Duration::from_secs(10);
/// Between a first refusal and the question whether it stays so: a listener may be closed for an instant.
const REFUSED_AGAIN: Duration = Duration::from_millis(20);

/// Answers those who ask whether this process is there. A request is the milliseconds to wait (4 bytes), the response empty.
#[derive(Clone)]
pub struct Liveness(Arc<dyn Clock>);

impl std::fmt::Debug for Liveness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Liveness").finish()
    }
}

impl Liveness {
    /// Answers by this clock.
    #[must_use]
    pub const fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl Service for Liveness {
    fn serve(
        &self,
        _caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        let Ok(hold) = <[u8; 4]>::try_from(&request[..]) else {
            return Box::pin(std::future::ready(Err(ServiceError::new("4 bytes are expected"))));
        };
        let hold = Duration::from_millis(u32::from_le_bytes(hold).into()).min(HOLD_MAX);
        let waited = self.0.sleep(hold);
        Box::pin(async move {
            waited.await;
            Ok(Bytes::new())
        })
    }
}

/// What was seen of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answered.
    Alive,
    /// Nobody listens where it did: its process has ended.
    Gone,
    /// Neither.
    Silent,
}

/// Asks nodes whether they are there, over connections on which nothing else is said.
#[derive(Clone)]
pub struct Sentinel {
    peers: Peers,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sentinel").finish_non_exhaustive()
    }
}

impl Sentinel {
    /// One that greets as `peers` does.
    #[must_use]
    pub fn new(peers: &Peers, clock: Arc<dyn Clock>) -> Self {
        Self { peers: peers.apart(), clock }
    }

    /// Looks at a node for `hold`; an answer that comes later than `patience` after that is none.
    pub async fn look(
        &self,
        node: BrokerId,
        address: &str,
        hold: Duration,
        patience: Duration,
    ) -> Sign {
        match self.ask(node, address, hold, patience).await {
            Ok(()) => return Sign::Alive,
            Err(Some(CallError::NobodyListens { .. })) => self.clock.sleep(REFUSED_AGAIN).await,
            // The connection has broken: whether somebody listens there, the next attempt tells.
            Err(Some(CallError::Unreachable { .. })) => {}
            Err(_) => return Sign::Silent,
        }
        match self.ask(node, address, Duration::ZERO, patience).await {
            Ok(()) => Sign::Alive,
            Err(Some(CallError::NobodyListens { .. })) => Sign::Gone,
            Err(_) => Sign::Silent,
        }
    }

    async fn ask(
        &self,
        node: BrokerId,
        address: &str,
        hold: Duration,
        patience: Duration,
    ) -> Result<(), Option<CallError>> {
        let millis = u32::try_from(hold.as_millis()).unwrap_or(u32::MAX);
        let request = Bytes::copy_from_slice(&millis.to_le_bytes());
        let call = self.peers.call(node, address, ServiceId::Liveness, request);
        match timeout(&*self.clock, hold + patience, call).await {
            Ok(answer) => answer.map(|_| ()).map_err(Some),
            Err(_) => Err(None),
        }
    }
}
