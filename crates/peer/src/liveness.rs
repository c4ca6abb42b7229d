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

/// A process, as it names itself when it starts: another one may answer at its address.
pub type ProcessId = u128;

/// Answers those who ask whether this process is there. A request is the milliseconds to wait (4 bytes) and, if a certain
/// process is asked for, its id (16 bytes); the response is the id of this one, at once where another was asked for.
#[derive(Clone)]
pub struct Liveness {
    clock: Arc<dyn Clock>,
    process: ProcessId,
}

impl std::fmt::Debug for Liveness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Liveness").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Liveness {
    /// Answers for this process, by this clock.
    #[must_use]
    pub const fn new(clock: Arc<dyn Clock>, process: ProcessId) -> Self {
        Self { clock, process }
    }
}

/// How long to wait, and for which process.
fn parse_request(request: &[u8]) -> Option<(Duration, Option<ProcessId>)> {
    let (hold, process) = request.split_first_chunk::<4>()?;
    let process = match process {
        [] => None,
        process => Some(ProcessId::from_le_bytes(process.try_into().ok()?)),
    };
    Some((Duration::from_millis(u32::from_le_bytes(*hold).into()), process))
}

impl Service for Liveness {
    fn serve(
        &self,
        _caller: Caller,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        let Some((hold, wanted)) = parse_request(&request) else {
            let error = ServiceError::new("4 or 20 bytes are expected");
            return Box::pin(std::future::ready(Err(error)));
        };
        let answer = Bytes::copy_from_slice(&self.process.to_le_bytes());
        if wanted.is_some_and(|wanted| wanted != self.process) {
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let waited = self.clock.sleep(hold.min(HOLD_MAX));
        Box::pin(async move {
            waited.await;
            Ok(answer)
        })
    }
}

/// What was seen of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answered.
    Alive,
    /// Nobody listens where it did, or another process does: its process has ended.
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

    /// Looks at a node, or at one process of it, for `hold`; an answer that comes later than `patience` after that is
    /// none.
    pub async fn look(
        &self,
        node: BrokerId,
        address: &str,
        process: Option<ProcessId>,
        hold: Duration,
        patience: Duration,
    ) -> Sign {
        match self.ask(node, address, process, hold, patience).await {
            Ok(sign) => return sign,
            Err(Some(CallError::NobodyListens { .. })) => self.clock.sleep(REFUSED_AGAIN).await,
            // The connection has broken: whether somebody listens there, the next attempt tells.
            Err(Some(CallError::Unreachable { .. })) => {}
            Err(_) => return Sign::Silent,
        }
        match self.ask(node, address, process, Duration::ZERO, patience).await {
            Ok(sign) => sign,
            Err(Some(CallError::NobodyListens { .. })) => Sign::Gone,
            Err(_) => Sign::Silent,
        }
    }

    async fn ask(
        &self,
        node: BrokerId,
        address: &str,
        process: Option<ProcessId>,
        hold: Duration,
        patience: Duration,
    ) -> Result<Sign, Option<CallError>> {
        let millis = u32::try_from(hold.as_millis()).unwrap_or(u32::MAX);
        let mut request = millis.to_le_bytes().to_vec();
        request.extend(process.into_iter().flat_map(ProcessId::to_le_bytes));
        let request = Bytes::from(request);
        let call = self.peers.call(node, address, ServiceId::Liveness, request);
        match timeout(&*self.clock, hold + patience, call).await {
            Ok(answer) => {
                let answer = answer.map_err(Some)?;
                let is_another = process.is_some_and(|wanted| answer[..] != wanted.to_le_bytes());
                Ok(if is_another { Sign::Gone } else { Sign::Alive })
            }
            Err(_) => Err(None),
        }
    }
}
