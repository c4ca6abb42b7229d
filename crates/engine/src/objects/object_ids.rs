//! Object ids, from blocks that the metadata reserved for this registration.

use crate::context::Context;
use esker_meta::{Command, Reply};
use esker_meta_client::MetaError;
use esker_types::{Bug, ObjectId, planted};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Ids reserved at once.
const BLOCK: u32 = 64;

/// A supply of object ids.
pub(crate) struct ObjectIds {
    context: Arc<Context>,
    left: Mutex<std::ops::Range<u64>>,
    abandoned: Abandoned,
}

/// Ids that were reserved and came to nothing.
type Abandoned = Arc<parking_lot::Mutex<Vec<ObjectId>>>;

/// An id that somebody writes an object under. Unless it is [committed](ReservedId::commit) it
/// counts as abandoned when it goes out of scope, whatever the reason: its object may be in the
/// bucket, and garbage collection must hear of it.
pub(crate) struct ReservedId {
    id: ObjectId,
    abandoned: Option<Abandoned>,
}

impl ReservedId {
    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    /// The metadata names the object.
    pub(crate) fn commit(&mut self) {
        self.abandoned = None;
    }
}

impl Drop for ReservedId {
    fn drop(&mut self) {
        if let Some(abandoned) = &self.abandoned {
            abandoned.lock().push(self.id);
        }
    }
}

impl ObjectIds {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        let (left, abandoned) = (Mutex::new(0..0), Abandoned::default());
        Self { context: Arc::clone(context), left, abandoned }
    }

    /// Takes the ids that came to nothing since the last call.
    pub(crate) fn abandoned(&self) -> Vec<ObjectId> {
        std::mem::take(&mut *self.abandoned.lock())
    }

    pub(crate) async fn next(&self) -> Result<ReservedId, MetaError> {
        let mut left = self.left.lock().await;
        if left.is_empty() {
            let command = Command::AllocateObjectIds {
                broker: self.context.options.broker,
                incarnation: self.context.incarnation,
                count: BLOCK,
            };
            let reply = self.context.meta.propose(command).await?;
            let Reply::ObjectIds(first) = reply else {
                panic!("a reservation is answered with ids, not {reply:?}")
            };
            *left = first.get()..first.get() + u64::from(BLOCK);
        }
        self.context.env.fail_point("ids: reserved").await;
        if planted(Bug::ObjectIdsReused) && left.start % 8 == 7 {
            left.start -= 1;
        }
        let id = left.next().map(ObjectId).expect("a fresh block has ids");
        Ok(ReservedId { id, abandoned: Some(Arc::clone(&self.abandoned)) })
    }
}
