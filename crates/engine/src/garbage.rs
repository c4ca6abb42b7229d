//! Deleting what nothing refers to.
//!
//! The metadata alone says what may go: an object whose last reference went some time ago, or an id that was given up,
//! alone or with its block, before it was committed. Neither can come back, so a delete needs no look at the bucket, and
//! doing it twice is harmless. An object leaves the list when the bucket has confirmed that very one.

use crate::engine::Engine;
use esker_env::ObjectKey;
use esker_meta::{Command, Garbage, ObjectKind, State};
use esker_meta_client::MetaError;
use esker_object::{data_key, manifest_key};
use esker_types::{Bug, ObjectId, Timestamp, planted};
use std::collections::BTreeSet;

/// Objects deleted in one request, which names an object twice at most: the bucket takes 1000 keys.
const BATCH: usize = 500;

impl Engine {
    /// Gives up the id blocks of earlier registrations: what of them was never committed becomes garbage.
    pub(crate) async fn expire_blocks(&self) -> Result<(), MetaError> {
        let state = self.meta().image();
        let old = state.blocks.iter().filter(|(_, block)| {
            state.brokers.get(&block.owner).is_none_or(|b| b.incarnation != block.incarnation)
        });
        for (first, _) in old {
            self.propose_until_known(Command::ExpireBlock { first: *first }).await?;
        }
        Ok(())
    }

    /// Gives up the ids of this registration whose objects came to nothing, in attempts that failed half way.
    pub(crate) async fn give_up_ids(&self) -> Result<(), MetaError> {
        let objects = self.ids.given_up();
        if objects.is_empty() {
            return Ok(());
        }
        let command = Command::GiveUpObjectIds {
            broker: self.options().broker,
            incarnation: self.incarnation(),
            objects,
        };
        // What fails for good is given up by the next registration, with its block.
        self.propose_until_known(command).await.map(drop)
    }

    /// Deletes garbage whose grace period is over.
    pub(crate) async fn collect_garbage(&self) -> Result<(), MetaError> {
        let state = self.meta().image();
        let grace = i64::try_from(self.options().garbage_grace.as_millis()).unwrap_or(i64::MAX);
        let horizon = Timestamp(self.env().clock.wall().get().saturating_sub(grace));
        let due: Vec<_> = state
            .garbage
            .iter()
            // Also what was never committed and so never read: its put may still be on its way.
            .filter(|(_, garbage)| garbage.since <= horizon)
            .map(|(id, garbage)| (*id, *garbage))
            .chain(self.aged(&state))
            .collect();
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
        self.env().point("garbage: chosen").await;
        let keys = plain.iter().map(|(_, key)| key.clone()).collect();
        let results = self.bucket().delete(keys).await;
        self.env().point("garbage: deleted").await;
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
            self.propose_until_known(Command::ConfirmDeleted { objects: deleted }).await?;
        }
        Ok(())
    }

    /// Deletes what a manifest lists, then the manifest. Answers whether all of it is gone.
    async fn delete_listed(&self, id: ObjectId, row: &Garbage) -> bool {
        let key = ObjectKey::new(&manifest_key(id, row.incarnation));
        let manifest = match self.cold.manifest(id, row.incarnation, row.len).await {
            Ok(manifest) => manifest,
            Err(error) => {
                // A manifest that was deleted before the confirmation arrived took its objects with it.
                tracing::debug!(%error, "cannot read a manifest that is garbage");
                let gone = self.bucket().head(&key).await;
                return gone.is_err_and(|e| e.kind == esker_env::BucketErrorKind::NotFound);
            }
        };
        let listed = manifest
            .entries()
            .map(|e| ObjectKey::new(&data_key(e.object, e.incarnation)))
            .collect();
        let objects_gone = self.bucket().delete(listed).await.into_iter().all(|r| r.is_ok());
        objects_gone && self.bucket().delete(vec![key]).await.into_iter().all(|r| r.is_ok())
    }
}
