//! Bodies of the admin interface of a broker, shared by both sides.
//!
//! `GET /v1/tier/status` answers [`TierStatus`]; `POST /v1/tier/flush[?topic=T]` answers when everything that was
//! committed is in the bucket, with a [`FlushLine`] a line; `POST /v1/tier/verify` with a [`VerifyLine`] a line;
//! `GET /v1/cache/stats` answers [`CacheStats`]; `POST /v1/cache/clear` answers [`CacheCleared`]. Errors come with a
//! status of 400 or more and [`Problem`]. What is said about the cluster is in [`cluster`].

pub mod cluster;

use serde::{Deserialize, Serialize};

/// What is in the bucket, and what is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierStatus {
    /// Bytes that are committed and not yet in the bucket.
    pub unflushed_bytes: u64,
    /// Age of the oldest record among them, in milliseconds.
    pub oldest_unflushed_ms: Option<u64>,
    /// Bytes of newest batches in memory.
    pub tail_memory_bytes: u64,
    /// Bytes of the write-ahead log in use.
    pub wal_used_bytes: u64,
    /// Bytes that it may use.
    pub wal_capacity_bytes: u64,
    /// Objects in the bucket.
    pub objects: u64,
    /// Objects that nothing refers to and that are kept for a while.
    pub garbage_objects: u64,
    /// Bytes of records in the bucket.
    pub tiered_bytes: u64,
    /// Whether the last flush failed.
    pub flush_failing: bool,
}

/// A line while a flush goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FlushLine {
    /// The last line: it is done.
    Done(TierStatus),
    /// How far it is.
    Progress {
        /// Bytes that it has put into the bucket.
        flushed_bytes: u64,
        /// Bytes that it will have put there.
        total_bytes: u64,
    },
    /// The last line: it failed.
    Failed(Problem),
}

/// A line while the bucket is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum VerifyLine {
    /// The last line.
    Done {
        /// Objects that were checked.
        objects: u64,
        /// Bytes that were read.
        bytes: u64,
        /// How many are damaged or missing.
        damaged: u64,
    },
    /// An object that is damaged or missing.
    Damaged {
        /// Its key.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// How far it is.
    Progress {
        /// Bytes that were read.
        read_bytes: u64,
        /// Bytes that will have been read.
        total_bytes: u64,
    },
    /// The last line: it failed.
    Failed(Problem),
}

/// How full the cache is and how often it helps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheStats {
    /// Chunks that were read from memory.
    pub hits_memory: u64,
    /// Chunks that were read from disk.
    pub hits_disk: u64,
    /// Chunks that were read from the bucket.
    pub misses: u64,
    /// Chunks that another read was already bringing.
    pub joined: u64,
    /// Chunks that were put in.
    pub inserted: u64,
    /// Chunks that found no room.
    pub dropped: u64,
    /// Chunks on disk that were damaged, and read from the bucket instead.
    pub corrupt: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Requests to the bucket.
    pub gets: u64,
    /// Bytes that they read.
    pub get_bytes: u64,
    /// Requests to the bucket that failed.
    pub get_errors: u64,
    /// Requests that were sent twice because the first one was slow.
    pub hedges: u64,
}

/// The cache was emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheCleared {
    /// Always.
    pub cleared: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// For people.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let status = r#"{"unflushed_bytes":0,"oldest_unflushed_ms":null,"tail_memory_bytes":1,
            "wal_used_bytes":2,"wal_capacity_bytes":3,"objects":4,"garbage_objects":5,
            "tiered_bytes":6,"flush_failing":false}"#;
        let line = |text: &str| serde_json::from_str::<FlushLine>(text).unwrap();
        assert!(matches!(line(status), FlushLine::Done(TierStatus { objects: 4, .. })));
        let progress = FlushLine::Progress { flushed_bytes: 1, total_bytes: 2 };
        assert_eq!(line(&serde_json::to_string(&progress).unwrap()), progress);
        assert!(matches!(line(r#"{"error":"no"}"#), FlushLine::Failed(_)));
        for verify in [
            VerifyLine::Done { objects: 1, bytes: 2, damaged: 0 },
            VerifyLine::Damaged { object: "a".into(), problem: "b".into() },
            VerifyLine::Progress { read_bytes: 1, total_bytes: 2 },
            VerifyLine::Failed(Problem { error: "x".into() }),
        ] {
            let text = serde_json::to_string(&verify).unwrap();
            assert_eq!(serde_json::from_str::<VerifyLine>(&text).unwrap(), verify);
        }
    }
}
