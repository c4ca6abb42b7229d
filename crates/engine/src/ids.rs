//! Object ids, from blocks that the metadata reserved for this registration.

use esker_env::Env;
use esker_meta::{Command, Reply};
use esker_meta_client::{MetaClient, MetaError};
use esker_types::{BrokerId, Bug, Incarnation, ObjectId, planted};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Ids reserved at once.
const BLOCK: u32 = 64;

/// A supply of object ids. An id that is taken and not committed is lost, which costs nothing: its block's end makes
/// it garbage.
pub(crate) struct ObjectIds {
    env: Env,
    meta: Arc<dyn MetaClient>,
    broker: BrokerId,
    incarnation: Incarnation,
    left: Mutex<std::ops::Range<u64>>,
}

impl ObjectIds {
    pub(crate) fn new(
        env: &Env,
        meta: Arc<dyn MetaClient>,
        broker: BrokerId,
        incarnation: Incarnation,
    ) -> Self {
        Self { env: env.clone(), meta, broker, incarnation, left: Mutex::new(0..0) }
    }

    pub(crate) async fn next(&self) -> Result<ObjectId, MetaError> {
        let mut left = self.left.lock().await;
        if left.is_empty() {
            let command = Command::AllocateObjectIds {
                broker: self.broker,
                incarnation: self.incarnation,
                count: BLOCK,
            };
            let reply = self.meta.propose(command).await?;
            let Reply::ObjectIds(first) = reply else {
                panic!("a reservation is answered with ids, not {reply:?}")
            };
            *left = first.get()..first.get() + u64::from(BLOCK);
        }
        self.env.point("ids: reserved").await;
        if planted(Bug::ObjectIdsReused) && left.start % 8 == 7 {
            left.start -= 1;
        }
        Ok(left.next().map(ObjectId).expect("a fresh block has ids"))
    }
}
