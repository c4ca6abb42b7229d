//! Reading everything in the bucket that the metadata names, and checking it.

use crate::context::Context;
use crate::objects::stored::StoredExtent;
use crate::objects::tiered::TieredReader;
use bytes::Bytes;
use esker_env::BucketError;
use esker_meta::State;
use esker_object::{Block, Corrupt, ObjectMeta};
use esker_types::ObjectId;
use std::collections::BTreeMap;

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

/// What is wrong with an object.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error("it says it is another object")]
    AnotherObject,
}

/// Reads all objects once, past every cache.
pub(crate) struct Verifier<'a> {
    pub(crate) context: &'a Context,
    pub(crate) tiered: &'a TieredReader,
}

impl Verifier<'_> {
    /// Reads every object that the metadata names and checks every checksum in it. `tell` hears of
    /// progress, then of damage and of the end. Objects that are dropped meanwhile do not count.
    pub(crate) async fn run(&self, mut tell: impl FnMut(Verified) + Send) {
        let state = self.context.image();
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
            let (named, _) = self.named_objects(&self.context.image(), &mut |_| {}).await;
            suspects.retain(|(stored, _)| named.contains_key(&stored.object));
        }
        let damaged = unreadable + suspects.len() as u64;
        for (stored, problem) in suspects {
            let (object, problem) = (stored.key().to_string(), problem.to_string());
            tell(Verified::Damaged { object, problem });
        }
        tell(Verified::Done { objects: objects.len() as u64, bytes: read, damaged });
    }

    /// All data objects, those that only manifests list among them; and how many manifests cannot
    /// be read.
    async fn named_objects(
        &self,
        state: &State,
        tell: &mut (impl FnMut(Verified) + Send),
    ) -> (BTreeMap<ObjectId, StoredExtent>, u64) {
        let mut objects = BTreeMap::new();
        let mut unreadable = 0;
        for (pid, row) in &state.partitions {
            for extent in &row.extents {
                objects.insert(extent.object, StoredExtent::of_extent(state, extent));
            }
            let snapshot = state.producers.get(pid);
            let snapshot = snapshot.and_then(|kept| StoredExtent::of_producers(state, kept));
            objects.extend(snapshot.map(|stored| (stored.object, stored)));
            for manifest in &row.manifests {
                let object = &state.objects[&manifest.object];
                let (id, len) = (manifest.object, object.len);
                match self.tiered.manifest(id, object.incarnation, len).await {
                    Ok(listed) => {
                        let listed = listed.entries();
                        objects.extend(listed.map(|e| (e.object, StoredExtent::of_entry(&e))));
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

    async fn verify_object(&self, stored: &StoredExtent) -> Result<(), VerifyError> {
        let key = stored.key();
        let get = async |range| self.context.bucket.get_range(&key, range).await;
        let footer = get(stored.meta_position..stored.len).await?;
        let meta = ObjectMeta::parse(footer, stored.meta_position)?;
        if meta.header().object != stored.object {
            return Err(VerifyError::AnotherObject);
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
                verify_blocks(&get(start..end).await?, start, &pending)?;
                pending.clear();
            }
        }
        Ok(())
    }
}

/// Checks blocks in `bytes`, which begin at `start` of their object.
fn verify_blocks(bytes: &Bytes, start: u64, blocks: &[Block]) -> Result<(), Corrupt> {
    blocks.iter().try_for_each(|block| {
        let at = usize::try_from(block.position - start).expect("within one read");
        block.verify(&bytes[at..at + block.len as usize])
    })
}
