//! The tasks that an engine runs beside its requests.

use esker_env::{Spawner, TaskPlacement};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A task of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Follows the image of the metadata.
    FollowMetadata,
    /// Puts what the journals hold into the bucket.
    Flush,
    /// Retention, merges, spills, and what else is not urgent.
    Maintenance,
    /// Deletes garbage.
    Deletion,
    /// Watches the space of the write-ahead log.
    WalSpace,
    /// Keeps the journals on as many stores as there can be.
    Roll,
    /// Takes over from brokers that are dead.
    Rescue,
    /// Gives partitions to other brokers.
    Handover,
    /// Gives up, of other brokers' journals, what is in the bucket.
    Hosting,
}

impl Task {
    /// Its name in dumps.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FollowMetadata => "follow the metadata",
            Self::Flush => "flush",
            Self::Maintenance => "housekeeping",
            Self::Deletion => "deletion",
            Self::WalSpace => "watch the space",
            Self::Roll => "roll journals",
            Self::Rescue => "rescue",
            Self::Handover => "hand partitions over",
            Self::Hosting => "host journals",
        }
    }

    /// What it means when it ends before the engine stops; `None` where that is a contradiction.
    pub(crate) const fn end(self) -> Option<&'static str> {
        match self {
            Self::FollowMetadata | Self::Rescue | Self::Handover | Self::Hosting => {
                Some("the metadata quorum has ended")
            }
            Self::Flush => Some("another process has registered as this broker"),
            Self::Maintenance | Self::Deletion | Self::WalSpace | Self::Roll => None,
        }
    }
}

/// The tasks of one engine.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    running: TaskTracker,
}

impl Tasks {
    /// Runs a task in the background until it ends or all are stopped.
    pub(crate) fn spawn(
        &self,
        spawner: &Arc<dyn Spawner>,
        task: Task,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        let work = self.running.track_future(async move {
            let stopped = std::pin::pin!(stop.cancelled());
            futures_util::future::select(std::pin::pin!(work), stopped).await;
            if !stop.is_cancelled() {
                let why = task.end().expect("it has no end of its own");
                tracing::debug!(task = task.name(), why, "a task has ended");
            }
        });
        spawner.spawn(TaskPlacement::Background, task.name(), Box::pin(work));
    }

    /// Stops all tasks and waits until they have ended.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
