//! Incremental fetch sessions: a client names its partitions once and then only what changes.

use esker_env::Entropy;
use esker_types::{MonoTime, TopicId};
use esker_wire::ErrorCode;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a session names a topic: as its version of the protocol does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(String),
    Id(TopicId),
}

/// What a client asked of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) fetch_offset: i64,
    pub(crate) bytes_max: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

/// What the client was last told of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) error: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) wanted: Wanted,
    pub(crate) told: Option<Told>,
}

/// A client's session. One request at a time uses it: a connection answers in order.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: i32,
    /// Epoch of the next request.
    epoch: i32,
    by_id: bool,
    pub(crate) partitions: BTreeMap<(TopicKey, i32), Entry>,
    /// Where the next answer begins, so that no partition starves behind a full one.
    pub(crate) turn: usize,
    used: MonoTime,
}

/// A session that is not used for this long may make room for another.
const EVICTABLE_AFTER: Duration = Duration::from_mins(2);
/// "Begin a session."
const INITIAL_EPOCH: i32 = 0;
/// "End the session; this request has none."
const FINAL_EPOCH: i32 = -1;

/// What a request makes of sessions.
pub(crate) enum Context {
    /// All partitions are in the request; nothing is remembered.
    Sessionless,
    /// All partitions are in the request and are remembered.
    New(Arc<Mutex<Session>>),
    /// The request says what changed.
    Incremental(Arc<Mutex<Session>>),
}

/// All sessions of a broker.
pub(crate) struct FetchSessions {
    max: usize,
    entropy: Arc<dyn Entropy>,
    sessions: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
}

impl FetchSessions {
    pub(crate) fn new(max: usize, entropy: Arc<dyn Entropy>) -> Self {
        Self { max, entropy, sessions: Mutex::default() }
    }

    /// Number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Ends a session.
    pub(crate) fn close(&self, id: i32) {
        self.sessions.lock().remove(&id);
    }

    /// Finds or makes the session that a request means.
    pub(crate) fn open(
        &self,
        id: i32,
        epoch: i32,
        by_id: bool,
        now: MonoTime,
    ) -> Result<Context, ErrorCode> {
        let mut sessions = self.sessions.lock();
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            sessions.remove(&id);
            if epoch == FINAL_EPOCH || !make_room(&mut sessions, self.max, now) {
                return Ok(Context::Sessionless);
            }
            let id = loop {
                let id = i32::try_from(self.entropy.below(i32::MAX as u64 - 1) + 1)
                    .expect("drawn below i32::MAX");
                if !sessions.contains_key(&id) {
                    break id;
                }
            };
            let session =
                Session { id, epoch: 1, by_id, partitions: BTreeMap::new(), turn: 0, used: now };
            let session = Arc::new(Mutex::new(session));
            sessions.insert(id, Arc::clone(&session));
            return Ok(Context::New(session));
        }
        let session = sessions.get(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        {
            let mut session = session.lock();
            if session.epoch != epoch {
                return Err(ErrorCode::InvalidFetchSessionEpoch);
            }
            if session.by_id != by_id {
                return Err(ErrorCode::FetchSessionTopicIdError);
            }
            session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
            session.used = now;
        }
        Ok(Context::Incremental(Arc::clone(session)))
    }
}

fn make_room(sessions: &mut BTreeMap<i32, Arc<Mutex<Session>>>, max: usize, now: MonoTime) -> bool {
    if sessions.len() < max {
        return true;
    }
    let oldest = sessions.iter().map(|(id, session)| (session.lock().used, *id)).min();
    match oldest {
        Some((used, id)) if now.since(used) >= EVICTABLE_AFTER => {
            sessions.remove(&id);
            true
        }
        _ => false,
    }
}
