//! Reading everything in the bucket that the metadata names, and checking it.

use crate::engine::Engine;
use crate::objects::tiered::{ObjectReadError, Stored, stored_extent};
use crate::serve::producer_state::stored_producers;
use esker_env::ObjectKey;
use esker_meta::State;
use esker_object::{ObjectMeta, data_key};
use esker_types::ObjectId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes that one request of a verification reads.
const READ_BYTES: u64 = 8 << 20;

/// What a verification says on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// How far it is.
    Progress {
        /// Bytes read so far.
        read: u64,
        /// Bytes to be read.
        total: u64,
    },
    /// An object that is damaged or missing.
    Damaged {
        /// Its key.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The end.
    Done {
        /// Objects checked.
        objects: u64,
        /// Bytes read.
        bytes: u64,
        /// How many are damaged or missing.
        damaged: u64,
    },
}

impl Engine {
    /// Reads every object that the metadata names and checks every checksum in it. `tell` hears of progress, then of
    /// damage and of the end. Objects that are dropped meanwhile do not count.
    pub async fn verify(self: &Arc<Self>, mut tell: impl FnMut(Verified) + Send) {
        let state = self.meta().image();
        let (objects, unreadable) = self.named_objects(&state, &mut tell).await;
        let total = objects.values().map(|stored| stored.len).sum();
        let mut read = 0;
        let mut suspects = Vec::new();
        for stored in objects.values() {
            if let Err(problem) = self.verify_object(stored).await {
                suspects.push((stored, problem));
            }
            read += stored.len;
            tell(Verified::Progress { read, total });
        }
        if !suspects.is_empty() {
            // Merged or trimmed away since, and deleted: not named any more, and never again.
            let (named, _) = self.named_objects(&self.meta().image(), &mut |_| {}).await;
            suspects.retain(|(stored, _)| named.contains_key(&stored.object));
        }
        let damaged = unreadable + suspects.len() as u64;
        for (stored, problem) in suspects {
            let object = data_key(stored.object, stored.incarnation);
            tell(Verified::Damaged { object, problem });
        }
        tell(Verified::Done { objects: objects.len() as u64, bytes: read, damaged });
    }

    /// All data objects, those that only manifests list among them; and how many manifests cannot be read.
    async fn named_objects(
        &self,
        state: &State,
        tell: &mut (impl FnMut(Verified) + Send),
    ) -> (BTreeMap<ObjectId, Stored>, u64) {
        let mut objects = BTreeMap::new();
        let mut unreadable = 0;
        for (pid, row) in &state.partitions {
            for extent in &row.extents {
                objects.insert(extent.object, stored_extent(state, extent));
            }
            let kept = state.producers.get(pid);
            if let Some(stored) = kept.and_then(|kept| stored_producers(state, kept)) {
                objects.insert(stored.object, stored);
            }
            for manifest in &row.manifests {
                let object = &state.objects[&manifest.object];
                let read =
                    self.cold.manifest(manifest.object, object.incarnation, object.len).await;
                match read {
                    Ok(listed) => {
                        objects.extend(listed.entries().map(|e| (e.object, Stored::of_entry(&e))));
                    }
                    Err(error) => {
                        unreadable += 1;
                        let object = manifest.object.to_string();
                        tell(Verified::Damaged { object, problem: error.to_string() });
                    }
                }
            }
        }
        (objects, unreadable)
    }

    async fn verify_object(&self, stored: &Stored) -> Result<(), String> {
        let key = ObjectKey::new(&data_key(stored.object, stored.incarnation));
        let get = async |range: std::ops::Range<u64>| {
            let read = self.bucket().get_range(&key, range).await;
            read.map_err(|error| ObjectReadError::from(error).to_string())
        };
        let footer = get(stored.meta_position..stored.len).await?;
        let meta = ObjectMeta::parse(footer, stored.meta_position).map_err(|e| e.to_string())?;
        if meta.header().object != stored.object {
            return Err("it says it is another object".to_owned());
        }
        for part in meta.parts() {
            let mut pending = Vec::new();
            let mut blocks = meta.blocks(&part).peekable();
            while let Some(block) = blocks.next() {
                pending.push(block);
                let start = pending[0].position;
                let end = block.position + u64::from(block.len);
                if blocks.peek().is_some() && end - start < READ_BYTES {
                    continue;
                }
                let bytes = get(start..end).await?;
                for block in pending.drain(..) {
                    let at = usize::try_from(block.position - start).expect("within one read");
                    block
                        .verify(&bytes[at..at + block.len as usize])
                        .map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }
}
