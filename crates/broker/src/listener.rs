//! Accepting connections and spreading them over the shards.

use crate::broker::Broker;
use crate::client_info::ClientInfo;
use crate::connection::{Connection, Ended};
use esker_env::{Incoming, Listener, TaskPlacement};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running listener.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listening {
    /// Serves `broker` to whoever connects to `listener`.
    #[must_use]
    pub fn start(broker: Arc<Broker>, listener: Box<dyn Listener>) -> Self {
        let env = broker.env().clone();
        let local = listener.local_addr();
        broker.bound_to(local.port());
        let listening =
            Self { address: local, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let (stop, tasks) = (listening.stop.clone(), listening.tasks.clone());
        env.spawner.spawn(
            TaskPlacement::Background,
            "accept",
            Box::pin(listening.tasks.track_future(accept(broker, listener, stop, tasks))),
        );
        listening
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, closes the connections and waits for both.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    broker: Arc<Broker>,
    listener: Box<dyn Listener>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(incoming) => admit(&broker, incoming, &stop, &tasks),
            Err(error) => {
                // Out of file descriptors, most likely: closing connections will help, spinning will not.
                tracing::warn!(%error, "cannot accept a connection");
                broker.env().clock.sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(broker: &Arc<Broker>, incoming: Incoming, stop: &CancellationToken, tasks: &TaskTracker) {
    let open = broker.connections.fetch_add(1, Ordering::Relaxed);
    if open >= broker.settings().connections_max(&broker.engine().meta().image()) {
        broker.connections.fetch_sub(1, Ordering::Relaxed);
        tracing::warn!(peer = %incoming.peer, "connection refused: `max.connections` is reached");
        return;
    }
    let number = broker.next_connection.fetch_add(1, Ordering::Relaxed);
    let shards = broker.env().spawner.shard_count();
    let shard = usize::try_from(number % shards as u64).unwrap_or_default();
    let (broker_here, stop) = (Arc::clone(broker), stop.clone());
    let task = async move {
        let peer = incoming.peer;
        match incoming.open() {
            Ok(stream) => {
                let client = Arc::new(ClientInfo::new(peer, shard));
                let connection =
                    Connection::new(Arc::clone(&broker_here), Arc::clone(&client), stream);
                if let Some(ended) = stop.run_until_cancelled(connection).await {
                    report(&client, ended);
                }
            }
            Err(error) => tracing::debug!(%peer, %error, "connection lost before it was served"),
        }
        broker_here.connections.fetch_sub(1, Ordering::Relaxed);
    };
    let task = Box::pin(tasks.track_future(task));
    broker.env().spawner.spawn(TaskPlacement::Shard(shard), "connection", task);
}

fn report(client: &ClientInfo, ended: Ended) {
    let peer = client.peer;
    match ended {
        Ended::ByClient | Ended::Idle => tracing::debug!(%peer, ?ended, "connection closed"),
        Ended::Protocol(violation) => {
            // The client's bytes may be in what it says it is: debug formatting escapes them.
            let software = client.software();
            tracing::info!(%peer, %violation, ?software, "connection closed: protocol broken");
        }
        Ended::Network(error) => tracing::debug!(%peer, %error, "connection lost"),
    }
}
