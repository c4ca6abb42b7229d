//! What all clients of a simulation share: the topics, the connections, what is known.

use crate::effects::Effect;
use crate::entropy::SimEntropy;
use crate::model::{Model, Target};
use crate::register::Sent;
use crate::trace::Trace;
use esker_client::{Client, ClientError, ClientOptions, ErrorKind};
use esker_env::Entropy;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Topics that live for the whole simulation, with their partitions.
pub const TOPICS: [(&str, i32); 3] = [("sim-a", 1), ("sim-b", 3), (RETAINED, 1)];
/// The one that keeps only its newest records.
pub const RETAINED: &str = "sim-kept";

/// All partitions of [`TOPICS`].
pub fn targets() -> impl Iterator<Item = Target> {
    TOPICS.into_iter().flat_map(|(name, count)| (0..count).map(move |index| (name, index)))
}

pub(crate) fn pick(entropy: &SimEntropy) -> Target {
    let all: Vec<_> = targets().collect();
    all[usize::try_from(entropy.below(all.len() as u64)).expect("below a length")]
}

/// What every client of a life needs.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The connections.
    pub client: Client,
    /// What is known.
    pub model: Arc<Mutex<Model>>,
    /// The workload's dice.
    pub entropy: Arc<SimEntropy>,
    /// What happened.
    pub trace: Arc<Trace>,
    /// Virtual time of earlier lives.
    pub before: Duration,
    /// Producers hardly wait at the moment.
    pub rush: Arc<AtomicBool>,
}

impl Clients {
    /// Nanoseconds since the simulation began.
    #[must_use]
    pub fn time(&self) -> u64 {
        let now = self.before + Duration::from_nanos(self.client.env().clock.now().0);
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The same with connections of its own: answers come in the order of the requests, and nobody waits for another's.
    #[must_use]
    pub fn apart(&self) -> Self {
        let client = Client::new(self.client.env().clone(), self.client.options().clone());
        Self { client, ..self.clone() }
    }

    /// The same, and nothing is tried again: what was acknowledged was sent once.
    #[must_use]
    pub fn once(&self) -> Self {
        let options = ClientOptions { deadline: Duration::ZERO, ..self.client.options().clone() };
        Self { client: Client::new(self.client.env().clone(), options), ..self.clone() }
    }

    /// How often one of its requests may be sent.
    pub(crate) fn sent(&self) -> Sent {
        match self.client.options().deadline.is_zero() {
            true => Sent::Once,
            false => Sent::Repeatedly,
        }
    }

    /// All producers send as fast as they can for that long.
    pub async fn rush(&self, wait: Duration) {
        self.rush.store(true, Ordering::Relaxed);
        self.client.env().clock.sleep(wait).await;
        self.rush.store(false, Ordering::Relaxed);
        self.trace.count(Effect::Rushed);
    }
}

/// Whether an error is one that faults explain.
#[must_use]
pub fn is_explained(error: &ClientError) -> bool {
    !matches!(error.kind(), ErrorKind::Final)
}
