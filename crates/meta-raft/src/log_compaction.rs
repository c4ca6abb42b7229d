//! Compaction of the metadata log by its bytes: openraft counts entries, and an entry may be of some bytes or of some megabytes.
//!
//! A flush that many partitions take part in is one entry with a row of each. What is read at a start, and what is held in
//! memory meanwhile, is as long as the file.

use crate::types::{LogId, Raft};
use esker_env::{Env, watch};

/// How much of the file came after what it began with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogGrowth {
    pub(crate) bytes: u64,
    /// Index of the last entry that is gone from the file.
    pub(crate) purged: Option<u64>,
}

/// Whenever the file has grown by more than `bytes_max`, has a snapshot written and everything before it removed. Ends
/// with the quorum.
pub(crate) async fn compact_by_bytes(
    env: Env,
    raft: Raft,
    mut growth: watch::Receiver<LogGrowth>,
    bytes_max: u64,
) {
    loop {
        let grown = growth.wait_for(|growth| (growth.bytes > bytes_max).then_some(*growth)).await;
        let Ok(LogGrowth { purged, .. }) = grown else { return };
        env.fail_point("metadata: outgrown").await;
        if compact_once(&raft, &mut growth, purged).await.is_none() {
            return;
        }
    }
}

/// One step; `None` when the quorum has ended.
async fn compact_once(
    raft: &Raft,
    growth: &mut watch::Receiver<LogGrowth>,
    purged: Option<u64>,
) -> Option<()> {
    let index = |id: &Option<LogId>| id.as_ref().map(LogId::index);
    let wait = raft.wait(None);
    let snapshot = index(&wait.metrics(|_| true, "now").await.ok()?.snapshot);
    if let Some(upto) = snapshot.filter(|_| snapshot > purged) {
        // More than openraft would by itself: it keeps some for voters that lag behind, which take the snapshot then.
        raft.trigger().purge_log(upto).await.ok()?;
        growth.wait_for(|growth| (growth.purged >= snapshot).then_some(())).await.ok()?;
        return Some(());
    }
    // A snapshot of nothing new would not be told of.
    wait.metrics(|now| index(&now.last_applied) > snapshot, "news").await.ok()?;
    raft.trigger().snapshot().await.ok()?;
    wait.metrics(|now| index(&now.snapshot) > snapshot, "a snapshot").await.ok()?;
    Some(())
}
