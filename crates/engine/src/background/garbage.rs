//! Deleting what nothing refers to.
//!
//! The metadata alone says what may go: an object whose last reference went some time ago, or an id
//! that was abandoned, alone or with its block, before it was committed. Neither can come back, so
//! a delete needs no look at the bucket, and doing it twice is harmless. An object leaves the list
//! when the bucket has confirmed that very one.
//!
//! Readers with an older image have a grace period, counted from when this process first saw the
//! garbage, on its own clock that never jumps. A start counts anew: what stays a little longer
//! costs nothing.

use crate::context::Context;
use crate::objects::object_ids::ObjectIds;
use crate::objects::tiered::TieredReader;
use esker_env::ObjectKey;
use esker_meta::{Command, Garbage, ObjectKind, State};
use esker_meta_client::MetaError;
use esker_object::{data_key, manifest_key};
use esker_types::{Bug, MonoTime, ObjectId, Timestamp, planted};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Objects deleted in one request, which names an object twice at most: the bucket takes 1000 keys.
const BATCH: usize = 500;

/// When each object that waits to be deleted was first seen to.
#[derive(Debug, Default)]
struct GarbageSeen(BTreeMap<ObjectId, MonoTime>);

impl GarbageSeen {
    /// The objects of `state` whose grace period is over.
    fn due(&mut self, state: &State, now: MonoTime, grace: Duration) -> Vec<(ObjectId, Garbage)> {
        self.0.retain(|id, _| state.garbage.contains_key(id));
        let mut due = Vec::new();
        for (id, garbage) in &state.garbage {
            let seen = *self.0.entry(*id).or_insert(now);
            if now.since(seen) >= grace {
                due.push((*id, *garbage));
            }
        }
        due
    }
}

/// Deletes garbage, and has the metadata count as garbage what was never committed.
pub(crate) struct GarbageCollector {
    context: Arc<Context>,
    ids: Arc<ObjectIds>,
    tiered: Arc<TieredReader>,
    seen: Mutex<GarbageSeen>,
}

impl GarbageCollector {
    pub(crate) fn new(
        context: &Arc<Context>,
        ids: &Arc<ObjectIds>,
        tiered: &Arc<TieredReader>,
    ) -> Self {
        let (context, ids, tiered) = (Arc::clone(context), Arc::clone(ids), Arc::clone(tiered));
        Self { context, ids, tiered, seen: Mutex::default() }
    }

    /// Gives up the id blocks of earlier registrations: what of them was never committed becomes
    /// garbage.
    pub(crate) async fn expire_blocks(&self) -> Result<(), MetaError> {
        let state = self.context.image();
        let old = state.blocks.iter().filter(|(_, block)| {
            state.brokers.get(&block.owner).is_none_or(|b| b.incarnation != block.incarnation)
        });
        for (first, _) in old {
            self.context.propose_until_known(Command::ExpireBlock { first: *first }).await?;
        }
        Ok(())
    }

    /// Gives up the ids of this registration whose objects came to nothing, in attempts that failed
    /// half way.
    pub(crate) async fn give_up_abandoned(&self) -> Result<(), MetaError> {
        let objects = self.ids.abandoned();
        if objects.is_empty() {
            return Ok(());
        }
        let command = Command::GiveUpObjectIds {
            broker: self.context.options.broker,
            incarnation: self.context.incarnation,
            objects,
        };
        // What fails for good is given up by the next registration, with its block.
        self.context.propose_until_known(command).await.map(drop)
    }

    /// Deletes garbage whose grace period is over.
    pub(crate) async fn collect_garbage(&self) -> Result<(), MetaError> {
        let state = self.context.image();
        let (now, grace) = (self.context.env.clock.now(), self.context.options.garbage_grace);
        // Also what was never committed and so never read: its put may still be on its way.
        let mut due = self.seen.lock().due(&state, now, grace);
        due.extend(self.aged(&state));
        for chunk in due.chunks(BATCH) {
            self.delete(chunk).await?;
        }
        Ok(())
    }

    /// Planted: objects that are many ids behind the newest.
    fn aged(&self, state: &State) -> Vec<(ObjectId, Garbage)> {
        if !planted(Bug::DeletedByClock) {
            return Vec::new();
        }
        let horizon = state.next_object.get().saturating_sub(80);
        let old = state.objects.iter().filter(|(id, _)| id.get() < horizon);
        old.map(|(id, row)| {
            let (incarnation, kind, len) = (row.incarnation, row.kind, row.len);
            (*id, Garbage { incarnation, kind, len, since: Timestamp(0) })
        })
        .collect()
    }

    async fn delete(&self, garbage: &[(ObjectId, Garbage)]) -> Result<(), MetaError> {
        let mut deleted = Vec::new();
        let mut plain = Vec::new();
        for (id, row) in garbage {
            if row.kind == ObjectKind::Manifest {
                if self.delete_listed(*id, row).await {
                    deleted.push(*id);
                }
            } else {
                plain.push((*id, ObjectKey::new(&data_key(*id, row.incarnation))));
                if row.len == 0 {
                    // Never committed: nobody knows what it was to be.
                    plain.push((*id, ObjectKey::new(&manifest_key(*id, row.incarnation))));
                }
            }
        }
        self.context.env.fail_point("garbage: chosen").await;
        let keys = plain.iter().map(|(_, key)| key.clone()).collect();
        let results = self.context.bucket.delete(keys).await;
        self.context.env.fail_point("garbage: deleted").await;
        let mut kept = BTreeSet::new();
        for ((id, _), result) in plain.iter().zip(results) {
            if let Err(error) = result {
                tracing::debug!(%error, "cannot delete an object yet");
                kept.insert(*id);
            }
        }
        deleted.extend(plain.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)));
        deleted.dedup();
        if !deleted.is_empty() {
            self.context.propose_until_known(Command::ConfirmDeleted { objects: deleted }).await?;
        }
        Ok(())
    }

    /// Deletes what a manifest lists, then the manifest. Answers whether all of it is gone.
    async fn delete_listed(&self, id: ObjectId, row: &Garbage) -> bool {
        let key = ObjectKey::new(&manifest_key(id, row.incarnation));
        let manifest = match self.tiered.manifest(id, row.incarnation, row.len).await {
            Ok(manifest) => manifest,
            Err(error) => {
                // A manifest that was deleted before the confirmation arrived took its objects with
                // it.
                tracing::debug!(%error, "cannot read a manifest that is garbage");
                let gone = self.context.bucket.head(&key).await;
                return gone.is_err_and(|e| e.kind == esker_env::BucketErrorKind::NotFound);
            }
        };
        let listed = manifest
            .entries()
            .map(|e| ObjectKey::new(&data_key(e.object, e.incarnation)))
            .collect();
        let objects_gone = self.context.bucket.delete(listed).await.into_iter().all(|r| r.is_ok());
        objects_gone && self.context.bucket.delete(vec![key]).await.into_iter().all(|r| r.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use esker_types::{Incarnation, TopicId};

    #[test]
    fn what_nothing_names_is_deleted_and_forgotten_and_what_is_named_stays() {
        let fixture = Fixture::new(Default::default(), |_| {});
        let Fixture { context, ids, tiered, .. } = &fixture;
        let collector = GarbageCollector::new(context, ids, tiered);
        fixture.runtimes.block_on(async {
            fixture.put_extent(0).await;
            collector.collect_garbage().await.unwrap();
            assert_eq!(fixture.objects().await.len(), 1);
            let topic: TopicId = *context.image().topics.keys().next().unwrap();
            context.meta.propose(Command::DeleteTopic { topic }).await.unwrap();
            collector.collect_garbage().await.unwrap();
            assert_eq!(fixture.objects().await, Vec::<String>::new());
        });
        assert!(context.image().garbage.is_empty());
    }

    #[test]
    fn an_id_that_came_to_nothing_becomes_garbage() {
        let fixture = Fixture::new(Default::default(), |_| {});
        let Fixture { context, ids, tiered, .. } = &fixture;
        let collector = GarbageCollector::new(context, ids, tiered);
        let id = fixture.runtimes.block_on(async {
            let id = ids.next().await.unwrap().id();
            collector.give_up_abandoned().await.unwrap();
            id
        });
        assert!(context.image().garbage.contains_key(&id));
    }

    fn state_with(ids: &[u64], since: i64) -> State {
        let mut state = State::default();
        for id in ids {
            let garbage = Garbage {
                incarnation: Incarnation(1),
                kind: ObjectKind::Flush,
                len: 1,
                since: Timestamp(since),
            };
            state.garbage.insert(ObjectId(*id), garbage);
        }
        state
    }

    fn ids(due: &[(ObjectId, Garbage)]) -> Vec<u64> {
        due.iter().map(|(id, _)| id.get()).collect()
    }

    #[test]
    fn no_wall_clock_shortens_the_grace_or_lasts_for_ever() {
        let grace = Duration::from_secs(600);
        let at = |seconds| MonoTime::default().plus(Duration::from_secs(seconds));
        for since in [i64::MIN, 0, i64::MAX] {
            let mut seen = GarbageSeen::default();
            assert!(seen.due(&state_with(&[1], since), at(5), grace).is_empty());
            assert!(seen.due(&state_with(&[1, 2], since), at(604), grace).is_empty());
            assert_eq!(ids(&seen.due(&state_with(&[1, 2], since), at(605), grace)), [1]);
            assert_eq!(ids(&seen.due(&state_with(&[2], since), at(1204), grace)), [2]);
            assert_eq!(seen.0.len(), 1, "what is gone is forgotten");
        }
    }
}
